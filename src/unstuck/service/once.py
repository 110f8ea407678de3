"""A command that is sent again under its key is answered again and not carried out again (mission E8, E9).

The answer is written in the transaction of what it tells, so one is never there without the other. A use case takes
part by opening its transaction with `command` and handing what it returns to `answered`. Refusals are not kept.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import TypeVar

import msgspec

from unstuck.kernel.refusal import Refused
from unstuck.service.ports import Ports
from unstuck.store import answers
from unstuck.store.answers import UNDER_WAY, Answer, Once
from unstuck.store.unit import Unit

T = TypeVar("T")
KEPT = timedelta(hours=24)
LAPSES = timedelta(minutes=2)  # longer than any target is waited for: what began before that has died


@asynccontextmanager
async def command(ports: Ports) -> AsyncIterator[Unit]:
    """The transaction of a command; refused while the same key is being worked on."""
    async with ports.store.unit(ports.now()) as unit:
        if ports.once is not None:
            if not await answers.lock(unit, ports.once):
                raise in_flight()
            known = await answers.find(unit.conn, ports.once, unit.now - KEPT)
            if known is not None and not _died(known, unit.now):
                raise in_flight()
        yield unit


async def answered(ports: Ports, unit: Unit, result: T) -> T:
    """Keep `result` as the answer of this command, and return it."""
    if ports.once is not None:
        await answers.keep(unit, ports.once, ports.once.status, msgspec.json.encode(result))
    return result


async def begun(ports: Ports, unit: Unit) -> None:
    """Say that a command of more than one transaction is under way."""
    if ports.once is not None:
        await answers.keep(unit, ports.once, UNDER_WAY, b"")


async def given_up(ports: Ports) -> None:
    """Free the key of a command that had begun and was refused in the end."""
    if ports.once is not None:
        async with ports.store.unit(ports.now()) as unit:
            await answers.let_go(unit, ports.once)


async def earlier(ports: Ports, once: Once) -> Answer | None:
    """What this very command was answered before; refused when the key was another command's or is in flight."""
    now = ports.now()
    known = await answers.find(ports.store.pool, once, now - KEPT)
    if known is None or _died(known, now):
        return None
    if known.digest != once.digest:
        raise Refused("one-key-one-command", "this Idempotency-Key stands for another command; take a new key")
    if known.status == UNDER_WAY:
        raise in_flight()
    return known


async def forget_old(ports: Ports, limit: int) -> int:
    """Drop the answers that are older than they are kept; how many."""
    return await answers.forget(ports.store, ports.now() - KEPT, limit)


def in_flight() -> Refused:
    """The refusal of a command whose key is at work."""
    return Refused("in-flight", "the same command is being carried out; send it again for its answer")


def _died(known: Answer, now: datetime) -> bool:
    return known.status == UNDER_WAY and known.at < now - LAPSES
