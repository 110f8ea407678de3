"""The web application: routes of the rooms beside, one error handler, deny by default."""

from collections.abc import Sequence
from typing import Any

import uvicorn
from litestar import Litestar
from litestar.middleware import DefineMiddleware

from unstuck.service.ports import Ports
from unstuck.web.api import cases, orders
from unstuck.web.auth import WhoIsThere, permit, undeclared
from unstuck.web.edge import Edge
from unstuck.web.problem import answer
from unstuck.web.tmf import service_order


def build(ports: Ports, *, callback_secret: str, body_limit: int, warnings: Sequence[str] = ()) -> Edge:
    """The application; refuses to start while any route declares no permission."""
    app = Litestar(
        route_handlers=[
            orders.router(ports, callback_secret, warnings),
            cases.router(ports),
            service_order.router(ports, body_limit),
        ],
        middleware=[DefineMiddleware(WhoIsThere, ports=ports)],
        guards=[permit(ports)],
        exception_handlers={Exception: answer},
        request_max_body_size=body_limit,
        openapi_config=None,
        debug=False,
        logging_config=None,
    )
    missing = list(undeclared(app))
    if missing:
        raise RuntimeError(f"routes without a permission: {', '.join(missing)}")
    return Edge(app, lambda: ports.new_id().hex)


class Server(uvicorn.Server):
    """Serves until told to stop; open connections get a moment."""


def server(app: Any, host: str, port: int) -> Server:
    """A server of `app`, not started."""
    config = uvicorn.Config(
        app, host=host, port=port, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=5,
        server_header=False,
    )  # fmt: skip
    return Server(config)
