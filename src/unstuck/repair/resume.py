"""What redeeming a resume token makes of an order: the five modes, each with the proof it needs (E6)."""

from datetime import datetime
from typing import Any

from unstuck.kernel.refusal import Refused
from unstuck.order.advance import Learned, Shape, follow
from unstuck.order.lifecycle import TASK_IS_OVER, TaskAction, TaskState
from unstuck.order.state import Order, Task
from unstuck.repair.correction import SKIP, Facts, require_cancellable
from unstuck.repair.token import ResumeMode, ResumeToken


def require_proof(mode: ResumeMode, facts: Facts, done_outside: bool) -> None:
    """Refuse a mode whose claim is not proven: done needs a proof of the effect, again needs a proof of none."""
    if facts.running:
        raise Refused("one-call-at-a-time", f"{facts.step} is being called right now; wait for its outcome")
    there = facts.proven == "found" or done_outside
    dead = not there and (facts.proven == "absent" or facts.task_state is TaskState.FAILED)
    match mode:
        case ResumeMode.SKIP_STEP_ALREADY_DONE:
            if not there:
                raise Refused("skip-needs-proof", "no read-back found the effect and nobody marked it done outside")
        case ResumeMode.RETRY_FAILED_STEP:
            if there:
                raise Refused("already-done-outside", f"{_there(facts)}; do not do it again: {SKIP}")
            if not dead and facts.target.kind != "A":
                raise Refused(
                    "unknown-locks-retry", f"nobody knows whether {facts.target.title} acted; read back first"
                )
        case ResumeMode.REPLAN_FROM_STEP:
            if there:
                raise Refused(
                    "unknown-locks-replan", f"{_there(facts)}; going on from it would do it twice. Instead, {SKIP}"
                )
            if not dead:
                raise Refused("unknown-locks-replan", f"{facts.step} may have an effect outside; read back first")
        case ResumeMode.CANCEL_ITEM:
            require_cancellable(facts)
        case ResumeMode.COMPENSATE_AND_CLOSE:
            require_cancellable(facts)
            if done := facts.done_outside or (facts.task_key,) * done_outside:
                raise Refused("compensation-unknown", f"nothing says how to undo {'; '.join(map(facts.named, done))}")


def _there(facts: Facts) -> str:
    return facts.found_outside if facts.proven == "found" else f"{facts.step} was marked as done outside"


def require_step(mode: ResumeMode, facts: Facts | None, planned: bool) -> None:
    """Refuse to resume from a step where there is none: an order without a plan can only be cancelled."""
    if facts is not None or (mode is ResumeMode.CANCEL_ITEM and not planned):
        return
    if planned:
        raise Refused("no-step", "this case stands for no step of the plan; resume, cancel or abort the order itself")
    raise Refused("no-step", "this order has no plan: it can be cancelled, or sent again corrected")


def redeem(token: ResumeToken, shape: Shape, order: Order, tasks: list[Task], now: datetime) -> dict[str, Any]:
    """Move the order as the token says; return the facts for its event."""
    task = tasks[token.step]
    match token.mode:
        case ResumeMode.RETRY_FAILED_STEP:
            fresh = Learned(task.no, TaskAction.RESUME, TaskState.READY, now)
            task.tries = task.asks = 0
            return follow(shape, order, tasks, [fresh], now)
        case ResumeMode.SKIP_STEP_ALREADY_DONE:
            return follow(shape, order, tasks, [Learned(task.no, TaskAction.SKIP, TaskState.COMPLETED)], now)
        case ResumeMode.REPLAN_FROM_STEP:
            return _replan(task, shape, order, tasks, now)
        case ResumeMode.CANCEL_ITEM | ResumeMode.COMPENSATE_AND_CLOSE:
            return follow(shape, order, tasks, _cancellations(task, shape, tasks), now)


def _replan(task: Task, shape: Shape, order: Order, tasks: list[Task], now: datetime) -> dict[str, Any]:
    waiting = [n for n in shape.plan.downstream(task.no) if n != task.no and tasks[n].state is TaskState.FAILED]
    again = [Learned(n, TaskAction.REPLAN, TaskState.PENDING) for n in waiting]
    task.tries = task.asks = 0
    return follow(shape, order, tasks, [*again, Learned(task.no, TaskAction.RESUME, TaskState.READY, now)], now)


def _cancellations(task: Task, shape: Shape, tasks: list[Task]) -> list[Learned]:
    doomed = cancelled_with(shape, task.no)
    return [Learned(n, TaskAction.CANCEL, TaskState.CANCELLED) for n in doomed if tasks[n].state not in TASK_IS_OVER]


def cancelled_with(shape: Shape, no: int) -> list[int]:
    """The tasks that go when this task's item is cancelled: the item's own, and all that waits for any of them."""
    own = shape.of_item[shape.plan.tasks[no].item]
    return sorted({after for task in own for after in shape.plan.downstream(task)})
