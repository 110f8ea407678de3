"""What TM Forum sees of an order (tmf.md §3.3): a projection, path-legal, never the source of truth."""

from collections import deque
from collections.abc import Collection, Container, Iterable, Sequence

from unstuck.order.lifecycle import TASK_IS_OVER, ItemState, OrderState, TaskState

LEGAL = {
    "acknowledged": ("inProgress", "rejected", "cancelled", "assessingCancellation"),
    "inProgress": ("pending", "held", "completed", "failed", "partial", "cancelled", "assessingCancellation"),
    "pending": ("inProgress", "cancelled", "assessingCancellation"),
    "held": ("inProgress", "cancelled", "assessingCancellation"),
    "assessingCancellation": ("pendingCancellation",),
    "pendingCancellation": ("cancelled",),
    "rejected": (),
    "cancelled": (),
    "completed": (),
    "failed": (),
    "partial": (),
}
ORDER_STATE = {
    OrderState.NOT_STARTED: "acknowledged",
    OrderState.IN_PROGRESS: "inProgress",
    OrderState.WAITING_FOR_REVISION: "pending",
    OrderState.SUSPENDED: "held",
    OrderState.FAILED: "held",
    OrderState.AMENDING: "held",
    OrderState.CANCELLING: "pendingCancellation",
    OrderState.CANCELLED: "cancelled",
    OrderState.ABORTED: "cancelled",
}
ITEM_STATE = {
    ItemState.NOT_STARTED: "acknowledged",
    ItemState.IN_PROGRESS: "inProgress",
    ItemState.BLOCKED: "held",
    ItemState.COMPLETED: "completed",
    ItemState.CANCELLED: "cancelled",
}


REJECTED = "rejected"  # what was never taken as an order: an order of ours was acknowledged once
CALLED_OFF = ("assessingCancellation", "pendingCancellation", "cancelled")


def order_state(
    state: OrderState,
    items: Sequence[ItemState],
    was: str = "acknowledged",
    *,
    failed: Collection[int] = (),
    waits: bool = False,
) -> str:
    """The TMF641 state of an order; `was` is the one shown before, for no way leads back to acknowledged.

    `failed` are the items that ended for good without a chance, `waits` that all that remains waits for others.
    """
    if state is OrderState.COMPLETED:
        return _end({item_state(item, failed=number in failed) for number, item in enumerate(items)})
    if state is OrderState.NOT_STARTED and was != "acknowledged":
        return "inProgress"
    return "pending" if waits and state is OrderState.IN_PROGRESS else ORDER_STATE[state]


def item_state(item: ItemState, *, failed: bool = False, waits: bool = False) -> str:
    """The TMF641 state of an item: held only by its own fallout, pending while that waits for others."""
    if item is ItemState.CANCELLED and failed:
        return "failed"
    return "pending" if item is ItemState.BLOCKED and waits else ITEM_STATE[item]


def all_waits(tasks: Iterable[tuple[str, TaskState]], waiting: Container[str]) -> bool:
    """Whether all that remains of an order waits for others: `waiting` are the steps whose every case does."""
    remaining = [(key, state) for key, state in tasks if state not in TASK_IS_OVER and state is not TaskState.PENDING]
    stopped = (TaskState.FAILED, TaskState.UNKNOWN)
    return bool(remaining) and all(state in stopped and key in waiting for key, state in remaining)


def _end(ends: set[str]) -> str:
    if ends == {"completed"}:
        return "completed"
    if "completed" in ends:
        return "partial"
    return "failed" if "failed" in ends else "cancelled"


def path(was: str, to: str) -> tuple[str, ...]:
    """The states to show one after the other to get from `was` to `to`: each an event of its own.

    TM Forum has no acknowledged→held, pending↔held or held→completed; ValueError when no way exists at all.
    """
    ways: deque[tuple[str, tuple[str, ...]]] = deque([(was, ())])
    seen = {was}
    while ways:
        at, passed = ways.popleft()
        if at == to:
            return passed
        for after in LEGAL[at]:
            if after not in seen:
                seen.add(after)
                ways.append((after, (*passed, after)))
    raise ValueError(f"TM Forum knows no way from {was} to {to}")
