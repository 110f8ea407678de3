"""List and case view at a million open and ten million closed cases: over HTTP, and the same SQL raw.

Runs in the project's interpreter, started by run.py: makes the world with the statements of queue_rows.py, starts a
real `unstuck serve`, lets random users of every role read lists with random filters and open cases, and repeats the
very statements of a share of the requests through one asyncpg connection. Nothing is cached but by PostgreSQL.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl, urlencode
from uuid import UUID

import aiohttp
import asyncpg
import msgspec
import uvloop
from litestar.datastructures import MultiDict

import queue_rows as rows
from unstuck.app import open_ports
from unstuck.config import Config
from unstuck.kernel.actor import Actor
from unstuck.service.looks import lists, views
from unstuck.service.ports import Ports
from unstuck.store.migrate import migrate
from unstuck.store.unit import Store, Unit
from unstuck.web.api.listing import CaseQuery, OrderQuery, asked, case_filters, order_filters, shape

CASES, ORDERS, JSON = "/api/v1/fallout-cases", "/api/v1/orders", "application/json"
PART = 200_000
EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "fiber.json"
ROLES = ("support", "repair-agent", "fallout-manager", "operations-manager", "finance", "engineer", "auditor")
LOADED = (
    "fallout_case",
    "orders",
    "failure_event",
    "event",
    "evidence",
    "correction",
    "task",
    "command",
    "attempt",
    "outcome",
)


class World:
    """How large it is, and whom one meets in it."""

    def __init__(self, opened: int, closed: int) -> None:
        self.opened, self.closed = opened, closed
        self.cases = opened + closed
        self.orders = self.cases // rows.ORDER_EVERY + 1

    def seen(self, chance: random.Random, *, closed: bool) -> int:
        """A case that has its history."""
        first, last = (0, self.closed) if closed else (self.closed, self.cases)
        step = rows.ORDER_EVERY * rows.SEEN_EVERY
        return min(chance.randrange(first, last) // step * step + chance.randrange(rows.ORDER_EVERY), last - 1)


def id_of(kind: int, number: int) -> UUID:
    return UUID(f"{number:08x}-0000-7{kind:03d}-8000-{number * 7:012x}")


# What people ask for

Kinds = dict[str, tuple[int, Callable[[], str]]]  # each with its share of a hundred, and how one is made
Asking = Callable[[str, random.Random], Kinds]


def requests(world: World, me: str, chance: random.Random) -> Kinds:
    """Every kind of request with its share of a hundred, and how one is made."""

    def listed(path: str = CASES, **query: Any) -> str:
        return f"{path}?{urlencode(query)}"

    def queue() -> str:
        return chance.choice(rows.QUEUES)

    def code() -> str:
        return f"CODE_{int(rows.CODES * chance.random() ** 3)}"

    def customer() -> str:
        return f"C-{chance.randrange(rows.CUSTOMERS)}"

    def moment() -> str:
        return f"2026-0{chance.randrange(1, 9)}-1{chance.randrange(10)}T08:00:00Z"

    some_order = chance.randrange(world.orders)
    return {
        "open, newest": (6, lambda: listed(state="open")),
        "open, oldest": (4, lambda: listed(state="open", sort="detected_at")),
        "open, longest untouched": (4, lambda: listed(state="open", sort="touched_at")),
        "open, by number": (2, lambda: listed(state="open", sort="number")),
        "mine": (8, lambda: listed(state="open", owner=me)),
        "a queue, oldest first": (10, lambda: listed(state="open", queue=queue(), sort="detected_at", limit=100)),
        "two queues": (3, lambda: listed(state="open", queue=f"{queue()},{queue()}")),
        "a queue, counted": (3, lambda: listed(state="open", queue=queue(), count="true")),
        "a queue deep down": (3, lambda: listed(state="open", queue=queue(), detected_before=moment())),
        "queue and code": (4, lambda: listed(state="open", queue=queue(), code=code())),
        "a code, untouched": (3, lambda: listed(state="open", code=code(), sort="touched_at")),
        "queue, state, system, category": (3, lambda: listed(
            state="QUEUED", queue=queue(), system=chance.choice(rows.SYSTEMS), category=chance.choice(rows.DOMAINS))),
        "to be approved": (2, lambda: listed(state="APPROVAL_REQUIRED,WAITING_INCIDENT", sort="detected_at")),
        "a customer": (5, lambda: listed(customer=customer())),
        "a source": (2, lambda: listed(source=chance.choice(rows.SOURCES), state="open")),
        "an order's cases": (3, lambda: listed(order_id=id_of(1, some_order))),
        "search a case number": (3, lambda: listed(q=f"FC-{chance.randrange(1001, 1001 + world.cases)}")),
        "search an order": (2, lambda: listed(q=f"PO-{some_order}")),
        "search a common text": (1, lambda: listed(q="FIELD FORCE", state="open")),
        "search what is nowhere": (2, lambda: listed(q="no such words", state="open", count="true")),
        "closed of a queue": (2, lambda: listed(state="CLOSED", queue=queue(), detected_before=moment())),
        "everything, newest": (2, lambda: listed()),
        "a code in all states": (2, lambda: listed(code=code())),
        "nobody's": (2, lambda: listed(state="open", owner="nobody")),
        "a customer nobody knows": (2, lambda: listed(customer="X-1")),
        "a queue without such a code": (2, lambda: listed(state="open", queue=queue(), code="CODE_NONE", count="true")),
        "orders, newest": (1, lambda: listed(ORDERS)),
        "orders of a customer": (2, lambda: listed(ORDERS, customer=customer())),
        "orders that failed": (1, lambda: listed(ORDERS, state="FAILED", received_before=moment())),
        "an open case": (16, lambda: f"{CASES}/{id_of(2, world.seen(chance, closed=False))}"),
        "a closed case": (4, lambda: f"{CASES}/{id_of(2, world.seen(chance, closed=True))}"),
        "an order": (3, lambda: f"{ORDERS}/{id_of(1, some_order // rows.SEEN_EVERY * rows.SEEN_EVERY)}"),
    }  # fmt: skip


def is_view(kind: str) -> bool:
    """Whether one thing is shown, and no list."""
    return kind in ("an open case", "a closed case", "an order")


# The world


async def make(dsn: str, admin_dsn: str, world: World) -> None:
    """Fill the database: without indexes and foreign keys, which are made and hold afterwards."""
    admin = await asyncpg.connect(admin_dsn)
    kept = await admin.fetch(
        "SELECT indexname, indexdef FROM pg_indexes i WHERE tablename = ANY($1) AND NOT EXISTS"
        " (SELECT FROM pg_constraint c WHERE c.conname = i.indexname) AND indexdef NOT LIKE '%ONLY%'", LOADED
    )  # fmt: skip
    kept = [row for row in kept if row["indexname"].startswith(("case_", "order", "one_", "failure_event_", "event_"))]
    for row in kept:
        await admin.execute(f"DROP INDEX {row['indexname']}")
    statements = [rows.orders(first, many) for first, many in parts(0, world.orders)]
    statements += [part for f, m in parts(0, world.orders) for part in rows.order_parts(f, m, await _tasks(admin))]
    await run_all(admin_dsn, statements)
    await run_all(admin_dsn, [rows.cases(f, m, closed=True) for f, m in parts(0, world.closed)])
    await run_all(admin_dsn, [rows.cases(f, m, closed=False) for f, m in parts(world.closed, world.opened)])
    print(f"{world.cases:,} cases written", file=sys.stderr, flush=True)
    await run_all(admin_dsn, [row["indexdef"] for row in kept])
    after = [part for f, m in parts(0, world.cases) for part in (rows.reports(f, m), *rows.case_parts(f, m))]
    await run_all(admin_dsn, after)
    await admin.execute(f"VACUUM (FREEZE, ANALYZE) {', '.join(LOADED)}", timeout=3600)
    await admin.execute("CHECKPOINT")
    await admin.close()


async def _tasks(admin: asyncpg.Connection) -> int:
    """How many tasks the one plan has that an order was decomposed into."""
    return len(json.loads(await admin.fetchval("SELECT body FROM plan"))["tasks"])


def parts(first: int, many: int) -> list[tuple[int, int]]:
    return [(n, min(PART, first + many - n)) for n in range(first, first + many, PART)]


async def run_all(dsn: str, statements: Sequence[str]) -> None:
    """Two at a time, one for each core."""
    waiting = iter(statements)

    async def runner() -> None:
        conn = await asyncpg.connect(dsn, command_timeout=3600)
        await conn.execute("SET session_replication_role = replica; SET maintenance_work_mem = '1GB'")
        for statement in waiting:
            await conn.execute(statement)
        await conn.close()

    await asyncio.gather(runner(), runner())


# The server, and those who read


@asynccontextmanager
async def serving(dsn: str, folder: Path) -> AsyncIterator[str]:
    """A real `unstuck serve`: its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "UNSTUCK_DATABASE_URL": dsn, "UNSTUCK_DATA": str(folder), "UNSTUCK_PORT": str(port)}
    command = [str(Path(sys.executable).parent / "unstuck"), "serve"]
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=subprocess.DEVNULL, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        async with aiohttp.ClientSession() as client:
            while not await _answers(client, url):
                if process.returncode is not None:
                    raise SystemExit((folder / "log").read_text()[-4000:])
                await asyncio.sleep(0.1)
        yield url
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


async def _answers(client: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with client.get(f"{url}/healthz") as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


async def accounts(dsn: str) -> list[tuple[str, str]]:
    """Users of every role with their tokens; the last one may send orders."""
    conn = await asyncpg.connect(dsn)
    users = [(f"agent-{n}", ROLES[n % len(ROLES)]) for n in range(rows.OWNERS)] + [("shop", "integration")]
    held = [(name, f"token-of-{name}-{random.getrandbits(128):032x}", role) for name, role in users]
    query = "INSERT INTO api_token (id, name, sha256, roles, created_at) VALUES ($1, $2, $3, $4, now())"
    await conn.executemany(
        query,
        [(id_of(9, n), name, sha256(t.encode()).hexdigest(), [role]) for n, (name, t, role) in enumerate(held)],
    )
    await conn.close()
    return [(name, token) for name, token, _ in held]


class Measured:
    """Milliseconds by kind, and the slowest of all."""

    def __init__(self) -> None:
        self.by_kind: dict[str, list[float]] = defaultdict(list)
        self.paths: list[tuple[str, str]] = []
        self.slowest: tuple[float, str, str] = (0.0, "", "")

    def took(self, kind: str, path: str, ms: float) -> None:
        self.by_kind[kind].append(ms)
        self.paths.append((kind, path))
        self.slowest = max(self.slowest, (ms, kind, path))

    def figures(self) -> dict[str, float]:
        out = {}
        for name, one in (("list", False), ("view", True)):
            times = sorted(ms for kind, each in self.by_kind.items() if is_view(kind) is one for ms in each)
            out |= {f"{name}_p50_ms": at(times, 0.5), f"{name}_p99_ms": at(times, 0.99), f"{name}_max_ms": times[-1]}
        return out


def at(times: Sequence[float], share: float) -> float:
    ordered = sorted(times)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


class Broken(Exception):
    """An answer that is none."""


async def read(
    url: str, users: list[tuple[str, str]], asked_by: Asking, many: int, readers: int, seed: int, media: str = JSON
) -> Measured:
    """`many` requests of random users, `readers` at a time; redirects are part of one, and each is answered in `media`."""
    chance, measured, numbers = random.Random(seed), Measured(), iter(range(many))

    async def reader(client: aiohttp.ClientSession) -> None:
        for _ in numbers:
            name, token = chance.choice(users)
            kinds = asked_by(name, chance)
            kind = chance.choices(list(kinds), [share for share, _ in kinds.values()])[0]
            path = kinds[kind][1]()
            began = time.perf_counter()
            async with client.get(url + path, headers={"Authorization": f"Bearer {token}"}) as answer:
                body = await answer.read()
            measured.took(kind, path, (time.perf_counter() - began) * 1000)
            if answer.status != 200 or answer.content_type != media:
                raise Broken(f"{path}: {answer.status} {body[:500]!r}")

    async with aiohttp.ClientSession() as client:
        await asyncio.gather(*(reader(client) for _ in range(readers)))
    return measured


# The floor


class Ear:
    """A connection that keeps what it is asked."""

    def __init__(self, conn: Any, said: list[tuple[str, tuple[Any, ...]]]) -> None:
        self._conn, self._said = conn, said

    def __getattr__(self, name: str) -> Any:
        def asked_of(query: str, *values: Any) -> Any:
            self._said.append((query, values))
            return getattr(self._conn, name)(query, *values)

        return asked_of


class Overheard(Store):
    """A store whose readers are overheard."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        super().__init__(pool)
        self.said: list[tuple[str, tuple[Any, ...]]] = []

    @asynccontextmanager
    async def reading(self, now: Any) -> AsyncIterator[Unit]:
        async with super().reading(now) as unit:
            yield Unit(Ear(unit.conn, self.said), now)  # type: ignore[arg-type]


async def raw(dsn: str, folder: Path, paths: Sequence[tuple[str, str]]) -> Measured:
    """The statements of each request again, one after the other over one connection."""
    measured = Measured()
    async with open_ports(Config(data=str(folder)), dsn, size=3) as ports:
        store = Overheard(ports.store.pool)
        heard = msgspec.structs.replace(ports, store=store)
        conn = await asyncpg.connect(dsn)
        for kind, path in paths:
            store.said.clear()
            await _shown(heard, path)
            began = time.perf_counter()
            for query, values in store.said:
                await conn.fetch(query, *values)
            measured.took(kind, path, (time.perf_counter() - began) * 1000)
        await conn.close()
    return measured


async def _shown(ports: Ports, path: str) -> None:
    where, _, query = path.partition("?")
    request: Any = SimpleNamespace(query_params=MultiDict(parse_qsl(query)))
    if where == CASES:
        wanted = asked(request, CaseQuery)
        orders = tuple(UUID(name) for name in wanted.order_id.split(",")) if wanted.order_id else None
        await lists.cases(ports, case_filters(wanted, orders), shape(wanted))
    elif where == ORDERS:
        await lists.orders(ports, order_filters(asked(request, OrderQuery)), shape(asked(request, OrderQuery)))
    elif where.startswith(CASES):
        await views.case_view(ports, UUID(where.rpartition("/")[2]), Actor("agent-1", frozenset({"engineer"})))
    else:
        await views.order_view(ports, UUID(where.rpartition("/")[2]))


# The report


def summary(runs: Sequence[Measured], **more: Any) -> dict[str, Any]:
    """Medians of the runs as the figures, their spread beside them, and each kind over all runs."""
    figures = [run.figures() for run in runs]
    every: dict[str, list[float]] = defaultdict(list)
    for run in runs:
        for kind, times in run.by_kind.items():
            every[kind] += times
    slow = max(run.slowest for run in runs)
    return {
        **{name: round(statistics.median(f[name] for f in figures), 2) for name in figures[0]},
        "spread": {n: [round(min(f[n] for f in figures), 2), round(max(f[n] for f in figures), 2)] for n in figures[0]},
        "kinds": {
            kind: {"requests": len(t), "p50_ms": round(at(t, 0.5), 2), "p99_ms": round(at(t, 0.99), 2), "max_ms": round(max(t), 2)}
            for kind, t in sorted(every.items(), key=lambda kind: -at(kind[1], 0.99))
        },
        "slowest": {"ms": round(slow[0], 2), "kind": slow[1], "request": slow[2]},
        **more,
    }  # fmt: skip


async def size_gb(dsn: str) -> float:
    conn = await asyncpg.connect(dsn)
    size: int = await conn.fetchval("SELECT pg_database_size(current_database())")
    await conn.close()
    return round(size / 2**30, 1)


async def bench(options: argparse.Namespace) -> dict[str, Any]:
    """Make the world, read it over HTTP and raw."""
    world = World(options.open, options.closed)
    await migrate(options.dsn, single_role=True)
    users = await accounts(options.dsn)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with serving(options.dsn, folder) as url:
            await order_one(url, users.pop()[1])
            began = time.monotonic()
            await make(options.dsn, options.admin_dsn, world)
            made = {"rows_made_in_s": round(time.monotonic() - began), "database_gb": await size_gb(options.dsn)}
            print(json.dumps(made), file=sys.stderr, flush=True)
            asked_by = partial(requests, world)
            await read(url, users, asked_by, options.requests // 2, options.readers, seed=0)  # warm: not counted
            runs = []
            for seed in range(1, options.runs + 1):
                began = time.monotonic()
                runs.append(await read(url, users, asked_by, options.requests, options.readers, seed))
                rate = options.requests / (time.monotonic() - began)
                print(f"run {seed}: {rate:.0f} requests a second, {runs[-1].figures()}", file=sys.stderr, flush=True)
        floors = [await raw(options.dsn, folder, run.paths[:: options.share]) for run in runs]
    size = {
        "open": world.opened,
        "closed": world.closed,
        "requests_a_run": options.requests,
        "readers": options.readers,
    }
    return {"unstuck": summary(runs, **size, **made), "floor": summary(floors)}


async def order_one(url: str, token: str) -> None:
    """The one order that is really taken: its plan is the plan of all of them."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    path = "/tmf-api/serviceOrdering/v4/serviceOrder"
    async with (
        aiohttp.ClientSession() as client,
        client.post(url + path, data=EXAMPLE.read_bytes(), headers=headers) as answer,
    ):
        if answer.status != 201:
            raise SystemExit(f"the example order was not taken: {answer.status} {await answer.text()}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--dsn", "--admin-dsn"):
        parser.add_argument(name, required=True)
    for name, otherwise in (("open", 0), ("closed", 0), ("requests", 2000), ("readers", 4), ("runs", 5), ("share", 4)):
        parser.add_argument(f"--{name}", type=int, default=otherwise)
    print(json.dumps(uvloop.run(bench(parser.parse_args()))))


if __name__ == "__main__":
    main()
