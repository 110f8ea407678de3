"""P3: no acknowledged event is lost. Failures, orders, webhooks and the stream, while everything is killed again and again."""

import asyncio
import json
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from proof.account import Account, Api, reckon, settle
from proof.late import late_commits
from proof.listening import Listener, Receiver
from proof.stack import place
from proof.traffic import Sent, Traffic
from proof.up import DATABASE, SERVE, WORKER, Killed, Up

SCALES = {"smoke": (6, 2), "gate": (60, 22), "release": (60, 22)}  # kills, of the database
MOST_BETWEEN = 60  # acknowledgements between two kills
STILL_FOR_S = 12.0  # without an acknowledgement, the next kill does not wait
LEASE_S = "6"  # how long a worker that was killed keeps a receiver waiting


@dataclass
class Storm:
    """What was done and what came of it."""

    sent: Sent
    account: Account
    kills: list[Killed] = field(default_factory=list)
    delivered: int = 0
    again: int = 0
    refused_by_receiver: int = 0
    heard: int = 0
    connects: int = 0
    leaves: int = 0

    def counts(self) -> dict[str, Any]:
        """The figures, as they are printed and kept."""
        found = {name: len(kind) for name, kind in self.account.kinds().items()}
        return {
            "kills": len(self.kills),
            "database_kills": sum(one.what == DATABASE for one in self.kills),
            "faults": len(self.kills) + self.refused_by_receiver,
            "acknowledged": len(self.sent.failures),
            "cases": len({case for _, case in self.sent.failures.values()}),
            "orders": len(self.sent.orders),
            "not_now": self.sent.refusals,
            "leaves": self.leaves,
            "delivered": self.delivered,
            "delivered_again": self.again,
            "stream_events": self.heard,
            "stream_connects": self.connects,
            "settled_in_s": self.account.settled_in_s,
            **found,
        }


async def run(scale: str, seed: int) -> dict[str, Any]:
    """The whole of it; `offenders` names what does not add up."""
    kills, of_database = SCALES[scale]
    storm = await endure(plan(seed, kills, of_database), seed)
    late = await late_commits(seed, scale)
    missed = {"late_commits": late.commits, "late_missed": late.missed, "late_missed_by_a_cursor": late.by_cursor}
    ok = storm.account.ok and late.ok and len(storm.sent.failures) > kills
    return {"ok": ok, **storm.counts(), **missed, "offenders": storm.account.offenders()}


@dataclass(frozen=True)
class Step:
    """After so many acknowledgements, kill one process of a part."""

    after: int
    what: str
    draw: float


def plan(seed: int, kills: int, of_database: int) -> list[Step]:
    """Drawn before anything runs. Some kills follow at once: they meet what is just coming back."""
    chance = random.Random(f"kills {seed}")
    whats = [DATABASE] * of_database + chance.choices((SERVE, WORKER), k=kills - of_database)
    chance.shuffle(whats)
    return [Step(chance.choice((0, chance.randint(1, MOST_BETWEEN))), what, chance.random()) for what in whats]


async def endure(steps: Sequence[Step], seed: int, change: str = "") -> Storm:
    """Start it, let everything run while the steps are carried out, let it rest, reckon."""
    with place() as folder:
        up = Up(folder, change=change, lease_s=LEASE_S)
        try:
            await asyncio.to_thread(up.start)
            return await _endured(up, folder, steps, seed)
        finally:
            await asyncio.to_thread(up.close)


async def _endured(up: Up, folder: Path, steps: Sequence[Step], seed: int) -> Storm:
    house = await watched(up, folder, seed)
    storm = Storm(house.traffic.sent, Account())
    try:
        house.traffic.begin()
        await house.traffic.more(20, STILL_FOR_S)
        for number, step in enumerate(steps, 1):
            await house.traffic.more(step.after, STILL_FOR_S)
            storm.kills.append(await asyncio.to_thread(up.kill, step.what, step.draw))
            progress(f"{number}/{len(steps)} {step.what}, {house.traffic.sent.acknowledged} acknowledged")
        await house.traffic.more(20, 30)
        await house.finish(storm.account)
        storm.leaves = house.size
        storm.delivered, storm.again = len(house.receiver.heard.events), house.receiver.heard.again
        storm.refused_by_receiver = house.receiver.refused
        storm.heard, storm.connects = len(house.listener.heard.events), house.listener.connects
    finally:
        await house.close()
    return storm


class Watched:
    """An Unstuck with traffic into it, a receiver of its webhooks and a listener to its stream."""

    def __init__(self, up: Up, folder: Path, seed: int) -> None:
        self.up = up
        self.api = Api(up.url, up.tokens)
        self.traffic = Traffic(up.url, up.tokens, folder, seed)
        self.receiver = Receiver(folder, seed)
        self.listener = Listener(up.url, up.tokens["engineer"])
        self.subscription, self.size = "", 0

    async def begin(self) -> None:
        """Subscribe from the first leaf on, and listen."""
        await self.receiver.start()
        wish = json.dumps({"name": "the proof", "url": self.receiver.url, "from": 0}).encode()
        made = await self.api.post("/api/v1/subscriptions", "admin", wish)
        self.receiver.secrets.append(made["secret"])
        self.subscription = made["id"]
        self.listener.begin()

    async def finish(self, account: Account) -> None:
        """Let everything that was begun end, then reckon."""
        sent = await self.traffic.end()
        progress(f"{sent.acknowledged} acknowledged; waiting for what is on its way")
        self.size = await settle(self.api, self.subscription, self.listener, account)
        args = (sent, self.receiver, self.listener, account, self.size)
        await reckon(self.api, self.up.url, self.up.tokens, *args)

    async def close(self) -> None:
        """Let go of everything."""
        await self.listener.close()
        await self.traffic.close()
        await self.receiver.close()
        await self.api.close()


async def watched(up: Up, folder: Path, seed: int) -> Watched:
    """Everything around an Unstuck that runs."""
    house = Watched(up, folder, seed)
    await house.begin()
    return house


def progress(text: str) -> None:
    """A line for a person who watches."""
    if sys.stderr.isatty():
        print(f"\r  {text:<80}", end="", file=sys.stderr)
