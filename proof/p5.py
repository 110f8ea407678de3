"""P5: what was decided on an old version is refused, and leaves nothing behind. A model with a count of its own.

Actors read and command cases, orders and sources with versions that are current, remembered or invented. A command is
carried out exactly when its version was the one at commit and the state allows it; refused, it has written nothing.
Of several at once on the same version one is carried out. Lanes run beside each other; each is drawn from the seed.
"""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import msgspec

from proof.p4 import Stuck, fail_orders
from proof.stack import fresh_database, place
from proof.subjects import (
    CASE_MOVES,
    LEAVE_THE_VERSION,
    LIFE_CYCLE,
    ORDER_MOVES,
    RARE,
    REPAIR_MOVES,
    SOURCE_MOVES,
    Subject,
    carry_out,
    print_of,
    report_body,
)
from proof.world import PACK, order_body
from unstuck.app import open_ports
from unstuck.config import Config
from unstuck.fallout.failure import Failure
from unstuck.fallout.source import SourceSettings
from unstuck.kernel.actor import Actor
from unstuck.kernel.refusal import Refused, Stale
from unstuck.service.failures_in import sources
from unstuck.service.failures_in.failures import Filed, Report, receive
from unstuck.service.order_work.fire import classify_due
from unstuck.service.order_work.intake import Sent, submit
from unstuck.service.ports import Ports
from unstuck.store.answers import Once
from unstuck.store.server import EmbeddedServer
from unstuck.web.tmf.reader import read_order

SCALES = {"smoke": 2_000, "gate": 20_000, "release": 20_000}  # steps
LANES = 6
A_LANE = {"case": 5, "repair": 2, "order": 3, "source": 1}
PEOPLE = tuple(Actor(f"person:{name}", frozenset({"engineer"})) for name in ("ana", "bo", "cem", "dee"))
VISITOR = Actor("person:eve", frozenset())
CURRENT, REMEMBERED, INVENTED = "current", "remembered", "invented"
SHOWN = 5
LAWS = ("stale_taken", "impossible_taken", "good_refused", "wrong_reason", "partial", "miscounted", "not_one_winner")


@dataclass
class Verdict:
    """How often each law was broken, with the first few; and how much of what was tried."""

    broken: dict[str, list[str]] = field(default_factory=lambda: {law: [] for law in LAWS})
    tried: Counter[str] = field(default_factory=Counter)

    def that(self, law: str, holds: bool, what: str) -> None:
        """`law` must hold here."""
        if not holds:
            self.broken[law].append(what)

    @property
    def ok(self) -> bool:
        return not any(self.broken.values())

    def counts(self) -> dict[str, Any]:
        """The figures, as they are printed and kept."""
        offenders = {law: found[:SHOWN] for law, found in self.broken.items() if found}
        return {**self.tried, **{law: len(found) for law, found in self.broken.items()}, "offenders": offenders}


async def run(server: EmbeddedServer, scale: str, seed: int) -> dict[str, Any]:
    """The model at this scale on a database of its own."""
    urls = await fresh_database(server, f"p5_{seed}")
    verdict = await walk(urls.app, seed, SCALES[scale])
    lost = sum(len(verdict.broken[law]) for law in ("partial", "miscounted"))
    return {"ok": verdict.ok, "lost": lost, **verdict.counts()}


async def walk(url: str, seed: int, steps: int) -> Verdict:
    """So many steps over all lanes."""
    verdict = Verdict()
    with place() as folder:
        config = Config(pack=str(PACK), data=str(Path(folder) / "unstuck"))
        async with open_ports(config, url, size=LANES * 2 + 2) as ports:
            stuck = await fail_orders(ports, f"P5-{seed}", A_LANE["repair"] * LANES)
            lanes = [await _lane(ports, seed, number, verdict, stuck[number::LANES]) for number in range(LANES)]
            while await classify_due(ports, 500):
                pass
            for lane in lanes:
                await lane.look()
            async with asyncio.TaskGroup() as group:
                for lane in lanes:
                    group.create_task(lane.walk(steps // LANES))
    return verdict


class Lane:
    """Subjects of its own and the actors who remember what they read of them."""

    def __init__(self, ports: Ports, subjects: list[Subject], chance: random.Random, verdict: Verdict) -> None:
        self._ports, self._subjects, self._chance, self._verdict = ports, subjects, chance, verdict
        self._remembered: dict[tuple[str, UUID], int] = {}
        self._last: dict[UUID, dict[str, Any]] = {}

    async def look(self) -> None:
        """Take version and state once from the product: from here on the count is our own."""
        for subject in self._subjects:
            now = await self._print(subject)
            subject.version, subject.state = now["version"], now["state"]

    async def walk(self, steps: int) -> None:
        """One step after the other; a race counts as many as there were racers."""
        left = steps
        while left > 0:
            subject = self._chance.choice(self._subjects)
            draw = self._chance.random()
            if draw < 0.1:
                left -= await self._race(subject)
            elif draw < 0.15 and subject.moves is CASE_MOVES:
                left -= await self._again(subject)
            else:
                left -= await self._command(subject)
        self._verdict.tried["steps"] += steps - left

    async def _command(self, subject: Subject) -> int:
        command = self._draw(subject)
        visits = subject.kind == "case" and command in LIFE_CYCLE and self._chance.random() < 0.03
        actor = VISITOR if visits else self._chance.choice(PEOPLE)
        version, how = self._version(subject, actor)
        expected = version == subject.version and subject.may(command) and not visits
        key = str(uuid4()) if self._chance.random() < 0.3 else ""
        before, said = self._last[subject.id], await _told(self._with_key(actor, key), subject, command, version, actor)
        after = await self._print(subject, key)
        what = f"{command} on {subject.name} {subject.state} at {subject.version} with {how} {version}: {said!r}"
        self._judge(subject, command, version, said, expected, what)
        if isinstance(said, Refused):
            self._verdict.that("partial", before == after, f"{what}: {_differs(before, after)}")
        else:
            self._after(subject, after, what)
            kept = bool(key) and subject.kind != "source"  # registering a source takes no key
            self._verdict.that("miscounted", bool(after["answers"]) is kept, what)
        self._remembered[actor.id, subject.id] = self._read(subject, actor)
        self._verdict.tried[f"{how}_{'refused' if isinstance(said, Refused) else 'taken'}"] += 1
        return 1

    def _judge(self, subject: Subject, command: str, version: int, said: Any, expected: bool, what: str) -> None:
        v = self._verdict
        if isinstance(said, Refused):
            v.that("good_refused", not expected, what)
            stale = version != subject.version
            v.that("wrong_reason", isinstance(said, Stale) is stale, what)
            v.that("wrong_reason", not isinstance(said, Stale) or said.current == subject.version, what)
            return
        v.that("stale_taken", version == subject.version, what)
        v.that("impossible_taken", version != subject.version or expected, what)
        if subject.state in subject.moves[command]:
            subject.done(command, said)

    def _after(self, subject: Subject, now: dict[str, Any], what: str) -> None:
        """What was carried out counts exactly once; after a law was broken the model goes on from what is there."""
        level = (now["version"], now["state"]) == (subject.version, subject.state)
        self._verdict.that("miscounted", level, f"{what}: now {now['state']} at {now['version']}")
        subject.version, subject.state = now["version"], now["state"]

    async def _race(self, subject: Subject) -> int:
        """Two to four at once on the version that is current; each could be carried out if it were alone."""
        possible = [name for name in subject.moves if subject.may(name) and name not in LEAVE_THE_VERSION]
        if not possible or (subject.kind == "order" and subject.state == "CANCELLED"):
            return 0
        racers = [
            (self._draw(subject, possible), actor) for actor in self._chance.sample(PEOPLE, self._chance.randint(2, 4))
        ]
        version = subject.version
        said = await asyncio.gather(
            *(_told(self._ports, subject, command, version, actor) for command, actor in racers)
        )
        won = [(command, one) for (command, _), one in zip(racers, said, strict=True) if not isinstance(one, Refused)]
        what = f"{[command for command, _ in racers]} on {subject.name} {subject.state} at {version}: {said!r}"
        self._verdict.that("not_one_winner", len(won) == 1, what)
        self._verdict.that(
            "wrong_reason", all(isinstance(one, Stale) for one in said if isinstance(one, Refused)), what
        )
        if won:
            subject.done(*won[0])
        self._after(subject, await self._print(subject), what)
        self._verdict.tried["races"] += 1
        return len(racers)

    async def _again(self, subject: Subject) -> int:
        """The same failure comes again: it is added to the open case, whose version stays."""
        if "RESOLVED" in subject.state or subject.state == "CLOSED":
            return 0
        (filed,) = await receive(self._ports, [_report(subject.name, str(uuid4()))])
        what = f"the same failure again on {subject.name} {subject.state}: {filed!r}"
        joined = isinstance(filed, Filed) and (filed.was, filed.case_id) == ("joined", subject.id)
        self._verdict.that("impossible_taken", joined, what)
        self._after(subject, await self._print(subject), what)
        self._verdict.tried["repeats"] += 1
        return 1

    def _draw(self, subject: Subject, among: list[str] | None = None) -> str:
        """A command: mostly one that can be carried out now."""
        possible = [name for name in subject.moves if subject.may(name)]
        names = among or (possible if possible and self._chance.random() < 0.7 else list(subject.moves))
        return self._chance.choices(names, [RARE.get(name, 1.0) for name in names])[0]

    def _version(self, subject: Subject, actor: Actor) -> tuple[int, str]:
        draw, known = self._chance.random(), self._remembered.get((actor.id, subject.id))
        if draw < 0.5:
            return subject.version, CURRENT
        if draw < 0.8 and known is not None:
            return known, REMEMBERED
        return subject.version + self._chance.choice((-2, -1, 1, 2, 1000, -1000)), INVENTED

    def _read(self, subject: Subject, actor: Actor) -> int:
        """What an actor remembers: mostly what is there now, sometimes still what he read before."""
        known = self._remembered.get((actor.id, subject.id), subject.version)
        return subject.version if self._chance.random() < 0.7 else known

    async def _print(self, subject: Subject, key: str = "") -> dict[str, Any]:
        """What is there now. Nobody but this lane changes its subjects, so it is also what was there before the next."""
        now = await print_of(self._ports, subject, key)
        self._last[subject.id] = {**now, "answers": 0}
        return now

    def _with_key(self, actor: Actor, key: str) -> Ports:
        return msgspec.structs.replace(self._ports, once=Once(actor.id, key, key, 200)) if key else self._ports


async def _told(ports: Ports, subject: Subject, command: str, version: int, actor: Actor) -> Any:
    try:
        return await carry_out(ports, subject, command, version, actor)
    except Refused as refusal:
        return refusal


async def _lane(ports: Ports, seed: int, number: int, verdict: Verdict, stuck: list[Stuck]) -> Lane:
    name, made = f"{seed}-{number}", list[Subject]()
    reports = [_report(f"SO-{name}-{n}", f"E-{name}-{n}") for n in range(A_LANE["case"])]
    for report, filed in zip(reports, await receive(ports, reports), strict=True):
        assert isinstance(filed, Filed)
        made.append(Subject("case", filed.case_id, report.failure.service_order_id, "", 0, CASE_MOVES))
    made += [Subject("case", one.case_id, f"case of order {one.order_id}", "", 0, REPAIR_MOVES) for one in stuck]
    for n in range(A_LANE["order"]):
        body = order_body(f"P5-O-{name}-{n}", f"C-{name}-{n}", "bundle")
        received = await submit(ports, read_order(body, "proof"), Sent("tmf641", "proof", "", body, len(body)))
        made.append(Subject("order", received.order_id, f"order {name}-{n}", "", 0, ORDER_MOVES))
    said = sources.Described("a source", None, SourceSettings())
    source, _ = await sources.register(ports, f"source-{name}", None, PEOPLE[0], said)
    made.append(Subject("source", source.id, source.name, "", 0, SOURCE_MOVES))
    return Lane(ports, made, random.Random(f"p5 {seed} {number}"), verdict)


def _report(order: str, event: str) -> Report:
    failure = Failure(
        source_system="proof", source_event_id=event, service_order_id=order, reason_code="TIMEOUT", message="no"
    )
    return Report(failure, report_body(order, event), Actor("proof", frozenset({"integration"})))


def _differs(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    return [name for name, value in before.items() if after[name] != value]
