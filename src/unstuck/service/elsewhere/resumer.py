"""Asking an order manager to let an order go on, when it cannot redeem a token itself (tmf.md §3.4).

The order is looked at before and after. What speaks for going on is never an answer but the order's own state: a 200
that changed nothing is not success. Every call stands alone between two transactions; after a crash, and after a call
that was not answered, the next thing is a look.
"""

from datetime import datetime, timedelta

import msgspec

from unstuck.connect.tmf import Asked, Seen
from unstuck.fallout import events
from unstuck.fallout.case import Case
from unstuck.fallout.resumption import attempted, redeemed
from unstuck.kernel.actor import Actor
from unstuck.kernel.canonical import digest, printable
from unstuck.kernel.event import EventType
from unstuck.kernel.refusal import Missing
from unstuck.policy.grant import machine
from unstuck.repair.evidence import Evidence, EvidenceType
from unstuck.repair.manager import OrderManager, Way, finding, standing
from unstuck.repair.token import OUR_RESUMER, ResumeToken
from unstuck.service.case_work.stops import case_change
from unstuck.service.elsewhere.foreign import give_back
from unstuck.service.ports import Ports
from unstuck.store.foreign import Work, claim_work, drop, is_ours, put_off
from unstuck.store.rows import Changes
from unstuck.store.sources import source_named
from unstuck.store.unit import Conflict, Unit

RESUMER = Actor(OUR_RESUMER)
GRANT = machine(RESUMER)
LEASE = timedelta(seconds=60)  # longer than a look and a call are waited for together
ASKED_AT_MOST = 3
LOOKS_A_SETTLING = 5
LONGEST_PAUSE_S = 60
JSON = "application/json"


class Job(msgspec.Struct, frozen=True):
    """A piece of work with what it is about."""

    work: Work
    token: ResumeToken
    case_number: int
    manager: OrderManager

    @property
    def way(self) -> Way:
        """The way that is tried now."""
        return self.manager.strategy[self.work.way]

    @property
    def words(self) -> dict[str, str]:
        """What a request may name."""
        token = self.token
        return {
            "order": token.order_ref,
            "item": token.item,
            "step": token.failed_step,
            "mode": token.mode.value,
            "case": f"FC-{self.case_number}",
            "token": str(token.id),
        }


async def claim(ports: Ports, limit: int) -> list[Work]:
    """The orders that it is time to look at; ours until the lease is over."""
    async with ports.store.unit(ports.now()) as unit:
        return await claim_work(unit, unit.now + LEASE, limit)


async def carry_on(ports: Ports, work: Work) -> None:
    """One step: look, and ask when the order stands as it was decided on; or look what came of having asked."""
    job = await _job(ports, work)
    if job is None:
        return
    seen = await ports.foreign.managers.look(job.manager, job.token.order_ref)
    try:
        if work.step == "SETTLE":
            await _settle(ports, job, seen)
        elif await _promise(ports, job, seen):
            before = seen.document or {}
            asked = await ports.foreign.managers.ask(job.manager, job.way, job.words, before, seen.etag)
            await _answered(ports, job, asked)
    except Conflict:
        return  # another case was opened for the same failure at this moment: looked at again when the lease is over


async def _job(ports: Ports, work: Work) -> Job | None:
    """The work with its token; None, and the work dropped, when its case waits for something else by now."""
    async with ports.store.unit(ports.now()) as unit:
        token = await unit.token(work.token)
        case = await unit.case(token.case_id)
        manager = (await source_named(unit, case.source)).settings.resume
        if not await is_ours(unit, work):
            return None
        if case.unredeemed != token.id:
            await drop(unit, work)
            return None
        if manager is None or work.way >= len(manager.strategy):
            await _give_up(
                unit, work, case, token, events.RESUME_STALE, "its source has no way any more to be asked", ()
            )
            return None
        return Job(work, token, case.number, manager)


async def _promise(ports: Ports, job: Job, seen: Seen) -> bool:
    """Put on record that it is about to be asked; False when the order cannot be seen, or is not as it was decided on."""
    body = _kept(ports, seen)
    async with ports.store.unit(ports.now()) as unit:
        held = await _held(unit, job)
        if held is None or not await _is_seen(unit, job, seen):
            return False
        assert seen.document is not None
        because = finding(job.manager, standing(job.manager, seen.document, seen.etag), job.token.order_version)
        if because:
            kind, pieces = events.RESUME_STALE, (_piece(ports, unit, held, body, proves=False),)
            await _give_up(unit, job.work, held, job.token, kind, f"the order is not as decided: {because}", pieces)
            return False
        work = job.work
        work.step, work.asked, work.asked_at, work.answer = "SETTLE", work.asked + 1, unit.now, ""
        work.before, work.due = digest(body), unit.now + LEASE
        await put_off(unit, work)
        facts = {"way": job.way, "asked": work.asked, "before": work.before}
        made = attempted(job.token, facts, GRANT, unit.now)
        await unit.record(Changes(cases=[case_change(held, [made])]))
        return True


async def _answered(ports: Ports, job: Job, asked: Asked) -> None:
    """Keep what was answered; it decides nothing but whether another way is tried."""
    work = job.work
    async with ports.store.unit(ports.now()) as unit:
        if await is_ours(unit, work):
            work.answer = str(asked.status) if asked.status else ""
            if asked.way_is_closed and work.way + 1 < len(job.manager.strategy):
                work.way, work.step = work.way + 1, "LOOK"
            work.due = unit.now
            await put_off(unit, work)


async def _settle(ports: Ports, job: Job, seen: Seen) -> None:
    """What came of it, by the order's own state."""
    body = _kept(ports, seen)
    async with ports.store.unit(ports.now()) as unit:
        held = await _held(unit, job)
        if held is None or not await _is_seen(unit, job, seen):
            return
        assert seen.document is not None
        state = standing(job.manager, seen.document, seen.etag).state
        if state in job.manager.goes_on:
            await _goes_on(ports, unit, job, held, body)
        elif state not in job.manager.expected:
            because = f"asked to go on, the order is {printable(state, 100) or 'in no state'}, not {job.manager.to}"
            await _ignored(ports, unit, job, held, body, because)
        else:
            await _stands_still(ports, unit, job, held, body)


async def _stands_still(ports: Ports, unit: Unit, job: Job, case: Case, body: bytes) -> None:
    """Asked, and nothing has changed: wait, ask again only when nobody answered, else say so."""
    work, manager = job.work, job.manager
    assert work.asked_at is not None
    if unit.now < work.asked_at + timedelta(seconds=manager.settles_s):
        work.due = unit.now + timedelta(seconds=manager.settles_s / LOOKS_A_SETTLING)
        await put_off(unit, work)
    elif not work.answer and work.asked < ASKED_AT_MOST:
        work.step, work.due = "LOOK", unit.now
        await put_off(unit, work)
    else:
        said = f"answered {work.answer}" if work.answer else f"did not answer {work.asked} times"
        await _ignored(ports, unit, job, case, body, f"{case.source} {said}, and the order still stands where it stood")


async def _goes_on(ports: Ports, unit: Unit, job: Job, case: Case, body: bytes) -> None:
    piece = _piece(ports, unit, case, body, proves=True)
    change = case_change(case, redeemed(case, job.token, (piece,), GRANT, unit.now))
    taken = [(job.token.id, OUR_RESUMER)]
    await unit.record(Changes(cases=[change], evidence=[(case.id, piece)], redeemed=taken))
    await drop(unit, job.work)


async def _ignored(ports: Ports, unit: Unit, job: Job, case: Case, body: bytes, because: str) -> None:
    pieces = tuple(_piece(ports, unit, case, one, proves=False) for one in (*_before(ports, job.work), body))
    await _give_up(unit, job.work, case, job.token, events.RESUME_IGNORED, because, pieces)


async def _give_up(
    unit: Unit, work: Work, case: Case, token: ResumeToken, kind: EventType, because: str, seen: tuple[Evidence, ...]
) -> None:
    await give_back(unit, case, token, kind, because, seen, RESUMER)
    await drop(unit, work)


async def _held(unit: Unit, job: Job) -> Case | None:
    """The case, locked, while the work is ours and the token still awaited and alive."""
    case = await unit.case(job.token.case_id)
    ours = await is_ours(unit, job.work) and case.unredeemed == job.token.id
    return case if ours and unit.now < job.token.expires_at else None


async def _is_seen(unit: Unit, job: Job, seen: Seen) -> bool:
    """Whether the order could be seen; if not, it is looked at again, ever more rarely, until the token's time is over."""
    work = job.work
    if seen.document is not None:
        work.looks = 0
        return True
    work.looks += 1
    work.due = _later(unit.now, work.looks)
    await put_off(unit, work)
    return False


def _later(now: datetime, looks: int) -> datetime:
    return now + timedelta(seconds=min(2.0 ** min(looks, 10) / 2, LONGEST_PAUSE_S))


def _kept(ports: Ports, seen: Seen) -> bytes:
    """The order as it was shown, with its version, written as evidence."""
    body = msgspec.json.encode({"order": seen.document, "etag": seen.etag})
    if seen.document is not None:
        ports.blobs.put(body)
    return body


def _before(ports: Ports, work: Work) -> tuple[bytes, ...]:
    """The order as it was before it was asked; nothing when that file is gone, which the audit will say."""
    try:
        return (ports.blobs.read(work.before),)
    except Missing:
        return ()


def _piece(ports: Ports, unit: Unit, case: Case, body: bytes, *, proves: bool) -> Evidence:
    return Evidence(
        ports.new_id(), EvidenceType.READ_BACK, digest(body), len(body), JSON, case.source, RESUMER.id, unit.now,
        proves_resolution=proves,
    )  # fmt: skip
