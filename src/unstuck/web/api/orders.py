"""`/api/v1/orders` and `/api/v1/callbacks`, and whether we are alive."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
import structlog
from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath

from unstuck.connect.signature import verify
from unstuck.kernel.refusal import Missing, Refused
from unstuck.service.looks import lists, views
from unstuck.service.looks.shown import OrderPage, OrderView
from unstuck.service.order_work import callbacks
from unstuck.service.ports import Ports
from unstuck.web.api.listing import LIST, OrderQuery, asked, order_filters, shape
from unstuck.web.auth import PUBLIC
from unstuck.web.protocol import as_json

log = structlog.get_logger()


class Told(msgspec.Struct):
    """What became of a callback."""

    was: str


@get("/api/v1/orders", opt={"permission": "order.read", "query": OrderQuery, "answer": OrderPage, "also": LIST})
async def list_orders(request: Request[Any, Any, Any], ports: NamedDependency[Ports]) -> Response[bytes]:
    """Orders, a page at a time.

    `q` is a name: of an order here or at its source, or of a customer.
    """
    query = asked(request, OrderQuery)
    return as_json(await lists.orders(ports, order_filters(query), shape(query)))


@get("/api/v1/orders/{name:str}", opt={"permission": "order.read", "answer": OrderView})
async def show_order(ports: NamedDependency[Ports], name: FromPath[str]) -> Response[bytes]:
    """One order, whole."""
    view = await views.order_view(ports, await views.find_order(ports, name))
    return as_json(view, version=view.version)


@get("/healthz", opt={"permission": PUBLIC})
async def alive() -> Response[bytes]:
    """The process answers."""
    return as_json({"ok": True})


def _trusted(secret: str, request: Request[Any, Any, Any], body: bytes, now: datetime) -> None:
    """What nobody we know has signed is refused and not kept, but said in the log."""
    try:
        if not secret:
            raise Refused("signature", "no callback secret is configured, so no callback can be trusted")
        verify(secret, request.headers, body, now)
    except Refused as refusal:
        log.warning("callback refused", path=request.url.path, because=refusal.because, bytes=len(body))
        raise


def router(ports: Ports, secret: str, warnings: Sequence[str]) -> Router:
    """The routes of orders, callbacks and health."""

    @post(
        "/api/v1/callbacks/{system:str}",
        opt={"permission": PUBLIC, "body": dict[str, Any], "answer": Told, "also": {401: "its signature is not ours"}},
        status_code=200,
    )
    async def callback(request: Request[Any, Any, Any], system: FromPath[str]) -> Response[bytes]:
        """An asynchronous outcome, signed by its system (Standard Webhooks)."""
        body = await request.body()
        _trusted(secret, request, body, ports.now())
        if system not in ports.book.current.document.targets:
            raise Missing(f"system {system[:60]!r}")
        return as_json(Told(await callbacks.receive(ports, system, body)))

    @get("/readyz", opt={"permission": PUBLIC})
    async def ready() -> Response[bytes]:
        """The database answers, and what an operator should know of it."""
        await views.require_database(ports)
        return as_json({"ok": True, "pack": ports.book.current.document.name, "warnings": list(warnings)})

    return Router(
        "/",
        route_handlers=[list_orders, show_order, callback, alive, ready],
        dependencies={"ports": Provide(lambda: ports, sync_to_thread=False)},
    )
