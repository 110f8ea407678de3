"""Which index a list of orders is read along. There is none by state: it would be written at every step of the engine."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from unstuck.kernel.ids import as_id, as_number
from unstuck.store.listing.walk import WALKED, Clause, Sort, Walk, sizes
from unstuck.store.statements import sql
from unstuck.store.unit import Unit

RECEIVED = ("received_at", "id")
SORTS = {"received_at": RECEIVED, "number": ("number",)}
COLUMNS = """id, number, external_id, source, customer, state, version, item_states, received_at, promised_at,
    finished_at, pack"""


class WantedOrders(msgspec.Struct, frozen=True):
    """What a list of orders is asked for; `since` and `before` bound the time of receipt, the end excluded."""

    equals: dict[str, tuple[str, ...]] = {}
    since: datetime | None = None
    before: datetime | None = None
    text: str = ""


async def walk_for(unit: Unit, wanted: WantedOrders, sort: Sort) -> Walk:
    """The walk that finds what is wanted in the order `sort`."""
    along = Sort(RECEIVED, sort.descending)
    if wanted.text:
        numbers = (as_number(wanted.text, "ORD-"), as_id(wanted.text))
        named = [row["id"] for row in await unit.conn.fetch(sql("orders_named_so"), wanted.text, *numbers, WALKED + 1)]
        few = Clause("id = ANY({}::uuid[])", (named[:WALKED],))
        return msgspec.structs.replace(_walk(wanted, "", (few,), along), whole=True, partial=len(named) > WALKED)
    drives = {"external_id": along, "customer": along, "source": Sort(("source", "external_id"))}
    driven = [_walk(wanted, name, (), order) for name, order in drives.items() if name in wanted.equals]
    if driven:
        held = await sizes(unit, driven)
        if min(held) <= WALKED:
            return msgspec.structs.replace(driven[held.index(min(held))], whole=True)
    if sort == along and "customer" in wanted.equals:
        return _walk(wanted, "customer", (), along)
    return _walk(wanted, "", (), sort)


async def open_cases_of(unit: Unit, ids: Sequence[UUID]) -> Sequence[Any]:
    """Which open cases these orders have."""
    found: Sequence[Any] = await unit.conn.fetch(sql("open_of_orders"), list(ids))
    return found


def _walk(wanted: WantedOrders, name: str, arm: tuple[Clause, ...], along: Sort) -> Walk:
    """A walk of the orders that have one of the values of the filter `name`; of all of them without."""
    by_time = along.columns == RECEIVED
    since = (Clause("received_at >= {}", (wanted.since,)),) if wanted.since else ()
    period = (*since, *((Clause("received_at < {}", (wanted.before,)),) if wanted.before else ()))
    named = [(Clause(f"{name} = {{}}", (value,)),) for value in wanted.equals[name]] if name else [arm]
    arms = tuple((*each, *(period if by_time else ())) for each in named)
    kept = [Clause(f"{n} = ANY({{}}::text[])", (list(v),)) for n, v in wanted.equals.items() if n != name]
    return Walk("orders", COLUMNS, arms, along, (*kept, *(() if by_time else period)))
