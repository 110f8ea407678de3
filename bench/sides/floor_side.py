"""The floor: the bare claim loop, and nothing else. No order row, no audit, no intent, no retry.

It is the least that a durable engine on PostgreSQL can do for this plan: every task is claimed and finished
by a committed write, and a successor becomes ready when the counter of its open predecessors reaches zero.
One transaction a cycle records what the last calls answered and claims the next tasks.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import asyncpg

from sides.plan import PREDECESSORS, STEPS, SUCCESSORS, TARGET_OF, TARGETS, Target, request
from sides.protocol import Ready, Side, connected, main

BATCH = 200
NO = {step: no for no, step in enumerate(STEPS)}
NEXT = tuple(tuple(NO[step] for step in SUCCESSORS[step_before]) for step_before in STEPS)

# A plan made while the table was small must not become a scan of it.
PLANNER = {"enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off"}

SCHEMA = """
CREATE TABLE task (
    order_id int, no smallint, target smallint NOT NULL,
    state "char" NOT NULL,  -- w waiting, r ready, c claimed, d done
    waits smallint NOT NULL,
    PRIMARY KEY (order_id, no)
) WITH (fillfactor = 80);
CREATE INDEX ready_task ON task (order_id, no) WHERE state = 'r';
"""
FINISH = """
UPDATE task SET state = 'd' FROM unnest($1::int[], $2::smallint[]) AS f (order_id, no)
WHERE task.order_id = f.order_id AND task.no = f.no
"""
RELEASE = """
UPDATE task SET waits = waits - r.finished, state = CASE WHEN waits = r.finished THEN 'r' ELSE state END
FROM unnest($1::int[], $2::smallint[], $3::smallint[]) AS r (order_id, no, finished)
WHERE task.order_id = r.order_id AND task.no = r.no
"""
CLAIM = """
UPDATE task SET state = 'c'
FROM (SELECT order_id, no FROM task WHERE state = 'r' ORDER BY order_id, no LIMIT $1 FOR UPDATE SKIP LOCKED) AS p
WHERE task.order_id = p.order_id AND task.no = p.no RETURNING task.order_id, task.no
"""

Task = tuple[int, int]


async def load(dsn: str, orders: int) -> None:
    rows = [
        (order, NO[step], TARGETS.index(TARGET_OF[step]), b"w" if waits else b"r", waits)
        for order in range(orders)
        for step in STEPS
        for waits in [PREDECESSORS.get(step, 0)]
    ]
    async with connected(dsn) as connection:
        await connection.execute(SCHEMA)
        await connection.copy_records_to_table("task", records=rows)


async def cycle(connection: asyncpg.Connection, done: list[Task]) -> list[Task]:
    """Record what is done, make its successors ready, claim what is next: one commit."""
    released = Counter((order, no) for order, finished in done for no in NEXT[finished])
    async with connection.transaction():
        if done:
            await connection.execute(FINISH, *map(list, zip(*done, strict=True)))
        if released:
            keys = map(list, zip(*released, strict=True))
            await connection.execute(RELEASE, *keys, list(released.values()))
        return [tuple(row) for row in await connection.fetch(CLAIM, BATCH)]


async def execute(connection: asyncpg.Connection, target: Target) -> None:
    """Cycle until nothing is ready and nothing was released: one worker, so that is the end."""
    done: list[Task] = []
    while claimed := await cycle(connection, done):
        await asyncio.gather(*(target.call(request(order, STEPS[no])) for order, no in claimed))
        done = claimed


@asynccontextmanager
async def worker(dsn: str) -> AsyncGenerator[Ready]:
    target = Target()
    connection = await asyncpg.connect(dsn, server_settings=PLANNER)

    async def check() -> dict[str, int]:
        done = "SELECT count(*) FILTER (WHERE no = 5) AS orders, count(*) AS tasks FROM task WHERE state = 'd'"
        return {**await connection.fetchrow(done), "calls": target.calls}

    try:
        yield Ready(lambda: execute(connection, target), check)
    finally:
        await connection.close()


SIDE = Side(
    config={"driver": "asyncpg", "loop": "uvloop", "connections": 1, "batch": BATCH, "planner": PLANNER},
    load=load,
    worker=worker,
)

if __name__ == "__main__":
    main(SIDE)
