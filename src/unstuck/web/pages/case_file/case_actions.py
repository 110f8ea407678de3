"""The actions of a case by forms: opened on its page, previewed, carried out; refused in place, with what was typed."""

from typing import Any
from uuid import UUID

import msgspec
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from unstuck.kernel.refusal import Missing, Refused, Stale
from unstuck.policy.grant import require
from unstuck.service.case_work import repair, reveal
from unstuck.service.case_work.done import CaseDone
from unstuck.service.looks import case_page, views
from unstuck.service.ports import Ports
from unstuck.web import problem
from unstuck.web.api.bodies import Reason
from unstuck.web.pages import forms
from unstuck.web.pages.case_file.case import READS, Asked, Message, shown
from unstuck.web.pages.case_file.case_acts import ENVELOPE, REVEAL, Act, HalfDone, Work, act_of, correctable, proposal
from unstuck.web.pages.case_file.case_forms import NOTHING_TYPED, opened, refusal_of
from unstuck.web.pages.case_file.case_parts import since
from unstuck.web.pages.forms import Form
from unstuck.web.pages.going import go
from unstuck.web.pages.texts import text
from unstuck.web.protocol import actor


@get("/cases/{name:str}/do/{action:str}", opt=READS)
async def open_form(
    request: Asked, ports: NamedDependency[Ports], name: FromPath[str], action: FromPath[str]
) -> Response[Any]:
    """The case with the form of one action open on it; or why that cannot be done."""
    page = await case_page.read(ports, await views.find_case(ports, name), actor(request))
    refusal = refusal_of(page.view, action)
    if refusal is not None:
        return await _said(request, ports, page.view.id, action, NOTHING_TYPED, refusal, open_again=False)
    require(actor(request), _permission(action), ports.book.current)
    return await shown(request, ports, page, opened=await opened(ports, page, actor(request), action))


@post("/cases/{name:str}/preview/{action:str}", opt=READS)
async def preview(
    request: Asked, ports: NamedDependency[Ports], name: FromPath[str], action: FromPath[str]
) -> Response[Any]:
    """The same form with what it would do; changes nothing."""
    case_id, act, form = await views.find_case(ports, name), _act(action), NOTHING_TYPED
    try:
        form = await _read(request, ports, act)
        require(actor(request), act.permission, ports.book.current)
        page = await case_page.read(ports, case_id, actor(request))
        given = proposal(form, action, correctable(page))
        foreseen = await repair.preview(ports, case_id, actor(request), given)
        if not foreseen.allowed:
            raise Refused(foreseen.rule, foreseen.because)
    except Refused as refusal:
        return await _said(request, ports, case_id, action, form, refusal)
    again = await opened(
        ports, page, actor(request), action, form=form, preview=foreseen, decided=(form.version, _seen(form))
    )
    return await shown(request, ports, page, opened=again)


@post("/cases/{name:str}/do/{action:str}", opt=READS)
async def carry_out(
    request: Asked, ports: NamedDependency[Ports], name: FromPath[str], action: FromPath[str]
) -> Response[Any]:
    """Do it, once however often the form is sent; then back to the case."""
    case_id, form = await views.find_case(ports, name), NOTHING_TYPED
    try:
        if action == "reveal":
            form = await forms.read(request, (*ENVELOPE, "reason"))
            return await _revealed(request, ports, case_id, form)
        act = _act(action)
        form = await _read(request, ports, act)
        done = await _once(request, ports, case_id, act, form)
    except Missing:
        raise
    except HalfDone as half:
        return await _said(request, ports, case_id, action, form, half.refusal, half=True, open_again=False)
    except Refused as refusal:
        return await _said(request, ports, case_id, action, form, refusal)
    return go(request, f"/cases/{done.number}?done={_done(action, done)}")


def handlers() -> list[HTTPRouteHandler]:
    """The routes of this module."""
    return [open_form, preview, carry_out]


async def _once(request: Asked, ports: Ports, case_id: UUID, act: Act, form: Form) -> CaseDone:
    require(actor(request), act.permission, ports.book.current)
    keys = {part: forms.once(request, form, part=part) for part in act.parts}
    known = await forms.again(ports, keys[act.parts[-1]])
    if known is not None:
        return msgspec.json.decode(known.body, type=CaseDone)
    page = await case_page.read(ports, case_id, actor(request))
    return await act.carry_out(Work(ports, case_id, actor(request), form, keys, correctable(page)))


async def _revealed(request: Asked, ports: Ports, case_id: UUID, form: Form) -> Response[Any]:
    require(actor(request), REVEAL, ports.book.current)
    why = forms.into({"reason": form.text("reason")}, Reason).reason
    page = await reveal.page(ports, case_id, actor(request), why)
    message = Message("info", text("case.revealed"), text("case.revealed_help"))
    return await shown(request, ports, page, message=message, still=True)


async def _said(
    request: Asked, ports: Ports, case_id: UUID, action: str, form: Form, refusal: Refused, *, half: bool = False,
    open_again: bool = True,
) -> Response[Any]:  # fmt: skip
    """The case as it is now, with why not on top; the form stays open with what was typed."""
    said = problem.described(request, refusal)
    page = await case_page.read(ports, case_id, actor(request))
    stale = isinstance(refusal, Stale)
    changed = since(page.view, _seen(form)) if stale else ()
    title = text("case.half") if half else text("case.moved_on") if stale else said.body.title
    detail = text("case.moved_on_help") if stale else refusal.because
    message = Message("warn" if stale else "bad", title, detail, refusal.rule, changed)
    again = None
    if open_again:
        decided = None if stale or not form.values.get("version") else _decided(form)
        again = await opened(
            ports, page, actor(request), action, form=_fresh(form, refusal), errors=forms.errors(refusal), decided=decided
        )  # fmt: skip
    response = await shown(request, ports, page, status=said.status, opened=again, message=message)
    response.headers.update(said.headers)
    return response


async def _read(request: Asked, ports: Ports, act: Act) -> Form:
    """The form of this action; which data may be corrected is the pack's to say."""
    document = ports.book.current.document
    fields = {f"fields.{name}" for rules in document.correctable.values() for name in rules}
    return await forms.read(request, (*ENVELOPE, *act.known, *(fields if len(act.parts) > 1 else ())))


def _act(action: str) -> Act:
    act = act_of(action)
    if act is None:
        raise Missing(f"the action {action[:60]}")
    return act


def _permission(action: str) -> str:
    return REVEAL if action == "reveal" else _act(action).permission


def _fresh(form: Form, refusal: Refused) -> Form:
    """What was typed; under a new key when its own stands for something else."""
    if refusal.rule != "one-key-one-command":
        return form
    return Form({name: values for name, values in form.values.items() if name != "key"})


def _decided(form: Form) -> tuple[int, int] | None:
    try:
        return form.version, _seen(form)
    except Refused:
        return None


def _seen(form: Form) -> int:
    given = (form.values.get("seen") or [""])[0]
    return int(given) if given.isascii() and given.isdecimal() and len(given) < 10 else 0


def _done(action: str, done: CaseDone) -> str:
    """What the page says then: of a repair what came of it."""
    correction = done.correction
    if correction is msgspec.UNSET or correction.result is msgspec.UNSET:
        return action
    return f"repair-{correction.result}"
