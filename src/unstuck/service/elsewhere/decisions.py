"""Decisions on the way to the order manager that reported the failure: by its own webhook, or fetched by it.

Here alone the text of a resume token is made, and it goes into bodies for that source and nowhere else.
"""

from collections.abc import Sequence
from typing import Any, Literal
from uuid import UUID

import msgspec

from unstuck.fallout import events
from unstuck.fallout.case import Case
from unstuck.fallout.published import Leaf, types_of
from unstuck.kernel.actor import Actor
from unstuck.kernel.ids import rfc3339
from unstuck.kernel.refusal import Forbidden, Invalid
from unstuck.repair.token import ResumeMode, ResumeToken, claims
from unstuck.service.events_out.outbox import Message, Subscription
from unstuck.service.ports import Ports
from unstuck.store.foreign import decisions_of
from unstuck.store.listing import look
from unstuck.store.unit import Unit, case_of

KIND = "decision"
GIVEN_BACK = (events.RESUME_EXPIRED.name, events.RESUME_IGNORED.name, events.RESUME_STALE.name)
TOLD = (events.RESOLVED.name, *GIVEN_BACK)


class EvidenceReference(msgspec.Struct, frozen=True):
    """What proves a decision, by the digest of its bytes."""

    id: UUID
    type: str
    sha256: str
    source: str


class Corrected(msgspec.Struct, frozen=True):
    """The correction that the decision rests on."""

    id: UUID
    action: str
    result: str


class DecisionOut(msgspec.Struct, frozen=True, kw_only=True):
    """What was decided of a failure that its source reported, in that source's words for order, item and step.

    `token` is leave to resume, for this source and once: send it to `redeem` with the order's version before the order
    goes on. It is a compact JWS, signed with a key of `/api/v1/audit/keys`. Without a token there is nothing to resume.
    """

    leaf: int
    decision: Literal["resume", "cancel", "compensate", "none"]
    mode: ResumeMode | None
    case: UUID
    number: str
    order: str
    order_version: str
    item: str
    failed_step: str
    correction: Corrected | None
    evidence: list[EvidenceReference]
    decided_at: str
    expires_at: str | None = None
    token_id: UUID | None = None
    token: str | None = None
    redeem: str | None = None


class DecisionPage(msgspec.Struct, frozen=True):
    """Decisions a source has not redeemed yet, by leaf; `next` is the leaf to ask after, None when these are all."""

    decisions: list[DecisionOut]
    next: int | None


def require_speaks_for(actor: Actor, source: str) -> None:
    """Refuse who does not speak for this source: a decision holds leave to move its orders."""
    if actor.source != source:
        raise Forbidden("source-key", f"only a token of {source} may have its decisions")


def decision_settings(actor: Actor) -> dict[str, Any]:
    """What a subscription to decisions is bound to: the source whose token asks for it."""
    if not actor.source:
        because = "subscribe with a token of the source itself: decisions hold leave to move its orders"
        raise Invalid(because, (("/kind", because),))
    return {"source": actor.source}


async def awaited(ports: Ports, name: str, actor: Actor, after: int, limit: int) -> DecisionPage:
    """What this source can redeem now, oldest decision first."""
    require_speaks_for(actor, name)
    async with ports.store.reading(ports.now()) as unit:
        rows = await decisions_of(unit, name, after, limit + 1)
        found = [await _decision(ports, unit, row["case_id"], row["n"], _said(row)) for row in rows[:limit]]
    return DecisionPage(found, rows[limit - 1]["n"] if len(rows) > limit else None)


async def decision_messages(ports: Ports, subscription: Subscription, leaves: Sequence[Leaf]) -> list[list[Message]]:
    """The relay's renderer of the kind `decision`: what was decided, and what was taken back, of one source's cases."""
    source = subscription.settings.get("source")
    mine = [leaf for leaf in leaves if source and leaf.about.source == source and leaf.type in TOLD]
    if not mine:
        return [[] for _ in leaves]
    async with ports.store.reading(ports.now()) as unit:
        made = {leaf.n: await _message(ports, unit, leaf) for leaf in mine}
    return [[made[leaf.n]] if leaf.n in made else [] for leaf in leaves]


async def _message(ports: Ports, unit: Unit, leaf: Leaf) -> Message:
    if leaf.type in GIVEN_BACK:
        about = {"case": str(leaf.stream), "order": leaf.about.order_ref, "token_id": leaf.data["token"]}
        body: Any = {**about, "leaf": leaf.n, "because": leaf.data["because"]}
    else:
        body = await _decision(ports, unit, leaf.stream, leaf.n, {**leaf.data, "at": rfc3339(leaf.at)})
    kind = types_of(leaf.type, leaf.data)[0]
    envelope = {"type": kind, "timestamp": rfc3339(leaf.at), "data": body}
    return Message(f"{leaf.stream}-{leaf.seq}", msgspec.json.encode(envelope), "application/json", confidential=True)


async def _decision(ports: Ports, unit: Unit, case_id: UUID, leaf: int, said: dict[str, Any]) -> DecisionOut:
    case = case_of(await look.case_row(unit, case_id))
    named = {UUID(one) for one in said["evidence"]}
    pieces = [piece for piece in await unit.evidence(case_id) if piece.id in named]
    leave = await _leave(ports, unit, case, said)
    return DecisionOut(
        leaf=leaf,
        decision=said["resolution"],
        mode=ResumeMode(said["mode"]) if said["mode"] else None,
        case=case.id,
        number=f"FC-{case.number}",
        order=case.order_ref,
        item=case.item,
        failed_step=case.step,
        correction=await _correction(unit, case),
        evidence=[EvidenceReference(one.id, one.type.value, one.sha256, one.source) for one in pieces],
        decided_at=said["at"],
        **leave,
    )


async def _leave(ports: Ports, unit: Unit, case: Case, said: dict[str, Any]) -> dict[str, Any]:
    """The token's text with where it goes; nothing when it was not issued to the source, or is not awaited any more."""
    if said.get("audience") != case.source or case.unredeemed is None or said["token"] != str(case.unredeemed):
        return {"order_version": case.order_version}
    token = await unit.token(case.unredeemed)
    if unit.now >= token.expires_at:
        return {"order_version": token.order_version}
    return {
        "order_version": token.order_version,
        "expires_at": rfc3339(token.expires_at),
        "token_id": token.id,
        "token": await _text(ports, unit, token),
        "redeem": f"/api/v1/resume-tokens/{token.id}/redeem",
    }


async def _text(ports: Ports, unit: Unit, token: ResumeToken) -> str:
    tokens = ports.foreign.tokens
    return tokens.sign(claims(token, await unit.evidence(token.case_id), tokens.issuer))


async def _correction(unit: Unit, case: Case) -> Corrected | None:
    if case.correction is None:
        return None
    found = next(row for row in await unit.corrections(case.id) if row.id == case.correction)
    return Corrected(found.id, found.action, found.result)


def _said(row: Any) -> dict[str, Any]:
    data: dict[str, Any] = msgspec.json.decode(row["data"])
    return {**data, "at": rfc3339(row["at"])}
