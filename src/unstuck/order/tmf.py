"""What TM Forum sees of an order (tmf.md §3.3): a projection, path-legal, never the source of truth."""

from collections import deque
from collections.abc import Iterable

from unstuck.order.lifecycle import ItemState, OrderState

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


def order_state(state: OrderState, items: Iterable[ItemState], was: str = "acknowledged") -> str:
    """The TMF641 state of an order; `was` is the one shown before, for no way leads back to acknowledged."""
    if state is OrderState.COMPLETED:
        ends = set(items)
        if ends == {ItemState.CANCELLED}:
            return "cancelled"
        return "partial" if ItemState.CANCELLED in ends else "completed"
    if state is OrderState.NOT_STARTED and was != "acknowledged":
        return "inProgress"
    return ORDER_STATE[state]


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
