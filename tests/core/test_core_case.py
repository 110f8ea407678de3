"""The fallout case (D1): what each command makes true, and that folding it says the same."""

from copy import deepcopy
from itertools import pairwise, product

import pytest
from core_lab import NOW, case, correction, evidence, grant, later, uid

from unstuck.fallout import events
from unstuck.fallout.case import (
    RESOLVED_AS,
    Apply,
    Assign,
    Attach,
    Classify,
    Close,
    Continue,
    Disprove,
    Escalate,
    Note,
    Propose,
    Reject,
    Release,
    Reopen,
    Repeat,
    Resolve,
    Settle,
    Start,
    Verify,
    Wait,
    decide,
    evolve,
    from_detected,
)  # fmt: skip
from unstuck.fallout.classify import dedup_key
from unstuck.fallout.lifecycle import CASE, CASE_IS_RESOLVED, CaseAction, CaseState
from unstuck.fallout.policy import Dedup
from unstuck.kernel.actor import CLASSIFIER, Verdict
from unstuck.kernel.canonical import encode
from unstuck.kernel.refusal import Forbidden, IllegalTransition, Refused
from unstuck.policy.grant import machine
from unstuck.repair.correction import ActionCode

S, A = CaseState, CaseAction
CLASSIFIED = Classify("UNKNOWN_OUTCOME", "provisioning", "unknown_outcome", "FIXED_ACTIVATION_L2", "mappings/2")


def resolve(decision):
    return Resolve(decision, None, (uid(5),), None, "")


# Each command that moves a case: the action of the table, and where it leads when the table branches.
MOVES = [
    (Assign("budi"), A.ASSIGN, None),
    (Release("not mine"), A.RELEASE, None),
    (Start(), A.START, None),
    *[(Wait(on, ""), A.WAIT, S(f"WAITING_{on}")) for on in ("CUSTOMER", "PARTNER", "VENDOR", "FIELD", "INCIDENT")],
    (Continue(""), A.CONTINUE, None),
    (Propose(correction(), "aa", "bb"), A.PROPOSE, S.CORRECTION_PROPOSED),
    (Reject(correction(), "wrong step"), A.REJECT, None),
    (Verify((uid(5),), ""), A.VERIFY, None),
    (Disprove("it came back"), A.DISPROVE, None),
    *[(resolve(decision), A.RESOLVE, to) for decision, to in RESOLVED_AS.items()],
    (Settle("callback", "ab"), A.SETTLE, None),
    (Reopen("failed again"), A.REOPEN, None),
    (Close(), A.CLOSE, None),
]
IN_TWO = [
    (CLASSIFIED, A.CLASSIFY, S.QUEUED),
    (Apply(correction(), "readied"), A.APPLY, S.VERIFYING),
    (Apply(correction(), "silent"), A.APPLY, S.IN_PROGRESS),
]
STAYS = [Attach(evidence()), Repeat("TIMEOUT", 4, "cd"), Note("called the customer"), Escalate("ops", "VIP")]


def done(before, command, by="ana"):
    """Decide, check that nothing was touched, fold, and return the case with its events."""
    as_it_was, after = deepcopy(before), deepcopy(before)
    made = decide(before, command, grant(by), later(60))
    assert before == as_it_was
    for event in made:
        encode(event.data)  # canonical, or it could not be kept
        assert (event.by, event.at) == (by, later(60))
        assert event.type in events.ALL
        evolve(after, event.type.name, event.by, event.at, event.data)
    assert after.touched_at == later(60)
    return after, made


@pytest.mark.parametrize(("command", "action", "to"), MOVES)
def test_a_command_leads_where_the_table_says_and_nowhere_else(command, action, to):
    for state in S:
        targets = CASE.rows[state].get(action, frozenset())
        goal = to or next(iter(targets), None)
        if goal in targets:
            after, (event,) = done(case(state), command)
            assert after.state == goal == event.data["to"]
        else:
            with pytest.raises(IllegalTransition):
                decide(case(state), command, grant(), NOW)


@pytest.mark.parametrize(("command", "action", "to"), IN_TWO)
def test_a_command_with_two_steps_takes_both_and_both_are_legal(command, action, to):
    for state in S:
        if action in CASE.actions(state):
            after, made = done(case(state), command)
            assert after.state is to
            steps = [state, *(S(e.data["to"]) for e in made if "to" in e.data)]
            for a, b in pairwise(steps):
                assert any((a, b) == (x, y) for x, _, y in CASE.edges())
        else:
            with pytest.raises(IllegalTransition):
                decide(case(state), command, grant(), NOW)


@pytest.mark.parametrize(("command", "state"), [*product(STAYS, S)])
def test_a_command_that_moves_nothing_is_refused_on_a_closed_case(command, state):
    if state is S.CLOSED or (isinstance(command, Escalate) and state in CASE_IS_RESOLVED):
        with pytest.raises(IllegalTransition, match=r"closed|resolved"):
            decide(case(state), command, grant(), NOW)
    else:
        after, (event,) = done(case(state), command)
        assert after.state is state and "to" not in event.data


def test_classifying_names_the_rule_and_queues():
    after, made = done(case(S.DETECTED), CLASSIFIED, by=CLASSIFIER.id)
    assert [e.type for e in made] == [events.CLASSIFIED, events.QUEUED]
    assert made[0].data["rule"] == "mappings/2"
    assert (after.code, after.domain, after.recoverability, after.queue) == (
        "UNKNOWN_OUTCOME", "provisioning", "unknown_outcome", "FIXED_ACTIVATION_L2",
    )  # fmt: skip


def test_an_owner_comes_and_goes():
    owned, _ = done(case(S.QUEUED), Assign("budi"))
    assert owned.owner == "budi"
    assert done(owned, Release("sick"))[0].owner == ""
    handed, _ = done(case(S.IN_PROGRESS, owner="ana"), Assign("budi"))
    assert (handed.owner, handed.state) == ("budi", S.IN_PROGRESS)


def test_a_proposal_needs_the_grant_of_its_action():
    for verdict, kind in [
        (Verdict("unknown-locks-retry", "no"), Refused),
        (Verdict("role", "no", role=True), Forbidden),
    ]:
        with pytest.raises(kind) as no:
            decide(case(), Propose(correction(), "aa", "bb"), grant(retry=verdict), NOW)
        assert no.value.rule == verdict.rule
    with pytest.raises(Refused) as no:
        decide(case(), Propose(correction(), "aa", "bb"), machine(CLASSIFIER), NOW)
    assert no.value.rule == "known-action"


def test_a_proposal_is_the_correction_in_force():
    after, (event,) = done(case(), Propose(correction(ActionCode.READ_BACK), "aa", "bb"))
    assert after.correction == uid(6)
    assert event.data == {
        "to": "CORRECTION_PROPOSED", "correction": str(uid(6)), "action": "read_back", "reason_code": "cause_fixed",
        "why": "the line is up", "given": "aa", "preview": "bb",
    }  # fmt: skip


def test_applying_attaches_its_evidence_before_it_verifies():
    _, made = done(case(S.CORRECTION_PROPOSED), Apply(correction(), "found", (evidence("found"),)))
    assert [e.type for e in made] == [events.APPLIED, events.ATTACHED, events.VERIFYING]
    assert made[1].data["says"] == "found" and made[1].data["sha256"] == "ab"


def test_a_read_back_without_an_answer_leads_back_to_work():
    after, made = done(case(S.CORRECTION_PROPOSED), Apply(correction(), "silent"))
    assert [e.type for e in made] == [events.APPLIED, events.DISPROVED]
    assert after.state is S.IN_PROGRESS


def test_a_resolution_says_what_by_whom_and_when():
    after, (event,) = done(case(S.VERIFYING), resolve("resume"), by="ana")
    assert (after.resolution, after.resolved_by, after.resolved_at) == ("resume", "ana", later(60))
    assert event.data["evidence"] == [str(uid(5))]
    settled, _ = done(case(S.QUEUED), Settle("callback", "ab"), by="unstuck:engine")
    assert (settled.resolution, settled.resolved_by) == ("settled_outside", "unstuck:engine")
    assert not settled.is_open


def test_a_reopened_case_is_nobodys_and_unresolved():
    closed = case(S.CLOSED, owner="ana", resolution="resume", resolved_by="ana", resolved_at=NOW)
    after, _ = done(closed, Reopen("failed again"))
    assert (after.owner, after.resolution, after.resolved_by, after.resolved_at) == ("", "", "", None)
    assert after.is_open and after.state is S.QUEUED


def test_a_repeat_counts_and_moves_the_fence():
    after, _ = done(case(repeats=1, attempt=1), Repeat("TIMEOUT", 4, "cd"))
    assert (after.repeats, after.attempt) == (2, 4)


def test_a_case_is_open_until_it_is_resolved():
    assert {s for s in S if case(s).is_open} == set(S) - CASE_IS_RESOLVED


def test_a_case_begins_as_its_first_event_says():
    data = {
        "order": str(uid(1)), "item": "1", "step": "1.activate", "task": 3, "attempt": 2, "reason": "unknown",
        "system": "provisioning", "operation": "activateFiber", "raw_code": "TIMEOUT", "sha256": "ab",
        "dedup_key": "k", "pack": "p", "to": "DETECTED",
    }  # fmt: skip
    begun = from_detected(data, id=uid(9), number=7, at=NOW, raw_message="no reply")
    assert (begun.state, begun.order_id, begun.step, begun.task, begun.attempt) == (
        S.DETECTED,
        uid(1),
        "1.activate",
        3,
        2,
    )
    assert (begun.detected_at, begun.touched_at, begun.raw_sha256, begun.raw_message) == (NOW, NOW, "ab", "no reply")
    again = deepcopy(begun)
    evolve(again, "fallout-case.detected", "unstuck:engine", NOW, data)
    assert again == begun


FAILURE = {
    "order": str(uid(1)),
    "item": "1",
    "task": "1.activate",
    "reason": "unknown",
    "system": "provisioning",
    "code": "T",
}
RULES = {"default": Dedup(("order", "item", "task", "reason")), "unplannable": Dedup(("order", "reason"))}


def test_two_failures_are_one_case_when_the_rule_of_their_reason_says_so():
    same = dedup_key(RULES, **FAILURE)
    assert same == f"{uid(1)}|1|1.activate|unknown" == dedup_key(RULES, **{**FAILURE, "code": "X", "system": "billing"})
    for name in ("order", "item", "task", "reason"):
        assert dedup_key(RULES, **{**FAILURE, name: "other"}) != same
    assert dedup_key(RULES, **{**FAILURE, "reason": "unplannable"}) == f"{uid(1)}|unplannable"


def test_the_words_of_strangers_cannot_imitate_another_failure():
    rules = {"default": Dedup(("order", "item"))}
    one = dedup_key(rules, **{**FAILURE, "order": "a|b", "item": "c"})
    assert one != dedup_key(rules, **{**FAILURE, "order": "a", "item": "b|c"})
    assert one != dedup_key(rules, **{**FAILURE, "order": "a%7Cb", "item": "c"})
    long = {**FAILURE, "order": "x" * 5000}
    assert len(dedup_key(rules, **long)) == 64
    assert dedup_key(rules, **long) != dedup_key(rules, **{**long, "item": "2"})


def test_a_key_by_code_or_system_tells_them_apart():
    rules = {"default": Dedup(("system", "code"))}
    assert dedup_key(rules, **FAILURE) == "provisioning|T"
    assert dedup_key(rules, **{**FAILURE, "code": "X"}) == "provisioning|X"
