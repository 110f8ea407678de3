"""TMF641's `/hub`: who listens to service orders, and with which filter."""

from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from unstuck.kernel.ids import as_id
from unstuck.kernel.refusal import Invalid, Missing
from unstuck.kernel.strict import NOT_JSON, not_json
from unstuck.service.events_out import hub
from unstuck.service.events_out.hub import Listener
from unstuck.service.ports import Ports
from unstuck.web.protocol import actor, as_json
from unstuck.web.tmf.notifications import filter_of
from unstuck.web.tmf.projection import BASE

MANAGE = "subscription.manage"
LONG = 1000
Asked = Request[Any, Any, Any]


class NewListener(msgspec.Struct):
    """Where events are POSTed (`callback`/listener/<event>) and which; fields we do not know are let pass."""

    callback: str
    query: str | None = None


@post("/hub", opt={"permission": MANAGE}, status_code=201)
async def subscribe(request: Asked, ports: NamedDependency[Ports]) -> Response[bytes]:
    """Register a listener."""
    wanted = _read(await request.body())
    query = (wanted.query or "").removeprefix("?")
    if max(len(query), len(wanted.callback)) > LONG or not (query + wanted.callback).isprintable():
        raise Invalid(f"callback and query are printable texts of at most {LONG} characters")
    filter_of(query)
    made = await hub.subscribe(ports, actor(request), wanted.callback, query)
    return as_json(_shown(made), status=201, Location=f"{BASE}/hub/{made.id}")


@get("/hub/{id:str}", opt={"permission": MANAGE})
async def show_listener(request: Asked, ports: NamedDependency[Ports], id: FromPath[str]) -> Response[bytes]:
    """One listener."""
    return as_json(_shown(await hub.listener(ports, _id(id), actor(request))))


@delete("/hub/{id:str}", opt={"permission": MANAGE}, status_code=204)
async def unsubscribe(request: Asked, ports: NamedDependency[Ports], id: FromPath[str]) -> None:
    """Take a listener away."""
    await hub.unsubscribe(ports, _id(id), actor(request))


def _read(body: bytes) -> NewListener:
    try:
        return msgspec.json.decode(body, type=NewListener)
    except msgspec.ValidationError as error:
        raise Invalid(f"a listener has a callback, and perhaps a query: {error}") from error
    except NOT_JSON as error:
        raise not_json(error) from error


def _shown(listener: Listener) -> dict[str, str]:
    shown = {"id": str(listener.id), "callback": listener.callback}
    return shown | ({"query": listener.query} if listener.query else {})


def _id(text: str) -> UUID:
    known = as_id(text)
    if known is None:
        raise Missing(f"listener {text[:80]}")
    return known
