"""procrastinate: a job per task, fetched one by one; the last predecessor to finish defers the successors.

One task for all targets, so that what a join releases is one `batch_defer`. It counts down its join and defers
on the same connection, which `configure(connection=…)` documents for exactly this; the library fetches and
finishes every job in a statement of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager, suppress

from procrastinate import App, PsycopgConnector

from sides.joins import JOIN_AFTER, RELEASES, load_joins
from sides.plan import FIRST, Target, request
from sides.protocol import Ready, Side, connected, main

TASK = "step"
CONCURRENCY = 20
CONNECTIONS = 10
COUNT_DOWN = "UPDATE plan_join SET waits = waits - 1 WHERE order_id = %s AND no = %s RETURNING waits"


def app_on(dsn: str) -> App:
    return App(connector=PsycopgConnector(conninfo=dsn, min_size=CONNECTIONS, max_size=CONNECTIONS))


def arguments(order: int, steps: Iterable[str]) -> list[dict[str, object]]:
    return [{"order": order, "step": step, "request": request(order, step)} for step in steps]


async def load(dsn: str, orders: int) -> None:
    app = app_on(dsn)
    async with connected(dsn) as connection, app.open_async():
        await app.schema_manager.apply_schema_async()
        await load_joins(connection, orders)
        for order in range(orders):
            await app.configure_task(TASK).batch_defer_async(*arguments(order, FIRST))


async def finish(app: App, order: int, step: str) -> None:
    """Count down the join of a finished step and defer what waited only for it."""
    join = JOIN_AFTER[step]
    async with app.connector.pool.connection() as connection:  # a transaction: commits on leaving
        cursor = await connection.execute(COUNT_DOWN, (order, join))
        if await cursor.fetchone() == (0,):
            deferrer = app.configure_task(TASK, connection=connection)
            await deferrer.batch_defer_async(*arguments(order, RELEASES[join]))


@asynccontextmanager
async def worker(dsn: str) -> AsyncGenerator[Ready]:
    target, finished, left = Target(), asyncio.Event(), 0
    app = app_on(dsn)

    async def handle(order: int, step: str, request: str) -> None:
        nonlocal left
        await target.call(request)
        if step != "f":
            await finish(app, order, step)
            return
        left -= 1
        if not left:
            finished.set()

    app.task(name=TASK)(handle)

    async def work() -> None:
        running = asyncio.create_task(
            app.run_worker_async(concurrency=CONCURRENCY, delete_jobs="successful", install_signal_handlers=False)
        )
        await asyncio.wait([running, asyncio.create_task(finished.wait())], return_when=asyncio.FIRST_COMPLETED)
        running.cancel()  # the documented way to stop: jobs that run are finished first
        with suppress(asyncio.CancelledError):
            await running

    async with connected(dsn) as connection, app.open_async():
        left = await connection.fetchval("SELECT count(*) FROM plan_join WHERE no = 0")

        async def check() -> dict[str, int]:
            # Jobs that succeeded are gone: f was released, and no job is left.
            released = await connection.fetchval("SELECT count(*) FROM plan_join WHERE no = 1 AND waits = 0")
            waiting = await connection.fetchval("SELECT count(*) FROM procrastinate_jobs")
            return {"orders": 0 if waiting else released, "calls": target.calls}

        yield Ready(work, check)


SIDE = Side(
    config={
        "driver": "psycopg pool",
        "loop": "uvloop",
        "connections": CONNECTIONS,
        "concurrency": CONCURRENCY,
        "delete_jobs": "successful",
        "listen_notify": True,
    },
    load=load,
    worker=worker,
)

if __name__ == "__main__":
    main(SIDE)
