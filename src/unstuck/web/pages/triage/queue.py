"""`/queue`: the triage queue, and what is done with several of its cases at once."""

import re
from collections.abc import Sequence
from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.response import Redirect, Stream

from unstuck.fallout import case as commands
from unstuck.fallout.case import Command
from unstuck.fallout.policy import REASONS
from unstuck.kernel.actor import Actor
from unstuck.kernel.refusal import Invalid, Missing, Refused
from unstuck.policy.grant import may
from unstuck.service.events_out.stream import Feed
from unstuck.service.looks import queue_page, queue_work
from unstuck.service.looks.counts import Board
from unstuck.service.looks.queue_page import QueuePage
from unstuck.service.looks.queue_views import ME
from unstuck.service.looks.queue_work import Answered, Chosen
from unstuck.service.ports import Ports
from unstuck.web.api.bodies import Assignment, Remark
from unstuck.web.pages import forms, live, render
from unstuck.web.pages.texts import text, word
from unstuck.web.pages.triage import queue_query
from unstuck.web.pages.triage.queue_live import WORK, QueueWatch, numbers, unseen
from unstuck.web.pages.triage.queue_parts import chips_of, promise, titles
from unstuck.web.pages.triage.queue_query import Asked, Complaint
from unstuck.web.protocol import actor

READ = "case.read"
PICKED = re.compile(r"(FC-\d{1,18})\.(\d{1,9})")
FIELDS = ("case", "to", "note", "key")
COMMANDS = {"assign": "assign", "take": "assign", "release": "release"}  # what a button does, and what policy calls it


class Trouble(msgspec.Struct, frozen=True):
    """Why a command on the selected cases was not (wholly) carried out, and what had been typed."""

    status: int
    form: forms.Form
    answers: Sequence[Answered] = ()
    refusal: Refused | None = None

    @property
    def picked(self) -> frozenset[str]:
        """The cases that stay selected: those that were not done."""
        done = {answer.name for answer in self.answers if answer.done}
        return frozenset(name.partition(".")[0] for name in self.form.all("case")) - done


@get("/queue", opt={"permission": READ, "page": True})
async def show_queue(request: Request[Any, Any, Any], ports: NamedDependency[Ports]) -> Response[str]:
    """The queue as its address asks for it; what cannot be read of that is told on the page."""
    return await _page(request, ports)


@post("/queue/do/{action:str}", opt={"permission": WORK, "page": True}, status_code=303)
async def work_on_several(
    request: Request[Any, Any, Any], ports: NamedDependency[Ports], action: FromPath[str]
) -> Response[str] | Redirect:
    """Assign, take or release the selected cases, each by itself: back to the list when all are done."""
    if action not in COMMANDS:
        raise Missing(f"the command {action[:80]}")
    form, who = await forms.read(request, FIELDS), actor(request)
    try:
        answers = await _carried_out(ports, form, who, action)
    except Invalid as refusal:
        return await _page(request, ports, Trouble(422, form, refusal=refusal))
    if not all(answer.done for answer in answers):
        return await _page(request, ports, Trouble(409, form, answers))
    asked = _asked(request)
    back = asked.address(after=asked.place.after, before=asked.place.before, done=COMMANDS[action])
    return Redirect(back, status_code=303)


def routes(ports: Ports, feed: Feed) -> list[HTTPRouteHandler]:
    """The routes of the queue; everybody who listens to it shares one board of numbers."""
    board = Board(ports)

    @get("/live/queue", opt={"permission": READ, "page": True}, media_type=live.EVENTS)
    async def hear_queue(request: Request[Any, Any, Any]) -> Stream:
        """What changes of a list, as it is open in a browser."""
        asked, on = _asked(request), numbers(request.query_params.get("on", ""))
        first = unseen(request.query_params.get("from", ""))
        watch = QueueWatch(ports, board, actor(request), asked, on, first)
        return await live.answer(request, ports, feed, watch)

    return [show_queue, work_on_several, hear_queue]


def _asked(request: Request[Any, Any, Any]) -> Asked:
    return queue_query.read(request.query_params.multi_items(), actor(request))


async def _page(request: Request[Any, Any, Any], ports: Ports, trouble: Trouble | None = None) -> Response[str]:
    who = actor(request)
    asked, page = await _readable(ports, _asked(request), who)
    status = trouble.status if trouble else 422 if asked.complaints else 200
    shown = [row for group in page.groups for row in group.rows] if page.groups else page.rows
    return await render.page(
        request, ports, "queue.html", status=status, live=_live(asked, page, [row.name for row in shown]),
        asked=asked, page=page, chips=chips_of(asked, page.tally, titles(ports.book.current)), columns=asked.columns, promise=promise,
        works=may(who, WORK, ports.book.current), trouble=trouble, key=ports.new_id().hex,
        picked=trouble.picked if trouble else frozenset(), groups=queue_query.GROUPS, **_choices(ports),
        people=sorted({who.id, *(row.owner for row in shown if row.owner)}),
        errors=forms.errors(trouble.refusal) if trouble and trouble.refusal else {},
    )  # fmt: skip


async def _readable(ports: Ports, asked: Asked, who: Actor) -> tuple[Asked, QueuePage]:
    """The page; one whose cursor leads nowhere is shown from its beginning."""
    try:
        return asked, await queue_page.shown(ports, asked.wanted, asked.place, who)
    except Invalid:
        name = "after" if asked.place.after else "before"
        complaint = Complaint(name, asked.place.after or asked.place.before, text("queue.cursor"))
        place = msgspec.structs.replace(asked.place, after="", before="")
        asked = msgspec.structs.replace(asked, place=place, complaints=(*asked.complaints, complaint))
        return asked, await queue_page.shown(ports, asked.wanted, place, who)


def _choices(ports: Ports) -> dict[str, Any]:
    """What the pack knows that one may filter by."""
    document = ports.book.current.document
    return {
        "queues": [(name, queue.title) for name, queue in document.queues.items()],
        "products": [(name, offer.title) for name, offer in document.offers.items()],
        "reasons": [(name, word("queue.reason", name)) for name in REASONS],
    }


def _live(asked: Asked, page: QueuePage, names: Sequence[str]) -> str:
    """Where this very page hears what changes, from what it has seen on."""
    on = ",".join(name.removeprefix("FC-") for name in names)
    seen = str(page.pulse.leaves - 1) if page.pulse.leaves else ""
    return asked.address("/live/queue", on=on, **{"from": seen})


async def _carried_out(ports: Ports, form: forms.Form, who: Actor, action: str) -> list[Answered]:
    chosen = _chosen(form)
    command = _command(form, who, action)
    says = repr((form.text("to"), form.text("note")))
    key = form.text("key")
    if not re.fullmatch(r"[0-9a-f]{32}", key):
        raise Invalid("the form is none of ours; load the page again", (("/key", "comes with the page"),))
    return await queue_work.for_each(ports, chosen, who, COMMANDS[action], lambda _case: command, key, says)


def _command(form: forms.Form, who: Actor, action: str) -> Command:
    if action == "take":
        return commands.Assign(who.id)
    if action == "assign":
        to = forms.into({"to": form.text("to")}, Assignment).to
        return commands.Assign(who.id if to == ME else to)
    return commands.Release(forms.into({"note": form.text("note")}, Remark).note)


def _chosen(form: forms.Form) -> list[Chosen]:
    found = [PICKED.fullmatch(text) for text in form.all("case")]
    if not found or None in found:
        raise Invalid("select the cases first", (("/case", "at least one case of the list"),))
    return [Chosen(match[1], int(match[2])) for match in found if match]
