"""Templates to answers: one environment, everything escaped, the same frame around every page."""

from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from typing import Any

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined
from litestar import Request, Response

from unstuck.kernel.canonical import encode_trusted
from unstuck.policy.grant import may
from unstuck.service.looks import counts
from unstuck.service.ports import Ports
from unstuck.web.pages import assets, marks, moments, texts, wrapping
from unstuck.web.pages.trying import to_try
from unstuck.web.protocol import actor

HTML = "text/html"  # the charset is added by the framework
# No script and no style inline, nothing from elsewhere: a partner's text that got through as markup would still be dead.
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {"Content-Security-Policy": CSP}
THEMES = ("light", "dark")


class Link(msgspec.Struct, frozen=True):
    """One entry of the navigation. `count` is in words, empty when there is nothing to count; `key` follows `g`."""

    name: str
    href: str
    key: str
    here: bool
    count: str = ""


PLACES = (  # name, where, key after g, permission
    ("queue", "/queue", "q", "case.read"),
    ("orders", "/orders", "o", "order.read"),
)
BELOW = {"queue": "/cases/"}  # pages that are reached from a place and have addresses of their own


async def page(
    request: Request[Any, Any, Any], ports: Ports, name: str, /, *, status: int = 200, live: str = "", **given: Any
) -> Response[str]:
    """The template `name` in its frame. `live` is where the page hears what changes; empty for a page that stands still."""
    who = actor(request)
    counted = await counts.for_navigation(ports, who)
    frame = {
        "who": who,
        "links": _links(request, ports, counted),
        "live": live,
        "theme": theme(request),
        "path": request.url.path,
        "here": here(request),
        "done": request.query_params.get("done", ""),
        "trace_id": request.scope.get("trace_id", ""),
        "now": ports.now(),
        "trying": to_try(request, ports),
    }
    return html(part(name, **frame, **given), status=status)


def html(body: str, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response[str]:
    """A page, with the policy that lets it load our own files and nothing else."""
    return Response(body, status_code=status, media_type=HTML, headers={**HEADERS, **(headers or {})})


def part(name: str, /, **given: Any) -> str:
    """A template by itself, as live parts of a page are sent."""
    return environment().get_template(name).render(**given)


@cache
def environment() -> Environment:
    """The one environment: undefined names are errors, everything is escaped."""
    made = Environment(
        loader=PackageLoader("unstuck.web.pages"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, auto_reload=False,
    )  # fmt: skip
    made.globals.update(t=texts.text, word=texts.word, has_text=texts.has, asset=assets.address, mark=marks.mark)
    made.globals.update(version=version("unstuck"))
    made.filters.update(ago=moments.ago, exact=moments.exact, iso=moments.iso, shown=_shown)
    made.filters.update(breakable=wrapping.breakable)
    return made


def theme(request: Request[Any, Any, Any]) -> str:
    """Light or dark, when this person has chosen; else empty, and the browser's own wish counts."""
    chosen = request.cookies.get("theme", "")
    return chosen if chosen in THEMES else ""


def here(request: Request[Any, Any, Any]) -> str:
    """Where the browser is, with what it asked for there."""
    query = request.url.query
    return f"{request.url.path}?{query}" if query else request.url.path


def _shown(value: Any) -> str:
    """A value of an event as text: JSON, as it was recorded."""
    return encode_trusted(value).decode()


def _links(request: Request[Any, Any, Any], ports: Ports, counted: Mapping[str, str]) -> list[Link]:
    who, path = actor(request), request.url.path
    return [
        Link(
            name, href, key, path == href or path.startswith((f"{href}/", BELOW.get(name, "//"))), counted.get(name, "")
        )
        for name, href, key, permission in PLACES
        if may(who, permission, ports.book.current)
    ]
