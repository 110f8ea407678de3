"""Whether an order will be there when it was promised, by what is known without a forecast. Pure."""

from datetime import datetime, timedelta
from enum import StrEnum

from unstuck.order.lifecycle import ORDER_IS_OVER, OrderState

SOON = timedelta(hours=24)  # what stands still that near to its date is in danger of it


class Promise(StrEnum):
    """How an order stands to the date that was promised."""

    NONE = "none"
    AHEAD = "ahead"
    SOON = "soon"
    AT_RISK = "at_risk"
    OVERDUE = "overdue"
    KEPT = "kept"
    BROKEN = "broken"
    VOID = "void"


def promise(
    state: OrderState, promised: datetime | None, finished: datetime | None, stands_still: bool, now: datetime
) -> Promise:
    """How an order stands to its date; `stands_still`: somebody must do something before it goes on."""
    if promised is None:
        return Promise.NONE
    if state is OrderState.COMPLETED:
        return Promise.KEPT if (finished or now) <= promised else Promise.BROKEN
    if state in ORDER_IS_OVER:
        return Promise.VOID
    if now > promised:
        return Promise.OVERDUE
    if promised - now > SOON:
        return Promise.AHEAD
    return Promise.AT_RISK if stands_still else Promise.SOON
