"""Who calls, and whether they may: bearer tokens with roles, denied unless the route's permission is carried."""

from collections.abc import Iterator
from typing import Any

from litestar import Litestar
from litestar.connection import ASGIConnection
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute
from litestar.types import ASGIApp, Receive, Scope, Send

from unstuck.engine.gather import Gather
from unstuck.kernel.actor import Actor
from unstuck.kernel.refusal import Forbidden, Refused
from unstuck.policy.grant import may
from unstuck.service.accounts import holders
from unstuck.service.ports import Ports
from unstuck.store.unit import is_away

PUBLIC = "public"
SIGNED_IN = "signed-in"
NOBODY = Actor("nobody")
Callers = Gather[bytes, Actor | None]


class WhoIsThere:
    """Middleware: the actor behind the bearer token, or nobody."""

    def __init__(self, app: ASGIApp, callers: Callers) -> None:
        self._app, self._callers = app, callers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if str(scope["type"]) == "http":
            scope["user"] = await self._actor(dict(scope["headers"]).get(b"authorization", b""))
        await self._app(scope, receive, send)

    async def _actor(self, header: bytes) -> Actor:
        scheme, _, token = header.partition(b" ")
        if scheme.lower() != b"bearer" or not token:
            return NOBODY
        return await self._callers.put(token.strip()) or NOBODY


def callers(ports: Ports) -> Callers:
    """Who holds a token, looked up for all that ask at the same moment; never remembered, so a revoked one is out."""
    return Gather(lambda tokens: holders(ports, tokens), most=500, away=is_away)


def permit(ports: Ports) -> Any:
    """The guard of every route: no declared permission, no way in."""

    def guard(connection: ASGIConnection[Any, Any, Any, Any], handler: Any) -> None:
        permission = handler.opt.get("permission")
        if permission == PUBLIC:
            return
        actor = connection.scope.get("user", NOBODY)
        if permission is None:
            raise Forbidden("declared-permission", "this route declares no permission, so nobody may use it")
        if actor is NOBODY:
            raise Refused(
                "api-token", "send an API token that is known here (Authorization: Bearer …, or UNSTUCK_TOKEN)"
            )
        if permission != SIGNED_IN and not may(actor, permission, ports.book.current):
            raise Forbidden("role", f"none of your roles may do this ({permission})")

    return guard


def all_of(*guards: Any) -> Any:
    """These guards as one that is awaited: Litestar sends each plain one to a thread, which costs more than it does."""

    async def guard(connection: ASGIConnection[Any, Any, Any, Any], handler: Any) -> None:
        for one in guards:
            one(connection, handler)

    return guard


def undeclared(app: Litestar) -> Iterator[str]:
    """Routes without a permission: the application refuses to start with any."""
    for route in app.routes:
        handlers = route.route_handlers if isinstance(route, HTTPRoute) else (route.route_handler,)
        for handler in handlers:
            made_by_litestar = isinstance(handler, HTTPRouteHandler) and handler.http_methods == {"OPTIONS"}
            if not made_by_litestar and "permission" not in handler.opt:
                yield route.path
