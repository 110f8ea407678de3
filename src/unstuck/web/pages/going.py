"""Where a person is sent next: only to places of ours, and as their browser can follow."""

import re
from typing import Any

from litestar import Request, Response
from litestar.datastructures import Cookie

HOME = "/queue"
# A path of ours: not `//host`, and nothing that browsers drop or turn round before they read it.
LOCAL = re.compile(r"/(?![/\\])[!-\[\]-~]{0,2000}")
DOORS = ("/sign-in", "/sign-out", "/first-start")


def local(wanted: str) -> str:
    """The place somebody wanted to go to when it is one of ours, else the queue."""
    if LOCAL.fullmatch(wanted) is None or wanted.startswith(DOORS):
        return HOME
    return wanted


def go(request: Request[Any, Any, Any], place: str, cookie: Cookie | None = None) -> Response[Any]:
    """Send the browser on. Where htmx asks, it loads the whole page: another person's frame may be around it."""
    cookies = [cookie] if cookie else []
    if "hx-request" in request.headers:
        return Response(b"", status_code=200, headers={"HX-Redirect": place}, cookies=cookies)
    return Response(b"", status_code=303, headers={"Location": place}, cookies=cookies)
