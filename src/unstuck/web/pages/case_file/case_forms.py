"""The form of one action, open on the page of its case: its fields, what was typed, what is wrong, what it would do."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import uuid4

import msgspec

from unstuck.kernel.actor import Actor
from unstuck.kernel.refusal import Refused
from unstuck.repair.correction import ActionCode
from unstuck.repair.evidence import Evidence, EvidenceType
from unstuck.repair.policy import FieldRule
from unstuck.service.case_work import repair
from unstuck.service.case_work.done import Preview
from unstuck.service.looks.case_page import CasePage
from unstuck.service.looks.shown import AllowedAction, CaseView
from unstuck.service.ports import Ports
from unstuck.web.api.cases import LIFE_CYCLE
from unstuck.web.pages.case_file.case_acts import correctable
from unstuck.web.pages.case_file.case_parts import pending, title_of
from unstuck.web.pages.forms import Form
from unstuck.web.pages.texts import has, text, word

WAITS = ("CUSTOMER", "PARTNER", "VENDOR", "FIELD", "INCIDENT")
LONG = ("note", "reason", "content")
CHECKS = ("proves_resolution", "customer_visible")
OPTIONAL = ("content", *CHECKS)
EVIDENCE = ("type", "source", "content", "file", *CHECKS)
NOTHING_TYPED = Form({})


class Field(msgspec.Struct, frozen=True):
    """One field. Kinds beside those of `ui.field`: `evidence` (some of the case's) and `way` (how it may end)."""

    name: str
    kind: str
    label: str
    value: str = ""
    required: bool = True
    help: str = ""
    choices: Sequence[tuple[str, str]] = ()
    options: Mapping[str, Any] = {}


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """One open form. `stage`: `ask` for what must be typed before there is anything to preview, else `do`.

    `picked` are the pieces of evidence that are ticked; `lacks` the kinds of evidence of which one is needed.
    """

    action: str
    title: str
    address: str
    preview_at: str
    stage: str
    fields: list[Field]
    picked: list[str]
    errors: Mapping[str, str]
    preview: Preview | None
    correction: str
    lacks: list[str]
    version: int
    key: str
    seen: int


def refusal_of(view: CaseView, action: str) -> Refused | None:
    """Why this action cannot be done, as policy said; None when it can, or has nothing to do with policy."""
    found = next((one for one in view.refused_actions if one.action == action), None)
    return Refused(found.rule, found.because) if found else None


async def opened(
    ports: Ports, page: CasePage, actor: Actor, action: str, *, form: Form = NOTHING_TYPED,
    errors: Mapping[str, str] | None = None, preview: Preview | None = None, decided: tuple[int, int] | None = None,
) -> Opened:  # fmt: skip
    """The form of `action`, with what was typed. `decided`: the version and the last event that were decided on."""
    view, allowed = page.view, _allowed(page.view, action)
    shown = preview or await _foreseen(ports, page, actor, action)
    version, seen = decided or (view.version, last_seq(view))
    return Opened(
        action=action,
        title=title_of(action, allowed.title if allowed else ""),
        address=f"/cases/{view.number}/do/{action}",
        preview_at=f"/cases/{view.number}/preview/{action}",
        stage="ask" if action == ActionCode.CORRECT_DATA and shown is None else "do",
        fields=list(_fields(page, action, allowed, form)),
        picked=_picked(view, action, form),
        errors=errors or {},
        preview=shown,
        correction=str(found.id) if (found := pending(view)) else "",
        lacks=_lacks(view, allowed),
        version=version,
        key=form.text("key") or str(uuid4()),
        seen=seen,
    )


def last_seq(view: CaseView) -> int:
    """The number of the last event that the view tells of."""
    return view.timeline[-1].seq if view.timeline else 0


async def _foreseen(ports: Ports, page: CasePage, actor: Actor, action: str) -> Preview | None:
    """What an action would do that needs nothing typed to know it; None when it cannot be done as things are."""
    allowed, found = _allowed(page.view, action), pending(page.view)
    try:
        if action == "apply" and found is not None:
            return await repair.preview_proposed(ports, page.view.id, actor, found.id)
        if allowed is None or not allowed.reasons or action == ActionCode.CORRECT_DATA:
            return None
        return await repair.preview(ports, page.view.id, actor, repair.Proposal(action, allowed.reasons[0], ""))
    except Refused:  # said when it is tried: until then the form can be read and left
        return None


def _fields(page: CasePage, action: str, allowed: AllowedAction | None, form: Form) -> Iterator[Field]:
    if action in set(ActionCode):
        yield from _repair_fields(page, action, allowed, form)
    elif action == "resolve":
        yield from (
            _field("way", "way", form),
            _field("evidence", "evidence", form),
            _field("note", "long", form, required=False),
        )
    elif action == "verify":
        yield from (_field("evidence", "evidence", form), _field("note", "long", form, required=False))
    elif action in ("reject", "reveal"):
        yield _field("reason", "long", form)
    elif action == "evidence":
        yield from (_evidence_field(name, form) for name in EVIDENCE)
    else:
        kind = LIFE_CYCLE.get("notes" if action == "note" else action)
        yield from (_life_field(name, action, form) for name in (kind.kind.__struct_fields__ if kind else ()))


def _repair_fields(page: CasePage, action: str, allowed: AllowedAction | None, form: Form) -> Iterator[Field]:
    rules = correctable(page) if action == ActionCode.CORRECT_DATA else {}
    for name, rule in rules.items():
        yield _corrected(page, name, rule, form)
    if allowed and allowed.needs:
        yield _field("evidence", "evidence", form)
    reasons = (allowed.reasons if allowed else ()) or ()
    choices = [(code, word("reason_code", code)) for code in reasons]
    obvious = len(choices) == 1 or (allowed is not None and allowed.risk == "none")
    given = form.text("reason_code") or (choices[0][0] if choices and obvious else "")
    yield Field("reason_code", "choice", text("case.field.reason_code"), given, choices=choices)
    yield _field("reason", "long", form)


def _corrected(page: CasePage, name: str, rule: FieldRule, form: Form) -> Field:
    now = page.sends.get(name)
    help = text("case.help.now", value=now) if now not in (None, "") else text("case.help.nothing_now")
    options = {"maxlength": str(rule.max_length), "autocomplete": "off", "spellcheck": "false"}
    kind = "number" if rule.type == "integer" else "text"
    return Field(f"fields.{name}", kind, rule.title or name, form.text(f"fields.{name}"), False, help, (), options)


def _evidence_field(name: str, form: Form) -> Field:
    if name == "type":
        choices = [(kind.value, word("evidence_type", kind)) for kind in EvidenceType]
        return _field(name, "choice", form, choices=choices)
    if name == "file":
        return Field(name, "file", text("case.field.file"), required=False)
    kind = "check" if name in CHECKS else "long" if name in LONG else "text"
    return _field(name, kind, form, required=name not in OPTIONAL)


def _life_field(name: str, action: str, form: Form) -> Field:
    if name == "on":
        return _field(name, "choice", form, choices=[(whom, word("state", f"WAITING_{whom}")) for whom in WAITS])
    default = "me" if action == "assign" else ""
    return _field(name, "long" if name in LONG else "text", form, default=default)


def _field(
    name: str,
    kind: str,
    form: Form,
    *,
    required: bool = True,
    choices: Sequence[tuple[str, str]] = (),
    default: str = "",
) -> Field:
    help = text(f"case.help.{name}") if has(f"case.help.{name}") else ""
    value = form.text(name) if kind != "evidence" and name in form.values else default
    return Field(name, kind, text(f"case.field.{name}"), value, required, help, choices)


def _picked(view: CaseView, action: str, form: Form) -> list[str]:
    """What was ticked; on a fresh form what proves the resolution, for who decides on it."""
    if form is not NOTHING_TYPED:
        return form.all("evidence")
    return [str(piece.id) for piece in view.evidence if piece.proves_resolution]


def _lacks(view: CaseView, allowed: AllowedAction | None) -> list[str]:
    needs = (allowed.needs if allowed else ()) or ()
    return (
        []
        if not needs or any(_proves(piece, needs) for piece in view.evidence)
        else [word("evidence_type", n) for n in needs]
    )


def _proves(piece: Evidence, needs: Sequence[str]) -> bool:
    return piece.proves_resolution and piece.type in needs


def _allowed(view: CaseView, action: str) -> AllowedAction | None:
    return next((one for one in view.allowed_actions if one.action == action), None)
