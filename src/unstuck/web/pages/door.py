"""All pages, in one place."""

from typing import Any

from litestar import Router, get
from litestar.di import Provide
from litestar.response import Redirect

from unstuck.service.events_out.stream import Feed
from unstuck.service.ports import Ports
from unstuck.web.auth import PUBLIC
from unstuck.web.pages import assets, kit, search, session, trying
from unstuck.web.pages.case_file import case, case_actions
from unstuck.web.pages.order_file import order_actions, orders
from unstuck.web.pages.triage import queue
from unstuck.web.site import Site

PAGE: dict[str, Any] = {"page": True}


@get("/", opt={"permission": PUBLIC} | PAGE)
async def front_door() -> Redirect:
    """The queue is where work begins."""
    return Redirect("/queue", status_code=303)


def router(ports: Ports, feed: Feed, site: Site) -> Router:
    """The routes of the pages."""
    return Router(
        "/",
        route_handlers=[
            front_door,
            assets.asset,
            *kit.handlers(ports),
            *session.handlers(),
            *queue.routes(ports, feed),
            *case.handlers(ports, feed),
            *case_actions.handlers(),
            *orders.handlers(ports, feed),
            *order_actions.handlers(),
            *search.handlers(),
            trying.fold,
        ],
        dependencies={"site": Provide(lambda: site, sync_to_thread=False)},
    )
