"""Orders as TM Forum's API asks for them: found by what has a column, read many at once. Nothing here locks."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from unstuck.kernel.ids import as_id
from unstuck.store.statements import sql
from unstuck.store.unit import Unit

Rows = Sequence[Any]
ENDED_BADLY = "EXISTS (SELECT FROM fallout_case c WHERE c.order_id = o.id AND c.state IN ('RESOLVED_CANCEL', 'CLOSED') AND c.resolution = 'cancel' AND c.recoverability = 'terminal')"  # fmt: skip
NONE_DONE = "o.state = 'COMPLETED' AND NOT 'COMPLETED' = ANY(o.item_states)"
# Each TMF641 state as the rows say it; {waits} stands for the orders of which all that remains waits for others.
STATES = {
    "acknowledged": "o.state = 'NOT_STARTED'",
    "inProgress": "o.state = 'IN_PROGRESS' AND o.id <> ALL({waits})",
    "pending": "(o.state = 'WAITING_FOR_REVISION' OR o.state = 'IN_PROGRESS' AND o.id = ANY({waits}))",
    "held": "o.state IN ('SUSPENDED', 'FAILED', 'AMENDING')",
    "pendingCancellation": "o.state = 'CANCELLING'",
    "completed": "o.state = 'COMPLETED' AND NOT 'CANCELLED' = ANY(o.item_states)",
    "partial": "o.state = 'COMPLETED' AND 'CANCELLED' = ANY(o.item_states) AND 'COMPLETED' = ANY(o.item_states)",
    "failed": f"{NONE_DONE} AND {ENDED_BADLY}",
    "cancelled": f"(o.state IN ('CANCELLED', 'ABORTED') OR {NONE_DONE} AND NOT {ENDED_BADLY})",
}
COLUMNS = {
    "id": "o.id::text",
    "externalId": "o.external_id",
    "orderDate": "o.received_at",
    "completionDate": "o.finished_at",
    "relatedParty.id": "o.customer",
}
OPERATORS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


class Found(msgspec.Struct):
    """What of a search has a column: equal to any of these values, between these times, in any of these states."""

    equal: list[tuple[str, list[Any]]] = []
    compare: list[tuple[str, str, datetime]] = []
    states: list[list[str]] = []
    oldest_first: bool = False

    def clauses(self, waits: Sequence[UUID]) -> tuple[str, list[Any]]:
        """The condition and its values."""
        values: list[Any] = [list(waits)]
        parts = ["$1::uuid[] IS NOT NULL"]
        for name, wanted in self.equal:
            values.append(wanted)
            column, values[-1] = (
                ("o.id", list(filter(None, map(as_id, wanted)))) if name == "id" else (COLUMNS[name], wanted)
            )
            parts.append(f"{column} = ANY(${len(values)})")
        for name, operator, at in self.compare:
            values.append(at)
            parts.append(f"{COLUMNS[name]} {OPERATORS[operator]} ${len(values)}")
        for states in self.states:
            said = [STATES[state].format(waits="$1::uuid[]") for state in states if state in STATES]
            parts.append("(" + " OR ".join(f"({one})" for one in said) + ")" if said else "false")
        return " AND ".join(parts), values


async def found(unit: Unit, wanted: Found, waits: Sequence[UUID], offset: int, limit: int) -> list[UUID]:
    """The ids of the orders that fit, newest first unless asked otherwise."""
    where, values = wanted.clauses(waits)
    way = "ASC" if wanted.oldest_first else "DESC"
    query = (
        f"SELECT o.id FROM orders o WHERE {where} ORDER BY o.received_at {way}, o.id OFFSET {offset:d} LIMIT {limit:d}"
    )
    return [row["id"] for row in await unit.conn.fetch(query, *values)]


async def counted(unit: Unit, wanted: Found, waits: Sequence[UUID]) -> int:
    """How many orders fit."""
    where, values = wanted.clauses(waits)
    return int(await unit.conn.fetchval(f"SELECT count(*) FROM orders o WHERE {where}", *values))


async def may_wait(unit: Unit, states: Sequence[str], limit: int) -> list[UUID]:
    """Orders in progress that have a case in one of these states."""
    query = (
        "SELECT DISTINCT c.order_id FROM fallout_case c JOIN orders o ON o.id = c.order_id"
        " WHERE c.state = ANY($1) AND o.state = 'IN_PROGRESS' LIMIT $2"
    )
    return [row["order_id"] for row in await unit.conn.fetch(query, list(states), limit)]


async def orders(unit: Unit, ids: Sequence[UUID]) -> Rows:
    """These orders with what they came as."""
    rows: Rows = await unit.conn.fetch(sql("service_orders"), ids)
    return rows


async def tasks(unit: Unit, ids: Sequence[UUID]) -> Rows:
    """Their tasks."""
    rows: Rows = await unit.conn.fetch(sql("service_order_tasks"), ids)
    return rows


async def cases(unit: Unit, ids: Sequence[UUID]) -> Rows:
    """Their cases, oldest first."""
    query = "SELECT * FROM fallout_case WHERE order_id = ANY($1::uuid[]) ORDER BY detected_at, id"
    rows: Rows = await unit.conn.fetch(query, ids)
    return rows


async def annotations(unit: Unit, ids: Sequence[UUID]) -> Rows:
    """The words that were added to them, oldest first."""
    query = "SELECT order_id, body FROM order_annotation WHERE order_id = ANY($1::uuid[]) ORDER BY order_id, at, id"
    rows: Rows = await unit.conn.fetch(query, ids)
    return rows


async def late(unit: Unit, ids: Sequence[UUID]) -> Rows:
    """The alerts that were raised of them."""
    rows: Rows = await unit.conn.fetch(sql("service_order_late"), ids)
    return rows


async def history(unit: Unit, order_id: UUID, last: int) -> Rows:
    """The sealed events of an order and its cases up to the leaf `last`."""
    rows: Rows = await unit.conn.fetch(sql("service_order_history"), order_id, last)
    return rows


async def refused(unit: Unit, id: UUID, channel: str) -> Any:
    """What came in over this channel under this id and was not taken; None when there is no such thing."""
    query = "SELECT id, at, answer, because FROM intake WHERE id = $1 AND channel = $2 AND order_id IS NULL"
    return await unit.conn.fetchrow(query, id, channel)


async def cancellation(unit: Unit, id: UUID) -> Any:
    """One request to cancel, None when there is none."""
    return await unit.conn.fetchrow("SELECT * FROM cancel_service_order WHERE id = $1", id)


async def cancellations(unit: Unit, order_ids: Sequence[UUID] | None, offset: int, limit: int) -> tuple[Rows, int]:
    """Requests to cancel, newest first, and how many there are; only those of `order_ids` when given."""
    where = "$1::uuid[] IS NULL OR order_id = ANY($1)"
    query = f"SELECT * FROM cancel_service_order WHERE {where} ORDER BY at DESC, id OFFSET $2 LIMIT $3"
    rows: Rows = await unit.conn.fetch(query, order_ids, offset, limit)
    total = await unit.conn.fetchval(f"SELECT count(*) FROM cancel_service_order WHERE {where}", order_ids)
    return rows, int(total)
