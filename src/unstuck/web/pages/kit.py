"""The living page of the design system: every part in every tone and state, in both themes. And choosing a theme."""

from datetime import datetime, timedelta
from typing import Any

from litestar import Request, Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.response import Redirect

from unstuck.fallout.events import ASSIGNED, DETECTED
from unstuck.fallout.lifecycle import CaseState
from unstuck.kernel.actor import CLASSIFIER
from unstuck.kernel.refusal import Invalid
from unstuck.order.lifecycle import ItemState, OrderState, TaskState
from unstuck.service.looks.shown import TimelineEntry
from unstuck.service.ports import Ports
from unstuck.web.auth import PUBLIC, SIGNED_IN
from unstuck.web.pages import forms, marks, render
from unstuck.web.pages.going import local

STATES = {"case": CaseState, "order": OrderState, "item": ItemState, "task": TaskState}
FIELDS = ("text", "long", "number", "choice", "check", "file", "password")
HOSTILE = '<script>alert("1")</script> \u202egnirts <b>' + "longword" * 40
YEAR_S = 365 * 86400


def handlers(ports: Ports) -> list[HTTPRouteHandler]:
    """The routes of this page."""

    @get("/parts", opt={"permission": SIGNED_IN, "page": True})
    async def parts(request: Request[Any, Any, Any]) -> Response[str]:
        return await render.page(
            request, ports, "kit.html", states=STATES, tones=marks.TONES, fields=FIELDS, hostile=HOSTILE,
            entries=_entries(ports.now()), later=ports.now() + timedelta(hours=5),
        )  # fmt: skip

    return [parts, choose_theme]


@post("/theme", opt={"permission": PUBLIC, "page": True}, request_max_body_size=forms.SMALL)
async def choose_theme(request: Request[Any, Any, Any]) -> Redirect:
    """Keep the theme that was chosen, and go back to where it was. It is a wish about this browser, nobody's account."""
    form = await forms.read(request, ("theme", "next"))
    theme = form.text("theme")
    if theme not in ("", *render.THEMES):
        raise Invalid("there is no such theme", (("/theme", f"one of {', '.join(render.THEMES)}, or empty"),))
    answer = Redirect(local(form.text("next")), status_code=303)
    answer.set_cookie("theme", theme, max_age=YEAR_S if theme else 0, path="/", httponly=True, samesite="lax")
    return answer


def _entries(now: datetime) -> list[TimelineEntry]:
    def entry(seq: int, hours: int, type_: str, by: str, **data: Any) -> TimelineEntry:
        return TimelineEntry(seq, (now - timedelta(hours=hours)).isoformat(), type_, by, data)

    return [
        entry(2, 1, ASSIGNED.name, "ana", owner="ana"),
        entry(1, 30, DETECTED.name, CLASSIFIER.id, message=HOSTILE, codes={"raw": "504"}),
    ]
