"""The web application: routes of the rooms beside, one error handler, deny by default."""

from collections.abc import Sequence
from socket import socket

import uvicorn
from litestar import Litestar
from litestar.middleware import DefineMiddleware

from unstuck.service.events_out.stream import BEAT_S, Feed
from unstuck.service.ports import Ports
from unstuck.web.api import (
    audit,
    cases,
    failures,
    not_built,
    order_commands,
    orders,
    repairs,
    resume_tokens,
    sources,
    stream,
    subscriptions,
)
from unstuck.web.auth import WhoIsThere, all_of, callers, misplaced, own_pages, permit, sitting, undeclared
from unstuck.web.edge import Edge
from unstuck.web.once import answered_before, with_ports
from unstuck.web.openapi import operations, show_document
from unstuck.web.pages import door as pages
from unstuck.web.pages.faults import answer
from unstuck.web.protocol import require_media_type
from unstuck.web.site import HERE, Site
from unstuck.web.tmf import door
from unstuck.web.wire import BoundedHeads


def build(
    ports: Ports, *, callback_secret: str, body_limit: int, warnings: Sequence[str] = (), site: Site = HERE,
    beat_s: float = BEAT_S,
) -> Edge:  # fmt: skip
    """The application; refuses to start while any route declares no permission, or a page is not where pages are."""
    given, feed = with_ports(ports), Feed(ports, beat_s)
    known, signed_in = callers(ports), sitting(ports, demo=site.demo)
    there = DefineMiddleware(WhoIsThere, callers=known, sitting=signed_in, cookie=site.cookie)
    app = Litestar(
        route_handlers=[
            orders.router(ports, callback_secret, warnings),
            cases.router(),
            repairs.router(),
            not_built.router(),
            show_document,
            order_commands.router(),
            failures.router(failures.gather(ports), body_limit),
            sources.router(),
            resume_tokens.router(),
            stream.route(feed),
            subscriptions.router(),
            audit.router(),
            door.router(body_limit),
            pages.router(ports, feed, site),
            cases.list_cases,  # after the routers: Litestar joins a path of two routers only in this order
        ],
        middleware=[there],
        guards=[all_of(own_pages(site), permit(ports), require_media_type)],
        before_request=answered_before(ports),
        dependencies={"ports": given},
        exception_handlers={Exception: answer},
        request_max_body_size=body_limit,
        openapi_config=None,
        debug=False,
        logging_config=None,
    )
    missing = list(undeclared(app))
    if missing:
        raise RuntimeError(f"routes without a permission: {', '.join(missing)}")
    strays = list(misplaced(app))
    if strays:
        raise RuntimeError(f"pages among the addresses of programs, or the other way round: {', '.join(strays)}")
    keyed = [one for one in operations(app) if one.says("once")]
    forgetful = [one.path for one in keyed if one.handler.resolve_dependencies().get("ports") is not given]
    if forgetful:
        raise RuntimeError(f"routes with a `ports` of their own, which knows no key: {', '.join(forgetful)}")
    return Edge(app, lambda: ports.new_id().hex, feed.close)


class Server(uvicorn.Server):
    """Serves until told to stop; open streams end at once, other connections get a moment."""

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """End what would never end by itself, then wait for the rest."""
        app: Edge = self.config.app  # type: ignore[assignment]
        app.close()
        await super().shutdown(sockets)


def server(app: Edge, host: str, port: int) -> Server:
    """A server of `app`, not started."""
    config = uvicorn.Config(
        app, host=host, port=port, http=BoundedHeads, ws="none", log_config=None, access_log=False, lifespan="off",
        timeout_graceful_shutdown=5, server_header=False,
    )  # fmt: skip
    return Server(config)
