"""How a case may end, and why not otherwise: what resolving checks, asked of every way at once. Pure."""

from collections.abc import Iterator

import msgspec

from unstuck.fallout.case import Case
from unstuck.fallout.lifecycle import CaseState
from unstuck.kernel.refusal import Refused
from unstuck.order.lifecycle import ORDER_IS_OVER, OrderState, TaskState
from unstuck.repair.correction import Facts
from unstuck.repair.resume import require_proof, require_step
from unstuck.repair.token import ResumeMode

WAYS: tuple[tuple[str, ResumeMode | None], ...] = (
    ("resume", ResumeMode.RETRY_FAILED_STEP),
    ("resume", ResumeMode.SKIP_STEP_ALREADY_DONE),
    ("resume", ResumeMode.REPLAN_FROM_STEP),
    ("cancel", ResumeMode.CANCEL_ITEM),
    ("compensate", ResumeMode.COMPENSATE_AND_CLOSE),
    ("none", None),
)


class Standing(msgspec.Struct, frozen=True):
    """What decides how a case may end. `order_state` is None for an order that is not ours.

    `planned`: the order has a plan. `marked`: the step was marked as done outside. `shared`: another open case stands
    for the same step.
    """

    case: Case
    facts: Facts | None
    order_state: OrderState | None
    planned: bool
    marked: bool
    shared: bool


class Ending(msgspec.Struct, frozen=True):
    """One way for a case to end; it is open when `rule` is empty."""

    decision: str
    mode: ResumeMode | None
    rule: str = ""
    because: str = ""


def endings(standing: Standing) -> Iterator[Ending]:
    """Every way, with the rule that closes it now. Proof is not among them: it comes with the decision."""
    for decision, mode in WAYS:
        try:
            require_nothing_left(standing) if mode is None else require_way_on(mode, standing)
        except Refused as refusal:
            yield Ending(decision, mode, refusal.rule, refusal.because)
        else:
            yield Ending(decision, mode)


def require_nothing_left(standing: Standing) -> None:
    """A case that ends without moving the order must not leave a stopped step that nobody owns."""
    state, facts = standing.order_state, standing.facts
    if state is None or state in ORDER_IS_OVER or standing.shared:
        return
    stopped = state is OrderState.FAILED if facts is None else facts.task_state in (TaskState.FAILED, TaskState.UNKNOWN)
    if stopped:
        step = facts.step if facts else standing.case.step
        raise Refused("none-leaves-nobody", f"{step} is still stopped and no other case owns it")


def require_verified(case: Case) -> None:
    """Only what is being proven may move an order."""
    if case.state is CaseState.IN_PROGRESS:
        raise Refused("verify-before-resolution", "verify the case first, with the evidence that proves the repair")


def require_way_on(mode: ResumeMode, standing: Standing) -> None:
    """Refuse a way on that needs another state of the case, a step, or a proof that is not there."""
    require_verified(standing.case)
    if standing.case.goes_on_elsewhere:
        return  # its own manager judges: it gets leave to resume, and what proves it
    require_step(mode, standing.facts, standing.planned)
    if standing.facts is not None:
        require_proof(mode, standing.facts, standing.marked)
    elif standing.order_state is None:
        raise Refused("foreign-order", f"this order is not run here; {standing.case.source} holds it")
