"""What the world sends while things break: failures in every form, and orders; each acknowledgement on disk first.

A client writes an acknowledgement to its journal and has it on disk before it sends the next thing. The same bytes are
sent again until somebody answers 2xx. What was sent, and what belongs to one case, only this client knows.
"""

import asyncio
import json
import os
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

EVENTS, ORDERS = "/api/v1/fallout-events", "/tmf-api/serviceOrdering/v4/serviceOrder"
SOURCES = ("crm", "mediation", "partner-portal")
PAUSE_S = 0.05
SENDERS = 5
TIMEOUT_S = 15.0
NO_YES_FOR_S = 60.0
NDJSON = "application/x-ndjson"


class Journal:
    """A file that only grows; what `add` has returned from is on disk."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab")

    def add(self, *lines: Any) -> None:
        """Append these and wait for the disk."""
        self._file.write(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


@dataclass(frozen=True)
class Failed:
    """A failure that was reported: its id, its body, and the thing that stands still, which is one case."""

    id: str
    body: dict[str, Any]
    group: tuple[str, ...]


@dataclass
class Sent:
    """What was acknowledged, and what was answered that should not be."""

    failures: dict[str, tuple[Failed, str]] = field(default_factory=dict)  # by id: with the case it was filed under
    orders: dict[str, str] = field(default_factory=dict)  # by external id: ours
    wrong: list[str] = field(default_factory=list)
    refusals: int = 0  # 503 with Retry-After, or no answer

    @property
    def acknowledged(self) -> int:
        return len(self.failures) + len(self.orders)


class Traffic:
    """Several clients at once until `end`; then each finishes what it has begun."""

    def __init__(self, url: str, tokens: dict[str, str], folder: Path, seed: int, per_s: float = 60.0) -> None:
        self._url, self._tokens, self._seed, self._per_s = url, tokens, seed, per_s
        self._journal = Journal(folder / "acks.ndjson")
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S))
        self._ended = asyncio.Event()
        self._news = asyncio.Event()
        self._clients: list[asyncio.Task[None]] = []
        self.sent = Sent()

    def begin(self) -> None:
        """Let three clients send one by one, one arrays, one lines, one orders."""
        forms = [*((form, n) for form in ("single", "array", "lines") for n in range(3 if form == "single" else 1))]
        self._clients = [asyncio.create_task(self._report(form, n)) for form, n in forms]
        self._clients.append(asyncio.create_task(self._order()))

    async def end(self) -> Sent:
        """Begin nothing new; returns when everything that was begun is acknowledged.

        However slow the machine is: it is wrong only when nothing at all is acknowledged for a long time.
        """
        self._ended.set()
        waiting, before = set(self._clients), -1
        while waiting and self.sent.acknowledged > before:
            before = self.sent.acknowledged
            _, waiting = await asyncio.wait(waiting, timeout=NO_YES_FOR_S)
        self._check()
        if waiting:
            self.sent.wrong.append(f"{len(waiting)} clients got no yes for {NO_YES_FOR_S:.0f} s")
        return self.sent

    async def close(self) -> None:
        """Close the connections."""
        for client in self._clients:
            client.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)
        await self._session.close()
        self._journal.close()

    async def more(self, acknowledgements: int, still_s: float) -> bool:
        """Wait for so many more acknowledgements; whether they came, and not one that took longer than `still_s`."""
        wanted = self.sent.acknowledged + acknowledgements
        while self.sent.acknowledged < wanted:
            self._check()
            self._news.clear()
            try:
                async with asyncio.timeout(still_s):
                    await self._news.wait()
            except TimeoutError:
                return False
        return True

    def _check(self) -> None:
        for client in self._clients:
            if client.done() and (error := client.exception()):
                raise error

    async def _report(self, form: str, number: int) -> None:
        chance = random.Random(f"traffic {self._seed} {form} {number}")
        made = failures(f"{self._seed}-{form}-{number}", chance)
        while not self._ended.is_set():
            size = 1 if form == "single" else chance.randint(2, 20)
            batch = [next(made) for _ in range(size)]
            await self._until_taken(form, batch)
            if chance.random() < 0.03:  # a sender that is not sure sends the very same again
                await self._until_taken(form, batch)
            await self._rest(size * chance.random() * 2 * SENDERS / self._per_s)

    async def _until_taken(self, form: str, batch: Sequence[Failed]) -> None:
        body, media = written(form, batch)
        while True:
            status, said = await self.post(EVENTS, body, media, "integration")
            if status in (200, 201):
                break
            await asyncio.sleep(PAUSE_S)
        results = [said] if form == "single" else said["results"]
        self._take(list(zip(batch, results, strict=True)))

    def take(self, one: Failed, result: dict[str, Any]) -> None:
        """An acknowledgement that somebody else was given: from here on it is reckoned with."""
        self._take([(one, result)])

    def _take(self, taken: list[tuple[Failed, dict[str, Any]]]) -> None:
        self._journal.add(*({"event": one.id, **result} for one, result in taken))
        for one, result in taken:
            self._filed(one, result)
        self._news.set()

    def _filed(self, one: Failed, result: dict[str, Any]) -> None:
        if result["status"] not in (200, 201):
            self.sent.wrong.append(f"{one.id}: {result}")
            return
        _, case = self.sent.failures.setdefault(one.id, (one, result["case"]))
        if case != result["case"]:
            self.sent.wrong.append(f"{one.id}: first case {case}, then {result['case']}")

    async def _order(self) -> None:
        chance, number = random.Random(f"traffic {self._seed} orders"), 0
        while not self._ended.is_set():
            number += 1
            name = f"P3-{self._seed}-{number}"
            body = router_order(name)
            while True:
                status, said = await self.post(ORDERS, body, "application/json", "integration")
                if status == 201:
                    break
                await asyncio.sleep(PAUSE_S)
            self._journal.add({"order": said["id"], "external_id": name})
            self.sent.orders[name] = said["id"]
            self._news.set()
            await self._rest(chance.random() * 60 / self._per_s)

    async def _rest(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._ended.wait()
        except TimeoutError:
            return

    async def post(self, path: str, body: bytes, media: str, role: str) -> tuple[int, Any]:
        """One POST: its status (0: no answer) and what was said. All but yes and *not now* is wrong here."""
        headers = {"Authorization": f"Bearer {self._tokens[role]}", "Content-Type": media}
        try:
            async with self._session.post(self._url + path, data=body, headers=headers) as answer:
                said = await answer.json(content_type=None)
                status, later = answer.status, "Retry-After" in answer.headers
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            self.sent.refusals += 1
            return 0, None
        self.sent.refusals += status == 503
        if not (status in (200, 201) or (status == 503 and later)):
            self.sent.wrong.append(f"{path}: {status} {str(said)[:300]}")
        return status, said


def failures(name: str, chance: random.Random) -> Iterator[Failed]:
    """Failures without end; some say the same thing again under another id."""
    steps = ("activate", "bill")
    number = 0
    while True:
        number += 1
        source, order = SOURCES[number // 40 % len(SOURCES)], f"SO-{name}-{number // 4 + chance.randint(0, 1)}"
        group = (source, order, chance.choice(steps), chance.choice(("TIMEOUT", "REJECTED")))
        body = {
            "sourceSystem": source,
            "sourceEventId": f"E-{name}-{number}",
            "serviceOrderId": order,
            "failedStepKey": group[2],
            "reasonCode": group[3],
            "message": f"step {group[2]} failed: {'x' * chance.randint(0, 200)}",
            "customerId": f"C-{order}",
        }
        yield Failed(f"{source}/{body['sourceEventId']}", body, group)


def written(form: str, batch: Sequence[Failed]) -> tuple[bytes, str]:
    """The body and its media type."""
    bodies = [json.dumps(one.body, separators=(",", ":")).encode() for one in batch]
    if form == "single":
        return bodies[0], "application/json"
    if form == "array":
        return b"[" + b",".join(bodies) + b"]", "application/json"
    return b"\n".join(bodies), NDJSON


def router_order(name: str) -> bytes:
    """A TMF641 order of one thing, which the demo's warehouse reserves."""
    model = [{"name": "model", "value": "AX-3000"}]
    service = {"serviceSpecification": {"name": "wifi-router"}, "serviceCharacteristic": model}
    party = {"id": f"C-{name}", "role": "customer", "@referredType": "Customer"}
    item = {"id": "1", "action": "add", "service": service}
    return json.dumps({"externalId": name, "relatedParty": [party], "serviceOrderItem": [item]}).encode()
