"""How a system answers, and the two ways it does not."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress

import msgspec
from aiohttp import web

LONGEST_HOLD_S = 600.0
LOOK_EVERY_S = 0.25


def answer(status: int, value: object, headers: Mapping[str, str] | None = None) -> web.Response:
    """A JSON reply."""
    return raw(status, msgspec.json.encode(value), headers)


def raw(status: int, body: bytes, headers: Mapping[str, str] | None = None) -> web.Response:
    """A reply that claims to be JSON, whatever its bytes are."""
    return web.Response(status=status, body=body, headers=headers, content_type="application/json")


def no(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """A reply that names what is wrong."""
    return answer(status, {"code": code, "message": message}, headers)


def hang_up(request: web.BaseRequest) -> web.Response:
    """Abort the connection. The response returned is only to please the server: nobody gets it."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def hold(request: web.BaseRequest, closing: asyncio.Event) -> web.Response:
    """Never answer: keep the connection until the client goes, the world ends or ten minutes pass."""
    loop = asyncio.get_running_loop()
    until = loop.time() + LONGEST_HOLD_S
    while not closing.is_set() and _is_there(request) and loop.time() < until:
        with suppress(TimeoutError):
            await asyncio.wait_for(closing.wait(), LOOK_EVERY_S)
    return hang_up(request)


def _is_there(request: web.BaseRequest) -> bool:
    return request.transport is not None and not request.transport.is_closing()
