"""Statements of the outbox: leaves out, receivers claimed, what became of each message.

Losing the last moments of this bookkeeping to a crash only sends messages again, which receivers expect, so its
commits do not wait for the disk.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from unstuck.kernel.refusal import Missing
from unstuck.store.statements import sql
from unstuck.store.unit import Store, Unit

Rows = Sequence[Any]


class Parked(msgspec.Struct, frozen=True, array_like=True):
    """A message that waits, or is dead. Only the first of a stream has a `due`."""

    leaf: int
    stream: UUID
    state: str
    tries: int
    due: datetime | None
    status: int
    because: str


class Standing(msgspec.Struct, frozen=True):
    """Where a receiver stands after a batch: all leaves below `next_leaf` and those in `ahead` are accounted for."""

    next_leaf: int
    ahead: list[int]
    held_until: datetime | None
    failures: int
    refusals: int
    because: str


async def claim(unit: Unit, fence: UUID, lease: datetime, limit: int) -> Rows:
    """Receivers that have something to get, taken until `lease`."""
    await unit.conn.execute("SET LOCAL synchronous_commit = off")
    rows: Rows = await unit.conn.fetch(sql("outbox_claim"), unit.now, lease, fence, limit)
    return rows


async def leaves(unit: Unit, first: int, limit: int) -> Rows:
    """At most `limit` leaves from `first` on."""
    rows: Rows = await unit.conn.fetch(sql("outbox_leaves"), first, limit)
    return rows


async def leaves_again(unit: Unit, numbers: Sequence[int]) -> Rows:
    """These leaves."""
    rows: Rows = await unit.conn.fetch(sql("outbox_leaves_again"), list(numbers))
    return rows


async def due(unit: Unit, subscription: UUID, streams: int, limit: int) -> dict[int, int]:
    """The leaves of parked streams that are due, in order, and how often each was tried."""
    rows = await unit.conn.fetch(sql("outbox_due"), subscription, unit.now, streams, limit)
    return {row["leaf"]: row["tries"] for row in rows}


async def parked(unit: Unit, subscription: UUID, streams: Sequence[UUID]) -> frozenset[UUID]:
    """Which of these streams something is waiting or dead in."""
    query = "SELECT DISTINCT stream FROM delivery WHERE subscription = $1 AND stream = ANY($2)"
    return frozenset(row["stream"] for row in await unit.conn.fetch(query, subscription, list(streams)))


async def settle(
    unit: Unit, subscription: UUID, fence: UUID, standing: Standing, parked: Sequence[Parked], done: Sequence[int],
    again: Sequence[tuple[int, UUID]],
) -> bool:  # fmt: skip
    """Write what became of a batch; False, and nothing written, when the claim behind `fence` is no longer the last.

    `done` are leaves that were delivered; `again` those of them (and their streams) that had been parked.
    """
    await unit.conn.execute("SET LOCAL synchronous_commit = off")
    moved = await unit.conn.execute(
        sql("outbox_settle"), subscription, fence, *msgspec.structs.astuple(standing), len(done), unit.now
    )
    if moved != "UPDATE 1":
        return False
    if again:
        query = "DELETE FROM delivery WHERE subscription = $1 AND leaf = ANY($2)"
        await unit.conn.execute(query, subscription, [leaf for leaf, _ in again])
    if parked:
        columns = zip(*map(msgspec.structs.astuple, parked), strict=True)
        await unit.conn.execute(sql("outbox_park"), subscription, unit.now, *columns)
    await _line_up(unit, subscription, {*(p.stream for p in parked), *(stream for _, stream in again)})
    return True


async def _line_up(unit: Unit, subscription: UUID, streams: set[UUID]) -> None:
    if streams:
        await unit.conn.execute(sql("outbox_die"), subscription, list(streams))
        await unit.conn.execute(sql("outbox_wake"), subscription, list(streams), unit.now)


async def revive(unit: Unit, subscription: UUID) -> int:
    """Let every dead message be tried again, from the first of its stream on; how many."""
    streams = [row["stream"] for row in await unit.conn.fetch(sql("outbox_revive"), subscription)]
    await _line_up(unit, subscription, set(streams))
    return len(streams)


async def forget_from(unit: Unit, subscription: UUID, leaf: int) -> None:
    """Whatever waits or is dead from this leaf on comes again by itself: it is read anew."""
    await unit.conn.execute("DELETE FROM delivery WHERE subscription = $1 AND leaf >= $2", subscription, leaf)


async def drop(unit: Unit, subscription: UUID, leaf: int) -> None:
    """Give up the first dead message of its stream; those behind it wait again. Missing when it is not one."""
    query = "DELETE FROM delivery WHERE subscription = $1 AND leaf = $2 AND state = 'DEAD' RETURNING stream"
    stream = await unit.conn.fetchval(query, subscription, leaf)
    if stream is None:
        raise Missing(f"a dead message {leaf} of this subscription")
    rest = (
        "UPDATE delivery SET state = 'WAITING', due = NULL WHERE subscription = $1 AND stream = $2 AND state = 'DEAD'"
    )
    await unit.conn.execute(rest, subscription, stream)
    await _line_up(unit, subscription, {stream})


async def locked(unit: Unit, subscription: UUID) -> Any:
    """One subscription's row, locked; Missing when there is none, or it is deleted."""
    query = "SELECT * FROM subscription WHERE id = $1 AND state <> 'DELETED' FOR UPDATE"
    row = await unit.conn.fetchrow(query, subscription)
    if row is None:
        raise Missing(f"subscription {subscription}")
    return row


async def shown(unit: Unit, subscription: UUID | None, owner: str | None) -> Rows:
    """Subscriptions with how far behind they are: one, those of an owner, or all."""
    rows: Rows = await unit.conn.fetch(sql("look_subscriptions"), subscription, owner)
    return rows


async def dead(unit: Unit, subscription: UUID) -> Rows:
    """The dead messages of a subscription, at most 500."""
    rows: Rows = await unit.conn.fetch(sql("look_dead"), subscription)
    return rows


async def size(unit: Unit) -> int:
    """How many leaves there are: the number of the next one."""
    return int(await unit.conn.fetchval("SELECT size FROM seal"))


async def sealed(store: Store) -> int:
    """How many leaves there are, asked outside any transaction."""
    return int(await store.pool.fetchval("SELECT size FROM seal"))
