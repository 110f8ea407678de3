"""TMF641 v4.1 `cancelServiceOrder`: a task that is assessed at once, so it is finished when it is answered.

`done`: the assessment ended, and the order was cancelled or is kept, as `completionMessage` says; `terminatedWithError`:
there was nothing to assess, because the order is over.
"""

from typing import Any

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from unstuck.kernel.canonical import printable
from unstuck.kernel.ids import as_id
from unstuck.kernel.refusal import Missing
from unstuck.service.looks import service_orders, views
from unstuck.service.order_work import orders
from unstuck.service.ports import Ports
from unstuck.web.protocol import actor, as_json
from unstuck.web.tmf import filters, paging
from unstuck.web.tmf.cancellation import read_request, resource
from unstuck.web.tmf.projection import selected

UNSAID = "no reason was given"
Asked = Request[Any, Any, Any]


@post("/cancelServiceOrder", opt={"permission": "order.submit"}, status_code=201)
async def create_cancel_service_order(request: Asked, ports: NamedDependency[Ports]) -> Response[bytes]:
    """Ask to cancel an order of one's own: done while nothing of it was sent, else kept, with the reason.

    Who manages orders may ask for those of others too.
    """
    body = await request.body()
    wanted = read_request(body)
    order_id = await views.find_order(ports, wanted.service_order.id)
    reason = printable(wanted.cancellation_reason or "", 4000).strip() or UNSAID
    made = await orders.assess_cancellation(ports, orders.Asked(order_id, reason, body), actor(request))
    shown = resource(await service_orders.cancellation(ports, made))
    return as_json(shown, status=201, Location=shown["href"])


@get("/cancelServiceOrder/{id:str}", opt={"permission": "order.read"})
async def get_cancel_service_order(
    ports: NamedDependency[Ports], id: FromPath[str], fields: FromQuery[str | None] = None
) -> Response[bytes]:
    """One request to cancel, with what became of it."""
    known = as_id(id)
    if known is None:
        raise Missing(f"cancelServiceOrder {id[:80]}")
    return as_json(selected(resource(await service_orders.cancellation(ports, known)), fields))


@get("/cancelServiceOrder", opt={"permission": "order.read"})
async def list_cancel_service_orders(request: Asked, ports: NamedDependency[Ports]) -> Response[bytes]:
    """Requests to cancel, newest first, by TMF630's filters."""
    asked = filters.search(request.scope["query_string"].decode("latin-1"))
    of_orders = [c.values for c in asked.conditions if (c.path, c.operator) == ("serviceOrder.id", "eq")]
    rest = tuple(c for c in asked.conditions if (c.path, c.operator) != ("serviceOrder.id", "eq"))
    wanted = [id for values in of_orders for id in map(as_id, values) if id] if of_orders else None
    if not rest and not asked.sort:
        rows, total = await service_orders.cancellations(ports, wanted, asked.offset, asked.limit)
        page = [resource(row) for row in rows]
    else:
        rows, total = await service_orders.all_cancellations(ports, wanted)
        fit = [shown for shown in map(resource, rows) if filters.fits(shown, rest)]
        if asked.sort:
            fit.sort(key=lambda shown: filters.sort_key(shown, asked.sort))
        page, total = fit[asked.offset : asked.offset + asked.limit], len(fit)
    return paging.page(request.url, asked, page, total)
