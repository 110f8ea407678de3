"""Targets on real sockets: one that speaks HTTP through aiohttp, one that writes whatever bytes it is told."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from aiohttp import web

from unstuck.connect.http import HttpConnector
from unstuck.repair.outcome import Call, CallKind

NOW = datetime(2026, 3, 14, 9, 0, tzinfo=UTC)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def call(**changes: Any) -> Call:
    """A command to activate fiber."""
    fields: dict[str, Any] = {
        "order_id": UUID(int=1), "task": 3, "attempt": 1, "identity": 0, "kind": CallKind.SEND, "key": "o.1.activate.p0.c0",
        "target": "provisioning", "operation": "activateFiber", "body": b'{"customer":"C-1","item":"1","service":"fiber"}',
        "ask_by": ("customer", "service", "item"), "reply_s": 5.0, "may_query_key": True,
    }  # fmt: skip
    return Call(**{**fields, **changes})


class Seen(msgspec.Struct):
    """One request as the target saw it."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Target:
    """An HTTP server that notes every request and answers with what `answer` makes of it."""

    def __init__(self, answer: Handler) -> None:
        self._answer = answer
        self.seen: list[Seen] = []
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.seen.append(Seen(request.method, request.path_qs, headers, await request.read()))
        return await self._answer(request)


@asynccontextmanager
async def target(answer: Handler | web.Response) -> AsyncIterator[Target]:
    """A target that gives this answer to whatever comes."""

    async def always(_request: web.Request) -> web.StreamResponse:
        assert isinstance(answer, web.Response)
        return web.Response(status=answer.status, body=answer.body, headers=answer.headers)

    one = Target(always if isinstance(answer, web.Response) else answer)
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", one.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    one.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield one
    finally:
        await runner.cleanup()


class Raw:
    """A server below HTTP: writes what it is told after the first request line came; counts what it saw."""

    def __init__(self, says: bytes, *, then_waits: bool, holds_back: bool) -> None:
        self._says, self._then_waits, self._holds_back = says, then_waits, holds_back
        self.connections = 0
        self.received = bytearray()
        self.closed = asyncio.Event()  # a connection was closed by the other side
        self.came = asyncio.Event()
        self.url = ""

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.came.set()
        while not self._holds_back and (line := await reader.readline()):
            self.received += line
            if line == b"\r\n":
                break
        writer.write(self._says)
        await writer.drain()
        if self._then_waits:
            while data := await reader.read(65536):
                self.received += data
            self.closed.set()
        writer.close()


@asynccontextmanager
async def raw(says: bytes, *, then_waits: bool = False, holds_back: bool = False) -> AsyncIterator[Raw]:
    """A server that answers with these bytes and closes, or waits for the other side to close."""
    one = Raw(says, then_waits=then_waits, holds_back=holds_back)
    server = await asyncio.start_server(one.talk, "127.0.0.1", 0)
    one.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield one


@asynccontextmanager
async def connector(url: str, **more: Any) -> AsyncIterator[HttpConnector]:
    """Our side, closed at the end."""
    one = HttpConnector(url, lambda: NOW, **more)
    try:
        yield one
    finally:
        await one.close()
