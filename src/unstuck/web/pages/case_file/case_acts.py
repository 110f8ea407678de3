"""What can be done on the page of a case: each action with its permission, its fields, and the one use case it calls."""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from uuid import UUID

import msgspec

from unstuck.kernel.actor import Actor
from unstuck.kernel.canonical import printable
from unstuck.kernel.refusal import Invalid, Refused
from unstuck.repair.correction import ActionCode
from unstuck.repair.evidence import Evidence
from unstuck.repair.policy import FieldRule
from unstuck.service.case_work import cases, repair, resolve
from unstuck.service.case_work.done import CaseDone
from unstuck.service.looks.case_page import CasePage
from unstuck.service.ports import Ports
from unstuck.store.answers import Once
from unstuck.web.api.bodies import EvidenceForm, NewCorrection, NewEvidence, Reason, Resolution, Verification
from unstuck.web.api.cases import LIFE_CYCLE, WORK
from unstuck.web.api.repairs import ADD, REPAIR
from unstuck.web.pages.forms import Form, again, into, under

REVEAL = "sensitive.reveal"
Rules = Mapping[str, FieldRule]
WHOLE = re.compile(r"-?[0-9]{1,16}")
ENVELOPE = ("version", "key", "seen")  # what every form of a case carries beside what is typed


class HalfDone(Exception):
    """Two commands were asked for with one press; the first stands, and the second was refused."""

    def __init__(self, refusal: Refused) -> None:
        super().__init__(refusal.because)
        self.refusal = refusal


class Work(msgspec.Struct, frozen=True):
    """One form, sent: who, on which case, decided on which version, and under which key each of its commands goes.

    `rules` are those of the fields that may be corrected.
    """

    ports: Ports
    case_id: UUID
    actor: Actor
    form: Form
    keys: Mapping[str, Once | None]
    rules: Rules

    @property
    def once(self) -> Ports:
        """Ports for a form that is one command."""
        return under(self.ports, self.keys[""])


class Act(msgspec.Struct, frozen=True):
    """One action. `known` are the fields its form may have; `parts` names the commands of a form that is several."""

    name: str
    permission: str
    known: tuple[str, ...]
    carry_out: Callable[[Work], Awaitable[CaseDone]]
    parts: tuple[str, ...] = ("",)


def act_of(name: str) -> Act | None:
    """The action of this name."""
    return ACTS.get(name)


def correctable(page: CasePage) -> Rules:
    """The fields of the step that may be corrected here and now, with their rules: the pack's to say."""
    for allowed in page.view.allowed_actions:
        if allowed.action == ActionCode.CORRECT_DATA and allowed.fields is not msgspec.UNSET:
            return allowed.fields
    return {}


def proposal(form: Form, action: str, rules: Rules) -> repair.Proposal:
    """What a form proposes; a field left empty stays as it is."""
    given: dict[str, Any] = {}
    if fields := {n.partition(".")[2]: v[0] for n, v in form.values.items() if n.startswith("fields.") and v[0]}:
        given["fields"] = {name: _typed(text, rules.get(name)) for name, text in fields.items()}
    if named := form.all("evidence"):
        given["evidence"] = named
    values = {"action": action, "reason_code": form.text("reason_code"), "reason": form.text("reason"), "input": given}
    body = into(values, NewCorrection)
    return repair.Proposal(body.action, body.reason_code, body.reason, body.input)


async def _life(work: Work, name: str) -> CaseDone:
    command = LIFE_CYCLE[name]
    body = into({field: work.form.text(field) for field in command.kind.__struct_fields__}, command.kind)
    made = command.make(body, work.actor)
    version = work.form.version
    return await cases.command(work.once, work.case_id, version, work.actor, command.allowed_as, lambda _case: made)


async def _verify(work: Work) -> CaseDone:
    body = into({"evidence": work.form.all("evidence"), "note": work.form.text("note")}, Verification)
    return await cases.verify(work.once, work.case_id, work.form.version, work.actor, body.evidence, body.note)


async def _resolve(work: Work) -> CaseDone:
    decision, _, mode = work.form.text("way").partition(":")
    if not decision:
        raise Invalid("say how it ends", (("/way", "choose one of the ways that are open"),))
    values = {"decision": decision, "mode": mode or None, "evidence": work.form.all("evidence")}
    body = into({**values, "note": work.form.text("note")}, Resolution)
    decided = resolve.Decision(body.decision, body.evidence, body.mode, body.note)
    return await resolve.resolve(work.once, work.case_id, work.form.version, work.actor, decided)


async def _repair(work: Work, action: str) -> CaseDone:
    """Propose and apply: two commands with one press, each under its own key and its own version."""
    first, second = work.keys["propose"], work.keys["apply"]
    known = await again(work.ports, first)
    if known is None:
        ports, given = under(work.ports, first), proposal(work.form, action, work.rules)
        proposed = await repair.propose(ports, work.case_id, work.form.version, work.actor, given)
    else:
        proposed = msgspec.json.decode(known.body, type=CaseDone)
    assert proposed.correction is not msgspec.UNSET
    if (known := await again(work.ports, second)) is not None:
        return msgspec.json.decode(known.body, type=CaseDone)
    try:
        ports, correction = under(work.ports, second), proposed.correction.id
        return await repair.apply(ports, work.case_id, proposed.version, work.actor, correction)
    except Refused as refusal:
        raise HalfDone(refusal) from refusal


async def _apply(work: Work) -> CaseDone:
    return await repair.apply(work.once, work.case_id, work.form.version, work.actor, _correction(work.form))


async def _reject(work: Work) -> CaseDone:
    body = into({"reason": work.form.text("reason")}, Reason)
    correction = _correction(work.form)
    return await repair.reject(work.once, work.case_id, work.form.version, work.actor, correction, body.reason)


async def _attach(work: Work) -> CaseDone:
    form = work.form
    said: dict[str, Any] = {name: form.text(name) for name in ("type", "source")}
    said |= {name: form.text(name) == "true" for name in ("proves_resolution", "customer_visible")}
    if form.file is not None and form.text("content"):
        raise Invalid("evidence is one thing", (("/content", "write it or choose a file, not both"),))
    if form.file is not None:
        given: EvidenceForm | NewEvidence = into(said, EvidenceForm)
        data, media = form.file.data, printable(form.file.media_type, 100)
    elif text := form.text("content"):
        given, data, media = into({**said, "content": text}, NewEvidence), text.encode(), "text/plain"
    else:
        raise Invalid("evidence has content", (("/content", "write what was seen, or choose a file"),))
    ports, who = work.once, work.actor
    described = Evidence(
        ports.new_id(), given.type, "", 0, media, given.source, who.id, ports.now(), given.customer_visible,
        given.proves_resolution,
    )  # fmt: skip
    return await repair.attach(ports, work.case_id, form.version, who, data, described)


def _correction(form: Form) -> UUID:
    return into({"correction": form.text("correction")}, Named).correction


class Named(msgspec.Struct):
    """The correction that a form is about."""

    correction: UUID


def _typed(text: str, rule: FieldRule | None) -> str | int:
    """What is typed is text, and a number only where the field's rule wants one; what is none is told as it is."""
    wanted = rule is not None and rule.type == "integer"
    return int(text) if wanted and WHOLE.fullmatch(text.strip()) else text


def _life_act(name: str, address: str) -> Act:
    async def carry_out(work: Work) -> CaseDone:
        return await _life(work, name)

    return Act(address, WORK, tuple(LIFE_CYCLE[name].kind.__struct_fields__), carry_out)


def _repair_act(action: str) -> Act:
    async def carry_out(work: Work) -> CaseDone:
        return await _repair(work, action)

    return Act(action, REPAIR, ("reason_code", "reason", "evidence"), carry_out, ("propose", "apply"))


_EVIDENCE = ("type", "source", "content", "proves_resolution", "customer_visible")
ACTS = {
    act.name: act
    for act in (
        *(_life_act(name, "note" if name == "notes" else name) for name in LIFE_CYCLE),
        Act("verify", WORK, ("evidence", "note"), _verify),
        Act("resolve", WORK, ("way", "evidence", "note"), _resolve),
        Act("evidence", ADD, _EVIDENCE, _attach),
        Act("apply", REPAIR, ("correction",), _apply),
        Act("reject", REPAIR, ("correction", "reason"), _reject),
        *(_repair_act(action) for action in ActionCode),
    )
}
