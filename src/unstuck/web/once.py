"""`Idempotency-Key` at the door: a command sent again gets its answer before anything is asked or done."""

from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.di import Provide

from unstuck.kernel.refusal import Invalid
from unstuck.service.once import earlier
from unstuck.service.ports import Ports
from unstuck.store.answers import Once
from unstuck.web.protocol import actor

Asked = Request[Any, Any, Any]
KEY_LIMIT = 200


class Versioned(msgspec.Struct):
    """What every stored answer may have: the version that is its ETag."""

    version: int | None = None


def answered_before(ports: Ports) -> Callable[[Asked], Awaitable[Response[bytes] | None]]:
    """Before a command is carried out, and after it was seen who asks: the answer it was given the first time."""

    async def hook(request: Asked) -> Response[bytes] | None:
        handler: Any = request.route_handler
        given = request.headers.get("idempotency-key")
        if given is None or not handler.opt.get("once"):
            return None
        asked = b"\0".join(await _asked(request))
        once = Once(actor(request).id, _key(given), sha256(asked).hexdigest(), handler.status_code)
        known = await earlier(ports, once)
        request.state.once = once
        return None if known is None else _again(known.status, known.body)

    return hook


def with_ports(ports: Ports) -> Provide:
    """The dependency `ports` of every handler: it knows under which key the command at hand may be sent again."""

    def given(request: Asked) -> Ports:
        once = request.state.get("once")
        return ports if once is None else msgspec.structs.replace(ports, once=once)

    return Provide(given, sync_to_thread=False)


async def _asked(request: Asked) -> tuple[bytes, ...]:
    """What makes it the same command: where it goes, what it was decided on, what it says."""
    version = request.headers.get("if-match", "")
    return request.method.encode(), request.scope["path"].encode(), version.encode(), await request.body()


def _key(given: str) -> str:
    if not (0 < len(given) <= KEY_LIMIT and given.isascii() and given.isprintable() and " " not in given):
        wanted = f"1 to {KEY_LIMIT} printable ASCII characters without blanks"
        raise Invalid("an Idempotency-Key is a name", (("/Idempotency-Key", wanted),))
    return given


def _again(status: int, body: bytes) -> Response[bytes]:
    version = msgspec.json.decode(body, type=Versioned).version
    headers = {} if version is None else {"ETag": f'"{version}"'}
    return Response(body, status_code=status, media_type="application/json", headers=headers)
