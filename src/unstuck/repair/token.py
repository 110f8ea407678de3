"""The resume token: how a repaired order goes on from the right step, once, and only as it was decided (E6)."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

import msgspec

from unstuck.kernel.refusal import Refused


class ResumeMode(StrEnum):
    """From where and how the order goes on (seed 003 §13)."""

    RETRY_FAILED_STEP = "RETRY_FAILED_STEP"
    SKIP_STEP_ALREADY_DONE = "SKIP_STEP_ALREADY_DONE"
    REPLAN_FROM_STEP = "REPLAN_FROM_STEP"
    CANCEL_ITEM = "CANCEL_ITEM"
    COMPENSATE_AND_CLOSE = "COMPENSATE_AND_CLOSE"


class ResumeToken(msgspec.Struct, frozen=True):
    """Leave to resume. The guard is (plan revision, task, attempt): a sibling's progress does not spoil it."""

    id: UUID
    audience: str
    case_id: UUID
    order_id: UUID
    item: str
    failed_step: str
    mode: ResumeMode
    correction: UUID | None
    evidence: tuple[UUID, ...]
    plan_revision: int
    task: int
    attempt: int
    issued_at: datetime
    expires_at: datetime


def require_redeemable(
    token: ResumeToken, *, audience: str, order_id: UUID, guard: tuple[int, int, int], now: datetime
) -> None:
    """Refuse a token that is expired, another's, or issued for a state the order has left. Single use is the store's."""
    if token.audience != audience:
        raise Refused("token-audience", f"this token was issued to {token.audience}")
    if token.order_id != order_id:
        raise Refused("token-order", "this token was issued for another order")
    if now >= token.expires_at:
        raise Refused("token-expired", "this token has expired; resolve the case again to get a new one")
    if guard != (token.plan_revision, token.task, token.attempt):
        raise Refused("token-version", "the failed step has moved since this token was issued; look at it again")
