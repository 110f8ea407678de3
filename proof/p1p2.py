"""P1 and P2 in one run: no order invisible, none lost, no side effect twice, under kills and faults of every kind."""

import asyncio
import itertools
import json
import random
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from proof.chaos import DATABASE, ZOMBIE, Chaos, draw_plan, unleash
from proof.client import Client
from proof.oracle import FINAL as FINAL_STATES
from proof.oracle import Evidence, Verdict, has_open_case, is_visible, judge, read_lines
from proof.stack import Stack, database
from proof.world import Rule, everything, systems
from unstuck.store.migrate import migrate
from unstuck.store.server import EmbeddedServer, Urls

STILL_FOR_S = 60.0
MORE_FAULTS_WITHIN_S = 300.0
SAMPLE_EVERY_S, SAMPLE = 2.0, 10
UNDER_WAY = 32
LEDGERS = ("effects-*.ndjson", "faults.ndjson", "callbacks.ndjson")
SCALES = {"smoke": (20, 200, 1), "gate": (200, 2_000, 3), "release": (200, 2_000, 3)}  # kills, faults, of the database


@dataclass
class Ordeal:
    """One run: what is ordered, what goes wrong, which parts carry a seeded bug."""

    seed: int
    chaos: Chaos
    faults: list[Rule]
    offers: Sequence[str] = ("machine", "machine", "machine", "bundle", "bundle")
    orders_per_s: float = 5.0
    least_orders: int = 0
    most_orders: int = 0  # 0: as long as the storm lasts
    least_faults: int = 0
    workers: int = 3
    serves: int = 2
    latency_ms: tuple[float, float] = (5, 120)
    bugs: Mapping[str, str] = field(default_factory=dict)
    still_s: float = STILL_FOR_S


@dataclass
class Outcome:
    """What one ordeal showed."""

    verdict: Verdict
    chaos: Chaos
    orders: int
    faults: int
    samples: int
    retried_submits: int
    deaths: int
    settled_in_s: float

    def counts(self) -> dict[str, Any]:
        """The figures, as they are printed and kept."""
        v = self.verdict
        return {
            "kills": self.chaos.kills,
            "database_kills": self.chaos.count(DATABASE),
            "zombies": self.chaos.count(ZOMBIE),
            "faults": self.faults + self.chaos.kills + self.chaos.count(ZOMBIE),
            "orders": self.orders,
            "lost": len(v.lost),
            "doubled": len(v.doubled),
            "invisible": len(v.invisible),
            "regressed": len(v.regressed),
            "done_without_effect": len(v.done_without_effect),
            "cases": v.cases,
            "cases_without_fault": len(v.cases_without_fault),
            "transient_orders": v.transient_orders,
            "transient_with_case": len(v.transient_with_case),
            "samples": self.samples,
            "retried_submits": self.retried_submits,
            "ended_by_themselves": self.deaths,
            "settled_in_s": round(self.settled_in_s, 1),
        }

    def offenders(self) -> dict[str, list[str]]:
        """The first few of each kind of violation."""
        v = self.verdict
        named = {
            "lost": v.lost, "doubled": v.doubled, "invisible": v.invisible, "regressed": v.regressed,
            "done_without_effect": v.done_without_effect, "cases_without_fault": v.cases_without_fault,
            "transient_with_case": v.transient_with_case,
        }  # fmt: skip
        return {name: found[:5] for name, found in named.items() if found}


async def run(scale: str, seed: int, folder: Path) -> Outcome:
    """The whole ordeal of this scale on a database of its own."""
    kills, faults, database_kills = SCALES[scale]
    chaos = draw_plan(seed, kills, every_s=1.0, database_kills=database_kills)
    ordeal = Ordeal(seed, chaos, everything(), least_faults=faults)
    with database() as server:
        return await endure(ordeal, server, server.urls, folder)


async def endure(ordeal: Ordeal, server: EmbeddedServer, urls: Urls, folder: Path) -> Outcome:
    """Start a stack, let it suffer, let it rest, judge it."""
    await migrate(urls.owner)
    stack = Stack(server, urls, folder, workers=ordeal.workers, serves=ordeal.serves, bugs=ordeal.bugs)
    client = Client(stack.serve_urls, folder / "acks.ndjson")
    try:
        await stack.start(systems(ordeal.latency_ms), ordeal.faults, ordeal.seed)
        stuck: set[str] = set()
        samples = await _storm(ordeal, stack, client, stuck)
        began = time.monotonic()
        await quiet(stack)
        never = await _settle(stack, client, ordeal.still_s)
        took = time.monotonic() - began
        views = await client.all_orders([ack.order_id for ack in client.acks])
    finally:
        await client.close()
        stack.stop()
    effects, faults, callbacks = (read_lines(stack.ledger, name) for name in LEDGERS)
    seen = Evidence(client.acks, views, effects, faults, callbacks, ordeal.chaos.harms, sorted(stuck), never)
    (folder / "views.json").write_text(json.dumps(views))
    retried = sum(ack.tries > 1 for ack in client.acks)
    outcome = Outcome(
        judge(seen), ordeal.chaos, len(client.acks), len(faults), samples, retried, stack.deaths(), took
    )  # fmt: skip
    if client.refused:
        outcome.verdict.lost += [f"refused: {said}" for said in client.refused]
    return outcome


async def _storm(ordeal: Ordeal, stack: Stack, client: Client, stuck: set[str]) -> int:
    """Orders, kills and samples at once, until the plan is done and enough was ordered and injected."""
    ended = asyncio.Event()
    orders = asyncio.create_task(_submit(ordeal, client, ended))
    samples = asyncio.create_task(_sample(ordeal, client, stuck, ended))
    await unleash(ordeal.chaos, stack, lambda text: _progress(text, stack, client))
    until = time.monotonic() + MORE_FAULTS_WITHIN_S
    while time.monotonic() < until and not _enough(ordeal, stack, client):
        stack.revive()
        await asyncio.sleep(0.5)
        _progress("faults still to come", stack, client)
    ended.set()
    await orders
    if sys.stderr.isatty():
        print(file=sys.stderr)
    return await samples


async def _submit(ordeal: Ordeal, client: Client, ended: asyncio.Event) -> None:
    chance = random.Random(f"orders {ordeal.seed}")
    under_way: set[asyncio.Task[None]] = set()
    for number in itertools.count(1):
        if ended.is_set() or number > (ordeal.most_orders or number):
            break
        name = f"P-{ordeal.seed}-{number}"
        task = asyncio.create_task(client.submit(name, f"C-{name}", chance.choice(ordeal.offers), number))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
        await asyncio.sleep(chance.random() * 2 / ordeal.orders_per_s)
        if len(under_way) >= UNDER_WAY:
            await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
    await asyncio.gather(*under_way)


async def _sample(ordeal: Ordeal, client: Client, stuck: set[str], ended: asyncio.Event) -> int:
    """Look at some orders while it storms: each must be final, owned by a case, or moving."""
    chance, looked = random.Random(f"samples {ordeal.seed}"), 0
    while not ended.is_set():
        await asyncio.sleep(SAMPLE_EVERY_S)
        for ack in chance.sample(client.acks, min(SAMPLE, len(client.acks))):
            view = await client.glance(ack.order_id)
            if view is None:
                continue
            looked += 1
            if not is_visible(view, time.time()):
                stuck.add(ack.external_id)
    return looked


async def quiet(stack: Stack) -> None:
    """End the simulator's faults."""
    async with aiohttp.ClientSession() as session, session.post(f"{stack.admin}/quiet") as reply:
        reply.raise_for_status()


async def _settle(stack: Stack, client: Client, still_s: float) -> list[str]:
    """Wait until every order is final or has an open case; the external ids of those that are neither.

    However long that takes, as long as at least one more comes to rest every `still_s`.
    """
    moved, least = time.monotonic(), sys.maxsize
    while True:
        stack.revive()
        waiting = []
        for row in await client.open_orders():
            view = await client.order(row["id"])
            if view is None or not (view["state"] in FINAL_STATES or has_open_case(view)):
                waiting.append(str(row["external_id"]))
        if len(waiting) < least:
            moved, least = time.monotonic(), len(waiting)
        if not waiting or time.monotonic() - moved >= still_s:
            return waiting
        _progress(f"{len(waiting)} orders to settle", stack, client)
        await asyncio.sleep(0.5)


def _enough(ordeal: Ordeal, stack: Stack, client: Client) -> bool:
    return len(client.acks) >= ordeal.least_orders and _injected(stack) >= ordeal.least_faults


def _injected(stack: Stack) -> int:
    return (stack.ledger / "faults.ndjson").read_bytes().count(b"\n")


def _progress(text: str, stack: Stack, client: Client) -> None:
    if sys.stderr.isatty():
        print(f"\r  {len(client.acks)} orders, {_injected(stack)} faults, {text:<40}", end="", file=sys.stderr)
