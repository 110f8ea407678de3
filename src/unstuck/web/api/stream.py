"""`GET /api/v1/stream`: what happens, as it happens, as server-sent events."""

from typing import Any

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromQuery
from litestar.response import Stream

from unstuck.kernel.refusal import Invalid
from unstuck.service.events_out.stream import Feed, first_leaf, listen
from unstuck.service.events_out.subscriptions import EVERY, require_types
from unstuck.service.ports import Ports
from unstuck.web.auth import still_may
from unstuck.web.protocol import actor

GLOBS = 100


def route(feed: Feed) -> HTTPRouteHandler:
    """The stream of this feed."""

    @get(
        "/api/v1/stream",
        opt={"permission": "case.read", "media": "text/event-stream", "hidden": True},
        media_type="text/event-stream",
    )
    async def stream(
        request: Request[Any, Any, Any], ports: NamedDependency[Ports], types: FromQuery[str | None] = None
    ) -> Stream:
        """Published events (CloudEvents) from now on, or from behind `Last-Event-ID`; `types` are globs, by comma."""
        globs = EVERY if types is None else tuple(types.split(","))
        if len(globs) > GLOBS:
            raise Invalid("that is too much", (("/types", f"at most {GLOBS} types"),))
        require_types(globs)
        feed.require_room(actor(request))
        first = await first_leaf(ports, request.headers.get("last-event-id"))
        told = listen(ports, feed, actor(request), first, globs, feed.beat_s, still_may(request, ports))
        return Stream(told, media_type="text/event-stream")

    return stream
