"""Rows to look at: what views are made of. Nothing here locks or changes anything."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from unstuck.kernel.refusal import Missing
from unstuck.store.listing.case_list import COLUMNS
from unstuck.store.statements import sql
from unstuck.store.unit import Store, Unit

Rows = Sequence[Any]
LIMIT = 1000
SHOWN = 100_000  # bytes of a body
CUT = SHOWN + 1  # enough to see that it is longer


async def case_row(unit: Unit, case_id: UUID) -> Any:
    """One case, its raw bytes too."""
    return _there(await unit.conn.fetchrow("SELECT * FROM fallout_case WHERE id = $1", case_id), f"case {case_id}")


async def order_row(unit: Unit, order_id: UUID) -> Any:
    """One order."""
    return _there(await unit.conn.fetchrow("SELECT * FROM orders WHERE id = $1", order_id), f"order {order_id}")


async def cases_of(unit: Unit, order_id: UUID) -> Rows:
    """The cases of an order, oldest first."""
    query = f"SELECT {COLUMNS} FROM fallout_case WHERE order_id = $1 ORDER BY detected_at LIMIT {LIMIT}"
    found: Rows = await unit.conn.fetch(query, order_id)
    return found


async def silent_sources(unit: Unit) -> list[str]:
    """The sources that should have been heard and were not."""
    rows = await unit.conn.fetch("SELECT name FROM source WHERE silent_since IS NOT NULL ORDER BY name")
    return [row["name"] for row in rows]


async def tasks(unit: Unit, order_id: UUID) -> Rows:
    """The tasks of an order, in the order of its plan."""
    found: Rows = await unit.conn.fetch("SELECT * FROM task WHERE order_id = $1 ORDER BY no", order_id)
    return found


async def attempts(unit: Unit, order_id: UUID, task: int | None) -> Rows:
    """The calls of an order, or of one of its tasks; of long bodies the beginning."""
    found: Rows = await unit.conn.fetch(sql("look_attempts"), order_id, task, CUT)
    return found


async def reveals_of(unit: Unit, who: str, since: datetime) -> int:
    """How often somebody was shown masked values since then. Their next one waits until this transaction is over."""
    await unit.conn.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"reveal {who}")
    return int(await unit.conn.fetchval(sql("look_reveals"), who, since))


async def was_revealed(unit: Unit, case_id: UUID, who: str, since: datetime) -> bool:
    """Whether somebody was shown the masked values of this case since then."""
    return bool(await unit.conn.fetchval(sql("look_revealed"), case_id, who, since))


async def messages(unit: Unit, case_ids: Sequence[UUID]) -> Rows:
    """What systems said of these cases, with the bodies they may repeat."""
    found: Rows = await unit.conn.fetch(sql("look_messages"), list(case_ids), CUT)
    return found


async def callbacks(unit: Unit, order_id: UUID) -> Rows:
    """The callbacks of an order, of long bodies the beginning."""
    found: Rows = await unit.conn.fetch(sql("look_callbacks"), order_id, CUT)
    return found


async def tokens(unit: Unit, case_id: UUID) -> Rows:
    """The resume tokens of a case."""
    found: Rows = await unit.conn.fetch(sql("look_tokens"), case_id)
    return found


async def events(unit: Unit, stream: UUID) -> Rows:
    """The events of a stream, oldest first."""
    found: Rows = await unit.conn.fetch(f"SELECT * FROM event WHERE stream = $1 ORDER BY seq LIMIT {LIMIT}", stream)
    return found


async def by_number(store: Store, table: str, number: int) -> UUID | None:
    """The id behind a number that people use; `table` is one of ours, never input."""
    found: UUID | None = await store.pool.fetchval(f"SELECT id FROM {table} WHERE number = $1", number)
    return found


async def answers(store: Store) -> None:
    """Ask the database anything: raises when it is away."""
    await store.pool.fetchval("SELECT 1")


async def token_holders(store: Store, digests: Sequence[str]) -> dict[str, tuple[str, frozenset[str], str]]:
    """Name, roles and source behind the digests of API tokens; unknown and revoked ones are left out."""
    query = "SELECT sha256, name, roles, source FROM api_token WHERE sha256 = ANY($1) AND revoked_at IS NULL"
    rows = await store.pool.fetch(query, list(digests))
    return {row["sha256"]: (row["name"], frozenset(row["roles"]), row["source"]) for row in rows}


def _there(row: Any, what: str) -> Any:
    if row is None:
        raise Missing(what)
    return row
