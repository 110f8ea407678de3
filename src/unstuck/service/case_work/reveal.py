"""Masked values shown once: to whom and why is on record before anything is shown, the values never (mission K1)."""

from datetime import timedelta
from uuid import UUID

from unstuck.fallout.case import GiveFile, Reveal, decide
from unstuck.kernel.actor import Actor
from unstuck.kernel.refusal import Missing, Refused, TooMany
from unstuck.policy.grant import machine
from unstuck.policy.masking import TEXT, Mask, Sensitive
from unstuck.repair.evidence import Evidence
from unstuck.service.case_work.stops import case_change
from unstuck.service.looks import case_page, views
from unstuck.service.looks.case_page import CasePage
from unstuck.service.looks.shown import CaseView
from unstuck.service.ports import Ports
from unstuck.store.listing import look
from unstuck.store.rows import Changes

WINDOW = timedelta(hours=1)
FILES_FOR = timedelta(minutes=10)  # how long who had a case revealed may have its files


async def case(ports: Ports, case_id: UUID, actor: Actor, why: str) -> CaseView:
    """The case in clear, once."""
    await _record(ports, case_id, actor, why)
    return await views.case_view(ports, case_id, actor, _nothing_hidden())


async def page(ports: Ports, case_id: UUID, actor: Actor, why: str) -> CasePage:
    """The page of the case in clear, once."""
    await _record(ports, case_id, actor, why)
    return await case_page.read(ports, case_id, actor, _nothing_hidden())


async def file(ports: Ports, case_id: UUID, evidence_id: UUID, actor: Actor) -> bytes:
    """The bytes of one piece of evidence, checked against their digest.

    A file is never changed: one that holds sensitive fields, or that nothing here can read, is given only to who has just
    had them revealed, and that it was given is on record first.
    """
    found = await _evidence(ports, case_id, evidence_id)
    data = ports.blobs.read(found.sha256)
    mask = ports.book.mask()
    if mask.body(data) == data:
        return data
    async with ports.store.unit(ports.now()) as unit:
        if not await look.was_revealed(unit, case_id, actor.id, unit.now - FILES_FOR):
            raise Refused("sensitive-file", _why_not(mask))
        case = await unit.case(case_id)
        made = decide(case, GiveFile(evidence_id), machine(actor), unit.now)
        await unit.record(Changes(cases=[case_change(case, made)]))
    return data


async def _evidence(ports: Ports, case_id: UUID, evidence_id: UUID) -> Evidence:
    found = next((e for e in await views.evidence_of(ports, case_id) if e.id == evidence_id), None)
    if found is None:
        raise Missing(f"evidence {evidence_id} of this case")
    return found


def _why_not(mask: Mask) -> str:
    holds = (
        "cannot be looked through, so it may hold anything"
        if TEXT in mask.met
        else f"holds {', '.join(sorted(mask.met))}"
    )
    return f"this file {holds}; reveal what is hidden on its case first, then it can be had"


async def _record(ports: Ports, case_id: UUID, actor: Actor, why: str) -> None:
    """Say which fields somebody is about to see; refused when nothing is hidden, or too often."""
    fields = (await case_page.read(ports, case_id, actor)).view.hidden
    if not fields:
        raise Refused("nothing-hidden", "nothing of this case is hidden from you")
    async with ports.store.unit(ports.now()) as unit:
        most = ports.book.current.document.sensitive.reveals_per_hour
        if await look.reveals_of(unit, actor.id, unit.now - WINDOW) >= most:
            because = f"you have had hidden values shown {most} times within the last hour; later, or ask somebody else"
            raise TooMany("reveal-limit", because, int(WINDOW.total_seconds()))
        found = await unit.case(case_id)
        made = decide(found, Reveal(tuple(fields), why), machine(actor), unit.now)
        await unit.record(Changes(cases=[case_change(found, made)]))


def _nothing_hidden() -> Mask:
    return Mask(Sensitive())
