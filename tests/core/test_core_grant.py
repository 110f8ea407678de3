"""The one answer to "may they?" (E2): role x action, and the rule that no role can loosen."""

from itertools import product

import msgspec
import pytest
from core_lab import PACK, case, facts

from unstuck.fallout.lifecycle import CASE, CASE_IS_RESOLVED, CaseAction, CaseState
from unstuck.kernel.actor import CLASSIFIER, ENGINE, Actor, Grant, Verdict
from unstuck.kernel.refusal import Forbidden, Refused
from unstuck.order.lifecycle import TaskState as Is
from unstuck.policy.grant import LIFE_CYCLE, allowed, machine, may
from unstuck.policy.pack import Pack
from unstuck.repair.correction import ActionCode, require_safe

ROLES = (
    "support", "repair-agent", "approver", "fallout-manager", "operations-manager", "finance", "engineer", "auditor",
    "integration", "admin",
)  # fmt: skip
WORKERS = {"repair-agent", "fallout-manager", "engineer"}
MANAGERS = {"fallout-manager", "engineer"}
# A case IN_PROGRESS whose step at a B target is UNKNOWN: what the roles that may repair at all are answered.
UNKNOWN_AT_B = {
    "query_by_key": (WORKERS, "target-has-no-key"),
    "read_back": (WORKERS, ""),
    "retry": (WORKERS, "unknown-locks-retry"),
    "resend_same_key": (WORKERS, "unknown-locks-retry"),
    "correct_data": (WORKERS, "identity-may-be-live"),
    "mark_done_outside": (WORKERS, "unknown-locks-force-complete"),
    "cancel_item": (MANAGERS, "unknown-locks-cancel"),
    "force_complete": (MANAGERS, "unknown-locks-force-complete"),
}


def who(*roles):
    return Actor("ana", frozenset(roles))


def asked(role, of=None, about=None):
    return allowed(of or case(), about or facts(), who(role), PACK)


def test_the_matrix_has_every_role_and_every_action():
    assert set(PACK.document.roles) == set(ROLES)
    assert set(UNKNOWN_AT_B) == set(ActionCode)


@pytest.mark.parametrize(("role", "action"), [*product(ROLES, ActionCode)])
def test_while_the_outcome_is_unknown_the_only_way_on_is_to_ask(role, action):
    verdict = asked(role).verdicts[action]
    roles, rule = UNKNOWN_AT_B[action]
    if role in roles:
        assert (verdict.rule, verdict.role) == (rule, False)
        assert bool(verdict.because) is bool(rule)
    else:
        assert (verdict.rule, verdict.role) == ("role", True)
        assert all(PACK.document.roles[role].title in verdict.because for role in PACK.document.actions[action].roles)


@pytest.mark.parametrize(("role", "name"), [*product(ROLES, [*LIFE_CYCLE, "escalate"])])
def test_only_those_who_work_on_cases_move_them(role, name):
    verdict = asked(role).verdicts[name]
    if role not in WORKERS:
        assert (verdict.rule, verdict.role) == ("role", True)
    elif name in LIFE_CYCLE:
        possible = LIFE_CYCLE[name] in CASE.actions(CaseState.IN_PROGRESS)
        assert verdict.rule == ("" if possible else "life-cycle")
    else:
        assert verdict.allowed


@pytest.mark.parametrize("state", CaseState)
def test_the_buttons_of_a_case_are_those_of_its_table(state):
    verdicts = asked("engineer", case(state)).verdicts
    assert {n for n in LIFE_CYCLE if verdicts[n].allowed} == {
        n for n, a in LIFE_CYCLE.items() if a in CASE.actions(state)
    }
    assert verdicts["escalate"].allowed is (state not in CASE_IS_RESOLVED)
    assert verdicts["read_back"].allowed is (CaseAction.PROPOSE in CASE.actions(state))


@pytest.mark.parametrize(
    ("state", "proven", "kind"), [*product([Is.FAILED, Is.UNKNOWN], ["", "found", "absent"], "ABC")]
)
def test_no_role_is_allowed_what_is_not_safe(state, proven, kind):
    about = facts(task_state=state, proven=proven, kind=kind)
    verdicts = allowed(case(), about, who(*ROLES), PACK).verdicts
    for action in ActionCode:
        try:
            require_safe(action, about)
            unsafe = ""
        except Refused as no:
            unsafe = no.rule
        if unsafe:
            assert verdicts[action].rule == unsafe
        elif PACK.document.actions[action].risk == "high":
            assert verdicts[action].rule == "maker-checker"
        else:
            assert verdicts[action].allowed, action


def test_a_case_without_a_step_has_nothing_to_repair():
    verdicts = allowed(case(), None, who("engineer"), PACK).verdicts
    assert {verdicts[a].rule for a in ActionCode} == {"no-step"}
    assert verdicts["release"].allowed


def test_an_action_the_pack_does_not_have_does_not_exist():
    actions = {k: v for k, v in PACK.document.actions.items() if k != "retry"}
    pack = Pack(msgspec.structs.replace(PACK.document, actions=actions), "h")
    verdict = allowed(case(), facts(task_state=Is.FAILED), who("engineer"), pack).verdicts["retry"]
    assert verdict.rule == "not-in-pack" and "minimal" in verdict.because


@pytest.mark.parametrize("roles", [(), ("wizard",), ("ADMIN",)])
def test_without_a_known_role_nothing_is_allowed(roles):
    verdicts = allowed(case(), facts(), who(*roles), PACK).verdicts
    assert not any(v.allowed for v in verdicts.values())
    assert not may(who(*roles), "case.read", PACK)


def test_roles_add_up():
    assert may(who("support", "auditor"), "audit.read", PACK) and not may(who("support"), "audit.read", PACK)
    assert not may(who("support", "finance"), "case.work", PACK)


def test_a_grant_refuses_by_the_rule_it_was_given():
    grant = Grant(
        who(), {"yes": Verdict(), "no": Verdict("some-rule", "because"), "role": Verdict("role", "x", role=True)}
    )
    grant.require("yes")
    for action, rule, kind in [
        ("no", "some-rule", Refused),
        ("role", "role", Forbidden),
        ("other", "known-action", Refused),
    ]:
        with pytest.raises(kind) as no:
            grant.require(action)
        assert no.value.rule == rule
        assert isinstance(no.value, Forbidden) is (kind is Forbidden)


def test_our_own_loops_decide_nothing_that_needs_a_person():
    assert ENGINE.is_machine and CLASSIFIER.is_machine and not who("admin").is_machine
    assert machine(ENGINE).verdicts == {}
    with pytest.raises(Refused):
        machine(ENGINE).require("retry")
    assert not any(
        v.allowed for k, v in allowed(case(), facts(), ENGINE, PACK).verdicts.items() if k in set(ActionCode)
    )
