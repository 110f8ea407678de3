"""What to do next about a case: one action and the sentence that says why, from facts alone. Pure.

A suggestion decides nothing: whether the action is allowed, and to whom, is the grant's answer.
"""

from collections.abc import Mapping
from typing import Protocol

import msgspec

from unstuck.fallout.case import Case
from unstuck.fallout.lifecycle import CaseState
from unstuck.order.lifecycle import TaskState
from unstuck.repair.evidence import Evidence, EvidenceType
from unstuck.repair.policy import FieldRule, Target
from unstuck.repair.token import ResumeMode

FRESH = (CaseState.DETECTED, CaseState.CLASSIFIED, CaseState.QUEUED)
PROVING = (CaseState.VERIFYING, CaseState.CORRECTION_APPLIED)
ON_ITS_WAY = (TaskState.READY, TaskState.WAITING_CALLBACK, TaskState.PENDING)


class Step(Protocol):
    """What of a failed step decides what is next; `Facts` of a repair know it, and so does a row of a list."""

    @property
    def step(self) -> str: ...
    @property
    def target(self) -> Target: ...
    @property
    def task_state(self) -> TaskState: ...
    @property
    def running(self) -> bool: ...
    @property
    def proven(self) -> str: ...
    @property
    def evidence(self) -> tuple[Evidence, ...]: ...
    @property
    def correctable(self) -> Mapping[str, FieldRule]: ...


class Suggestion(msgspec.Struct, frozen=True):
    """The next action by name, empty when there is nothing to do but wait; `mode` is how to resume.

    `then` is the action behind it, for a case that has to be taken, begun or woken first.
    """

    action: str
    because: str
    mode: ResumeMode | None = None
    then: str = ""


def suggest(case: Case, facts: Step | None, *, marked: bool = False) -> Suggestion | None:
    """The one obvious next action; None for a case that is closed. `marked`: the step was marked as done outside."""
    if not case.is_open:
        return _after(case)
    way = _way_on(case, facts, marked)
    match case.state:
        case state if state in FRESH:
            return Suggestion("assign", f"Nobody works on it yet: take it. Then: {way.because}", then=way.action)
        case CaseState.ASSIGNED:
            return Suggestion("start", f"Begin to work on it. Then: {way.because}", then=way.action)
        case state if state.startswith("WAITING_"):
            whom = state.removeprefix("WAITING_").lower()
            because = f"It waits for the {whom}: when that is over, say so. Then: {way.because}"
            return Suggestion("continue", because, then=way.action)
        case CaseState.CORRECTION_PROPOSED:
            return Suggestion(
                "apply", "A correction is proposed and nothing of it is done yet: look at it, then apply it."
            )
        case CaseState.APPROVAL_REQUIRED:
            return Suggestion("", "A second person has to agree first.")
    if way.action == "resolve" and case.state not in PROVING:
        return Suggestion("verify", f"Say by which evidence it is proven. Then: {way.because}", way.mode, way.action)
    return way


def _after(case: Case) -> Suggestion | None:
    if case.state is CaseState.CLOSED:
        return None
    if case.unredeemed is not None:
        return Suggestion(
            "", f"{case.source} has leave to go on and has not taken it yet; until then its order stands still."
        )
    return Suggestion("close", "It is resolved and the order went on: close it once nothing is left to say.")


def _way_on(case: Case, facts: Step | None, marked: bool) -> Suggestion:
    system = facts.target.title if facts else case.system
    if case.reason == "duplicate":
        return Suggestion(
            "evidence",
            f"{system} shows the effect more than once: have the extra one undone there, and attach the proof.",
        )
    if case.reason == "contradiction":
        return Suggestion(
            "evidence", f"{system} said two opposite things: find out which is true, and attach what proves it."
        )
    if facts is None:
        return _without_step(case)
    if facts.running:
        return Suggestion("", f"{facts.step} is being called right now: what comes back decides what is next.")
    if facts.task_state is TaskState.UNKNOWN:
        return _unknown(facts, marked)
    if facts.task_state is TaskState.FAILED:
        return _failed(case, facts, marked)
    if facts.task_state in ON_ITS_WAY:
        return Suggestion(
            "", f"{facts.step} is on its way again: what comes back settles the case or says what is next."
        )
    return Suggestion(
        "evidence", "The step does not stand still any more: attach what shows that nothing is left, then resolve."
    )


def _without_step(case: Case) -> Suggestion:
    if case.state in PROVING:
        return Suggestion("resolve", "The repair is being proven: decide how it ends.")
    if case.goes_on_elsewhere:
        return Suggestion(
            "evidence",
            f"{case.source} holds this order: repair it there, attach what proves it; resolving gives {case.source} leave to go on.",
        )
    return Suggestion(
        "evidence",
        "No step of a plan can be repaired here: agree on what becomes of the order, attach it, then resolve.",
    )


def _unknown(facts: Step, marked: bool) -> Suggestion:
    target = facts.target.title
    if facts.proven == "found" or marked:
        return _skip(facts)
    if facts.proven == "absent":
        return Suggestion("resend_same_key", f"{target} has nothing of it: send it again under the same key.")
    if facts.target.kind == "A":
        return Suggestion(
            "query_by_key",
            f"Nobody knows whether {target} acted. Ask it whether it knows our key; sending again comes after its answer.",
        )
    if facts.target.kind == "B":
        return Suggestion(
            "read_back", f"Nobody knows whether {target} acted. Read it back; sending again comes after its answer."
        )
    return Suggestion(
        "evidence",
        f"Nobody knows whether {target} acted, and no program can ask it: ask its people, and attach what they say.",
    )


def _failed(case: Case, facts: Step, marked: bool) -> Suggestion:
    if facts.proven == "found" or marked:
        return _skip(facts)
    if case.state in PROVING:
        corrected = any(piece.type is EvidenceType.DATA_DIFF for piece in facts.evidence)
        what = "The data is corrected" if corrected else "The cause is being proven to be gone"
        return Suggestion("resolve", f"{what}: resume, and {facts.step} is done again.", ResumeMode.RETRY_FAILED_STEP)
    if case.reason == "exhausted" or case.recoverability == "transient":
        return Suggestion(
            "retry", f"{facts.target.title} stayed busy through every try: when it is back, send it again."
        )
    if case.recoverability == "terminal":
        return Suggestion(
            "cancel_item", f"{facts.target.title} cannot ever do this: agree with the customer, then cancel the item."
        )
    if facts.correctable:
        names = ", ".join(rule.title or name for name, rule in facts.correctable.items())
        return Suggestion(
            "correct_data",
            f"{facts.target.title} refused it and did nothing. Correct what it refused; it may be: {names}.",
        )
    return Suggestion(
        "retry", f"{facts.target.title} refused it and did nothing: have the cause mended, then send it again."
    )


def _skip(facts: Step) -> Suggestion:
    because = f"{facts.target.title} has done it: resume and skip {facts.step}, so that it is not done twice."
    return Suggestion("resolve", because, ResumeMode.SKIP_STEP_ALREADY_DONE)
