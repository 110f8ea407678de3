"""A small database with a realistic past: orders, replies of every kind, callbacks, cases worked by people, seals.

Made through the product's own services, so that an audit of it may find nothing. Seeded: the same world each time
but for ids and times.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

from unstuck.app import keyring, open_ports
from unstuck.config import Config
from unstuck.engine.dispatch import Dispatcher, reap
from unstuck.fallout import case as commands
from unstuck.fallout.failure import Failure
from unstuck.kernel.actor import Actor
from unstuck.kernel.refusal import Invalid, Missing, Refused
from unstuck.order.plan import OrderDraft, OrderItem
from unstuck.repair.evidence import Evidence, EvidenceType
from unstuck.repair.outcome import Call, Outcome, Result
from unstuck.service.case_work import cases, repair, resolve
from unstuck.service.case_work.done import CorrectionDone
from unstuck.service.failures_in import failures
from unstuck.service.order_work import callbacks, intake, orders
from unstuck.service.order_work.fire import classify_due, late_due, recheck_due
from unstuck.service.ports import Ports
from unstuck.store.keys import KeyFiles
from unstuck.store.seal import seal
from unstuck.store.server import Urls

ANA = Actor("person:ana", frozenset({"repair-agent", "fallout-manager", "engineer"}))
SPEED = 400.0
ROUNDS = 200
MOVING = """SELECT count(*) FROM task WHERE lease IS NOT NULL OR state IN ('READY', 'WAITING_CALLBACK')
    OR (state = 'UNKNOWN' AND due IS NOT NULL)"""
# In any world: a correction with a new identity, an unknown that is read back, a callback.
SURELY = {"C1": ("fiber", "refused"), "C2": ("fiber", "unknown"), "C3": ("voice", "accepted")}
OFFERS = ("fiber-internet", "wifi-router", "phone-line", "static-ip")
CHARACTERISTICS = {"address": "Jl. Sudirman 1", "speed": "100 Mbit/s", "model": "AX-3000", "number": "+62215550100"}


@dataclass
class World:
    """The finished database: its ports, the public key, and the checkpoints as somebody else kept them."""

    ports: Ports
    urls: Urls
    verifier: str
    elsewhere: list[str]
    keys: KeyFiles


class Target:
    """A downstream system in this process: what it answers depends on the seed, the customer and the step alone."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._sends: dict[str, int] = {}
        self._effects: set[str] = set()
        self.owes: list[tuple[str, str, str]] = []  # what was accepted: system, key, what a callback will say

    async def send(self, call: Call, may_send: Callable[[], bool]) -> Outcome:
        times = self._sends[call.key] = self._sends.get(call.key, 0) + 1
        body = msgspec.json.decode(call.body)
        dice = random.Random(f"{self._seed} {body['customer']} {body['service']} {call.identity} {min(times, 2)}")
        name = dice.choices(tuple(ANSWERS), (60, 12, 10, 7, 8, 3))[0]
        if body["customer"] in SURELY:
            service, answer = SURELY[body["customer"]]
            name = answer if (times, call.identity, body["service"]) == (1, 0, service) else "done"
        if name in ("done", "accepted") or (name == "unknown" and dice.random() < 0.5):
            self._effects.add(call.key)
        if name == "accepted":
            self.owes.append((call.target, call.key, "done" if dice.random() < 0.7 else "failed"))
        return ANSWERS[name](f"{call.operation[:3].upper()}-{len(self._effects)}")

    async def ask(self, call: Call) -> Outcome:
        found = call.key in self._effects
        body = msgspec.json.encode({"count": int(found)})
        return Outcome(Result.FOUND if found else Result.ABSENT, now(), 200, body=body, effects=int(found))


def now() -> datetime:
    return datetime.now(UTC)


ANSWERS: dict[str, Callable[[str], Outcome]] = {
    "done": lambda ref: Outcome(Result.DONE, now(), 200, reference=ref, body=f'{{"reference":"{ref}"}}'.encode()),
    "accepted": lambda ref: Outcome(Result.ACCEPTED, now(), 202, body=b'{"status":"accepted"}'),
    "refused": lambda ref: Outcome(Result.REFUSED, now(), 422, "TERMINAL", "not here", body=b'{"code":"TERMINAL"}'),
    "busy": lambda ref: Outcome(Result.BUSY, now(), 503, "BUSY", body=b"busy"),
    "unknown": lambda ref: Outcome(Result.UNKNOWN, now(), code="TIMEOUT", message="no answer in time"),
    "unsent": lambda ref: Outcome(Result.UNSENT, now(), code="NOT_CONNECTED"),
}


@asynccontextmanager
async def small_world(urls: Urls, folder: Path, seed: int, orders: int = 30) -> AsyncIterator[World]:
    """Fill the migrated, empty database of `urls`; evidence, key and shipped checkpoints are files in `folder`."""
    config = Config(data=str(folder), pack="minimal", speed=SPEED)
    keys, shipped = keyring(config), folder / "checkpoints"
    async with open_ports(config, urls.app, size=4) as opened:
        target = Target(seed)
        names = opened.book.current.document.targets
        ports = msgspec.structs.replace(opened, connectors=dict.fromkeys(names, target))
        await _report(ports)
        await submit(ports, orders, random.Random(seed))
        await _report(ports, again=True)
        await run(ports, target, names)
        await _seal(ports, keys, shipped, 1)
        await _work(ports, seed)
        await _manage(ports)
        await run(ports, target, names)
        await _seal(ports, keys, shipped, 2)
        notes = [path.read_text() for path in sorted(shipped.glob("*.txt"))]
        yield World(ports, urls, keys.verifiers()[0], notes, keys)


async def _seal(ports: Ports, keys: KeyFiles, shipped: Path, round: int) -> None:
    """Twice: what committed last may still have been in sight of a transaction under way."""
    for n in range(2):
        await seal(ports.store.pool, keys, now() + timedelta(minutes=10 * round + 2 * n), shipped)


async def submit(ports: Ports, orders: int, dice: random.Random, name: str = "WEB") -> None:
    """Orders of all sorts; some twice, some that nobody can plan, and one that is none."""
    for n in range(orders):
        offers = dice.sample(OFFERS, dice.randint(1, 3)) if n > 3 else ["fiber-internet", "phone-line"]
        if n % 10 == 0:
            offers = ["unheard-of"]
        items = tuple(OrderItem(str(i), offer, "add", CHARACTERISTICS) for i, offer in enumerate(offers, 1))
        promised = (now() + timedelta(days=3)).isoformat() if n % 2 else ""
        draft = OrderDraft(f"{name}-{n}", "webshop", f"C{n}", items, promised)
        body = msgspec.json.encode(draft)
        sent = intake.Sent("api", "webshop", "application/json", body, len(body))
        await intake.submit(ports, draft, sent)
        if n % 7 == 0:
            await intake.submit(ports, draft, sent)
    await intake.refuse(ports, intake.Sent("api", "webshop", "text/plain", b"no order", 8), 400, "unreadable")


async def _report(ports: Ports, *, again: bool = False) -> None:
    """Another system reports: about its own orders and ours, before they came and after, twice and with other bytes."""
    oms = Actor("the order manager", frozenset({"integration"}))
    said = []
    for n in range(8):
        body: dict[str, Any] = {
            "sourceSystem": "webshop" if n % 2 else "oms",
            "sourceEventId": f"e-{n}{'-again' if again and n % 3 else ''}",
            "serviceOrderId": f"WEB-{n}" if n % 2 else f"so-{n}",
            "serviceOrderItemId": "1",
            "customerId": f"C{n}",
            "correlationId": f"corr-{n}",
            "reasonCode": "DUPLICATE_SUBSCRIBER_MISMATCH",
            "message": f"it stopped{' again' if again else ''}",
            "categoryHint": "ACTIVATION",
            "severityHint": "HIGH",
            "orderVersion": f"v{n}",
        }
        data = msgspec.json.encode(body)
        said.append(failures.Report(msgspec.json.decode(data, type=Failure), data, oms))
    await failures.receive(ports, [*said, said[0]])


async def run(ports: Ports, target: Target, names: Iterable[str]) -> None:
    """Dispatch until nothing moves any more, answering what was accepted."""
    dispatcher = Dispatcher(ports, dict.fromkeys(names, 8), idle_s=0.02)
    running = asyncio.create_task(dispatcher.run())
    for _ in range(ROUNDS):
        await asyncio.sleep(0.1)
        for due in (late_due, recheck_due, reap, classify_due):
            await due(ports, 10_000)
        owed, target.owes = target.owes, []
        for owing in owed:
            await _call_back(ports, *owing)
        if not await ports.store.pool.fetchval(MOVING) and not target.owes:
            break
    dispatcher.stop()
    await running


async def _call_back(ports: Ports, system: str, key: str, said: str) -> None:
    body = msgspec.json.encode({"id": f"cb-{key}", "key": key, "status": said, "code": "", "message": "late but sure"})
    await callbacks.receive(ports, system, body)
    await callbacks.receive(ports, system, body)
    contrary = msgspec.json.encode({"id": f"cc-{key}", "key": key, "status": "failed" if said == "done" else "done"})
    for odd in (contrary, b'{"id": 1', msgspec.json.encode({"id": f"x-{key}", "key": "nobody", "status": "done"})):
        try:
            await callbacks.receive(ports, system, odd)
        except (Invalid, Missing):
            continue


async def _work(ports: Ports, seed: int) -> None:
    about = "SELECT c.id, concat_ws(' ', external_id, step, reason) AS what FROM fallout_case c LEFT JOIN orders o ON o.id = order_id"
    for row in await ports.store.pool.fetch(about):
        try:
            await Agent(ports, row["id"], random.Random(f"{seed} {row['what']}")).work()
        except Refused:
            continue  # the life cycle or a rule says no: as in life, it stays where it is


async def _manage(ports: Ports) -> None:
    """Orders of every kind under every command on whole orders; many are refused, and that is history too."""
    rows = await ports.store.pool.fetch("SELECT id FROM orders ORDER BY external_id")
    moves = (orders.suspend, orders.fail, orders.resolve_failure, orders.resume, orders.cancel, orders.abort)
    for row in rows[::3]:
        order_id = row["id"]
        await orders.patch(ports, order_id, None, ANA, orders.Patch(False, b'{"description":"a gift"}'))
        await orders.assess_cancellation(ports, orders.Asked(order_id, "withdrawn", b'{"reason":"withdrawn"}'), ANA)
        for move in moves:
            version = await ports.store.pool.fetchval("SELECT version FROM orders WHERE id = $1", order_id)
            try:
                await move(ports, order_id, version, ANA, "as agreed")
            except Refused:
                continue


class Agent:
    """Ana at work on one case."""

    def __init__(self, ports: Ports, case_id: UUID, dice: random.Random) -> None:
        self._ports, self._id, self._dice = ports, case_id, dice
        self._version = 0

    async def work(self) -> None:
        async with self._ports.store.unit(now()) as unit:
            case = await unit.case(self._id)
        self._version = case.version
        await self._do("assign", commands.Assign(ANA.id))
        await self._do("start", commands.Start())
        if self._dice.random() < 0.3:
            await self._do("wait", commands.Wait("VENDOR", "asked the vendor"))
            await self._do("continue", commands.Continue("they answered"))
        await self._do("escalate", commands.Escalate("shift-lead", "a VIP"))
        document = await self._attach(EvidenceType.DOCUMENT, proves=True)
        await self._attach(EvidenceType.SCREENSHOT, proves=False)
        match case.reason, case.system:
            case "reported", _:
                await self._prove([document])
                await self._resolve("resume", [document], "RETRY_FAILED_STEP")
            case "unplannable", _:
                await self._prove([document])
                await self._resolve("cancel", [document])
            case "refused", "provisioning":
                await self._repair("correct_data", "typing_error", {"fields": self._fields(case.operation)})
                await self._resolve("resume", [document], "RETRY_FAILED_STEP")
            case "refused", _ if self._dice.random() < 0.5:
                await self._repair("retry", "cause_fixed", {})
            case "unknown", "field":
                await self._repair("mark_done_outside", "done_by_hand", {"evidence": [str(document)]})
                await self._resolve("resume", [document], "SKIP_STEP_ALREADY_DONE")
            case "unknown", _:
                await self._repair("read_back", "second_look", {})
                await self._resolve("resume", [document], "RETRY_FAILED_STEP")
            case "contradiction", _:
                await self._resolve("none", [document])
                await self._do("close", commands.Close())
                await self._do("reopen", commands.Reopen("not so fast"))
            case _:
                await self._prove([document])
                await self._resolve("cancel", [document])

    def _fields(self, operation: str) -> dict[str, str]:
        return {"number": "+62215550199"} if operation == "activateVoice" else {"address": "Jl. Thamrin 2"}

    async def _do(self, name: str, what: commands.Command) -> None:
        self._version = (await cases.command(self._ports, self._id, self._version, ANA, name, lambda _: what)).version

    async def _attach(self, kind: EvidenceType, *, proves: bool) -> UUID:
        described = Evidence(self._id, kind, "", 0, "text/plain", "desk", "", now(), proves_resolution=proves)
        data = f"{kind} of {self._id}".encode()
        done = await repair.attach(self._ports, self._id, self._version, ANA, data, described)
        self._version = done.version
        assert isinstance(done.evidence, Evidence)
        return done.evidence.id

    async def _prove(self, evidence: list[UUID]) -> None:
        self._version = (await cases.verify(self._ports, self._id, self._version, ANA, evidence, "seen")).version

    async def _repair(self, action: str, reason: str, given: dict[str, Any]) -> None:
        for turn in ("reject", "apply"):
            proposal = repair.Proposal(action, reason, f"{turn} it", given)
            done = await repair.propose(self._ports, self._id, self._version, ANA, proposal)
            assert isinstance(done.correction, CorrectionDone)
            named = (self._ports, self._id, done.version, ANA, done.correction.id)
            done = await (repair.reject(*named, "a second thought") if turn == "reject" else repair.apply(*named))
            self._version = done.version

    async def _resolve(self, decision: str, evidence: list[UUID], mode: str | None = None) -> None:
        how = resolve.Decision(decision, evidence, mode, "done")
        self._version = (await resolve.resolve(self._ports, self._id, self._version, ANA, how)).version
