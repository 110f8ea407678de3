"""Who calls, and whether they may: tokens and sessions with roles, denied unless the route's permission is carried."""

from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import msgspec
from litestar import Litestar
from litestar.connection import ASGIConnection
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute
from litestar.types import ASGIApp, Receive, Scope, Send

from unstuck.engine.gather import Gather
from unstuck.kernel.actor import Actor
from unstuck.kernel.refusal import Forbidden, Refused
from unstuck.policy.grant import may, require
from unstuck.service.access import sessions
from unstuck.service.access.accounts import holders
from unstuck.service.access.sessions import Seen
from unstuck.service.ports import Ports
from unstuck.store.unit import is_away
from unstuck.web.site import Site

PUBLIC = "public"
SIGNED_IN = "signed-in"
NOBODY = Actor("nobody")
PROGRAMS = ("/api/", "/tmf-api/", "/healthz", "/readyz", "/metrics")
Callers = Gather[bytes, Actor | None]
Sitting = Gather[Seen, Actor | None]
Connection = ASGIConnection[Any, Any, Any, Any]


class Proof(msgspec.Struct, frozen=True):
    """How who calls has shown who they are: by a `token`, by a `session`, or not at all; `holder` asks who it is now."""

    kind: str
    secret: str
    holder: Callable[[], Coroutine[Any, Any, Actor | None]]


class WhoIsThere:
    """Middleware: the actor behind the bearer token, on pages also behind the session's cookie, or nobody.

    A cookie goes wherever a browser is sent, so it opens no address that programs use.
    """

    def __init__(self, app: ASGIApp, callers: Callers, sitting: Sitting, cookie: str) -> None:
        self._app, self._callers, self._sitting = app, callers, sitting
        self._cookie = cookie.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if str(scope["type"]) == "http":
            scope["user"], scope["auth"] = await self._shown(scope)
        await self._app(scope, receive, send)

    async def _shown(self, scope: Scope) -> tuple[Actor, Proof]:
        headers = dict(scope["headers"])
        if (header := headers.get(b"authorization")) is not None:
            token = _bearer(header)
            proof = Proof("token", token.decode("latin-1"), lambda: self._holder(token))
            return await self._holder(token) or NOBODY, proof
        session = _cookie(headers.get(b"cookie", b""), self._cookie) if is_page(scope) else b""
        if not session:
            return NOBODY, Proof("", "", _nobody)
        listens = scope["path"].startswith("/live/")
        who = await self._sitting.put((session, not listens))
        return who or NOBODY, Proof("session", session.decode("latin-1"), lambda: self._sitting.put((session, False)))

    async def _holder(self, token: bytes) -> Actor | None:
        return await self._callers.put(token) if token else None


def callers(ports: Ports) -> Callers:
    """Who holds a token, looked up for all that ask at the same moment; never remembered, so a revoked one is out."""
    return Gather(lambda tokens: holders(ports, tokens), most=500, away=is_away)


def sitting(ports: Ports, *, demo: bool) -> Sitting:
    """Who is behind a session, likewise: whoever was disabled or has other roles is so at once."""
    return Gather(lambda seen: sessions.holders(ports, seen, demo=demo), most=500, away=is_away)


def permit(ports: Ports) -> Any:
    """The guard of every route: no declared permission, no way in."""

    def guard(connection: Connection, handler: Any) -> None:
        permission = handler.opt.get("permission")
        if permission == PUBLIC:
            return
        actor = connection.scope.get("user", NOBODY)
        if permission is None:
            raise Forbidden("declared-permission", "this route declares no permission, so nobody may use it")
        if actor is NOBODY:
            raise _who_are_you(handler)
        if permission != SIGNED_IN:
            require(actor, permission, ports.book.current)

    return guard


def own_pages(site: Site) -> Any:
    """The guard of every page that changes something: a browser sends our cookie with the forms of others too."""

    def guard(connection: Connection, handler: Any) -> None:
        if handler.opt.get("page") and connection.scope["auth"].kind != "token":
            site.require_own_page(connection)

    return guard


def still_may(request: Connection, ports: Ports) -> Callable[[], Coroutine[Any, Any, bool]]:
    """Whether who opened this stream may go on listening: their token or session counts, with the very roles it had.

    What a page is told was drawn for those roles; with others it connects again.

    While the database is away nobody is sent away: there is nothing to hear, and the answer comes with the next beat.
    """
    who, proof, permission = request.scope["user"], request.scope["auth"], request.route_handler.opt["permission"]

    async def asked() -> bool:
        try:
            now = await proof.holder()
        except Exception as error:
            if not is_away(error):
                raise
            return True
        return now == who and (permission == SIGNED_IN or may(now, permission, ports.book.current))

    return asked


def is_page(scope: Scope) -> bool:
    """Whether this is a page for people, as its route declares."""
    handler: Any = scope.get("route_handler")
    return handler is not None and bool(handler.opt.get("page"))


def _who_are_you(handler: Any) -> Refused:
    if handler.opt.get("page"):
        return Refused("sign-in-first", "nobody is signed in here, or the session has ended; sign in and do it again")
    return Refused("api-token", "send an API token that is known here (Authorization: Bearer …, or UNSTUCK_TOKEN)")


async def _nobody() -> None:
    return None


def _bearer(header: bytes) -> bytes:
    scheme, _, token = header.partition(b" ")
    return token.strip() if scheme.lower() == b"bearer" else b""


def _cookie(header: bytes, name: bytes) -> bytes:
    for part in header.split(b";"):
        found, _, value = part.strip().partition(b"=")
        if found == name:
            return value
    return b""


def all_of(*guards: Any) -> Any:
    """These guards as one that is awaited: Litestar sends each plain one to a thread, which costs more than it does."""

    async def guard(connection: ASGIConnection[Any, Any, Any, Any], handler: Any) -> None:
        for one in guards:
            one(connection, handler)

    return guard


def undeclared(app: Litestar) -> Iterator[str]:
    """Routes without a permission: the application refuses to start with any."""
    yield from (path for path, handler in _declared(app) if "permission" not in handler.opt)


def misplaced(app: Litestar) -> Iterator[str]:
    """Pages among the addresses of programs, and what is no page among those of people: cookies count by address."""
    for path, handler in _declared(app):
        if bool(handler.opt.get("page")) is path.startswith(PROGRAMS):
            yield path


def _declared(app: Litestar) -> Iterator[tuple[str, Any]]:
    """Every handler of ours with its path."""
    for route in app.routes:
        handlers = route.route_handlers if isinstance(route, HTTPRoute) else (route.route_handler,)
        for handler in handlers:
            made_by_litestar = isinstance(handler, HTTPRouteHandler) and handler.http_methods == {"OPTIONS"}
            if not made_by_litestar:
                yield route.path, handler
