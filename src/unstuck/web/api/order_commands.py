"""`POST /api/v1/orders/{id}/…`: suspend, resume, fail, resolve-failure, cancel, abort. Each needs If-Match and a reason."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from litestar import Request, Response, Router, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from unstuck.kernel.actor import Actor
from unstuck.service.looks import views
from unstuck.service.order_work import orders
from unstuck.service.order_work.orders import OrderDone
from unstuck.service.ports import Ports
from unstuck.web.api.bodies import Reason
from unstuck.web.openapi import COMMAND
from unstuck.web.protocol import actor, as_json, expected_version, parsed

Command = Callable[[Ports, UUID, int, Actor, str], Awaitable[OrderDone]]
DECLARED = {"permission": "order.manage", "body": Reason, "answer": OrderDone} | COMMAND


def on_order(command: str, carry_out: Command, says: str) -> HTTPRouteHandler:
    """The route of one command on a whole order; the reason goes into the history as it is."""

    async def command_order(
        request: Request[Any, Any, Any], ports: NamedDependency[Ports], name: FromPath[str]
    ) -> Response[bytes]:
        version, body = expected_version(request), parsed(await request.body(), Reason)
        order_id = await views.find_order(ports, name)
        done = await carry_out(ports, order_id, version, actor(request), body.reason)
        return as_json(done, version=done.version)

    command_order.__doc__, command_order.__name__ = says, command.replace("-", "_")
    return post(f"/{{name:str}}/{command}", opt=DECLARED, status_code=200)(command_order)


COMMANDS = (
    on_order("suspend", orders.suspend, "Send nothing new of this order; what is under way ends."),
    on_order("resume", orders.resume, "Let a suspended order go on."),
    on_order("fail", orders.fail, "Declare this order failed: it stops, and a case is opened."),
    on_order(
        "resolve-failure",
        orders.resolve_failure,
        "Return a failed order to what it was before; repairs nothing by itself.",
    ),
    on_order("cancel", orders.cancel, "Call off an order of which nothing was ever sent."),
    on_order(
        "abort",
        orders.abort,
        "End this order as it stands, undoing nothing; the answer lists what is to be cleaned up outside.",
    ),
)


def router() -> Router:
    """The routes of order commands."""
    return Router("/api/v1/orders", route_handlers=COMMANDS)
