"""What to do next, as a table of facts and answers; and that how a case may end is what resolving checks."""

from itertools import product

import pytest
from core_lab import case, evidence, facts

from unstuck.fallout.ending import Standing, endings
from unstuck.fallout.lifecycle import CASE_IS_RESOLVED, CaseState
from unstuck.fallout.policy import REASONS
from unstuck.order.lifecycle import OrderState, TaskState
from unstuck.policy.suggestion import suggest
from unstuck.repair.correction import Facts
from unstuck.repair.evidence import EvidenceType
from unstuck.repair.token import ResumeMode

WORK, PROVING = CaseState.IN_PROGRESS, CaseState.VERIFYING
RETRY, SKIP = ResumeMode.RETRY_FAILED_STEP, ResumeMode.SKIP_STEP_ALREADY_DONE
FAILED, UNKNOWN = TaskState.FAILED, TaskState.UNKNOWN
REFUSED = {"reason": "refused", "recoverability": "repairable"}

TABLE = [
    # unknown outcome: found out, never repeated
    ({}, {"kind": "A"}, "query_by_key", None, "Nobody knows whether Provisioning acted"),
    ({}, {"kind": "B"}, "read_back", None, "Nobody knows whether Provisioning acted"),
    ({}, {"kind": "C"}, "evidence", None, "no program can ask it"),
    ({}, {"proven": "absent"}, "resend_same_key", None, "under the same key"),
    ({"state": PROVING}, {"proven": "absent"}, "resend_same_key", None, "under the same key"),
    ({}, {"proven": "found"}, "verify", SKIP, "not done twice"),
    ({"state": PROVING}, {"proven": "found"}, "resolve", SKIP, "skip 1.activate"),
    # refused, busy, impossible
    (REFUSED, {"task_state": FAILED}, "correct_data", None, "did nothing"),
    (REFUSED, {"task_state": FAILED, "correctable": {}}, "retry", None, "have the cause mended"),
    ({"reason": "exhausted"}, {"task_state": FAILED}, "retry", None, "when it is back"),
    ({"reason": "refused", "recoverability": "transient"}, {"task_state": FAILED}, "retry", None, "when it is back"),
    ({"reason": "refused", "recoverability": "terminal"}, {"task_state": FAILED}, "cancel_item", None, "cannot ever"),
    ({**REFUSED, "state": PROVING}, {"task_state": FAILED}, "resolve", RETRY, "is done again"),
    ({**REFUSED, "state": PROVING}, {"task_state": FAILED, "evidence": (evidence(type=EvidenceType.DATA_DIFF),)}, "resolve", RETRY, "data is corrected"),
    # on its way, or over
    ({}, {"running": True}, "", None, "being called right now"),
    ({"state": PROVING}, {"task_state": TaskState.READY}, "", None, "on its way again"),
    ({"state": PROVING}, {"task_state": TaskState.COMPLETED}, "evidence", None, "does not stand still"),
    # the outside contradicts us
    ({"reason": "duplicate"}, {"task_state": TaskState.COMPLETED}, "evidence", None, "more than once"),
    ({"reason": "contradiction"}, {"task_state": TaskState.COMPLETED}, "evidence", None, "two opposite things"),
    # where the case stands comes first
    ({"state": CaseState.QUEUED}, {"kind": "A"}, "assign", None, "Then: Nobody knows"),
    ({"state": CaseState.ASSIGNED}, {"kind": "A"}, "start", None, "Then: Nobody knows"),
    ({"state": CaseState.WAITING_FIELD}, {"kind": "A"}, "continue", None, "waits for the field"),
    ({"state": CaseState.CORRECTION_PROPOSED}, {}, "apply", None, "nothing of it is done"),
    ({"state": CaseState.APPROVAL_REQUIRED}, {}, "", None, "second person"),
    ({"state": CaseState.RESOLVED_RESUME}, {}, "close", None, "resolved"),
]  # fmt: skip


@pytest.mark.parametrize(("of_case", "of_step", "action", "mode", "because"), TABLE)
def test_the_next_action_follows_from_the_facts(of_case, of_step, action, mode, because) -> None:
    found = suggest(case(**of_case), facts(**of_step))
    assert (found.action, found.mode) == (action, mode)
    assert because in found.because


def test_what_comes_behind_taking_it_is_named_too() -> None:
    found = [
        suggest(case(state), facts(kind="A"))
        for state in (CaseState.QUEUED, CaseState.ASSIGNED, CaseState.WAITING_FIELD)
    ]
    assert [(one.action, one.then) for one in found] == [
        ("assign", "query_by_key"), ("start", "query_by_key"), ("continue", "query_by_key"),
    ]  # fmt: skip
    proven = suggest(case(), facts(proven="found"))
    assert (proven.action, proven.then) == ("verify", "resolve")


def test_what_was_marked_as_done_outside_is_skipped() -> None:
    found = suggest(case(PROVING), facts(kind="C"), marked=True)
    assert (found.action, found.mode) == ("resolve", SKIP)


def test_a_case_of_another_order_manager_is_repaired_there() -> None:
    foreign = {"task": None, "source": "oms-1", "reason": "reported"}
    assert "oms-1 holds this order" in suggest(case(**foreign), None).because
    assert suggest(case(PROVING, **foreign), None).action == "resolve"
    waits = suggest(case(CaseState.RESOLVED_RESUME, **foreign, unredeemed=case().id), None)
    assert (waits.action, "has not taken it yet" in waits.because) == ("", True)


def test_every_open_case_has_a_next_action_and_a_closed_one_has_none() -> None:
    for state in CaseState:
        for step in (None, facts(), facts(task_state=FAILED), facts(proven="found"), facts(kind="C")):
            found = suggest(case(state), step)
            assert (found is None) is (state is CaseState.CLOSED)


def test_an_unknown_outcome_is_never_sent_again_before_it_was_asked_about() -> None:
    for state in set(CaseState) - CASE_IS_RESOLVED:
        for kind in "ABC":
            found = suggest(case(state), facts(kind=kind))
            assert found.action not in ("retry", "resend_same_key", "correct_data", "cancel_item")


class Thin:
    """A step as a list knows it: no evidence, nothing of what was sent."""

    evidence = ()

    def __init__(self, known: Facts) -> None:
        self.step, self.target, self.correctable = known.step, known.target, known.correctable
        self.task_state, self.running, self.proven = known.task_state, known.running, known.proven


def test_a_list_that_reads_no_evidence_suggests_the_same_actions() -> None:
    """Every state of a case with every kind of step: only the sentences may know more."""
    kinds = [
        {"task_state": state, "kind": kind, "proven": proven, "running": running, **correctable}
        for state in TaskState for kind in "ABC" for proven in ("", "found", "absent") for running in (False, True)
        for correctable in ({}, {"correctable": {}})
    ]  # fmt: skip
    reasons = [(r, "repairable") for r in REASONS] + [("refused", "transient"), ("refused", "terminal")]
    steps = [facts(**kind) for kind in kinds]
    for state, (reason, recoverability), marked in product(CaseState, reasons, (False, True)):
        about = case(state, reason=reason, recoverability=recoverability)
        for step in steps:
            found, listed = suggest(about, step, marked=marked), suggest(about, Thin(step), marked=marked)
            assert (found and (found.action, found.then)) == (listed and (listed.action, listed.then))


def standing(
    state=PROVING, order=OrderState.IN_PROGRESS, *, step=None, planned=True, marked=False, shared=False, **more
):
    return Standing(case(state, **more), step, order, planned, marked, shared)


def closed(found: Standing) -> dict[str, str]:
    """Each way with the rule that closes it, empty when it is open."""
    return {ending.mode.value if ending.mode else ending.decision: ending.rule for ending in endings(found)}


def test_how_a_case_may_end_follows_from_what_is_proven() -> None:
    unknown = closed(standing(step=facts(kind="B")))
    assert unknown == {
        "RETRY_FAILED_STEP": "unknown-locks-retry", "SKIP_STEP_ALREADY_DONE": "skip-needs-proof",
        "REPLAN_FROM_STEP": "unknown-locks-replan", "CANCEL_ITEM": "unknown-locks-cancel",
        "COMPENSATE_AND_CLOSE": "unknown-locks-cancel", "none": "none-leaves-nobody",
    }  # fmt: skip
    found = closed(standing(step=facts(kind="B", proven="found")))
    assert (found["SKIP_STEP_ALREADY_DONE"], found["RETRY_FAILED_STEP"]) == ("", "already-done-outside")
    absent = closed(standing(step=facts(kind="B", proven="absent")))
    assert (absent["RETRY_FAILED_STEP"], absent["REPLAN_FROM_STEP"], absent["CANCEL_ITEM"]) == ("", "", "")
    assert closed(standing(step=facts(kind="C"), marked=True))["SKIP_STEP_ALREADY_DONE"] == ""


def test_only_what_is_being_proven_moves_an_order() -> None:
    rules = closed(standing(WORK, step=facts(task_state=FAILED)))
    assert {rule for way, rule in rules.items() if way != "none"} == {"verify-before-resolution"}


def test_an_order_without_a_plan_can_only_be_cancelled() -> None:
    rules = closed(standing(order=OrderState.FAILED, planned=False))
    assert [way for way, rule in rules.items() if not rule] == ["CANCEL_ITEM"]
    assert closed(standing(order=None, planned=False))["CANCEL_ITEM"] == "foreign-order"
    assert closed(standing(planned=True))["CANCEL_ITEM"] == "no-step"


def test_another_manager_judges_its_own_orders() -> None:
    rules = closed(standing(order=None, planned=False, task=None, source="oms-1"))
    assert set(rules.values()) == {""}


def test_nothing_is_left_stopped_without_an_owner() -> None:
    stopped = facts(task_state=FAILED)
    assert closed(standing(WORK, step=stopped))["none"] == "none-leaves-nobody"
    assert closed(standing(WORK, step=stopped, shared=True))["none"] == ""
    assert closed(standing(WORK, OrderState.CANCELLED, step=stopped))["none"] == ""
    assert closed(standing(WORK, step=facts(task_state=TaskState.COMPLETED)))["none"] == ""
