"""Orders that go on elsewhere: leave to resume for the order manager that reported the case, and its way back (E6 H5)."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from unstuck.fallout import events
from unstuck.fallout.case import Case
from unstuck.fallout.resumption import redeemed, refused, require_awaited, returned
from unstuck.kernel.actor import ENGINE, Actor
from unstuck.kernel.event import EventType
from unstuck.kernel.refusal import Invalid, Refused
from unstuck.policy.grant import machine
from unstuck.repair.evidence import Evidence
from unstuck.repair.manager import OrderManager
from unstuck.repair.token import (
    OUR_RESUMER,
    ResumeMode,
    ResumeToken,
    require_alive,
    require_audience,
    require_order_version,
    require_own_words,
)
from unstuck.service import once
from unstuck.service.case_work.cases import Desk
from unstuck.service.case_work.stops import case_change
from unstuck.service.ports import Ports
from unstuck.store.foreign import is_used, refusals, stands_elsewhere
from unstuck.store.rows import Changes, Timer
from unstuck.store.sources import source_named
from unstuck.store.unit import Conflict, Unit

EXPIRES = "resume-expiry"
REFUSALS_KEPT = 20


class Redeemed(msgspec.Struct, frozen=True):
    """A token that was taken: its order may go on from the failed step as `mode` says."""

    token: UUID
    case: UUID
    number: str
    order: str
    item: str
    failed_step: str
    mode: ResumeMode
    redeemed_at: datetime


async def require_callable(ports: Ports, manager: OrderManager | None) -> None:
    """Refuse settings by which we would call an address inside."""
    if manager is None:
        return
    try:
        await ports.foreign.managers.require_reachable(manager)
    except Invalid as refusal:
        errors = tuple((f"/settings/resume{pointer}", because) for pointer, because in refusal.errors)
        raise Invalid(refusal.because, errors) from refusal


async def hand_over(
    ports: Ports, unit: Unit, desk: Desk, mode: ResumeMode, evidence: Sequence[Evidence], changes: Changes
) -> ResumeToken:
    """Leave to resume for the source of the case; for us to ask its manager where the source's settings say so."""
    case = desk.case
    settings = (await source_named(unit, case.source)).settings
    by_us = settings.resume is not None and mode in settings.resume.modes
    life_s = settings.token_life_s or desk.pack.document.resume_tokens.life_s
    token = ResumeToken(
        id=ports.new_id(),
        audience=OUR_RESUMER if by_us else case.source,
        case_id=case.id,
        order_id=case.order_id,
        item=case.item,
        failed_step=case.step,
        mode=mode,
        correction=case.correction,
        evidence=tuple(piece.id for piece in evidence),
        plan_revision=0,
        task=None,
        attempt=0,
        issued_at=unit.now,
        expires_at=unit.now + timedelta(seconds=life_s),
        order_ref=case.order_ref,
        order_version=case.order_version,
    )
    changes.tokens.append(token)
    changes.timers.append(Timer(token.id, EXPIRES, 0, token.expires_at))
    if by_us:
        changes.asking.append(token.id)
    return token


async def redeem(ports: Ports, token_id: UUID, text: str, order_version: str, actor: Actor) -> Redeemed:
    """Take a token: once, by the source it was issued to, while its order stands at the version it was decided on.

    A try that is refused is on record too, at most twenty for each token.
    """
    async with once.command(ports) as unit:
        token = await unit.token(token_id)
        case = await unit.case(token.case_id)
        try:
            await _require_redeemable(ports, unit, case, token, text, order_version, actor)
        except Refused as refusal:
            said = refusal
            await _keep_refusal(unit, case, token, refusal, actor)
        else:
            change = case_change(case, redeemed(case, token, (), machine(actor), unit.now))
            await unit.record(Changes(cases=[change], redeemed=[(token.id, actor.id)]))
            return await once.answered(ports, unit, _taken(case, token, unit.now))
    raise said


async def expire_due(ports: Ports, limit: int) -> int:
    """Take back the tokens whose time is over: work on their cases goes on. How many looked at."""
    async with ports.store.reading(ports.now()) as unit:
        timers = await unit.timers(EXPIRES, limit)
    for timer in timers:
        try:
            async with ports.store.unit(ports.now()) as unit:
                await _expire(unit, timer)
        except Conflict:  # another case was opened for the same failure at this moment: the next round sees it
            continue
    return len(timers)


async def give_back(
    unit: Unit, case: Case, token: ResumeToken, kind: EventType, because: str, seen: tuple[Evidence, ...], by: Actor
) -> None:
    """Record that the order did not go on, and why; `seen` is the evidence of it."""
    superseded = await stands_elsewhere(unit, case)
    made = returned(case, token, kind, because, seen, machine(by), unit.now, superseded=superseded)
    evidence = [(case.id, piece) for piece in seen]
    await unit.record(Changes(cases=[case_change(case, made)], evidence=evidence))


async def _expire(unit: Unit, timer: Timer) -> None:
    token = await unit.token(timer.subject)
    case = await unit.case(token.case_id)
    if await unit.clear(timer) and case.unredeemed == token.id:
        await give_back(unit, case, token, events.RESUME_EXPIRED, "nobody redeemed it in its time", (), ENGINE)


async def _require_redeemable(
    ports: Ports, unit: Unit, case: Case, token: ResumeToken, text: str, order_version: str, actor: Actor
) -> None:
    require_audience(token, actor.source)
    evidence = await unit.evidence(case.id)
    require_own_words(token, ports.foreign.tokens.read(text), evidence)
    if await is_used(unit, token.id):
        raise Refused("token-used", "this token was redeemed before")
    require_alive(token, unit.now)
    require_awaited(case, token)
    require_order_version(token, order_version)


async def _keep_refusal(unit: Unit, case: Case, token: ResumeToken, refusal: Refused, actor: Actor) -> None:
    if await refusals(unit, case.id, token.id) < REFUSALS_KEPT:
        made = refused(token.id, refusal, machine(actor), unit.now)
        await unit.record(Changes(cases=[case_change(case, [made])]))


def _taken(case: Case, token: ResumeToken, at: datetime) -> Redeemed:
    number = f"FC-{case.number}"
    return Redeemed(token.id, case.id, number, token.order_ref, token.item, token.failed_step, token.mode, at)
