"""The outermost layer: a trace id and the same safe headers on every answer, also on those no handler made."""

import asyncio
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from unstuck.kernel.refusal import Refused

HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
BODY_S = 60.0
TRACE = re.compile(rb"[A-Za-z0-9._-]{1,64}")


class Edge:
    """Wraps the application: a body has `body_s` seconds to arrive, HEAD is answered as GET without its body.

    `close` ends what never ends by itself.
    """

    def __init__(
        self, app: Any, new_trace: Callable[[], str], close: Callable[[], None], body_s: float = BODY_S
    ) -> None:
        self._app, self._new_trace, self.close, self.body_s = app, new_trace, close, body_s

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        if not _is_host(headers.get(b"host", b"")):
            scope = {**scope, "headers": [header for header in scope["headers"] if header[0] != b"host"]}
        given = headers.get(b"x-trace-id", b"")
        trace = given.decode() if TRACE.fullmatch(given) else self._new_trace()
        scope["trace_id"] = trace
        head = scope["method"] == "HEAD"
        if head:
            scope = {**scope, "method": "GET"}

        async def sending(message: Any) -> None:
            if message["type"] == "http.response.start":
                made = [(name, _with_head(value) if name == b"allow" else value) for name, value in message["headers"]]
                said = {name for name, _ in made}  # a page has a policy of its own, a file may be kept
                safe = [header for header in HEADERS if header[0] not in said]
                message["headers"] = [*made, *safe, (b"x-trace-id", trace.encode())]
            elif head:
                message = {**message, "body": b""}
            await send(message)

        await self._app(scope, _in_time(receive, self.body_s), sending)


def _is_host(given: bytes) -> bool:
    """Whether this can stand in an address. What cannot is dropped: to read it would break every answer, also the error."""
    try:
        urlsplit(b"//" + given).port  # noqa: B018
    except ValueError:
        return False
    return True


def _in_time(receive: Any, seconds: float) -> Any:
    """Who sends a body sends it within `seconds`; afterwards waiting (for the end of the connection) has no limit."""
    until = asyncio.get_running_loop().time() + seconds
    complete = False

    async def receiving() -> Any:
        nonlocal complete
        if complete:
            return await receive()
        try:
            async with asyncio.timeout_at(until):
                message = await receive()
        except TimeoutError:
            raise Refused("too-slow", f"the body did not arrive within {seconds:.0f} seconds; send it again") from None
        complete = message["type"] != "http.request" or not message.get("more_body", False)
        return message

    return receiving


def _with_head(allow: bytes) -> bytes:
    return allow + b", HEAD" if b"GET" in allow else allow
