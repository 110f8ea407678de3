"""`POST /api/v1/orders/{id}/…`: suspend, resume, fail, resolve-failure, cancel, abort. Each needs If-Match and a reason."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, Router, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from unstuck.kernel.actor import Actor
from unstuck.service import orders, views
from unstuck.service.orders import OrderDone
from unstuck.service.ports import Ports
from unstuck.web.openapi import COMMAND
from unstuck.web.protocol import actor, as_json, expected_version, parsed

Command = Callable[[Ports, UUID, int, Actor, str], Awaitable[OrderDone]]


class Because(msgspec.Struct, forbid_unknown_fields=True):
    """Why: it goes into the history as it is."""

    reason: str


DECLARED = {"permission": "order.manage", "body": Because, "answer": OrderDone} | COMMAND


@post("/{name:str}/suspend", opt=DECLARED, status_code=200)
async def suspend(
    request: Request[Any, Any, Any], ports: NamedDependency[Ports], name: FromPath[str]
) -> Response[bytes]:
    """Send nothing new of this order; what is under way ends."""
    return await _carry_out(orders.suspend, request, ports, name)


@post("/{name:str}/resume", opt=DECLARED, status_code=200)
async def resume(
    request: Request[Any, Any, Any], ports: NamedDependency[Ports], name: FromPath[str]
) -> Response[bytes]:
    """Let a suspended order go on."""
    return await _carry_out(orders.resume, request, ports, name)


@post("/{name:str}/fail", opt=DECLARED, status_code=200)
async def fail(request: Request[Any, Any, Any], ports: NamedDependency[Ports], name: FromPath[str]) -> Response[bytes]:
    """Declare this order failed: it stops, and a case is opened."""
    return await _carry_out(orders.fail, request, ports, name)


@post("/{name:str}/resolve-failure", opt=DECLARED, status_code=200)
async def resolve_failure(
    request: Request[Any, Any, Any], ports: NamedDependency[Ports], name: FromPath[str]
) -> Response[bytes]:
    """Return a failed order to what it was before; repairs nothing by itself."""
    return await _carry_out(orders.resolve_failure, request, ports, name)


@post("/{name:str}/cancel", opt=DECLARED, status_code=200)
async def cancel(
    request: Request[Any, Any, Any], ports: NamedDependency[Ports], name: FromPath[str]
) -> Response[bytes]:
    """Call off an order of which nothing was ever sent."""
    return await _carry_out(orders.cancel, request, ports, name)


@post("/{name:str}/abort", opt=DECLARED, status_code=200)
async def abort(request: Request[Any, Any, Any], ports: NamedDependency[Ports], name: FromPath[str]) -> Response[bytes]:
    """End this order as it stands, undoing nothing; the answer lists what is to be cleaned up outside."""
    return await _carry_out(orders.abort, request, ports, name)


async def _carry_out(command: Command, request: Request[Any, Any, Any], ports: Ports, name: str) -> Response[bytes]:
    version, body = expected_version(request), parsed(await request.body(), Because)
    order_id = await views.find_order(ports, name)
    done = await command(ports, order_id, version, actor(request), body.reason)
    return as_json(done, version=done.version)


def router() -> Router:
    """The routes of order commands."""
    return Router(
        "/api/v1/orders",
        route_handlers=[suspend, resume, fail, resolve_failure, cancel, abort],
    )
