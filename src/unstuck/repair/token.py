"""The resume token: how a repaired order goes on from the right step, once, and only as it was decided (E6).

For an order of our own the guard is (plan revision, task, attempt), so that a sibling's progress does not spoil it. For
an order manager that is not ours it is the opaque order version that came with its failure, compared by equality. What
is kept is never its text: that is signed afresh, always the same, for the one it was issued to.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec

from unstuck.kernel.refusal import Forbidden, Refused
from unstuck.repair.evidence import Evidence

OUR_ENGINE = "engine"
OUR_RESUMER = "unstuck:resumer"


class ResumeMode(StrEnum):
    """From where and how the order goes on (seed 003 §13)."""

    RETRY_FAILED_STEP = "RETRY_FAILED_STEP"
    SKIP_STEP_ALREADY_DONE = "SKIP_STEP_ALREADY_DONE"
    REPLAN_FROM_STEP = "REPLAN_FROM_STEP"
    CANCEL_ITEM = "CANCEL_ITEM"
    COMPENSATE_AND_CLOSE = "COMPENSATE_AND_CLOSE"


class ResumeToken(msgspec.Struct, frozen=True):
    """Leave to resume. With `task` it moves our own order; without, `order_ref` names the order in its source's words."""

    id: UUID
    audience: str
    case_id: UUID
    order_id: UUID | None
    item: str
    failed_step: str
    mode: ResumeMode
    correction: UUID | None
    evidence: tuple[UUID, ...]
    plan_revision: int
    task: int | None
    attempt: int
    issued_at: datetime
    expires_at: datetime
    order_ref: str = ""
    order_version: str = ""

    @property
    def step(self) -> int:
        """The number of the failed step in our plan; refused for an order that is not ours to move."""
        if self.task is None:
            raise Refused("token-audience", f"this token was issued to {self.audience}")
        return self.task


def require_redeemable(
    token: ResumeToken, *, audience: str, order_id: UUID, guard: tuple[int, int, int], now: datetime
) -> None:
    """Refuse a token that is expired, another's, or issued for a state the order has left. Single use is the store's."""
    require_audience(token, audience)
    if token.order_id != order_id:
        raise Refused("token-order", "this token was issued for another order")
    require_alive(token, now)
    if guard != (token.plan_revision, token.step, token.attempt):
        raise Refused("token-version", "the failed step has moved since this token was issued; look at it again")


def require_own_words(token: ResumeToken, said: dict[str, Any], evidence: Sequence[Evidence]) -> None:
    """Refuse what was signed by us and yet is not this token word for word."""
    if {**said, "iss": ""} != claims(token, evidence, ""):
        raise Refused("token-forged", "what this token says is not what was issued under its id")


def require_order_version(token: ResumeToken, order_version: str) -> None:
    """Refuse a token whose order has moved in its own manager since the failure that the decision was made on."""
    if order_version != token.order_version:
        raise Refused("token-version", "the order has moved since its failure was reported; report it as it is now")


def require_audience(token: ResumeToken, audience: str) -> None:
    """Refuse a token that was issued to somebody else."""
    if token.audience != audience:
        raise Forbidden("token-audience", f"this token was issued to {token.audience}")


def require_alive(token: ResumeToken, now: datetime) -> None:
    """Refuse a token that is past its time."""
    if now >= token.expires_at:
        raise Refused("token-expired", "this token has expired; resolve the case again to get a new one")


def claims(token: ResumeToken, evidence: Sequence[Evidence], issuer: str) -> dict[str, Any]:
    """What is signed: whole seconds, and of the evidence what proves it to whoever gets to see its bytes."""
    by_id = {piece.id: piece.sha256 for piece in evidence}
    return {
        "iss": issuer,
        "jti": str(token.id),
        "aud": token.audience,
        "sub": token.order_ref,
        "iat": int(token.issued_at.timestamp()),
        "exp": int(token.expires_at.timestamp()),
        "case": str(token.case_id),
        "item": token.item,
        "failed_step": token.failed_step,
        "mode": token.mode.value,
        "correction": str(token.correction) if token.correction else None,
        "evidence": [{"id": str(one), "sha256": by_id.get(one, "")} for one in token.evidence],
        "order_version": token.order_version,
    }
