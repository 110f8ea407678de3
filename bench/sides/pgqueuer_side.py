"""pgqueuer: a job per task, in batches; the last predecessor to finish enqueues the successors.

An entrypoint per target. A handler counts down its join and enqueues what that released on one connection,
in one transaction; the library flushes finished jobs to its log in batches of `batch_size` by itself.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import asyncpg
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver
from pgqueuer.models import Job
from pgqueuer.queries import Queries

from sides.joins import JOIN_AFTER, RELEASES, load_joins
from sides.plan import FIRST, TARGET_OF, TARGETS, Target, request
from sides.protocol import Ready, Side, connected, main

BATCH = 200
CONNECTIONS = 3  # one of them listens
COUNT_DOWN = "UPDATE plan_join SET waits = waits - 1 WHERE order_id = $1 AND no = $2 RETURNING waits"


async def keep(connection: asyncpg.Connection) -> None:
    """Leave a released connection as it is: no handler sets anything, and asyncpg's reset is one more commit."""


async def enqueue(queries: Queries, order: int, steps: str) -> None:
    """Enqueue several steps of one order in one statement."""
    await queries.enqueue(
        [TARGET_OF[step] for step in steps],
        [request(order, step).encode() for step in steps],
        [0] * len(steps),
    )


async def load(dsn: str, orders: int) -> None:
    async with connected(dsn) as connection:
        queries = Queries.from_asyncpg_connection(connection)
        await queries.install()
        await load_joins(connection, orders)
        for order in range(orders):
            await enqueue(queries, order, "".join(FIRST))


async def finish(pool: asyncpg.Pool, order: int, step: str) -> None:
    """Count down the join of a finished step and enqueue what waited only for it."""
    join = JOIN_AFTER[step]
    async with pool.acquire() as connection, connection.transaction():
        if await connection.fetchval(COUNT_DOWN, order, join) == 0:
            await enqueue(Queries(AsyncpgDriver(connection)), order, RELEASES[join])


@asynccontextmanager
async def worker(dsn: str) -> AsyncGenerator[Ready]:
    target = Target()
    size = {"min_size": CONNECTIONS, "max_size": CONNECTIONS}
    async with asyncpg.create_pool(dsn, reset=keep, **size) as pool:
        orders = await pool.fetchval("SELECT count(*) FROM plan_join WHERE no = 0")
        app = PgQueuer.from_asyncpg_pool(pool)
        left = orders

        async def handle(job: Job) -> None:
            nonlocal left
            assert job.payload is not None
            asked = json.loads(job.payload)
            await target.call(job.payload.decode())
            if asked["step"] != "f":
                await finish(pool, asked["order"], asked["step"])
                return
            left -= 1
            if not left:
                app.shutdown.set()

        for name in TARGETS:
            app.entrypoint(name)(handle)

        async def work() -> None:
            await app.run(batch_size=BATCH, max_concurrent_tasks=2 * BATCH)

        async def check() -> dict[str, int]:
            done = "SELECT count(*) FROM pgqueuer_log WHERE status = 'successful'"
            tasks, waiting = await pool.fetchval(done), await pool.fetchval("SELECT count(*) FROM pgqueuer")
            return {"orders": 0 if waiting else tasks // 6, "tasks": tasks, "calls": target.calls}

        yield Ready(work, check)


SIDE = Side(
    config={
        "driver": "asyncpg pool, no reset on release",
        "loop": "uvloop",
        "connections": CONNECTIONS,
        "batch_size": BATCH,
        "max_concurrent_tasks": 2 * BATCH,
        "durability": "durable (default)",
    },
    load=load,
    worker=worker,
)

if __name__ == "__main__":
    main(SIDE)
