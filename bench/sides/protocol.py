"""How the runner and a side talk, so that starting, loading and checking stay out of the figures.

    --phase load --dsn … --orders N   submits N orders and exits
    --phase work --dsn …              says ready, waits for go, works, says done, waits for the end of
                                      stdin, and only then checks in the database what it did

Every line a side says is one JSON object on stdout; the runner measures from outside.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import asyncpg
import uvloop

Work = Callable[[], Awaitable[None]]
Check = Callable[[], Awaitable[dict[str, int]]]


@dataclass(frozen=True, slots=True)
class Ready:
    """A worker that is connected and has not started: `work` is measured, `check` is not."""

    work: Work
    check: Check


@dataclass(frozen=True, slots=True)
class Side:
    """One way to execute the plan; `config` is printed with the figures."""

    config: dict[str, object]
    load: Callable[[str, int], Awaitable[None]]
    worker: Callable[[str], AbstractAsyncContextManager[Ready]]


@asynccontextmanager
async def connected(dsn: str) -> AsyncGenerator[asyncpg.Connection]:
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


def say(**line: object) -> None:
    print(json.dumps(line), flush=True)


async def work(side: Side, dsn: str) -> None:
    async with side.worker(dsn) as ready:
        say(ready=True, config=side.config)
        if sys.stdin.readline().strip() != "go":
            raise SystemExit("the runner did not say go")
        await ready.work()
        say(done=True)
        sys.stdin.read()  # the runner takes its figures before it closes the pipe
        say(checked=True, **await ready.check())


def main(side: Side) -> None:
    """Run the phase named on the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--phase", choices=("load", "work"), required=True)
    parser.add_argument("--dsn", required=True)
    parser.add_argument("--orders", type=int, default=0)
    options = parser.parse_args()
    if options.phase == "load":
        uvloop.run(side.load(options.dsn, options.orders))
    else:
        uvloop.run(work(side, options.dsn))
