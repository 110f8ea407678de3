"""`/listener/{event}`: where other order managers tell of their orders, each in its own dialect."""

from typing import Any

import msgspec
from litestar import Request, Response, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from unstuck.kernel.refusal import Refused
from unstuck.service.failures_in import listener
from unstuck.service.failures_in.failures import receive
from unstuck.service.ports import Ports
from unstuck.web.protocol import actor, as_json, read


def hear(body_limit: int) -> HTTPRouteHandler:
    """The listener for events of at most `body_limit` bytes."""

    @post("/listener/{event:str}", opt={"permission": "failure.report"}, status_code=201)
    async def hear_event(
        request: Request[Any, Any, Any], ports: NamedDependency[Ports], event: FromPath[str]
    ) -> Response[bytes]:
        """Take an event: 201 when it is new, 200 when it was told before; one that shows a stop names its case."""
        sent = await read(request, body_limit, listener.CHANNEL)
        if sent.size > body_limit:
            raise Refused("too-large", f"an event is at most {body_limit} bytes")
        heard = await listener.hear(ports, lambda reports: receive(ports, reports), actor(request), event, sent)
        shown = {name: value for name, value in msgspec.to_builtins(heard).items() if value not in (None, "")}
        return as_json(shown, status=201 if heard.was == "new" else 200)

    return hear_event
