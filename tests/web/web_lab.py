"""What the tests of the door share: the real application on a real socket and database, targets that say what we want."""

import asyncio
import base64
import hmac
import io
import itertools
import json
import secrets
import socket
from collections import defaultdict, deque
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import msgspec

from unstuck.app import open_ports
from unstuck.config import Config
from unstuck.engine.dispatch import Dispatcher
from unstuck.repair.outcome import Call, Outcome, Result
from unstuck.service.access.accounts import add_token
from unstuck.service.order_work.fire import classify_due
from unstuck.service.ports import Ports
from unstuck.store.server import EmbeddedServer
from unstuck.web.server import build, server

TMF = "/tmf-api/serviceOrdering/v4/serviceOrder"
CASES = "/api/v1/fallout-cases"
PLAY = (
    "support",
    "repair-agent",
    "approver",
    "fallout-manager",
    "operations-manager",
    "finance",
    "engineer",
    "auditor",
)
ROLES = (*PLAY, "integration", "admin")
TOKENS = {role: f"token-of-{role}-" + secrets.token_hex(8) for role in ROLES}
SECRET = "whsec_" + base64.b64encode(b"the secret of every target").decode()
NUMBERS = itertools.count(1)


class Clock:
    """Starts now and moves a millisecond with every look, so that what comes later has a later time."""

    def __init__(self) -> None:
        self._at = datetime.now(UTC)

    def __call__(self) -> datetime:
        self._at += timedelta(milliseconds=1)
        return self._at

    def jump(self, seconds: float) -> None:
        """Let time pass."""
        self._at += timedelta(seconds=seconds)


class Answer(msgspec.Struct):
    """What the application answered."""

    status: int
    headers: Any
    raw: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.raw)

    @property
    def rule(self) -> str:
        return str(self.json.get("rule", ""))

    @property
    def pointers(self) -> list[str]:
        return [error["pointer"] for error in self.json["errors"]]


class Targets:
    """Every downstream system at once: answers `done` unless a test says otherwise for this customer."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._told: dict[tuple[str, str], deque[Outcome]] = defaultdict(deque)
        self.calls: list[Call] = []

    def will(self, customer: str, operation: str, *replies: Outcome) -> None:
        """The next answers about `operation` for this customer, in order; sends and read-backs alike."""
        self._told[customer, operation].extend(replies)

    async def send(self, call: Call, may_send: Any) -> Outcome:
        assert may_send()
        return self._answer(call, reply(Result.DONE, status=200, reference="R-1", body=b'{"reference":"R-1"}'))

    async def ask(self, call: Call) -> Outcome:
        return self._answer(call, reply(Result.SILENT, code="NO_ANSWER"))

    def of(self, customer: str, operation: str) -> list[Call]:
        """The calls this customer's order made of one operation."""
        return [c for c in self.calls if c.operation == operation and json.loads(c.body)["customer"] == customer]

    def _answer(self, call: Call, otherwise: Outcome) -> Outcome:
        self.calls.append(call)
        told = self._told[json.loads(call.body)["customer"], call.operation]
        outcome = told.popleft() if told else otherwise
        return msgspec.structs.replace(outcome, at=self._clock())


def reply(result: Result, **fields: Any) -> Outcome:
    """What a target says."""
    return Outcome(result, datetime.now(UTC), **fields)


def refused(code: str, message: str = "no") -> Outcome:
    body = json.dumps({"code": code, "message": message}).encode()
    return reply(Result.REFUSED, status=422, code=code, message=message, body=body)


LOST = reply(Result.UNKNOWN, code="TIMEOUT", message="no answer")
FOUND = reply(Result.FOUND, status=200, reference="R-7", effects=1, body=b'{"count":1,"effects":[{"reference":"R-7"}]}')
ABSENT = reply(Result.ABSENT, status=200, body=b'{"count":0,"effects":[]}')
ACCEPTED = reply(Result.ACCEPTED, status=202, reference="A-1", body=b'{"reference":"A-1"}')


class House:
    """The application with everything around it."""

    def __init__(self, ports: Ports, url: str, client: aiohttp.ClientSession, owner: Any, parts: Any) -> None:
        self.ports, self.url, self.client, self.owner = ports, url, client, owner
        self.app, self.clock, self.targets = parts

    async def call(
        self, method: str, path: str, body: Any = None, *, who: str | None = "repair-agent", version: Any = None,
        data: Any = None, headers: dict[str, str] | None = None,
    ) -> Answer:  # fmt: skip
        """One request as `who` (a role, or nobody); `body` goes as JSON, `data` as it is."""
        sent = {"Content-Type": "application/json", **(headers or {})}
        if who is not None:
            sent.setdefault("Authorization", f"Bearer {TOKENS[who]}")
        if version is not None:
            sent["If-Match"] = f'"{version}"'
        data = json.dumps(body).encode() if body is not None else data
        data = io.BytesIO(data) if isinstance(data, bytes) and len(data) > 1_000_000 else data
        async with self.client.request(
            method, self.url + path, data=data, headers=sent, allow_redirects=False
        ) as answer:  # fmt: skip
            return Answer(answer.status, answer.headers, await answer.read())

    async def get(self, path: str, who: str = "repair-agent") -> Any:
        """What is at `path`, which must be there."""
        answer = await self.call("GET", path, who=who)
        assert answer.status == 200, answer.raw
        return answer.json

    async def submit(self, data: bytes, **more: Any) -> Answer:
        """Send these bytes as an order."""
        return await self.call("POST", TMF, data=data, **{"who": "integration", **more})

    async def place(self, *items: dict[str, Any], customer: str = "", **more: Any) -> Any:
        """Order something, which must be taken."""
        answer = await self.submit(json.dumps(order(*items, customer=customer, **more)).encode())
        assert answer.status == 201, answer.raw
        return answer.json

    async def work(self) -> None:
        """Everything that is due is done: calls out, answers in, cases classified."""
        dispatcher = Dispatcher(self.ports, dict.fromkeys(self.ports.connectors, 32))
        while await dispatcher.cycle() or dispatcher._calls:
            await asyncio.gather(*dispatcher._calls)
        await classify_due(self.ports, 500)

    async def case_of(self, order_id: str) -> Any:
        """The one open case of an order, as a repair agent sees it."""
        found = (await self.get(f"{CASES}?order_id={order_id}&state=open"))["cases"]
        assert len(found) == 1, found
        return await self.get(f"{CASES}/{found[0]['id']}")

    async def callback(
        self, body: Any, *, system: str = "provisioning", secret: str = SECRET, at: datetime | None = None, **headers: str
    ) -> Answer:  # fmt: skip
        """A callback, signed as Standard Webhooks says."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        signed = {**signature(data, secret, at or self.clock()), **headers}
        return await self.call("POST", f"/api/v1/callbacks/{system}", data=data, who=None, headers=signed)

    async def kept(self, of: bytes) -> list[Any]:
        """What the intake log has of these very bytes, oldest first."""
        return list(await self.owner.fetch("SELECT * FROM intake WHERE sha256 = $1 ORDER BY at", digest(of)))

    async def callbacks(self, of: bytes) -> list[Any]:
        """What is kept of a callback of these very bytes."""
        return list(await self.owner.fetch("SELECT * FROM callback WHERE sha256 = $1 ORDER BY at", digest(of)))


def digest(data: bytes) -> str:
    return sha256(data).hexdigest()


def signature(data: bytes, secret: str, at: datetime, event_id: str = "wh-1") -> dict[str, str]:
    """The three headers of Standard Webhooks."""
    stamp = str(int(at.timestamp()))
    key = base64.b64decode(secret.removeprefix("whsec_"))
    mac = hmac.new(key, f"{event_id}.{stamp}.".encode() + data, sha256).digest()
    signed = "v1," + base64.b64encode(mac).decode()
    return {"webhook-id": event_id, "webhook-timestamp": stamp, "webhook-signature": signed}


def item(id: str, offer: str, **characteristics: Any) -> dict[str, Any]:
    """One line of an order."""
    rows = [{"name": name, "value": value} for name, value in characteristics.items()]
    service = {"serviceSpecification": {"name": offer}, "serviceCharacteristic": rows}
    return {"id": id, "action": "add", "service": service}


def fiber(id: str = "1") -> dict[str, Any]:
    return item(id, "fiber-internet", address="Jl. Merdeka 1", speed="100 Mbit/s")


def order(*items: dict[str, Any], customer: str = "", **more: Any) -> dict[str, Any]:
    """A TMF641 order of these items with an external id of its own."""
    number = next(NUMBERS)
    party = {"id": customer or f"C-{number}", "role": "customer", "@referredType": "Customer", "@type": "RelatedParty"}
    return {"externalId": f"PO-{number}", "relatedParty": [party], "serviceOrderItem": list(items), **more}


@asynccontextmanager
async def opened(cluster: EmbeddedServer, template: str, folder: Path) -> AsyncIterator[House]:
    """A fresh database behind the application, served on a free port; gone at the end."""
    name = f"web_{next(NUMBERS)}"
    urls = cluster.create_database(name, template=template)
    config = Config(data=str(folder), callback_secret=SECRET, webhook_allow="127.0.0.0/8")
    async with AsyncExitStack() as stack:
        stack.callback(cluster.drop_database, name)
        clock = Clock()
        targets = Targets(clock)
        ports = await stack.enter_async_context(open_ports(config, urls.app, size=8))
        connectors = dict.fromkeys(ports.book.current.document.targets, targets)
        ports = msgspec.structs.replace(ports, now=clock, connectors=connectors)
        for role, token in TOKENS.items():
            await add_token(ports, f"the {role}", (role,), token)
        app = build(ports, callback_secret=SECRET, body_limit=config.body_limit)
        url = await stack.enter_async_context(served(app))
        client = await stack.enter_async_context(aiohttp.ClientSession())
        owner = await asyncpg.connect(urls.owner)
        stack.push_async_callback(owner.close, timeout=5)
        yield House(ports, url, client, owner, (app, clock, targets))


@asynccontextmanager
async def served(app: Any) -> AsyncIterator[str]:
    """`app` on a socket of its own: its address. The socket listens before the server runs, so nobody waits.

    Only for a socket that says it is TCP does asyncio set TCP_NODELAY; without it every answer takes 40 ms more.
    """
    with socket.socket(proto=socket.IPPROTO_TCP) as door:
        door.bind(("127.0.0.1", 0))
        door.listen(128)
        running = server(app, "127.0.0.1", 0)
        task = asyncio.create_task(running.serve(sockets=[door]))
        yield f"http://127.0.0.1:{door.getsockname()[1]}"
        running.should_exit = True
        await task
