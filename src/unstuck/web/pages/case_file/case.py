"""The page of one case: where it stands, what it is about, what was tried, what can be done, and its evidence as files."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.response import Redirect, Stream

from unstuck.service.case_work import reveal
from unstuck.service.events_out.stream import Feed
from unstuck.service.looks import case_page, views
from unstuck.service.looks.case_page import CasePage
from unstuck.service.looks.shown import TimelineEntry
from unstuck.service.ports import Ports
from unstuck.web.pages import live, render
from unstuck.web.pages.case_file.case_forms import Opened
from unstuck.web.pages.case_file.case_live import CaseWatch
from unstuck.web.pages.case_file.case_parts import mark_of, parts
from unstuck.web.protocol import actor

Asked = Request[Any, Any, Any]
READS = {"permission": "case.read", "page": True}


class Message(msgspec.Struct, frozen=True):
    """What is said on top of a case: that something was refused, or is shown in clear; and what changed meanwhile."""

    tone: str
    title: str
    detail: str = ""
    rule: str = ""
    changed: Sequence[TimelineEntry] = ()


@get("/cases/{name:str}", opt=READS)
async def show_case(request: Asked, ports: NamedDependency[Ports], name: FromPath[str]) -> Response[Any]:
    """One case, whole."""
    page = await case_page.read(ports, await views.find_case(ports, name), actor(request))
    if name != page.view.number:
        return Redirect(f"/cases/{page.view.number}", status_code=303)
    return await shown(request, ports, page)


@get("/cases/{name:str}/evidence/{eid:uuid}", opt=READS)
async def download(
    request: Asked, ports: NamedDependency[Ports], name: FromPath[str], eid: FromPath[UUID]
) -> Response[bytes]:
    """The bytes of one piece of evidence, checked against their digest: a file to keep, never a page of ours."""
    data = await reveal.file(ports, await views.find_case(ports, name), eid, actor(request))
    headers = {"Content-Disposition": f'attachment; filename="{eid}"'}
    return Response(data, media_type="application/octet-stream", headers=headers)


async def shown(
    request: Asked, ports: Ports, page: CasePage, *, status: int = 200, opened: Opened | None = None,
    message: Message | None = None, still: bool = False,
) -> Response[str]:  # fmt: skip
    """The page of a case, with the form that is open on it. `still`: it does not change, as what is revealed once."""
    heard = f"/live/cases/{page.view.number}?at={mark_of(page)}"
    given = parts(page, actor(request), ports.book.current, ports.now())
    return await render.page(
        request, ports, "case.html", status=status, live="" if still else heard, opened=opened, message=message, **given
    )  # fmt: skip


def handlers(ports: Ports, feed: Feed) -> list[HTTPRouteHandler]:
    """The routes of this module."""

    @get("/live/cases/{name:str}", opt=READS, media_type=live.EVENTS)
    async def hear_case(request: Asked, name: FromPath[str]) -> Stream:
        """What changes on the page of a case."""
        case_id = await views.find_case(ports, name)
        watch = CaseWatch(ports, case_id, actor(request), request.query_params.get("at", ""))
        return await live.answer(request, ports, feed, watch)

    return [show_case, download, hear_case]
