"""What follows: an order's tasks and what was learned of some of them give the order's next state.

Pure and under the order's lock. Readiness is decided here, never counted in SQL: no lost decrement, and an
amended plan needs no second mechanism.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from unstuck.order.lifecycle import (
    ORDER,
    TASK,
    TASK_IS_OVER,
    ItemState,
    OrderAction,
    OrderState,
    TaskAction,
    TaskState,
)
from unstuck.order.plan import Plan
from unstuck.order.state import Order, Task


class Learned(msgspec.Struct):
    """What was learned of one task, already judged: the action on its table and where that leads.

    `due` is when it may be called or asked next; None keeps it still. `facts` go into the event as they are.
    """

    no: int
    action: TaskAction
    to: TaskState
    due: datetime | None = None
    facts: dict[str, Any] = {}


class Shape:
    """A plan prepared for `follow`: who waits for whom, which tasks belong to which item. Cached by plan id."""

    __slots__ = ("after", "of_item", "plan", "successors")

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.successors = plan.successors()
        self.after = tuple(task.after for task in plan.tasks)
        self.of_item = tuple(
            tuple(no for no, task in enumerate(plan.tasks) if task.item == item) for item in range(len(plan.items))
        )


def follow(
    shape: Shape, order: Order, tasks: Sequence[Task], learned: Iterable[Learned], now: datetime
) -> dict[str, Any]:
    """Apply what was learned and all that follows to `order` and `tasks`; return the facts for the event.

    Illegal steps raise IllegalTransition before anything was changed for that task.
    """
    facts: list[dict[str, Any]] = []
    touched: set[int] = set()
    for fact in learned:
        task = tasks[fact.no]
        task.state = TASK.step(task.state, fact.action, fact.to)
        task.due, task.lease, task.owner, task.since = fact.due, None, None, now
        facts.append({"no": fact.no, "to": task.state.value, **fact.facts})
        touched.add(fact.no)
        if task.state in TASK_IS_OVER:
            for no in shape.successors[fact.no]:
                if _may_start(shape, tasks, no):
                    _release(tasks[no], now)
                    facts.append({"no": no, "to": "READY"})
                    touched.add(no)
    data: dict[str, Any] = {"tasks": facts}
    _hold_back(order, tasks, touched)
    _settle_items(shape, order, tasks, touched, data)
    settle(order, now, data)
    return data


def start(shape: Shape, order: Order, tasks: Sequence[Task], now: datetime) -> dict[str, Any]:
    """Release every task that waits for nothing and put the order in progress."""
    order.state = ORDER.step(order.state, OrderAction.START)
    ready = [no for no in range(len(tasks)) if not shape.after[no]]
    for no in ready:
        _release(tasks[no], now)
    data: dict[str, Any] = {"tasks": [{"no": no, "to": "READY"} for no in ready], "order": order.state.value}
    _settle_items(shape, order, tasks, set(ready), data)
    return data


def item_state(states: Iterable[TaskState]) -> ItemState:
    """Where an item stands, from its tasks alone: blocked by its own fallout, else the least advanced truth."""
    seen = set(states)
    if TaskState.FAILED in seen or TaskState.UNKNOWN in seen:
        return ItemState.BLOCKED
    if seen <= TASK_IS_OVER:
        return ItemState.CANCELLED if TaskState.CANCELLED in seen else ItemState.COMPLETED
    return ItemState.NOT_STARTED if seen == {TaskState.PENDING} else ItemState.IN_PROGRESS


def _may_start(shape: Shape, tasks: Sequence[Task], no: int) -> bool:
    return tasks[no].state is TaskState.PENDING and all(
        tasks[before].state is TaskState.COMPLETED for before in shape.after[no]
    )


def _release(task: Task, now: datetime) -> None:
    task.state = TASK.step(task.state, TaskAction.RELEASE)
    task.due = task.since = now


def _hold_back(order: Order, tasks: Sequence[Task], touched: set[int]) -> None:
    """What becomes ready while the order is not in progress has no time at which it is sent."""
    if order.state is not OrderState.IN_PROGRESS:
        for no in touched:
            if tasks[no].state is TaskState.READY:
                tasks[no].due = None


def _settle_items(shape: Shape, order: Order, tasks: Sequence[Task], touched: set[int], data: dict[str, Any]) -> None:
    states = list(order.item_states)
    for index in {shape.plan.tasks[no].item for no in touched}:
        states[index] = item_state(tasks[no].state for no in shape.of_item[index])
    if tuple(states) != order.item_states:
        order.item_states = tuple(states)
        data["items"] = [state.value for state in states]


def settle(order: Order, now: datetime, data: dict[str, Any]) -> None:
    """Complete an order in progress whose items are all over; the fact goes into `data`."""
    over = all(s is ItemState.COMPLETED or s is ItemState.CANCELLED for s in order.item_states)
    if over and order.state is OrderState.IN_PROGRESS:
        order.state = ORDER.step(order.state, OrderAction.COMPLETE)
        order.finished_at = now
        data["order"] = order.state.value


def fold_tasks(tasks: list[Task], data: dict[str, Any], at: datetime) -> None:
    """Replay the task facts of one event: the recorded columns only."""
    for fact in data.get("tasks", ()):
        task = tasks[fact["no"]]
        task.state, task.since = TaskState(fact["to"]), at
        task.identity = fact.get("identity", task.identity)
