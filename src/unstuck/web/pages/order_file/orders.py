"""The list of orders, and one order: its plan as a picture, what was called, what stands open, what may be done."""

from typing import Any

import msgspec
from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.response import Redirect, Stream

from unstuck.kernel.refusal import Invalid
from unstuck.order.lifecycle import OrderState
from unstuck.service.events_out.stream import Feed
from unstuck.service.looks import order_page, views
from unstuck.service.looks.order_page import OrderDesk
from unstuck.service.ports import Ports
from unstuck.web.pages import live, render
from unstuck.web.pages.order_file import order_query
from unstuck.web.pages.order_file.order_live import OrderWatch
from unstuck.web.pages.order_file.order_parts import TONES, parts
from unstuck.web.pages.triage.queue_query import Complaint
from unstuck.web.protocol import actor

Asked = Request[Any, Any, Any]
# Those that an order can come to as things are.
STATES = [state for state in OrderState if state not in ("WAITING_FOR_REVISION", "AMENDING", "CANCELLING")]
READS = {"permission": "order.read", "page": True}


@get("/orders", opt=READS)
async def list_orders(request: Asked, ports: NamedDependency[Ports]) -> Response[str]:
    """Orders, a page at a time."""
    asked = order_query.read(request.query_params.multi_items())
    try:
        found = await order_page.order_list_of(ports, asked.wanted, asked.shape)
    except Invalid as refusal:  # a cursor of another list: begin at the first page, and say so
        complaint = Complaint("after", asked.given.get("after", "")[:60], refusal.errors[0][1])
        asked = msgspec.structs.replace(
            asked, shape=msgspec.structs.replace(asked.shape, after=""), complaints=(complaint,)
        )
        found = await order_page.order_list_of(ports, asked.wanted, asked.shape)
    return await render.page(
        request, ports, "orders.html", asked=asked, found=found, states=STATES, tones=TONES,
        status=422 if asked.complaints else 200,
    )  # fmt: skip


@get("/orders/{name:str}", opt=READS)
async def show_order(request: Asked, ports: NamedDependency[Ports], name: FromPath[str]) -> Response[Any]:
    """One order, whole."""
    desk = await order_page.order_desk(ports, await views.find_order(ports, name), actor(request))
    if name != desk.view.number:
        query = request.url.query
        return Redirect(f"/orders/{desk.view.number}" + (f"?{query}" if query else ""), status_code=303)
    return await page(request, ports, desk)


async def page(request: Asked, ports: Ports, desk: OrderDesk, *, status: int = 200, **form: Any) -> Response[str]:
    """The page of an order; `form`: the command that is open on it, with what was typed and what is wrong."""
    number = desk.view.number
    heard = f"/live/orders/{number}" + (f"?seen={desk.seen}" if form else "")
    return await render.page(
        request, ports, "order.html", status=status, live=heard, **parts(desk), **(_NO_FORM | form)
    )


_NO_FORM: dict[str, Any] = {"command": "", "reason": "", "key": "", "errors": {}, "refusal": None, "changed": ()}


def handlers(ports: Ports, feed: Feed) -> list[HTTPRouteHandler]:
    """The routes of this module."""

    @get("/live/orders/{name:str}", opt=READS, media_type=live.EVENTS)
    async def hear_order(request: Asked, name: FromPath[str]) -> Stream:
        """What changes on the page of an order."""
        order_id = await views.find_order(ports, name)
        watch = OrderWatch(ports, order_id, actor(request), _seen(request))
        return await live.answer(request, ports, feed, watch)

    return [list_orders, show_order, hear_order]


def _seen(request: Asked) -> int | None:
    """The last event that was shown when a form was opened; None when none is open."""
    given = request.query_params.get("seen", "")
    return int(given) if given.isascii() and given.isdecimal() and len(given) < 10 else None
