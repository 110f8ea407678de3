"""The bare claim loop: the least that can be killed and go on. Leases, room per target, an order that ends; no audit.

Where `floor` could not tell a claimed task whose worker died from one that runs, this one can: a claim commits with
lease and owner before the call, in a transaction of its own, and a finish commits after it. It is the loop that the
engine's prototype was compared with; it still has no intents, outcomes, payloads, events, cases or retries.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg

from sides.floor_side import NEXT, NO, PLANNER
from sides.plan import PREDECESSORS, STEPS, TARGET_OF, TARGETS, Target, request
from sides.protocol import Ready, Side, connected, main

ROOM = 67  # a target: about 200 a cycle over all
LEASE = timedelta(seconds=30)

SCHEMA = """
CREATE TABLE orders (id uuid PRIMARY KEY, state text NOT NULL, open smallint NOT NULL, finished timestamptz)
    WITH (fillfactor = 80);
CREATE TABLE task (
    order_id uuid, no smallint, target text NOT NULL, state text NOT NULL, waits smallint NOT NULL,
    attempt int NOT NULL DEFAULT 0, prio smallint NOT NULL DEFAULT 100, due timestamptz NOT NULL,
    lease timestamptz, owner text, PRIMARY KEY (order_id, no)
) WITH (fillfactor = 80);
CREATE INDEX ready_task ON task (target, prio, due) WHERE state = 'ready';
CREATE INDEX running_task ON task (lease) WHERE state = 'running';
"""
CLAIM = """
UPDATE task SET state = 'running', attempt = attempt + 1, lease = $4, owner = 'bench'
FROM (SELECT t.order_id, t.no FROM unnest($1::text[], $2::int[]) AS room (target, free) CROSS JOIN LATERAL (
    SELECT order_id, no FROM task WHERE state = 'ready' AND target = room.target AND due <= $3
    ORDER BY prio, due LIMIT room.free FOR UPDATE SKIP LOCKED) t) AS p
WHERE task.order_id = p.order_id AND task.no = p.no RETURNING task.order_id, task.no
"""
FINISH = """
UPDATE task SET state = 'done', lease = NULL, owner = NULL FROM unnest($1::uuid[], $2::smallint[]) AS f (order_id, no)
WHERE task.order_id = f.order_id AND task.no = f.no
"""
RELEASE = """
UPDATE task SET waits = waits - r.finished, state = CASE WHEN waits = r.finished THEN 'ready' ELSE state END
FROM unnest($1::uuid[], $2::smallint[], $3::smallint[]) AS r (order_id, no, finished)
WHERE task.order_id = r.order_id AND task.no = r.no
"""
END = """
UPDATE orders SET open = open - f.finished, state = CASE WHEN open = f.finished THEN 'completed' ELSE state END,
    finished = CASE WHEN open = f.finished THEN $3::timestamptz END
FROM unnest($1::uuid[], $2::smallint[]) AS f (id, finished) WHERE orders.id = f.id
"""

Task = tuple[UUID, int]


async def load(dsn: str, orders: int) -> None:
    ids, now = [uuid4() for _ in range(orders)], datetime.now(UTC)
    waits = [PREDECESSORS.get(step, 0) for step in STEPS]
    rows = [
        (order, NO[step], TARGET_OF[step], "waiting" if waits[NO[step]] else "ready", waits[NO[step]], now)
        for order in ids
        for step in STEPS
    ]
    async with connected(dsn) as connection:
        await connection.execute(SCHEMA)
        states = [(order, "running", len(STEPS)) for order in ids]
        await connection.copy_records_to_table("orders", records=states, columns=("id", "state", "open"))
        columns = ("order_id", "no", "target", "state", "waits", "due")
        await connection.copy_records_to_table("task", records=rows, columns=columns)


async def claim(connection: asyncpg.Connection) -> list[Task]:
    """Take what is ready, at most ROOM a target: one commit before any call."""
    now = datetime.now(UTC)
    rows = await connection.fetch(CLAIM, list(TARGETS), [ROOM] * len(TARGETS), now, now + LEASE)
    return [tuple(row) for row in rows]


async def finish(connection: asyncpg.Connection, done: list[Task]) -> None:
    """Record what was answered, make successors ready, end orders: one commit after the calls."""
    released = Counter((order, no) for order, finished in done for no in NEXT[finished])
    ended = Counter(order for order, _ in done)
    async with connection.transaction():
        await connection.execute(FINISH, *map(list, zip(*done, strict=True)))
        if released:
            await connection.execute(RELEASE, *map(list, zip(*released, strict=True)), list(released.values()))
        await connection.execute(END, list(ended), list(ended.values()), datetime.now(UTC))


async def execute(connection: asyncpg.Connection, target: Target) -> None:
    """Claim, call, finish, until nothing is ready: one worker, so that is the end."""
    while claimed := await claim(connection):
        await asyncio.gather(*(target.call(request(0, STEPS[no])) for _, no in claimed))
        await finish(connection, claimed)


@asynccontextmanager
async def worker(dsn: str) -> AsyncGenerator[Ready]:
    target = Target()
    connection = await asyncpg.connect(dsn, server_settings=PLANNER)

    async def check() -> dict[str, int]:
        done = await connection.fetchval("SELECT count(*) FROM orders WHERE state = 'completed'")
        return {"orders": done, "calls": target.calls}

    try:
        yield Ready(lambda: execute(connection, target), check)
    finally:
        await connection.close()


SIDE = Side(
    config={"driver": "asyncpg", "loop": "uvloop", "connections": 1, "room": ROOM, "planner": PLANNER},
    load=load,
    worker=worker,
)

if __name__ == "__main__":
    main(SIDE)
