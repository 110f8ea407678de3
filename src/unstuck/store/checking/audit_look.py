"""What the audit shows to others: checkpoints, keys, proofs; and which checkpoint goes out next."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from unstuck.store.checking.proofs import Proofs
from unstuck.store.seal import key_in_force
from unstuck.store.statements import sql
from unstuck.store.unit import Unit

LEASE = "INSERT INTO shipment (destination, due) VALUES ($1, $2) ON CONFLICT DO NOTHING"
Rows = Sequence[Any]


async def checkpoints(unit: Unit, after: int, limit: int) -> Rows:
    """Checkpoints larger than `after`, smallest first."""
    query = "SELECT size, at, note FROM checkpoint WHERE size > $1 ORDER BY size LIMIT $2"
    found: Rows = await unit.conn.fetch(query, after, limit)
    return found


async def checkpoint(unit: Unit, size: int | None) -> Any:
    """The checkpoint of that size, for None the newest; None when there is none."""
    query = "SELECT size, root, note FROM checkpoint WHERE $1::bigint IS NULL OR size = $1 ORDER BY size DESC LIMIT 1"
    return await unit.conn.fetchrow(query, size)


async def keys(unit: Unit) -> Rows:
    """All signing keys, oldest first."""
    found: Rows = await unit.conn.fetch("SELECT * FROM signing_key ORDER BY no")
    return found


async def event(unit: Unit, stream: UUID, seq: int) -> Any:
    """One event with its leaf, which is null while it is not sealed; None when there is no such event."""
    return await unit.conn.fetchrow(sql("look_leaf"), stream, seq)


async def inclusion(unit: Unit, n: int, size: int) -> list[bytes]:
    """That leaf `n` is in the tree of `size` leaves."""
    return await Proofs(unit.conn, size).inclusion(n)


async def consistency(unit: Unit, old: int, size: int) -> list[bytes]:
    """That the tree of `size` leaves only adds to that of its first `old` ones."""
    return await Proofs(unit.conn, size).consistency(old)


async def lock_tree(unit: Unit) -> tuple[int, str | None, int]:
    """Hold off the sealer; the size of the tree, the key in force, and how many keys there were."""
    size = await unit.conn.fetchval("SELECT size FROM seal FOR UPDATE")
    return size, await key_in_force(unit.conn), await unit.conn.fetchval("SELECT count(*) FROM signing_key")


async def add_key(unit: Unit, no: int, verifier: str, after: int, note: str) -> None:
    """Put a key on record: it signs checkpoints larger than `after`."""
    await unit.conn.execute("INSERT INTO signing_key VALUES ($1, $2, $3, $4, $5)", no, verifier, after, note, unit.now)


async def take_shipment(unit: Unit, destination: str, until: datetime) -> Any:
    """The next checkpoint that is due there (size, note, tries), ours alone until `until`; None when none is."""
    await unit.conn.execute(LEASE, destination, unit.now)
    row = await unit.conn.fetchrow(sql("next_shipment"), destination, unit.now)
    if row is not None:
        await unit.conn.execute("UPDATE shipment SET due = $2 WHERE destination = $1", destination, until)
    return row


async def shipped(unit: Unit, destination: str, size: int) -> None:
    """The checkpoint of that size was taken there; the next may go at once."""
    query = "UPDATE shipment SET size = greatest(size, $2), tries = 0, due = $3, because = '' WHERE destination = $1"
    await unit.conn.execute(query, destination, size, unit.now)


async def not_shipped(unit: Unit, destination: str, due: datetime, because: str) -> None:
    """It was not taken; try again when it is `due`."""
    query = "UPDATE shipment SET tries = tries + 1, due = $2, because = $3 WHERE destination = $1"
    await unit.conn.execute(query, destination, due, because)
