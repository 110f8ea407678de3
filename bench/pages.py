"""The pages at a million open and ten million closed cases: what a server needs for each, as browsers ask for them.

Runs in the project's interpreter, started by run.py, on the world of queues.py: users of every role open random pages
with random filters. With a log of the database the slowest statement of all is named too.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import asyncpg
import uvloop

import queue_rows as rows
from queues import Broken, Kinds, Measured, World, accounts, at, id_of, make, order_one, read, serving, size_gb
from unstuck.store.migrate import migrate

SLOW_MS = 20
STATEMENT = re.compile(r"duration: ([\d.]+) ms  (?:execute [^:]*|statement): (.*?)(?=\n\S)", re.DOTALL)


def requests(world: World, me: str, chance: random.Random) -> Kinds:
    """Every kind of page with its share of a hundred, and how an address of it is made."""

    def queue(**query: Any) -> str:
        return f"/queue?{urlencode(query)}"

    def orders(**query: Any) -> str:
        return f"/orders?{urlencode(query)}"

    def some(values: Sequence[str]) -> str:
        return chance.choice(values)

    def code() -> str:
        return f"CODE_{int(rows.CODES * chance.random() ** 3)}"

    def customer() -> str:
        return f"C-{chance.randrange(rows.CUSTOMERS)}"

    an_order = chance.randrange(world.orders)
    return {
        "queue, as the role begins": (12, lambda: "/queue"),
        "queue, mine": (8, lambda: queue(view="mine")),
        "queue, all open": (8, lambda: queue(view="open")),
        "queue, a queue": (10, lambda: queue(view="open", queue=some(rows.QUEUES))),
        "queue, a code": (4, lambda: queue(view="open", code=code())),
        "queue, queue and code": (4, lambda: queue(view="open", queue=some(rows.QUEUES), code=code())),
        "queue, a system": (3, lambda: queue(view="open", system=some(rows.SYSTEMS))),
        "queue, a customer": (3, lambda: queue(view="open", customer=customer())),
        "queue, an owner": (2, lambda: queue(view="open", owner=me)),
        "queue, a text": (2, lambda: queue(view="open", q="FIELD FORCE")),
        "queue, nothing found": (2, lambda: queue(view="open", q="no such words")),
        "an open case": (18, lambda: f"/cases/{id_of(2, world.seen(chance, closed=False))}"),
        "a closed case": (4, lambda: f"/cases/{id_of(2, world.seen(chance, closed=True))}"),
        "orders, newest": (3, lambda: "/orders"),
        "orders of a customer": (3, lambda: orders(customer=customer())),
        "orders that failed": (2, lambda: orders(state="FAILED")),
        "an order": (4, lambda: f"/orders/{id_of(1, an_order // rows.SEEN_EVERY * rows.SEEN_EVERY)}"),
        "search an order": (2, lambda: f"/search?{urlencode({'q': f'PO-{an_order}'})}"),
        "search a customer": (2, lambda: f"/search?{urlencode({'q': customer()})}"),
        "search a text": (2, lambda: "/search?q=FIELD+FORCE"),
        "search what is nowhere": (2, lambda: "/search?q=no+such+words"),
    }  # fmt: skip


def summary(runs: Sequence[Measured]) -> dict[str, Any]:
    """The percentiles of all pages of all runs, and of each kind, the slowest kind first."""
    every: dict[str, list[float]] = defaultdict(list)
    for run in runs:
        for kind, times in run.by_kind.items():
            every[kind] += times
    slow = max(run.slowest for run in runs)
    return {
        **figures([ms for times in every.values() for ms in times]),
        "p95_of_runs_ms": [figures([ms for t in run.by_kind.values() for ms in t])["p95_ms"] for run in runs],
        "kinds": {k: figures(t) for k, t in sorted(every.items(), key=lambda kind: -at(kind[1], 0.95))},
        "slowest": {"ms": round(slow[0], 2), "kind": slow[1], "request": slow[2]},
    }


def figures(times: Sequence[float]) -> dict[str, float]:
    """Percentiles in milliseconds."""
    shares = {"p50_ms": 0.5, "p95_ms": 0.95, "p99_ms": 0.99}
    return {
        "requests": len(times),
        **{name: round(at(times, share), 2) for name, share in shares.items()},
        "max_ms": round(max(times), 2),
    }


def slowest_statement(log: Path | None, since: int) -> dict[str, Any]:
    """What took the database longest after that place of its log."""
    if log is None:
        return {}
    with log.open(errors="replace") as file:
        file.seek(since)
        found = [(float(ms), " ".join(said.split())) for ms, said in STATEMENT.findall(file.read() + "\n.")]
    return dict(zip(("ms", "statement"), max(found, default=(0.0, "")), strict=True)) | {"slow": len(found)}


async def bench(options: argparse.Namespace) -> dict[str, Any]:
    """Make the world, then open its pages."""
    world = World(options.open, options.closed)
    await migrate(options.dsn, single_role=True)
    users = await accounts(options.dsn)
    with tempfile.TemporaryDirectory() as name:
        async with serving(options.dsn, Path(name)) as url:
            await order_one(url, users.pop()[1])
            began = time.monotonic()
            await make(options.dsn, options.admin_dsn, world)
            made = {"rows_made_in_s": round(time.monotonic() - began), "database_gb": await size_gb(options.dsn)}
            print(json.dumps(made), file=sys.stderr, flush=True)
            try:
                runs, since = await measured(options, url, users, world)
            except Broken as broken:
                raise SystemExit(f"{broken}\n{(Path(name) / 'log').read_text()[-4000:]}") from broken
    size = {"open": world.opened, "closed": world.closed, "readers": options.readers}
    return {**summary(runs), **size, **made, "slowest_statement": slowest_statement(options.log, since)}


async def measured(
    options: argparse.Namespace, url: str, users: list[tuple[str, str]], world: World
) -> tuple[list[Measured], int]:
    """Every run, after one that warms up; and where in the database's log they began."""
    opened = partial(read, url, users, partial(requests, world), readers=options.readers, media="text/html")
    await opened(max(options.requests // 2, 1), seed=0)
    since = options.log.stat().st_size if options.log else 0
    await tell_slow(options.admin_dsn)
    runs = []
    for seed in range(1, options.runs + 1):
        runs.append(await opened(options.requests, seed=seed))
        print(f"run {seed}: {summary(runs[-1:])['p95_ms']} ms p95", file=sys.stderr, flush=True)
    return runs, since


async def tell_slow(admin_dsn: str) -> None:
    """Statements that take long go to the server's log, from the next one on."""
    admin = await asyncpg.connect(admin_dsn)
    await admin.execute(f"ALTER SYSTEM SET log_min_duration_statement = {SLOW_MS}")
    await admin.execute("SELECT pg_reload_conf()")
    await admin.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--dsn", "--admin-dsn"):
        parser.add_argument(name, required=True)
    for name, otherwise in (("open", 0), ("closed", 0), ("requests", 2000), ("readers", 2), ("runs", 3)):
        parser.add_argument(f"--{name}", type=int, default=otherwise)
    parser.add_argument("--log", type=Path, help="where the database server tells of slow statements")
    print(json.dumps(uvloop.run(bench(parser.parse_args()))))


if __name__ == "__main__":
    main()
