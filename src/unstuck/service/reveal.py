"""Masked values shown once: to whom and why is on record before anything is shown, the values never (mission K1)."""

from datetime import timedelta
from uuid import UUID

from unstuck.fallout.case import Reveal, decide
from unstuck.kernel.actor import Actor
from unstuck.kernel.refusal import Refused, TooMany
from unstuck.policy.grant import machine
from unstuck.policy.masking import Mask, Sensitive
from unstuck.service import case_page, views
from unstuck.service.case_page import CasePage
from unstuck.service.ports import Ports
from unstuck.service.shown import CaseView
from unstuck.service.stops import case_change
from unstuck.store import look
from unstuck.store.rows import Changes

WINDOW = timedelta(hours=1)


async def case(ports: Ports, case_id: UUID, actor: Actor, why: str) -> CaseView:
    """The case in clear, once."""
    await _record(ports, case_id, actor, why)
    return await views.case_view(ports, case_id, actor, _nothing_hidden())


async def page(ports: Ports, case_id: UUID, actor: Actor, why: str) -> CasePage:
    """The page of the case in clear, once."""
    await _record(ports, case_id, actor, why)
    return await case_page.read(ports, case_id, actor, _nothing_hidden())


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
