"""A receiver of webhooks on a real socket, and the relay with everything around it under a clock that tests set."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import msgspec
from aiohttp import web

from unstuck.connect.signature import verify
from unstuck.engine.relay import Relay
from unstuck.kernel.actor import Actor
from unstuck.service.events_out import subscriptions
from unstuck.service.events_out.outbox import Patience, Renderers, cloud_event_messages
from unstuck.service.events_out.subscriptions import NewSecret, SubscriptionView, Wanted
from unstuck.store.keys import KeyFiles
from unstuck.store.seal import seal

from .conftest import Rig

ADMIN = Actor("root", frozenset({"admin"}))
RENDERERS: Renderers = {"cloudevents": cloud_event_messages}
QUICK = Patience(tries=3, refusals=6, first_s=5, longest_s=3600, away_first_s=1, away_longest_s=60)


class Got(msgspec.Struct):
    """One POST as it arrived."""

    id: str
    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> Any:
        return json.loads(self.body)

    @property
    def stream(self) -> UUID:
        return UUID(self.event["subject"])

    @property
    def seq(self) -> int:
        return int(self.event["id"].removeprefix(self.event["subject"] + "-").partition("-")[0])


class Receiver:
    """Takes everything, unless a test says otherwise; `answer` gets each message and says a status (or a response)."""

    def __init__(self) -> None:
        self.url = ""
        self.got: list[Got] = []  # what was taken
        self.asked = 0
        self.answer: Callable[[Got], Any] = lambda _: 200
        self.pause = asyncio.Event()
        self.pause.set()
        self._runner: web.AppRunner | None = None
        self._port = 0

    async def open(self) -> None:
        """Listen: at first anywhere, later where it was."""
        app = web.Application(client_max_size=1 << 22)
        app.router.add_post("/{rest:.*}", self._take)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True)
        await site.start()
        self._port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self._port}/hook"

    async def close(self) -> None:
        """Hear nothing any more: connections are refused."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _take(self, request: web.Request) -> web.Response:
        self.asked += 1
        got = Got(request.headers["webhook-id"], dict(request.headers), await request.read())
        await self.pause.wait()
        said = self.answer(got)
        answer = said if isinstance(said, web.Response) else web.Response(status=said, text="as told")
        if answer.status < 300:
            self.got.append(got)
        return answer

    def seqs(self, stream: UUID) -> list[int]:
        """The numbers of a stream's events, as they came; of several messages of one event the first."""
        return [got.seq for got in self.got if got.stream == stream and got.id == f"{stream}-{got.seq}"]

    def twice(self) -> list[str]:
        """Ids that came more than once."""
        return [id for id, times in Counter(got.id for got in self.got).items() if times > 1]

    def signed_by(self, secret: str, rig: Rig) -> None:
        """Every message is signed with this secret."""
        for got in self.got:
            verify(secret, {name.lower(): value for name, value in got.headers.items()}, got.body, rig.clock())


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    one = Receiver()
    await one.open()
    try:
        yield one
    finally:
        await one.close()


class Post:
    """The sealer, the relay, and the questions that tests ask."""

    def __init__(self, rig: Rig, keys: KeyFiles) -> None:
        self.rig, self.keys = rig, keys

    async def subscribe(self, receiver: Receiver, name: str = "crm", **more: Any) -> NewSecret:
        """Have everything from now on sent to a receiver."""
        return await subscriptions.create(self.rig.ports, ADMIN, Wanted(name, receiver.url, **more))

    def relay(self, patience: Patience = QUICK, renderers: Renderers = RENDERERS, **more: Any) -> Relay:
        return Relay(self.rig.ports, renderers, patience=patience, idle_s=0.01, **more)

    async def seal(self) -> None:
        """Give every committed event its leaf; another test's open transaction may hold that up for a moment."""
        async with asyncio.timeout(20):
            while await self.unsealed():
                await seal(self.rig.pool, self.keys, self.rig.clock(), None)

    async def unsealed(self) -> int:
        query = "SELECT (SELECT count(*) FROM event) - (SELECT size FROM seal)"
        return int(await self.rig.pool.fetchval(query))

    async def drain(self, relay: Relay | None = None) -> None:
        """Send until nothing is due at this time."""
        relay = relay or self.relay()
        await self.seal()
        for _ in range(200):
            if not await relay.cycle():
                return
            await relay.idle()
        raise AssertionError("the relay did not come to rest")

    async def shown(self, id: UUID) -> SubscriptionView:
        return await subscriptions.one(self.rig.ports, id, ADMIN)

    async def streams(self) -> dict[UUID, int]:
        """How many events each order and case has."""
        query = (
            "SELECT stream, count(*) AS n FROM event WHERE type LIKE 'order.%' OR type LIKE 'fallout%' GROUP BY stream"
        )
        return {row["stream"]: row["n"] for row in await self.rig.pool.fetch(query)}
