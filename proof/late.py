"""Commits that come late: a failure that was filed first and committed last is still told to everybody.

Its transaction began before those that overtake it, so its number and its times are lower than theirs. A reader that
remembers the greatest time it has seen never sees it: that is the control.
"""

import asyncio
import json
import random
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from proof.stack import database
from unstuck.app import keyring, open_ports
from unstuck.config import Config
from unstuck.fallout.failure import Failure
from unstuck.kernel.actor import Actor
from unstuck.service.failures_in.failures import Filed, Report, file, receive
from unstuck.service.ports import Ports
from unstuck.store import outbox
from unstuck.store.migrate import migrate
from unstuck.store.seal import seal

ROUNDS = {"smoke": 10, "gate": 100, "release": 100}
SENDER = Actor("proof", frozenset({"integration"}))
NEWER = "SELECT stream, recorded_at FROM event WHERE recorded_at > $1 ORDER BY recorded_at"


@dataclass
class Late:
    """`missed` by the leaves, which everything that goes out is read from, and `by_cursor` by a reader of times."""

    commits: int
    missed: int
    by_cursor: int

    @property
    def ok(self) -> bool:
        """Nothing missed; and the control shows that something could have been."""
        return self.missed == 0 and self.by_cursor > 0


class Readers:
    """Both read after every step, so that each has its chance to run ahead."""

    def __init__(self, ports: Ports, keys: Any) -> None:
        self._ports, self._keys = ports, keys
        self._next, self._newest = 0, datetime.min.replace(tzinfo=UTC)
        self.told: set[UUID] = set()
        self.seen: set[UUID] = set()

    async def look(self) -> None:
        """Seal; read the new leaves; read what is newer than the newest."""
        pool = self._ports.store.pool
        await seal(pool, self._keys, self._ports.now(), None)
        async with self._ports.store.reading(self._ports.now()) as unit:
            rows = await outbox.leaves(unit, self._next, 10_000)
        self._next += len(rows)
        self.told |= {row["stream"] for row in rows}
        newer = await pool.fetch(NEWER, self._newest)
        self._newest = max([self._newest, *(row["recorded_at"] for row in newer)])
        self.seen |= {row["stream"] for row in newer}


async def late_commits(seed: int, scale: str) -> Late:
    """File failures in transactions that end in another order than they began."""
    chance = random.Random(f"late {seed}")
    with database() as server:
        await migrate(server.owner_url)
        config = Config(data=str(server.data_dir / "unstuck"))
        Path(config.data).mkdir()
        async with open_ports(config, server.app_url, size=8) as ports:
            readers, cases = Readers(ports, keyring(config)), set[UUID]()
            for number in range(ROUNDS[scale]):
                cases |= await _overtaken(ports, readers, f"{seed}-{number}", chance)
            await readers.look()
    return Late(len(cases), len(cases - readers.told), len(cases - readers.seen))


async def _overtaken(ports: Ports, readers: Readers, name: str, chance: random.Random) -> set[UUID]:
    """Some begin and wait with their commit, one overtakes them, then they commit in any order; their cases."""
    held = [asyncio.Event() for _ in range(chance.randint(1, 3))]
    begun: asyncio.Queue[UUID] = asyncio.Queue()
    slow = [asyncio.create_task(_slow(ports, f"{name}-{n}", begun, go)) for n, go in enumerate(held)]
    cases = {await begun.get() for _ in slow}
    (filed,) = await receive(ports, [_report(f"{name}-fast")])
    assert isinstance(filed, Filed)
    await readers.look()
    for n in chance.sample(range(len(held)), len(held)):
        held[n].set()
        await slow[n]
        await readers.look()
    return {*cases, filed.case_id}


async def _slow(ports: Ports, name: str, begun: "asyncio.Queue[UUID]", go: asyncio.Event) -> None:
    async with ports.store.unit(ports.now()) as unit:
        (filed,) = await file(ports, unit, [_report(name)])
        assert isinstance(filed, Filed)
        await begun.put(filed.case_id)
        await go.wait()


def _report(name: str) -> Report:
    # A source of its own each: two that report for the first time would wait for each other over its row.
    body = {"sourceSystem": f"S-{name}", "sourceEventId": name, "reasonCode": "TIMEOUT", "message": "late"}
    failure = Failure(
        source_system=body["sourceSystem"], source_event_id=name, reason_code="TIMEOUT", message="late",
        service_order_id=f"SO-{name}",
    )  # fmt: skip
    return Report(failure, json.dumps(body).encode(), SENDER)
