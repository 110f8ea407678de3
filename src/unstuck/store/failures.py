"""What intake of reported failures reads under its locks: orders first, then cases, ids in order."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from uuid import UUID

import msgspec

from unstuck.fallout.case import Case
from unstuck.kernel.ids import as_id, as_number
from unstuck.store.statements import sql
from unstuck.store.unit import Unit, case_of

HEARD_EVERY = timedelta(seconds=1)  # one row a source: not every event needs to write it


class Known(msgspec.Struct, frozen=True):
    """A failure event that came before: where it is filed, and the digest of its bytes."""

    source: str
    event_id: str
    sha256: str
    case_id: UUID
    number: int


class Reporting(msgspec.Struct, frozen=True):
    """A source that reports: has it a row, is that row's time of hearing old, has it a token of its own?"""

    name: str
    known: bool
    unheard: bool
    keyed: bool


class Named(msgspec.Struct, frozen=True):
    """An order of ours that somebody's reference may mean."""

    ref: str
    order_id: UUID
    source: str
    plan: str | None


async def known_events(unit: Unit, events: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Known]:
    """Those of these (source, event id) that came before."""
    rows = await unit.conn.fetch(sql("known_failures"), *zip(*events, strict=True))
    return {(row["source"], row["event_id"]): Known(*row) for row in rows}


async def orders_named(unit: Unit, refs: Iterable[str]) -> list[Named]:
    """Our orders that carry one of these references as their external id, their id or their number."""
    wanted = sorted(set(refs) - {""})
    ids = [ref for ref in wanted if (id := as_id(ref)) and str(id) == ref]
    numbers = [number for ref in wanted if (number := as_number(ref, "ORD-")) is not None]
    if not wanted:
        return []
    return [Named(*row) for row in await unit.conn.fetch(sql("orders_named"), wanted, ids, numbers)]


async def hold_orders(unit: Unit, ids: Iterable[UUID]) -> None:
    """Keep these orders from being locked by others until we are done: their cases get a row that names them."""
    wanted = sorted(set(ids))
    if wanted:
        await unit.conn.execute("SELECT FROM orders WHERE id = ANY($1) ORDER BY id FOR KEY SHARE", wanted)


async def task_fences(unit: Unit, tasks: Sequence[tuple[UUID, int]]) -> dict[tuple[UUID, int], int]:
    """The attempt that each of these (order, task) stands at."""
    if not tasks:
        return {}
    rows = await unit.conn.fetch(sql("task_fences"), *zip(*tasks, strict=True))
    return {(row["order_id"], row["no"]): row["attempt"] for row in rows}


async def cases_of_failures(unit: Unit, keys: Sequence[str], again: Sequence[str]) -> list[Case]:
    """The open cases of these failures; of those in `again` also the newest that is over. Locked."""
    found = await unit.conn.fetch(sql("cases_of_failures"), list(keys), list(again))
    return await unit.cases([row["id"] for row in found]) if found else []


async def cases_waiting_for(unit: Unit, source: str, ref: str) -> list[Case]:
    """The cases that were reported about an order before it came. Locked."""
    return [case_of(row) for row in await unit.conn.fetch(sql("cases_waiting_for"), source, ref)]


async def heard(unit: Unit, names: Iterable[str]) -> None:
    """Note that these sources were heard now."""
    await unit.conn.execute(sql("hear_sources"), sorted(names), unit.now, unit.now - HEARD_EVERY)


async def reporting_sources(unit: Unit, names: Iterable[str]) -> dict[str, Reporting]:
    """What is known of these sources; every name has an answer."""
    rows = await unit.conn.fetch(sql("reporting_sources"), sorted(names), unit.now - HEARD_EVERY)
    return {row["name"]: Reporting(*row) for row in rows}
