"""TMF641 v4.1 `serviceOrder`: intake, lists by TMF630's rules, changes as far as they change no plan (tmf.md §2-3)."""

from typing import Any

from litestar import Request, Response, get, patch, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery

from unstuck.policy.grant import require
from unstuck.service.looks import service_orders, views
from unstuck.service.order_work import intake, orders
from unstuck.service.ports import Ports
from unstuck.web.protocol import actor, as_json, given_version, media_type, read
from unstuck.web.tmf import filters, paging
from unstuck.web.tmf.change import read_change
from unstuck.web.tmf.error import error
from unstuck.web.tmf.projection import BASE, projected, rejected, selected, state_of
from unstuck.web.tmf.reader import NotAnOrder, read_order

NOT_UNDERSTOOD = "The order cannot be understood"
MERGE = ("application/json", "application/merge-patch+json")
Asked = Request[Any, Any, Any]


@get("/serviceOrder/{order_id:str}", opt={"permission": "order.read"})
async def get_service_order(
    request: Asked, ports: NamedDependency[Ports], order_id: FromPath[str], fields: FromQuery[str | None] = None
) -> Response[bytes]:
    """One service order; what was refused as one is shown as rejected, under the id that the refusal named."""
    wanted = await views.find_order(ports, order_id)
    if refusal := await service_orders.rejected(ports, wanted):
        return as_json(selected(rejected(refusal), fields))
    order = await service_orders.told(ports, wanted, actor(request).id)
    return as_json(selected(projected(order), fields), version=order.version)


@get("/serviceOrder", opt={"permission": "order.read"})
async def list_service_orders(request: Asked, ports: NamedDependency[Ports]) -> Response[bytes]:
    """Service orders by TMF630's filters, newest first unless sorted otherwise; always 200, with counts and links."""
    asked = filters.search(request.scope["query_string"].decode("latin-1"))
    wanted, rest = filters.pushed(asked)
    if filters.needs_walk(asked, rest):
        found = await service_orders.walk(
            ports,
            wanted,
            lambda order: filters.fits(projected(order), rest),
            (lambda order: filters.sort_key(projected(order), asked.sort)) if asked.sort else None,
            asked.offset,
            asked.limit,
            actor(request).id,
        )
    else:
        found = await service_orders.page(ports, wanted, asked.offset, asked.limit, actor(request).id)
    return paging.page(request.url, asked, [projected(order) for order in found.orders], found.total)


@patch("/serviceOrder/{order_id:str}", opt={"permission": "order.submit"})
async def patch_service_order(
    request: Asked, ports: NamedDependency[Ports], order_id: FromPath[str]
) -> Response[bytes]:
    """Add words to an order, or let it go on; what would change its plan is refused."""
    given = media_type(request.headers.get("content-type", ""))
    if given not in ("", *MERGE):
        return error(415, f"send {' or '.join(MERGE)}, not {given[:100]}")
    change = read_change(await request.body())
    order = await service_orders.told(ports, await views.find_order(ports, order_id), actor(request).id)
    change.require_possible(state_of(order), await _sends_promise(ports, order))
    if change.go_on:
        require(actor(request), "order.manage", ports.book.current)
    wanted = orders.Patch(change.go_on, change.words, change.reason)
    await orders.patch(ports, order.id, given_version(request), actor(request), wanted)
    order = await service_orders.told(ports, order.id, actor(request).id)
    return as_json(projected(order), version=order.version)


async def _sends_promise(ports: Ports, order: service_orders.Told) -> bool:
    """Whether any of its tasks carries the date that was promised: then that date is part of the plan."""
    kinds = ports.book.current.document.task_types
    sent = (kinds[task.type].send.values() for task in order.tasks if task.type in kinds)
    return any("order.promised_at" in sources for sources in sent)


def create(body_limit: int) -> HTTPRouteHandler:
    """The intake of service orders of at most `body_limit` bytes."""

    @post("/serviceOrder", opt={"permission": "order.submit"}, status_code=201)
    async def create_service_order(request: Asked, ports: NamedDependency[Ports]) -> Response[bytes]:
        """Take an order: what can be planned starts, what cannot becomes a case; what cannot be read is kept too."""
        sent = await read(request, body_limit, service_orders.CHANNEL)
        refusal = _unreadable(sent, body_limit)
        if refusal is None:
            try:
                draft = read_order(sent.body, actor(request).id)
                received = await intake.submit(ports, draft, sent)
            except NotAnOrder as wrong:
                refusal = (400, str(wrong))
        if refusal is not None:
            kept = await intake.refuse(ports, sent, *refusal)
            reason = NOT_UNDERSTOOD if refusal[0] == 400 else ""
            return error(*refusal, reason=reason, see=f"{BASE}/serviceOrder/{kept}")
        shown = projected(await service_orders.told(ports, received.order_id, actor(request).id))
        return as_json(shown, status=201, Location=shown["href"])

    return create_service_order


def _unreadable(sent: intake.Sent, body_limit: int) -> tuple[int, str] | None:
    if sent.size > body_limit:
        return 413, f"an order is at most {body_limit} bytes; this one has {sent.size}, its beginning was kept"
    if media_type(sent.media_type) not in ("application/json", ""):
        return 415, f"send application/json, not {sent.media_type[:100]}"
    return None
