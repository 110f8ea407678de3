"""Unstuck's own engine as it ships: full audit, intents and outcomes on record, raw payloads kept, events sealed.

Only the connectors are replaced, by ones that answer at once. Everything the product writes for an order is
written: its attempts, outcomes, events, leaves and checkpoints, and the figures contain all of it.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import msgspec
import uvloop

from sides.plan import PREDECESSORS, RESPONSE, STEPS, SUCCESSORS, TARGET_OF, TARGETS
from sides.protocol import Ready, Side, work
from unstuck.app import calm_the_collector, read_pack, utc_now
from unstuck.connect.address import Allowed
from unstuck.connect.jws import TokenSigner
from unstuck.connect.tmf import OrderManagers
from unstuck.connect.webhook import HttpWebhooks
from unstuck.engine.dispatch import Dispatcher
from unstuck.kernel.ids import uuid7
from unstuck.order.plan import OrderDraft, OrderItem
from unstuck.policy.check import load as checked
from unstuck.repair.outcome import Call, Outcome, Result
from unstuck.service.book import Book
from unstuck.service.order_work.intake import Sent, submit
from unstuck.service.ports import Foreign, Outside, Ports
from unstuck.store.blobs import FileBlobs
from unstuck.store.migrate import migrate
from unstuck.store.seal import Signer, seal
from unstuck.store.unit import connect
from unstuck.store.vault import FileVault

ROOM, BATCH, LINGER_S, LOADERS = 200, 1000, 0.005, 16
BODY = RESPONSE.encode()
PAD = "x" * 230


def pack_files() -> dict[str, str]:
    """The shipped pack with the bench's one offer and its three targets in place of its own."""
    document: dict[str, object] = {}
    for text in read_pack("minimal").values():
        document |= msgspec.yaml.decode(text)
    after = {step: [before for before in STEPS if step in SUCCESSORS[before]] for step in PREDECESSORS}
    task = {"operation": "do", "title": "no-op", "owner": "bench", "business_key": ["order"]}
    timeouts = {"reply": 10, "expected": 5, "warning": 30, "breach": 60}
    document |= {
        "offers": {"bench": {"title": "b", "tasks": {s: {"type": s, "after": after.get(s, [])} for s in STEPS}}},
        "task_types": {
            step: {
                **task,
                "target": TARGET_OF[step],
                "timeouts": timeouts,
                "send": {"order": "item.id", "pad": "char.pad"},
            }
            for step in STEPS
        },
        "targets": {name: {"title": name, "kind": "A", "room": ROOM} for name in TARGETS},
        "retry": {"default": {}},
        "on_unknown": {"default": {"settle_by_asking": {"tries": 3, "within_s": 60}}},
        "mappings": [],
        "correctable": {},
    }
    return {"bench.yaml": msgspec.yaml.encode(document).decode()}


class Instant:
    """Answers at once, and counts."""

    def __init__(self) -> None:
        self.calls = 0
        self.wanted = 0
        self.over = asyncio.Event()

    async def send(self, call: Call, may_send: Callable[[], bool]) -> Outcome:
        may_send()
        self.calls += 1
        if self.calls == self.wanted:
            self.over.set()
        return Outcome(Result.DONE, utc_now(), 200, reference="R-0001", body=BODY)

    async def ask(self, call: Call) -> Outcome:
        raise AssertionError(f"nothing is unknown here, yet {call.key} is asked about")


@asynccontextmanager
async def ports_of(dsn: str, target: Instant) -> AsyncIterator[Ports]:
    files = pack_files()
    pack = checked(files)
    store = await connect(dsn)
    with tempfile.TemporaryDirectory() as folder:
        await store.keep_pack(pack.hash, "bench", msgspec.json.encode(files), utc_now())
        yield Ports(
            store=store, book=Book(store, pack), now=utc_now,
            new_id=lambda: uuid7(utc_now(), secrets.randbits(74)), chance=lambda: 0.5,
            connectors=dict.fromkeys(TARGETS, target), blobs=FileBlobs(Path(folder)), lease_s=30.0, worker="bench",
            outside=Outside(HttpWebhooks(Allowed(), utc_now), FileVault(Path(folder) / "secrets.key"), "urn:unstuck:bench"),
            foreign=Foreign(TokenSigner("bench", lambda: [b"b" * 32]), OrderManagers(HttpWebhooks(Allowed(), utc_now), Path(folder))),
        )  # fmt: skip
    await store.pool.close()


async def load(dsn: str, orders: int) -> None:
    await migrate(dsn, single_role=True)
    async with ports_of(dsn, Instant()) as ports:
        await ports.store.pool.fetchval("SELECT make_partitions($1, 2)", utc_now().date())
        numbers = iter(range(orders))

        async def loader() -> None:
            for number in numbers:
                items = (OrderItem("1", "bench", characteristics={"pad": PAD}),)
                draft = OrderDraft(f"B-{number}", "bench", f"C-{number}", items)
                await submit(ports, draft, Sent("bench", "bench", "application/json", b"%08d" % number, 8))

        await asyncio.gather(*(loader() for _ in range(LOADERS)))


@asynccontextmanager
async def worker(dsn: str) -> AsyncIterator[Ready]:
    target = Instant()
    async with ports_of(dsn, target) as ports:
        pool = ports.store.pool
        orders = await pool.fetchval("SELECT count(*) FROM orders")
        await pool.execute("VACUUM ANALYZE")
        target.wanted = orders * len(STEPS)
        calm_the_collector()
        signer = Signer("bench", secrets.token_bytes(32))

        async def run() -> None:
            dispatcher = Dispatcher(ports, dict.fromkeys(TARGETS, ROOM), batch=BATCH, linger_s=LINGER_S)
            sealing = asyncio.create_task(sealer(pool, signer))
            running = asyncio.create_task(dispatcher.run())
            await target.over.wait()
            dispatcher.stop()
            await running
            sealing.cancel()
            while await seal(pool, signer, utc_now(), None):
                pass

        async def check() -> dict[str, int]:
            done = await pool.fetchval("SELECT count(*) FROM orders WHERE state = 'COMPLETED'")
            unsealed = await pool.fetchval("SELECT (SELECT count(*) FROM event) - (SELECT count(*) FROM leaf)")
            return {"orders": done, "calls": target.calls, "unsealed": unsealed}

        yield Ready(run, check)


async def sealer(pool: asyncpg.Pool, signer: Signer) -> None:
    while True:
        await asyncio.sleep(0.5)
        await seal(pool, signer, utc_now(), None)


def main() -> None:
    """Run the phase named on the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--phase", choices=("load", "work"), required=True)
    parser.add_argument("--dsn", required=True)
    parser.add_argument("--admin-dsn", required=True)
    parser.add_argument("--orders", type=int, default=0)
    options = parser.parse_args()
    if options.phase == "load":
        uvloop.run(load(options.dsn, options.orders))
    else:
        config = {"room": ROOM, "batch": BATCH, "linger_s": LINGER_S, "audit": "events, attempts, outcomes, sealed"}
        uvloop.run(work(Side(config, load, worker), options.dsn))


if __name__ == "__main__":
    main()
