"""Two races that need no processes of their own: siblings that end together, and two commits across a seal."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from proof.stack import place
from proof.world import PACK, order_body
from unstuck.app import open_ports
from unstuck.config import Config
from unstuck.repair.outcome import Outcome, Result
from unstuck.service.order_work.advance import Arrival, Started, advance
from unstuck.service.order_work.intake import Sent, submit
from unstuck.service.ports import Ports
from unstuck.store import seal as sealer
from unstuck.store.server import Urls
from unstuck.web.tmf.reader import read_order

BY_TIME = "SELECT stream, seq, at, recorded_at, type, v, by, data, xid::text AS xid FROM event WHERE recorded_at > $1"


async def siblings(url: str, name: str, orders: int) -> dict[str, int]:
    """Two workers record, at once, the two tasks a third waits for; how many orders are left with nothing to do."""
    config = Config(pack=str(PACK))
    async with open_ports(config, url, size=4) as one, open_ports(config, url, size=4) as two:
        for number in range(orders):
            body = order_body(f"{name}-{number}", f"C-{name}-{number}", "fan")
            await submit(one, read_order(body, "proof"), Sent("tmf641", "proof", "", body, len(body)))
        started = await advance(one, [], {"billing": orders, "warehouse": orders})
        pairs: dict[UUID, list[Started]] = {}
        for call in started:
            pairs.setdefault(UUID(str(call.call.order_id)), []).append(call)
        for pair in pairs.values():
            await asyncio.gather(
                *(advance(ports, [_done(ports, call)], {}) for ports, call in zip((one, two), pair, strict=True))
            )
        stuck = await one.store.pool.fetchval(
            "SELECT count(*) FROM task WHERE order_id = ANY($1) AND no = 2 AND state = 'PENDING'", list(pairs)
        )
    return {"orders": orders, "stuck": stuck}


async def interleaved_seal(urls: Urls, *, by_time: bool) -> int:
    """An event that began first and commits last, with a seal in between; how many events have no leaf then."""
    now = datetime.now(UTC)
    pool = await asyncpg.create_pool(urls.app, min_size=1, max_size=4)
    try:
        with place() as folder:
            signer = sealer.Signer("proof.local", b"0" * 32)
            async with pool.acquire() as early, pool.acquire() as late:
                slow = early.transaction()
                await slow.start()
                await _event(early, now)
                async with late.transaction():
                    await _event(late, now + timedelta(milliseconds=1))
                await _seal(pool, signer, now, folder, by_time)
                await slow.commit()
            await _seal(pool, signer, now, folder, by_time)
            return int(await pool.fetchval(f"SELECT count(*) FROM event e WHERE NOT EXISTS ({LEAF_OF})"))
    finally:
        await pool.close()


LEAF_OF = "SELECT FROM leaf l WHERE (l.stream, l.seq) = (e.stream, e.seq)"


async def _seal(pool: asyncpg.Pool, signer: sealer.Signer, now: datetime, folder: Any, by_time: bool) -> None:
    if not by_time:
        await sealer.seal(pool, signer, now, folder)
        return
    # The seeded bug: the cursor is the greatest value seen, as with an identity column or a clock.
    async with pool.acquire() as conn, conn.transaction():
        last = await conn.fetchval(
            "SELECT coalesce(max(e.recorded_at), '-infinity') FROM leaf l JOIN event e USING (stream, seq)"
        )
        size = await conn.fetchval("SELECT count(*) FROM leaf")
        rows = await conn.fetch(f"{BY_TIME} ORDER BY recorded_at", last)
        leaves = [(size + n, row["stream"], row["seq"], sealer.hash_of(row)) for n, row in enumerate(rows)]
        await conn.copy_records_to_table("leaf", records=leaves, columns=("n", "stream", "seq", "hash"))


async def _event(conn: asyncpg.Connection, at: datetime) -> None:
    await conn.execute(
        "INSERT INTO event (stream, seq, at, recorded_at, type, v, by, data) VALUES ($1, 1, $2, $2, 'proof', 1, 'proof', $3)",
        uuid4(), at, b"{}",
    )  # fmt: skip


def _done(ports: Ports, started: Started) -> Arrival:
    call = started.call
    outcome = Outcome(Result.DONE, ports.now(), status=200)
    return Arrival(UUID(str(call.order_id)), call.task, call.attempt, call.kind, started.day, outcome)
