"""What a person types, looked up where it is a name: of an order, of a message. Each lookup follows an index."""

from collections.abc import Sequence
from typing import Any

from unstuck.kernel.ids import as_id
from unstuck.store.statements import sql
from unstuck.store.unit import Unit

Rows = Sequence[Any]


async def bearer(unit: Unit, order: int | None, case: int | None, text: str) -> Any:
    """Kind and number of the one order or case that bears this number or id, None when nobody does."""
    return await unit.conn.fetchrow(sql("search_bearer"), order, case, as_id(text))


async def orders_called(unit: Unit, text: str, number: int | None, limit: int) -> Rows:
    """Orders of that number, id, external id or customer; the newest first."""
    found: Rows = await unit.conn.fetch(sql("search_orders"), text, number, as_id(text), limit)
    return found


async def messages_called(unit: Unit, text: str, systems: Sequence[str], limit: int) -> Rows:
    """Calls of ours, callbacks of these systems, reports and flows of that very name."""
    found: Rows = await unit.conn.fetch(sql("search_messages"), text, list(systems), limit)
    return found


async def case_numbered(unit: Unit, number: int) -> Rows:
    """The case of that number, if there is one."""
    found: Rows = await unit.conn.fetch("SELECT * FROM fallout_case WHERE number = $1", number)
    return found
