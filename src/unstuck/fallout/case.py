"""The fallout case: its facts, the commands on it, and what each command makes true. Pure."""

from datetime import datetime
from typing import Any, assert_never
from uuid import UUID

import msgspec

from unstuck.fallout import events
from unstuck.fallout.lifecycle import CASE, CASE_IS_RESOLVED, CaseAction, CaseState
from unstuck.kernel.actor import Grant
from unstuck.kernel.canonical import digest
from unstuck.kernel.event import Event, EventType
from unstuck.kernel.ids import rfc3339
from unstuck.kernel.refusal import IllegalTransition, Refused
from unstuck.repair.correction import Correction
from unstuck.repair.evidence import Evidence
from unstuck.repair.token import ResumeMode, ResumeToken


class Case(msgspec.Struct):
    """One case. All fields are recorded (the fold of its events) but the texts of strangers.

    `item` and `step` are keys of the order's plan, or the words of the `source` that reported it; `attempt` is the
    fence the failure was seen at. Without `order_id` the order is somebody else's, or has not come yet. `unredeemed` is
    the resume token that its order manager has not taken yet.
    """

    id: UUID
    number: int
    state: CaseState
    version: int
    seq: int
    order_id: UUID | None
    item: str
    step: str
    task: int | None
    attempt: int
    reason: str
    system: str
    operation: str
    raw_code: str
    raw_message: str
    raw_sha256: str
    dedup_key: str
    detected_at: datetime
    touched_at: datetime
    pack: str
    code: str = ""
    domain: str = ""
    recoverability: str = ""
    queue: str = ""
    owner: str = ""
    repeats: int = 0
    resolution: str = ""
    resolved_by: str = ""
    resolved_at: datetime | None = None
    correction: UUID | None = None
    source: str = ""
    order_ref: str = ""
    order_version: str = ""
    customer: str = ""
    correlation_id: str = ""
    category_hint: str = ""
    severity_hint: str = ""
    unredeemed: UUID | None = None

    @property
    def is_open(self) -> bool:
        return self.state not in CASE_IS_RESOLVED

    @property
    def goes_on_elsewhere(self) -> bool:
        """Whether its order manager is the source that reported it, and no step of ours."""
        return self.task is None and self.source not in ("", "person")


class Classify(msgspec.Struct, frozen=True):
    code: str
    domain: str
    recoverability: str
    queue: str
    rule: str


class Assign(msgspec.Struct, frozen=True):
    to: str


class Release(msgspec.Struct, frozen=True):
    note: str


class Start(msgspec.Struct, frozen=True):
    pass


class Wait(msgspec.Struct, frozen=True):
    on: str
    note: str


class Continue(msgspec.Struct, frozen=True):
    note: str


class Propose(msgspec.Struct, frozen=True):
    """`given` and `preview` are the digests of its input and of what it was shown to do."""

    correction: Correction
    given: str
    preview: str


class Reject(msgspec.Struct, frozen=True):
    correction: Correction
    because: str


class Apply(msgspec.Struct, frozen=True):
    """Carried out; `result` is found, absent, silent, readied, corrected or marked."""

    correction: Correction
    result: str
    evidence: tuple[Evidence, ...] = ()


class Attach(msgspec.Struct, frozen=True):
    evidence: Evidence


class Verify(msgspec.Struct, frozen=True):
    evidence: tuple[UUID, ...]
    note: str


class Disprove(msgspec.Struct, frozen=True):
    because: str


class Resolve(msgspec.Struct, frozen=True):
    decision: str
    mode: ResumeMode | None
    evidence: tuple[UUID, ...]
    token: ResumeToken | None
    note: str


class Settle(msgspec.Struct, frozen=True):
    by_what: str
    sha256: str


class Repeat(msgspec.Struct, frozen=True):
    """The same failure again; when it was reported: by which `source`, as which `event`, and what it `was` here."""

    code: str
    attempt: int
    sha256: str
    source: str = ""
    event: str = ""
    was: str = ""


class Link(msgspec.Struct, frozen=True):
    order_id: UUID


class Note(msgspec.Struct, frozen=True):
    text: str


class Reveal(msgspec.Struct, frozen=True):
    """Masked values are shown once; `fields` are their names, and the values are nowhere in here."""

    fields: tuple[str, ...]
    why: str


class GiveFile(msgspec.Struct, frozen=True):
    """A file that may hold masked values is given to somebody who has just had them revealed."""

    evidence: UUID


class Escalate(msgspec.Struct, frozen=True):
    to: str
    because: str


class Reopen(msgspec.Struct, frozen=True):
    because: str


class Close(msgspec.Struct, frozen=True):
    pass


Command = (
    Classify
    | Assign
    | Release
    | Start
    | Wait
    | Continue
    | Propose
    | Reject
    | Apply
    | Attach
    | Verify
    | Disprove
    | Resolve
    | Settle
    | Repeat
    | Link
    | Note
    | Reveal
    | GiveFile
    | Escalate
    | Reopen
    | Close
)

RESOLVED_AS = {
    "resume": CaseState.RESOLVED_RESUME,
    "cancel": CaseState.RESOLVED_CANCEL,
    "compensate": CaseState.RESOLVED_COMPENSATE,
    "none": CaseState.RESOLVED_NONE,
}


def decide(case: Case, command: Command, grant: Grant, now: datetime) -> tuple[Event, ...]:
    """What `command` makes true of `case`. Raises the refusal or IllegalTransition; changes nothing."""
    made = _Maker(case, grant, now)
    match command:
        case Classify():
            return _classified(made, command)
        case Assign():
            return (made.moved(events.ASSIGNED, CaseAction.ASSIGN, None, owner=command.to),)
        case Release():
            return (made.moved(events.RELEASED, CaseAction.RELEASE, None, owner="", note=command.note),)
        case Start():
            return (made.moved(events.STARTED, CaseAction.START, None),)
        case Wait():
            return (made.moved(events.WAITING, CaseAction.WAIT, CaseState(f"WAITING_{command.on}"), note=command.note),)
        case Continue():
            return (made.moved(events.CONTINUED, CaseAction.CONTINUE, None, note=command.note),)
        case Propose():
            return (_proposed(made, command),)
        case Reject(correction=c):
            return (
                made.moved(events.REJECTED, CaseAction.REJECT, None, correction=str(c.id), because=command.because),
            )
        case Apply():
            return _applied(made, command)
        case Attach(evidence=e):
            return (made.kept(events.ATTACHED, **_named(e)),)
        case Verify():
            evidence = [str(e) for e in command.evidence]
            return (made.moved(events.VERIFYING, CaseAction.VERIFY, None, evidence=evidence, note=command.note),)
        case Disprove():
            return (made.moved(events.DISPROVED, CaseAction.DISPROVE, None, because=command.because),)
        case Resolve():
            return (_resolved(made, command),)
        case Settle():
            facts = {"by_what": command.by_what, "sha256": command.sha256, "resolution": "settled_outside"}
            return (made.moved(events.SETTLED, CaseAction.SETTLE, None, **facts),)
        case Repeat():
            return (_repeated(made, command),)
        case Link():
            return (made.kept(events.LINKED, order=str(command.order_id)),)
        case Note():
            return (made.kept(events.NOTED, text=command.text),)
        case Reveal():  # of a closed case too: that somebody looked is never lost
            data = {"fields": list(command.fields), "why": command.why}
            return (Event(events.REVEALED, now, grant.actor.id, data),)
        case GiveFile(evidence=given):
            return (Event(events.FILE_GIVEN, now, grant.actor.id, {"evidence": str(given)}),)
        case Escalate():
            if not case.is_open:
                raise IllegalTransition("fallout case", case.state, "ESCALATE")
            return (made.kept(events.ESCALATED, escalated_to=command.to, because=command.because),)
        case Reopen():
            return (made.moved(events.REOPENED, CaseAction.REOPEN, None, because=command.because),)
        case Close():
            require_redeemed(case)
            return (made.moved(events.CLOSED, CaseAction.CLOSE, None),)
        case _:
            assert_never(command)


class _Maker:
    """Makes the events of one decision: every one by the same actor at the same time."""

    def __init__(self, case: Case, grant: Grant, now: datetime) -> None:
        self.case, self.grant, self.now = case, grant, now

    def moved(self, kind: EventType, action: CaseAction, to: CaseState | None, /, **data: Any) -> Event:
        state = CASE.step(self.case.state, action, to)
        return Event(kind, self.now, self.grant.actor.id, {"to": state.value, **data})

    def kept(self, kind: EventType, /, **data: Any) -> Event:
        if self.case.state is CaseState.CLOSED:
            raise IllegalTransition("fallout case", self.case.state, "take anything more; reopen it first")
        return Event(kind, self.now, self.grant.actor.id, data)


def _classified(made: _Maker, command: Classify) -> tuple[Event, ...]:
    classified = made.moved(events.CLASSIFIED, CaseAction.CLASSIFY, None, **msgspec.to_builtins(command))
    to = CASE.step(CaseState.CLASSIFIED, CaseAction.ROUTE)
    queued = {"to": to.value, "queue": command.queue}
    return classified, Event(events.QUEUED, made.now, made.grant.actor.id, queued)


def _proposed(made: _Maker, command: Propose) -> Event:
    correction = command.correction
    made.grant.require(correction.action)
    facts = {
        "correction": str(correction.id),
        "action": correction.action.value,
        "reason_code": correction.reason_code,
        "why": correction.reason,
        "given": command.given,
        "preview": command.preview,
    }
    return made.moved(events.PROPOSED, CaseAction.PROPOSE, CaseState.CORRECTION_PROPOSED, **facts)


def _repeated(made: _Maker, command: Repeat) -> Event:
    by = {"source": command.source, "event": command.event, "was": command.was} if command.source else {}
    return made.kept(events.REPEATED, code=command.code, attempt=command.attempt, sha256=command.sha256, **by)


def _applied(made: _Maker, command: Apply) -> tuple[Event, ...]:
    applied = made.moved(
        events.APPLIED, CaseAction.APPLY, None, correction=str(command.correction.id), result=command.result
    )
    attached = tuple(made.kept(events.ATTACHED, **_named(e)) for e in command.evidence)
    state = CaseState.CORRECTION_APPLIED
    if command.result == "silent":
        kind, action, why = events.DISPROVED, CaseAction.DISPROVE, {"because": "the target did not answer"}
    else:
        kind, action, why = events.VERIFYING, CaseAction.VERIFY, {}
    after = CASE.step(state, action)
    return (applied, *attached, Event(kind, made.now, made.grant.actor.id, {"to": after.value, **why}))


def _resolved(made: _Maker, command: Resolve) -> Event:
    if not command.evidence:
        raise Refused("proof-before-resolution", "name the evidence that proves the resolution")
    token = command.token
    return made.moved(
        events.RESOLVED,
        CaseAction.RESOLVE,
        RESOLVED_AS[command.decision],
        resolution=command.decision,
        mode=command.mode.value if command.mode else None,
        evidence=[str(e) for e in command.evidence],
        token=str(token.id) if token else None,
        token_sha256=digest(msgspec.json.encode(token)) if token else None,
        note=command.note,
        **_awaited(token),
    )


def _awaited(token: ResumeToken | None) -> dict[str, Any]:
    """Who is awaited to redeem it; our own engine has done so already."""
    if token is None or token.task is not None:
        return {}
    return {"audience": token.audience, "expires_at": rfc3339(token.expires_at)}


def require_redeemed(case: Case) -> None:
    """Refuse to close a case whose order nobody has been seen to move."""
    if case.unredeemed is not None:
        raise Refused(
            "not-redeemed", f"{case.source} has not redeemed the resume token; until it does, its order stands still"
        )


def _named(evidence: Evidence) -> dict[str, Any]:
    return {
        "evidence": str(evidence.id),
        "type": evidence.type.value,
        "sha256": evidence.sha256,
        "size": evidence.size,
        "media_type": evidence.media_type,
        "source": evidence.source,
        "customer_visible": evidence.customer_visible,
        "proves_resolution": evidence.proves_resolution,
        "corrects": str(evidence.corrects) if evidence.corrects else None,
        "says": evidence.says,
    }


def evolve(case: Case, kind: str, by: str, at: datetime, data: dict[str, Any]) -> None:
    """Fold one event into the case; understands every version of every type ever released."""
    if "to" in data:
        case.state = CaseState(data["to"])
    case.touched_at = at
    match kind:
        case "fallout-case.classified":
            case.code, case.domain = data["code"], data["domain"]
            case.recoverability, case.queue = data["recoverability"], data["queue"]
        case "fallout-case.assigned" | "fallout-case.released":
            case.owner = data["owner"]
        case "fallout-case.repeated":
            case.repeats, case.attempt = case.repeats + 1, data["attempt"]
        case "fallout-case.order-linked":
            case.order_id = UUID(data["order"])
        case "fallout-case.correction-proposed":
            case.correction = UUID(data["correction"])
        case "fallout-case.resolved" | "fallout-case.settled-outside":
            case.resolution, case.resolved_by, case.resolved_at = data["resolution"], by, at
            case.unredeemed = UUID(data["token"]) if data.get("audience") else None
        case "fallout-case.resume-redeemed":
            case.unredeemed = None
        case "fallout-case.resume-expired" | "fallout-case.resume-ignored" | "fallout-case.resume-stale":
            _returned(case, superseded="to" not in data)
        case "fallout-case.correction-rejected" | "fallout-case.disproved":
            case.correction = None
        case "fallout-case.reopened":
            case.correction = case.unredeemed = None
            case.resolution, case.resolved_by, case.resolved_at, case.owner = "", "", None, ""


def _returned(case: Case, *, superseded: bool) -> None:
    """Work goes on; or another open case stands for the same failure, and this one is over because of that."""
    case.unredeemed = None
    if superseded:
        case.resolution = "superseded"
    else:
        case.resolution, case.resolved_by, case.resolved_at = "", "", None


def from_detected(data: dict[str, Any], *, id: UUID, number: int, at: datetime, raw_message: str) -> Case:
    """The case as its first event describes it; what only the body of its report says is not in there."""
    return Case(
        id=id,
        number=number,
        state=CaseState.DETECTED,
        version=0,
        seq=0,
        order_id=UUID(data["order"]) if data["order"] else None,
        item=data["item"],
        step=data["step"],
        task=data["task"],
        attempt=data["attempt"],
        reason=data["reason"],
        system=data["system"],
        operation=data["operation"],
        raw_code=data["raw_code"],
        raw_message=raw_message,
        raw_sha256=data["sha256"],
        dedup_key=data["dedup_key"],
        detected_at=at,
        touched_at=at,
        pack=data["pack"],
        source=data.get("source", ""),
    )
