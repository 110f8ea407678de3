"""The floors of the door's benches: the same bytes by COPY, the same HTTP stack without a database, bare updates.

copy   events by COPY into one table, 500 a transaction, over one connection
http   the product's server stack on --port; reads the body and answers, until it is told to stop
update compare-and-set of one row a transaction, from --clients connections
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import sys
import time
from typing import Any

import asyncpg
import uvicorn
import uvloop
from litestar import Litestar, Request, Response, post

from sides.failures import failures
from sides.protocol import say

BATCH, ROWS = 500, 10_000
SET = "UPDATE bench_case SET state = $3, owner = $4, version = version + 1 WHERE id = $1 AND version = $2"
ANSWER = b'{"status":201,"was":"new","case":"0190a5b2-7c3d-7e4f-8a5b-000000000000","number":"FC-1042"}'


async def copy(options: argparse.Namespace) -> None:
    """COPY until the time is over."""
    connection = await asyncpg.connect(options.dsn)
    await connection.execute("CREATE TABLE bench_failure (body bytea NOT NULL)")
    supply = failures("copy")
    batches = [[(body,) for body in itertools.islice(supply, BATCH)] for _ in range(options.batches)]
    _await_go()
    began, times = time.perf_counter(), []
    for records in batches:
        started = time.perf_counter()
        async with connection.transaction():
            await connection.copy_records_to_table("bench_failure", records=records, columns=("body",))
        times.append(time.perf_counter() - started)
    _done(BATCH * len(batches), began, times)
    await connection.close()


async def update(options: argparse.Namespace) -> None:
    """Compare-and-set, one transaction each, every client on rows of its own."""
    pool = await asyncpg.create_pool(options.dsn, min_size=options.clients, max_size=options.clients)
    await pool.execute(
        "CREATE TABLE IF NOT EXISTS bench_case (id int PRIMARY KEY, version int NOT NULL, state text, owner text)"
    )
    await pool.execute("TRUNCATE bench_case")
    await pool.execute("INSERT INTO bench_case SELECT n, 1, 'QUEUED', '' FROM generate_series(1, $1::int) n", ROWS)
    times: list[float] = []
    _await_go()
    began = time.perf_counter()

    async def client(first: int) -> None:
        for turn in itertools.count(1):
            for row in range(first, ROWS + 1, options.clients):
                started = time.perf_counter()
                if started - began > options.seconds:
                    return
                if await pool.execute(SET, row, turn, "ASSIGNED", "bench") != "UPDATE 1":
                    raise SystemExit(f"row {row} has another version than {turn}")
                times.append(time.perf_counter() - started)

    await asyncio.gather(*(client(number) for number in range(1, options.clients + 1)))
    _done(len(times), began, times)
    await pool.close()


def http(options: argparse.Namespace) -> None:
    """What receiving, routing and answering cost on this stack, and nothing else."""

    @post("/api/v1/fallout-events", status_code=200)
    async def answer(request: Request[Any, Any, Any]) -> Response[bytes]:
        await request.body()
        return Response(ANSWER, status_code=201, media_type="application/json")

    app = Litestar([answer], openapi_config=None, logging_config=None, debug=False)
    uvicorn.run(
        app, host="127.0.0.1", port=options.port, log_config=None, access_log=False, lifespan="off", server_header=False
    )


def _await_go() -> None:
    say(ready=True)
    if sys.stdin.readline().strip() != "go":
        raise SystemExit("the runner did not say go")


def _done(done: int, began: float, times: list[float]) -> None:
    seconds, ordered = time.perf_counter() - began, sorted(times)
    p50, p99 = (ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000 for share in (0.5, 0.99))
    say(done=done, seconds=seconds, p50_ms=p50, p99_ms=p99)
    sys.stdin.read()  # the runner takes its figures before it closes the pipe


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--floor", choices=("copy", "http", "update"), required=True)
    parser.add_argument("--dsn", default="")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--clients", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--batches", type=int, default=100)
    options = parser.parse_args()
    if options.floor == "http":
        http(options)
    else:
        uvloop.run({"copy": copy, "update": update}[options.floor](options))


if __name__ == "__main__":
    main()
