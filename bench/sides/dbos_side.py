"""DBOS: a durable workflow per order, a step per task, parallel steps by asyncio.gather.

Steps inside one workflow are cheaper than a queued workflow per task, which would write a status row for
each. Orders are enqueued on a queue that no worker knows; registering it is what starts the work.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from dbos import DBOS, DBOSClient, DBOSConfig

from sides.plan import FIRST, TARGET_OF, Target, request
from sides.protocol import Ready, Side, connected, main

QUEUE = "orders"
POLL_S = 0.1
COMPLETE = "SELECT count(*) FROM dbos.workflow_status WHERE status = 'SUCCESS'"

target = Target()
left = 0
last = asyncio.Event()


@DBOS.step()
async def crm(asked: str) -> str:
    return await target.call(asked)


@DBOS.step()
async def network(asked: str) -> str:
    return await target.call(asked)


@DBOS.step()
async def billing(asked: str) -> str:
    return await target.call(asked)


CALL = {"crm": crm, "network": network, "billing": billing}


async def stage(order: int, steps: str) -> None:
    await asyncio.gather(*(CALL[TARGET_OF[step]](request(order, step)) for step in steps))


@DBOS.workflow()
async def execute(order: int) -> None:
    global left
    await stage(order, "".join(FIRST))
    await stage(order, "de")
    await stage(order, "f")
    left -= 1
    if not left:
        last.set()


def launch(dsn: str) -> None:
    config: DBOSConfig = {
        "name": "bench",
        "system_database_url": dsn,
        "application_version": "1",
        "log_level": "ERROR",
        "enable_otlp": False,
    }
    DBOS(config=config)
    DBOS.listen_queues([QUEUE])
    DBOS.launch()


def enqueue(dsn: str, orders: int) -> None:
    client = DBOSClient(system_database_url=dsn)
    for order in range(orders):
        client.enqueue({"workflow_name": execute.__qualname__, "queue_name": QUEUE, "app_version": "1"}, order)
    client.destroy()


async def load(dsn: str, orders: int) -> None:
    launch(dsn)  # creates the schema
    await asyncio.to_thread(enqueue, dsn, orders)
    DBOS.destroy()


@asynccontextmanager
async def worker(dsn: str) -> AsyncGenerator[Ready]:
    global left
    launch(dsn)
    async with connected(dsn) as connection:
        left = await connection.fetchval("SELECT count(*) FROM dbos.workflow_status")
        orders = left

        async def work() -> None:
            await DBOS.register_queue_async(QUEUE, polling_interval_sec=POLL_S)
            await last.wait()
            # DBOS writes the outcome after the workflow returned and tells nobody.
            while await connection.fetchval(COMPLETE) < orders:  # noqa: ASYNC110
                await asyncio.sleep(0.02)

        async def check() -> dict[str, int]:
            done = await connection.fetchval(COMPLETE)
            tasks = await connection.fetchval("SELECT count(*) FROM dbos.operation_outputs")
            return {"orders": done, "tasks": tasks, "calls": target.calls}

        yield Ready(work, check)
    DBOS.destroy()


SIDE = Side(
    config={
        "driver": "psycopg over SQLAlchemy",
        "loop": "uvloop",
        "queue": {"worker_concurrency": "unlimited (default)", "polling_interval_sec": POLL_S},
        "sys_db_pool_size": "20 (default)",
        "steps": "asyncio.gather",
    },
    load=load,
    worker=worker,
)

if __name__ == "__main__":
    main(SIDE)
