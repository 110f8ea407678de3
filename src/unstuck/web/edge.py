"""The outermost layer: a trace id and the same safe headers on every answer, also on those no handler made."""

import re
from collections.abc import Callable
from typing import Any

HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
TRACE = re.compile(rb"[A-Za-z0-9._-]{1,64}")


class Edge:
    """Wraps the application; HEAD is answered as GET without its body."""

    def __init__(self, app: Any, new_trace: Callable[[], str]) -> None:
        self._app, self._new_trace = app, new_trace

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = dict(scope["headers"]).get(b"x-trace-id", b"")
        trace = given.decode() if TRACE.fullmatch(given) else self._new_trace()
        scope["trace_id"] = trace
        head = scope["method"] == "HEAD"
        if head:
            scope = {**scope, "method": "GET"}

        async def sending(message: Any) -> None:
            if message["type"] == "http.response.start":
                made = [(name, _with_head(value) if name == b"allow" else value) for name, value in message["headers"]]
                message["headers"] = [*made, *HEADERS, (b"x-trace-id", trace.encode())]
            elif head:
                message = {**message, "body": b""}
            await send(message)

        await self._app(scope, receive, sending)


def _with_head(allow: bytes) -> bytes:
    return allow + b", HEAD" if b"GET" in allow else allow
