"""What the page of a case draws: how far it is, what is promised, what waits for it, what can be done, what was sent."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

import msgspec

from unstuck.fallout.lifecycle import CASE_IS_RESOLVED, CaseState
from unstuck.kernel.actor import Actor
from unstuck.kernel.canonical import digest
from unstuck.policy.grant import may
from unstuck.policy.pack import Pack
from unstuck.service.looks.case_page import CasePage
from unstuck.service.looks.shown import CaseView, Correction, Graph, OrderRow
from unstuck.web.api.repairs import ADD, REPAIR
from unstuck.web.pages import moments, texts
from unstuck.web.pages.case_file.case_acts import REVEAL
from unstuck.web.pages.order_file.graph import drawn

STEPS = ("understand", "propose", "apply", "verify", "resume")
AT = {
    **dict.fromkeys((CaseState.DETECTED, CaseState.CLASSIFIED, CaseState.QUEUED, CaseState.ASSIGNED), "understand"),
    CaseState.CORRECTION_PROPOSED: "apply",
    CaseState.APPROVAL_REQUIRED: "apply",
    CaseState.CORRECTION_APPLIED: "verify",
    CaseState.VERIFYING: "verify",
}
LATE_SHARE = 0.8
SPACED = 20_000  # characters; nobody reads longer JSON line by line
PENDING = ("PROPOSED", "APPLYING")


class Doing(msgspec.Struct, frozen=True):
    """One action as a button: `main` is the one that is suggested."""

    name: str
    title: str
    href: str
    risk: str = ""
    mode: str = ""
    main: bool = False


class Promise(msgspec.Struct, frozen=True):
    """The promised date as a clock."""

    share: float
    tone: str
    text: str


def steps(view: CaseView) -> list[tuple[str, str]]:
    """The five steps, each done, now or ahead."""
    here = len(STEPS) if view.state in CASE_IS_RESOLVED else STEPS.index(_at(view))
    return [
        (texts.text(f"case.step.{name}"), "done" if no < here else "now" if no == here else "ahead")
        for no, name in enumerate(STEPS)
    ]


def _at(view: CaseView) -> str:
    if view.state is CaseState.VERIFYING and view.suggestion is not None and view.suggestion.action == "resolve":
        return "resume"
    return AT.get(view.state, "propose")


def promise(order: OrderRow | None, now: datetime) -> Promise | None:
    """How much of the time until the promised date is gone; None when nothing is promised, or it is over."""
    if order is None or order.promised_at is None or order.finished_at is not None:
        return None
    begun, due = moments.moment(order.received_at), moments.moment(order.promised_at)
    share = (now - begun) / (due - begun) if due > begun else 1.0
    tone = "bad" if now >= due else "warn" if share >= LATE_SHARE else "good"
    return Promise(share, tone, moments.ago(order.promised_at, now))


def waiting(graph: Graph, step: str) -> list[str]:
    """The steps that cannot begin before this one is done, however far behind it they are."""
    start = next((task.no for task in graph.tasks if task.key == step), None)
    if start is None:
        return []
    behind = {start}
    while more := {task.no for task in graph.tasks if behind & set(task.after)} - behind:
        behind |= more
    open_ones = (task for task in graph.tasks if task.no in behind - {start})
    return [task.title for task in open_ones if task.state not in ("COMPLETED", "CANCELLED")]


def doings(page: CasePage, actor: Actor, pack: Pack) -> list[Doing]:
    """Everything that this person can do now, what is suggested first."""
    view = page.view
    wanted = view.suggestion.action if view.suggestion else ""
    named = [(one.action, one.title, one.risk or "", one.mode or "") for one in view.allowed_actions]
    named += [(name, name, "", "") for name in _beside(view, actor, pack)]
    found = [
        Doing(name, title_of(name, "" if name == wanted else title), address(view, name), risk, mode, name == wanted)
        for name, title, risk, mode in named
    ]
    return sorted(found, key=lambda doing: (not doing.main, not doing.risk))


def _beside(view: CaseView, actor: Actor, pack: Pack) -> Iterator[str]:
    """What is not in the grant because no life cycle forbids it."""
    if pending(view) and may(actor, REPAIR, pack):
        yield from ("apply", "reject")
    if view.state is not CaseState.CLOSED:
        if may(actor, ADD, pack):
            yield "evidence"
        if any(one.action == "escalate" for one in view.allowed_actions):
            yield "note"
    if view.hidden and may(actor, REVEAL, pack):
        yield "reveal"


def pending(view: CaseView) -> Correction | None:
    """The correction that is proposed and not carried out."""
    found = (one for one in reversed(view.corrections) if one.state in PENDING)
    return next(found, None) if view.state is CaseState.CORRECTION_PROPOSED else None


def title_of(name: str, title: str = "") -> str:
    """What an action is called: as the pack says for repairs, else as we do."""
    return texts.word("case.action", name) if title in ("", name) else title


def address(view: CaseView, name: str) -> str:
    """Where the form of an action is."""
    return f"/cases/{view.number}/do/{quote(name, safe='')}"


def pretty(text: str) -> str:
    """JSON of strangers with line breaks, anything else as it is: nobody's words are changed, only spaced."""
    if len(text) > SPACED or not text.lstrip().startswith(("{", "[")):
        return text
    try:
        spaced = msgspec.json.format(text, indent=2)
    except (msgspec.DecodeError, RecursionError):
        return text
    return spaced if len(spaced) <= 10 * SPACED else text  # what is nested deeply is mostly blanks then


def said(value: Any) -> str:
    """A value before or after a change as people read it: a state by its word, nothing as such."""
    if value is None:
        return texts.text("part.none")
    return texts.word("state", value) if isinstance(value, str) else msgspec.json.encode(value).decode()


def rows(inline: str) -> list[dict[str, Any]]:
    """The rows of a difference before and after, empty when the text is none."""
    try:
        found = msgspec.json.decode(inline, type=list[dict[str, Any]])
    except msgspec.DecodeError:
        return []
    return [row for row in found if {"what", "before", "after"} <= row.keys()]


def since(view: CaseView, seen: int) -> Sequence[Any]:
    """What happened to the case after the event that somebody saw last."""
    return [entry for entry in view.timeline if entry.seq > seen]


def mark_of(page: CasePage) -> str:
    """A name for what a page shows, to see whether it shows something else now; times that pass do not change it."""
    last = page.view.timeline[-1].seq if page.view.timeline else 0
    seen = (last, page.view.order_graph, len(page.view.attempts), len(page.callbacks), page.order)
    return digest(msgspec.json.encode(seen))[:16]


def parts(page: CasePage, who: Actor, pack: Pack, now: datetime) -> dict[str, Any]:
    """What the templates of a case draw, on the page and live."""
    view = page.view
    return {
        "page": page,
        "view": view,
        "steps": steps(view),
        "promise": promise(page.order, now),
        "waiting": waiting(view.order_graph, view.step),
        "doings": doings(page, who, pack),
        "graph": drawn(view.order_graph),
        "step_title": next((task.title for task in view.order_graph.tasks if task.key == view.step), view.step),
        "pending": pending(view),
        "title_of": title_of,
        "pretty": pretty,
        "rows": rows,
        "said": said,
    }
