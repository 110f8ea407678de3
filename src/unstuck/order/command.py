"""What a person may do to a whole order: suspend, resume, fail, resolve its failure, cancel, abort (mission A2, A17).

Pure: each takes the order and its tasks as they are under their locks, moves them, and returns the event.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from unstuck.kernel.event import Event, EventType
from unstuck.kernel.refusal import Refused
from unstuck.order import events
from unstuck.order.advance import Learned, Shape, follow, settle
from unstuck.order.lifecycle import ORDER, TASK_IS_OVER, OrderAction, OrderState, TaskAction, TaskState
from unstuck.order.state import Order, Task

MAYBE = (TaskState.READY, TaskState.WAITING_CALLBACK, TaskState.UNKNOWN)


def suspend(order: Order, by: str, reason: str, now: datetime) -> list[Event]:
    """Nothing new of it is sent; what is under way ends as it ends."""
    order.state = ORDER.step(order.state, OrderAction.SUSPEND)
    return [_said(events.SUSPENDED, order, by, reason, now)]


def resume(order: Order, by: str, reason: str, now: datetime) -> list[Event]:
    """It goes on; when all of it ended meanwhile it is complete at once."""
    order.state = ORDER.step(order.state, OrderAction.RESUME)
    return [_said(events.RESUMED, order, by, reason, now), *_settled(order, by, now)]


def fail(order: Order, by: str, reason: str, now: datetime) -> list[Event]:
    """All of it stops until its failure is resolved."""
    was, order.state = order.state, ORDER.step(order.state, OrderAction.FAIL)
    order.failed_from = was
    return [_said(events.FAILED, order, by, reason, now, **{"from": was.value, "code": "FAILED_BY_HAND"})]


def resolve_failure(order: Order, by: str, reason: str, now: datetime) -> list[Event]:
    """It is again what it was before it failed; that repairs nothing by itself."""
    require_recognised(order)
    order.state = ORDER.step(order.state, OrderAction.RESOLVE, order.failed_from)
    order.failed_from = None
    return [_said(events.RESOLVED, order, by, reason, now), *_settled(order, by, now)]


def require_recognised(order: Order) -> None:
    """Refuse to let an order go on of which no plan could be made."""
    if order.plan is None:
        because = "this order was never recognised; send it again corrected, or cancel it"
        raise Refused("never-recognised", because)


def require_cancellable(order: Order, tasks: Sequence[Task]) -> None:
    """Refuse to cancel an order that is over, or of which anything was ever sent."""
    ORDER.step(order.state, OrderAction.CANCEL)
    if any(task.attempt for task in tasks):
        because = (
            "something of this order was sent already; undoing it waits for compensation, so it can be aborted only"
        )
        raise Refused("undoing-waits-for-compensation", because)


def cancel(
    order: Order, tasks: list[Task], shape: Shape | None, by: str, reason: str, now: datetime, **more: Any
) -> list[Event]:
    """It is called off, and there is nothing to undo."""
    require_cancellable(order, tasks)
    order.state = ORDER.step(order.state, OrderAction.CANCEL)
    order.state = ORDER.step(order.state, OrderAction.CANCELLED)
    return [_ended(events.CANCELLED, order, tasks, shape, by, reason, now, **more)]


def abort(order: Order, tasks: list[Task], shape: Shape | None, by: str, reason: str, now: datetime) -> list[Event]:
    """It ends as it stands. Nothing is undone; the event lists what is to be cleaned up outside."""
    order.state = ORDER.step(order.state, OrderAction.ABORT)
    left = clean_up(tasks)
    return [_ended(events.ABORTED, order, tasks, shape, by, reason, now, clean_up=left)]


def clean_up(tasks: Sequence[Task]) -> list[dict[str, Any]]:
    """What was done outside, or may have been: task, its identity, the state it was in, and how sure that is."""
    found = []
    for task in tasks:
        done = task.state is TaskState.COMPLETED
        if done or (task.attempt > 0 and task.state in MAYBE):
            sure = "done" if done else "may have been done"
            found.append({"no": task.no, "identity": task.identity, "was": task.state.value, "outside": sure})
    return found


def _ended(
    kind: EventType,
    order: Order,
    tasks: list[Task],
    shape: Shape | None,
    by: str,
    reason: str,
    now: datetime,
    **more: Any,
) -> Event:
    order.finished_at, order.failed_from = now, None
    given_up = [learned for task in tasks for learned in _give_up(task)]
    data = follow(shape, order, tasks, given_up, now) if shape else {"tasks": []}
    return _said(kind, order, by, reason, now, **data, **more)


def _give_up(task: Task) -> list[Learned]:
    """Nobody waits for its callback any more: should one come, it contradicts, and is a case."""
    if task.state in TASK_IS_OVER:
        return []
    lost = [Learned(task.no, TaskAction.LOSE, TaskState.UNKNOWN)] if task.state is TaskState.WAITING_CALLBACK else []
    return [*lost, Learned(task.no, TaskAction.CANCEL, TaskState.CANCELLED)]


def _settled(order: Order, by: str, now: datetime) -> list[Event]:
    data: dict[str, Any] = {"tasks": []}
    settle(order, now, data)
    if order.state is not OrderState.COMPLETED:
        return []
    return [Event(events.ADVANCED, now, by, data), Event(events.COMPLETED, now, by, {})]


def _said(kind: EventType, order: Order, by: str, reason: str, now: datetime, **more: Any) -> Event:
    return Event(kind, now, by, {"order": order.state.value, "reason": reason, **more})
