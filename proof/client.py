"""The client of a proof: submits orders over TMF641 and writes down each acknowledgement; reads the public API."""

import asyncio
import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import aiohttp

from proof.stack import TOKEN
from proof.world import order_body

PAUSE_S = 0.15
SILENT_FOR_S = 120.0
ORDERS = "/tmf-api/serviceOrdering/v4/serviceOrder"
View = dict[str, Any]


@dataclass(frozen=True)
class Ack:
    """A 201 we were given: from here on the order may never be lost."""

    external_id: str
    customer: str
    offer: str
    order_id: str
    at: float
    tries: int


class Unanswered(Exception):
    """Asked again and again, no server gave anybody an answer that is one: going on would be waiting for ever."""


class Client:
    """Talks to any of the servers; when one is away it tries the next with the same bytes."""

    def __init__(self, urls: Sequence[str], journal: Path) -> None:
        self._urls = list(urls)
        self._journal = journal
        self._session = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {TOKEN}"}, timeout=aiohttp.ClientTimeout(total=10)
        )
        self.acks: list[Ack] = []
        self.refused: list[str] = []
        self._answered = time.monotonic()

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def submit(self, external_id: str, customer: str, offer: str, turn: int) -> None:
        """Send one order until somebody acknowledges it; the same bytes under the same id every time."""
        body, tries = order_body(external_id, customer, offer), 0
        while True:
            url = self._urls[(turn + tries) % len(self._urls)]
            tries += 1
            status, answer = await self._call("POST", f"{url}{ORDERS}", body)
            if status == 201:
                self._acknowledged(Ack(external_id, customer, offer, answer["id"], time.time(), tries))
                return
            if 400 <= status < 500:
                self.refused.append(f"{external_id}: {status} {answer}")
                return
            await self._pause(f"{external_id}: {status} {answer}")

    async def order(self, order_id: str) -> View | None:
        """The order as the API shows it; None when the API says there is none. Waits for a server that answers."""
        return await self._read(f"/api/v1/orders/{order_id}")

    async def glance(self, order_id: str) -> View | None:
        """The order, or None when no server answers just now."""
        url = self._urls[order_id.encode()[-1] % len(self._urls)]
        status, view = await self._call("GET", f"{url}/api/v1/orders/{order_id}")
        return view if status == 200 else None

    async def all_orders(self, ids: Iterable[str], width: int = 8) -> dict[str, View | None]:
        """Many orders, a few at a time."""
        gate, views = asyncio.Semaphore(width), {}

        async def one(order_id: str) -> None:
            async with gate:
                views[order_id] = await self.order(order_id)

        await asyncio.gather(*(one(order_id) for order_id in ids))
        return views

    async def open_orders(self) -> list[View]:
        """The newest orders that are not final."""
        listed = await self._read("/api/v1/orders?state=IN_PROGRESS&limit=500")
        return listed["orders"] if listed else []

    async def post(self, path: str, body: Any, version: int | None = None, server: int = 0) -> tuple[int, View]:
        """One command."""
        headers = {} if version is None else {"If-Match": f'"{version}"'}
        url = f"{self._urls[server % len(self._urls)]}{path}"
        return await self._call("POST", url, json.dumps(body).encode(), headers)

    async def get(self, path: str) -> View:
        """Something that is there."""
        found = await self._read(path)
        if found is None:
            raise LookupError(path)
        return found

    async def _read(self, path: str) -> View | None:
        turn = 0
        while True:
            status, view = await self._call("GET", f"{self._urls[turn % len(self._urls)]}{path}")
            if status in (200, 404):
                return view if status == 200 else None
            turn += 1
            await self._pause(f"{path}: {status} {view}")

    async def _pause(self, last: str) -> None:
        """Before somebody asks again."""
        if time.monotonic() - self._answered > SILENT_FOR_S:
            raise Unanswered(f"no server answered anything for {SILENT_FOR_S:.0f} s; the last was {last}")
        await asyncio.sleep(PAUSE_S)

    async def _call(
        self, method: str, url: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, View]:
        try:
            sent = {"Content-Type": "application/json", **(headers or {})}
            async with self._session.request(method, url, data=body, headers=sent) as reply:
                said = await reply.json(content_type=None)
                if reply.status < 500:
                    self._answered = time.monotonic()
                return reply.status, said
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            return 0, {}

    def _acknowledged(self, ack: Ack) -> None:
        with self._journal.open("a") as journal:
            journal.write(json.dumps(asdict(ack)) + "\n")
        self.acks.append(ack)
