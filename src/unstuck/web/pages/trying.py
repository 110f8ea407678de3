"""The cases that a demo offers to try: shown on the queue, folded away for good by whoever has seen enough."""

from typing import Any

import msgspec
from litestar import Request, post
from litestar.response import Redirect

from unstuck.service.looks.trying import Try
from unstuck.service.ports import Ports
from unstuck.web.auth import SIGNED_IN
from unstuck.web.pages import forms
from unstuck.web.pages.going import HOME

COOKIE, FOLDED = "try", "folded"
YEAR_S = 365 * 86_400


class Trying(msgspec.Struct, frozen=True):
    """What `parts/try.html` draws; without cases it draws nothing."""

    cases: tuple[Try, ...]
    folded: bool

    def story(self, number: str) -> str:
        """Which of the stories the case of that number tells, empty for every other case."""
        return next((one.name for one in self.cases if one.number == number and not one.done), "")

    @property
    def done(self) -> int:
        return sum(one.done for one in self.cases)


def to_try(request: Request[Any, Any, Any], ports: Ports) -> Trying:
    """What there is to try, and whether this browser wants it folded."""
    return Trying(ports.trying(), request.cookies.get(COOKIE) == FOLDED)


@post("/try/fold", opt={"permission": SIGNED_IN, "page": True}, status_code=303)
async def fold(request: Request[Any, Any, Any]) -> Redirect:
    """Fold the box away, in this browser; who opens it sees it."""
    await forms.read(request, ())
    answer = Redirect(HOME, status_code=303)
    answer.set_cookie(COOKIE, FOLDED, max_age=YEAR_S, path="/", httponly=True, samesite="lax")
    return answer
