"""What other order managers tell of their own orders, kept as it came, once for each of their events."""

from datetime import datetime

import msgspec

from unstuck.store.unit import Unit


class ForeignEvent(msgspec.Struct, frozen=True, array_like=True):
    """One event: whose it is, what it tells of which of their orders (in their words), and the bytes."""

    source: str
    event_id: str
    at: datetime
    event: str
    order_ref: str
    state: str
    sha256: str
    body: bytes


async def keep_foreign_event(unit: Unit, event: ForeignEvent) -> bool:
    """Write the event; whether it is new."""
    query = "INSERT INTO foreign_event VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING"
    return bool(await unit.conn.execute(query, *msgspec.structs.astuple(event)) == "INSERT 0 1")
