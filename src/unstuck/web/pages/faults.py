"""What a person sees when something is refused or breaks: what it was, what to do, and the id that finds it."""

from typing import Any
from urllib.parse import quote

from litestar import Request, Response

from unstuck.web import problem
from unstuck.web.pages import render
from unstuck.web.pages.going import go

FOR_PROGRAMS = frozenset({"api", "tmf-api", "live", "healthz", "readyz", "metrics"})  # the first part of a path


def answer(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """The answer to any error, in the form that who called can read."""
    if request.url.path.split("/", 2)[1] in FOR_PROGRAMS:
        return problem.answer(request, error)
    said = problem.described(request, error)
    if said.status == 401 and request.method == "GET":
        return go(request, f"/sign-in?next={quote(render.here(request), safe='/')}")
    # Needs no database: that may be what is away.
    body = render.part("problem.html", problem=said.body, theme=render.theme(request))
    return render.html(body, status=said.status, headers=said.headers)
