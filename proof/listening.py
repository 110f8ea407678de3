"""Who is told: a receiver of webhooks with a journal of its own, and a listener that comes back with what it saw last."""

import asyncio
import base64
import hmac
import json
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from proof.traffic import Journal

REFUSED = 0.004  # of the messages are refused by the receiver, so that streams are parked too
AGAIN_S = 0.05
STALE_S = 40.0  # a stream that says nothing for longer than two beats is dead


@dataclass
class Heard:
    """Published events in the order in which they came for the first time; `again` counts those that came before."""

    events: dict[str, dict[str, Any]] = field(default_factory=dict)
    again: int = 0
    unsigned: int = 0

    def add(self, event: dict[str, Any]) -> None:
        """Take one in."""
        if event["id"] in self.events:
            self.again += 1
        self.events.setdefault(event["id"], event)

    def by_stream(self) -> dict[str, list[dict[str, Any]]]:
        """The events of each stream, in the order in which they came."""
        streams: dict[str, list[dict[str, Any]]] = {}
        for event in self.events.values():
            streams.setdefault(event["subject"], []).append(event)
        return streams


class Receiver:
    """Takes webhooks on a socket of its own: checks the signature, writes the event down, then says yes."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._journal, self._chance = Journal(folder / "received.ndjson"), random.Random(f"receiver {seed}")
        self._runner: web.AppRunner | None = None
        self.secrets: list[str] = []
        self.heard, self.refused, self.url = Heard(), 0, ""

    async def start(self) -> None:
        """Listen."""
        app = web.Application(client_max_size=10_000_000)
        app.router.add_post("/hook", self._take)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/hook"

    async def close(self) -> None:
        """Listen no longer."""
        if self._runner is not None:
            await self._runner.cleanup()
        self._journal.close()

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        if not any(signed(request.headers, body, secret) for secret in self.secrets):
            self.heard.unsigned += 1
            return web.Response(status=401)
        if self._chance.random() < REFUSED:
            self.refused += 1
            return web.Response(status=500)
        event = json.loads(body)
        self._journal.add({"id": event["id"], "sequence": event["sequence"]})
        self.heard.add(event)
        return web.Response(status=204)


class Listener:
    """Reads the live stream, and when it ends connects again with the id it saw last, by itself."""

    def __init__(self, url: str, token: str) -> None:
        self._url, self._token = url, token
        self._task: asyncio.Task[None] | None = None
        self.heard, self.last, self.connects, self.wrong = Heard(), "", 0, list[str]()

    def begin(self) -> None:
        """Listen until closed."""
        self._task = asyncio.create_task(self._listen())

    async def close(self) -> None:
        """Listen no longer."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _listen(self) -> None:
        timeout = aiohttp.ClientTimeout(total=None, sock_read=STALE_S, sock_connect=5)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while True:
                try:
                    async for id, event in messages(session, self._url, self._token, self.last, self._opened):
                        self._take(id, event)
                except (aiohttp.ClientError, TimeoutError, OSError):
                    pass
                await asyncio.sleep(AGAIN_S)

    def _opened(self, status: int) -> None:
        self.connects += status == 200
        if status not in (200, 503):
            self.wrong.append(f"the stream answered {status} to Last-Event-ID {self.last!r}")

    def _take(self, id: str, event: dict[str, Any] | None) -> None:
        if event is not None:
            self.heard.add(event)
        if id and self.last and int(id) < int(self.last):
            self.wrong.append(f"leaf {id} after {self.last}")
        self.last = id or self.last


async def messages(
    session: aiohttp.ClientSession, url: str, token: str, last: str, opened: Any = None
) -> AsyncIterator[tuple[str, dict[str, Any] | None]]:
    """The messages of one connection, each with its id: what was cut off in the middle is no message."""
    headers = {"Authorization": f"Bearer {token}", **({"Last-Event-ID": last} if last else {})}
    async with session.get(f"{url}/api/v1/stream", headers=headers) as answer:
        if opened is not None:
            opened(answer.status)
        if answer.status != 200:
            return
        id, data = "", ""
        async for raw in answer.content:
            line = raw.decode().rstrip("\n")
            if line.startswith("id: "):
                id = line[4:]
            elif line.startswith("data: "):
                data = line[6:]
            elif not line and raw.endswith(b"\n"):
                if id or data:
                    yield id, json.loads(data) if data else None
                id, data = "", ""


async def everything(url: str, token: str, size: int) -> dict[str, dict[str, Any]]:
    """All events from the second leaf up to leaf `size`, by id, as the stream gives them to one who begins anew."""
    found: dict[str, dict[str, Any]] = {}
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=120)) as session:
        async for id, event in messages(session, url, token, "0"):
            if event is not None:
                found[event["id"]] = event
            if id and int(id) >= size - 1:
                break
    return found


def signed(headers: Any, body: bytes, secret: str) -> bool:
    """Whether a message carries the signature of Standard Webhooks under this secret."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    text = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    wanted = "v1," + base64.b64encode(hmac.new(key, text, sha256).digest()).decode()
    return wanted in headers["webhook-signature"].split()
