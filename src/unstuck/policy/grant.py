"""The one answer to "may they?": every action of a case, allowed or refused with the rule (mission E2, spec §3)."""

from collections.abc import Iterable

from unstuck.fallout.case import Case
from unstuck.fallout.lifecycle import CASE, STATE_OF_CASE, CaseAction, CaseState
from unstuck.kernel.actor import Actor, Grant, Verdict
from unstuck.kernel.refusal import Forbidden, Refused
from unstuck.policy.pack import Pack
from unstuck.repair.correction import ActionCode, Facts, require_safe
from unstuck.repair.policy import RepairAction

LIFE_CYCLE = {
    "assign": CaseAction.ASSIGN,
    "release": CaseAction.RELEASE,
    "start": CaseAction.START,
    "wait": CaseAction.WAIT,
    "continue": CaseAction.CONTINUE,
    "verify": CaseAction.VERIFY,
    "resolve": CaseAction.RESOLVE,
    "reopen": CaseAction.REOPEN,
    "close": CaseAction.CLOSE,
}
SAID = {
    CaseAction.ASSIGN: "be assigned",
    CaseAction.RELEASE: "be put back into its queue",
    CaseAction.START: "be started",
    CaseAction.WAIT: "be set to wait",
    CaseAction.CONTINUE: "be continued",
    CaseAction.VERIFY: "be verified",
    CaseAction.RESOLVE: "be resolved",
    CaseAction.REOPEN: "be reopened",
    CaseAction.CLOSE: "be closed",
}
NOT_YET_STARTED = (CaseState.DETECTED, CaseState.CLASSIFIED, CaseState.QUEUED, CaseState.ASSIGNED)
ALLOWED = Verdict()


def may(actor: Actor, permission: str, pack: Pack) -> bool:
    """Whether one of the actor's roles carries `permission`. Our own loops may do what they are written to do."""
    roles = pack.document.roles
    return actor.is_machine or any(permission in roles[role].may for role in actor.roles if role in roles)


def require(actor: Actor, permission: str, pack: Pack) -> None:
    """Refuse who may not, naming the roles that may."""
    verdict = _by_role(actor, permission, pack)
    if verdict is not None:
        raise Forbidden(verdict.rule, verdict.because)


def allowed(case: Case, facts: Facts | None, actor: Actor, pack: Pack) -> Grant:
    """Ask policy about everything at once; `facts` are the failed step's, None when the case has no step."""
    verdicts: dict[str, Verdict] = {}
    for name, action in LIFE_CYCLE.items():
        verdicts[name] = _by_role(actor, "case.work", pack) or _by_state(case, action) or ALLOWED
    if case.unredeemed is not None and verdicts["close"].allowed:
        verdicts["close"] = Verdict("not-redeemed", f"{case.source} has not redeemed the resume token yet")
    verdicts["escalate"] = _by_role(actor, "case.work", pack) or (
        ALLOWED if case.is_open else Verdict("life-cycle", "the case is resolved")
    )
    for code in ActionCode:
        verdicts[code] = _repair(code, case, facts, actor, pack)
    return Grant(actor, verdicts)


def machine(actor: Actor) -> Grant:
    """The grant of our own loops, which decide nothing that needs a person."""
    return Grant(actor, {})


def _repair(code: ActionCode, case: Case, facts: Facts | None, actor: Actor, pack: Pack) -> Verdict:
    action = pack.document.actions.get(code)
    if action is None:
        return Verdict("not-in-pack", f"policy pack {pack.document.name} has no action {code}")
    if not actor.roles & set(action.roles):
        return Verdict("role", f"{action.title} is for {titles_of(action.roles, pack)}", role=True)
    if facts is None:
        return Verdict("no-step", "this case stands for an order without a plan; there is no step to repair")
    try:
        require_safe(code, facts)
        _second_person(code, action)
        if case.state in NOT_YET_STARTED:
            return Verdict("start-first", f"the case is {STATE_OF_CASE[case.state]}: assign and start it first")
        if CaseAction.PROPOSE not in CASE.actions(case.state):
            return Verdict("life-cycle", f"a case that is {STATE_OF_CASE[case.state]} takes no new correction")
        CASE.step(case.state, CaseAction.PROPOSE, _proposed_as(action))
    except Refused as refusal:
        return Verdict(refusal.rule, refusal.because)
    return ALLOWED


def _second_person(code: ActionCode, action: RepairAction) -> None:
    if action.risk == "high":
        raise Refused("maker-checker", f"{action.title} needs a second person, and approvals are not built yet")


def _proposed_as(action: RepairAction) -> CaseState:
    return CaseState.APPROVAL_REQUIRED if action.risk == "high" else CaseState.CORRECTION_PROPOSED


def titles_of(roles: Iterable[str], pack: Pack) -> str:
    """What these roles are called."""
    known = pack.document.roles
    return ", ".join(known[role].title if role in known else role for role in roles)


def _by_role(actor: Actor, permission: str, pack: Pack) -> Verdict | None:
    if may(actor, permission, pack):
        return None
    whose = ", ".join(role.title for role in pack.document.roles.values() if permission in role.may) or "nobody"
    return Verdict("role", f"none of your roles may do this ({permission}); it is for {whose}", role=True)


def _by_state(case: Case, action: CaseAction) -> Verdict | None:
    if action in CASE.actions(case.state):
        return None
    return Verdict("life-cycle", f"a case that is {STATE_OF_CASE[case.state]} cannot {SAID[action]}")
