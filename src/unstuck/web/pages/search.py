"""Search: an exact number goes straight there, everything else is shown by kind, with why it is here."""

from typing import Any

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.response import Redirect

from unstuck.kernel.refusal import Invalid
from unstuck.service.looks import search
from unstuck.service.ports import Ports
from unstuck.web import problem
from unstuck.web.auth import SIGNED_IN
from unstuck.web.pages import palette, render
from unstuck.web.pages.palette import PLACES
from unstuck.web.protocol import actor, as_json

Asked = Request[Any, Any, Any]
# Each service call says what this person may see: who may read orders and not cases finds orders.
SEARCHES = {"permission": SIGNED_IN, "page": True}


@get("/search", opt=SEARCHES)
async def search_page(request: Asked, ports: NamedDependency[Ports]) -> Response[Any]:
    """What is called like that; with nothing to look for, what can be looked for."""
    text, who = request.query_params.get("q", ""), actor(request)
    try:
        if (at := await search.straight_to(ports, text, who)) is not None:
            return Redirect(PLACES[at[0]] + at[1], status_code=303)
        found = await search.find(ports, text, who)
    except Invalid as refusal:
        return await render.page(
            request, ports, "search.html", status=422, typed=text[: search.LONGEST], found=None, refusal=refusal,
            places=PLACES,
        )  # fmt: skip
    return await render.page(
        request, ports, "search.html", typed=found.q, found=found, refusal=None, places=PLACES
    )  # fmt: skip


@get("/search.json", opt=SEARCHES)
async def search_palette(request: Asked, ports: NamedDependency[Ports]) -> Response[bytes]:
    """The same for the palette, with the lists that are called so."""
    who = actor(request)
    try:
        found = await search.find(ports, request.query_params.get("q", ""), who)
    except Invalid as refusal:
        return problem.answer(request, refusal)
    return as_json(palette.rows(found, who, ports.book.current))


def handlers() -> list[HTTPRouteHandler]:
    """The routes of this module."""
    return [search_page, search_palette]
