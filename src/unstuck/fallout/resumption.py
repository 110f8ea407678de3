"""What becomes of a case while somebody else's order manager has to let its order go on. Pure."""

from datetime import datetime
from typing import Any
from uuid import UUID

from unstuck.fallout import events
from unstuck.fallout.case import Attach, Case, decide
from unstuck.fallout.lifecycle import CASE, CaseAction
from unstuck.kernel.actor import Grant
from unstuck.kernel.event import Event, EventType
from unstuck.kernel.refusal import Refused
from unstuck.repair.evidence import Evidence
from unstuck.repair.token import ResumeToken


def require_awaited(case: Case, token: ResumeToken) -> None:
    """Refuse a token that is no longer the one its case waits for."""
    if case.unredeemed != token.id:
        because = f"FC-{case.number} went on without this token; only the one of its newest decision counts"
        raise Refused("token-superseded", because)


def redeemed(case: Case, token: ResumeToken, seen: tuple[Evidence, ...], grant: Grant, now: datetime) -> list[Event]:
    """The order goes on: its manager took the token, or we saw that it did (then `seen` proves it)."""
    facts = {"token": str(token.id), "mode": token.mode.value, "order_version": token.order_version}
    made = Event(events.RESUME_REDEEMED, now, grant.actor.id, {**facts, "evidence": [str(e.id) for e in seen]})
    return [*_attached(case, seen, grant, now), made]


def refused(token_id: UUID, refusal: Refused, grant: Grant, now: datetime) -> Event:
    """Somebody's try to redeem a token, by the rule that said no; it says nothing of what was sent."""
    return Event(events.RESUME_REFUSED, now, grant.actor.id, {"token": str(token_id), "rule": refusal.rule})


def attempted(token: ResumeToken, facts: dict[str, Any], grant: Grant, now: datetime) -> Event:
    """The intent, on record before the order manager is asked."""
    return Event(events.RESUME_ATTEMPTED, now, grant.actor.id, {"token": str(token.id), **facts})


def returned(
    case: Case,
    token: ResumeToken,
    kind: EventType,
    because: str,
    seen: tuple[Evidence, ...],
    grant: Grant,
    now: datetime,
    *,
    superseded: bool,
) -> list[Event]:
    """The order did not go on: work on the case does, unless another open case stands for the same failure."""
    facts: dict[str, Any] = {"token": str(token.id), "because": because, "evidence": [str(e.id) for e in seen]}
    if superseded:
        facts["superseded"] = True
    else:
        facts["to"] = CASE.step(case.state, CaseAction.RETURN).value
    return [*_attached(case, seen, grant, now), Event(kind, now, grant.actor.id, facts)]


def _attached(case: Case, seen: tuple[Evidence, ...], grant: Grant, now: datetime) -> list[Event]:
    return [event for piece in seen for event in decide(case, Attach(piece), grant, now)]
