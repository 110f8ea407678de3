"""`/api/v1/fallout-cases`: the case view and its commands. Parses, calls one use case, shows the result."""

from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, FromQuery

from unstuck.fallout import case as commands
from unstuck.fallout.case import Case, Command
from unstuck.kernel.actor import Actor
from unstuck.kernel.refusal import Invalid, Missing
from unstuck.repair.evidence import Evidence, EvidenceType
from unstuck.service import cases, repair, resolve, views
from unstuck.service.ports import Ports
from unstuck.web.protocol import (
    DEPTH_LIMIT,
    State,
    a_filter,
    actor,
    as_json,
    depth,
    expected_version,
    given_version,
    page_size,
    parsed,
)

READ, WORK, REPAIR, ADD = "case.read", "case.work", "case.repair", "evidence.add"
HUMAN_WAITS = ("CUSTOMER", "PARTNER", "VENDOR", "FIELD", "INCIDENT")


class Assignment(msgspec.Struct, forbid_unknown_fields=True):
    to: str


class Remark(msgspec.Struct, forbid_unknown_fields=True):
    note: str


class Waiting(msgspec.Struct, forbid_unknown_fields=True):
    on: str
    note: str


class Escalation(msgspec.Struct, forbid_unknown_fields=True):
    to: str
    reason: str


class Reason(msgspec.Struct, forbid_unknown_fields=True):
    reason: str


class Nothing(msgspec.Struct, forbid_unknown_fields=True):
    pass


class Verification(msgspec.Struct, forbid_unknown_fields=True):
    evidence: list[UUID]
    note: str = ""


class NewCorrection(msgspec.Struct, forbid_unknown_fields=True):
    action: str
    reason_code: str
    reason: str
    input: dict[str, Any] = {}


class NewEvidence(msgspec.Struct, forbid_unknown_fields=True):
    """Evidence by content (text, or base64 bytes) with what it is said to be."""

    type: EvidenceType
    source: str
    content: str = ""
    content_base64: bytes = b""
    media_type: str = "text/plain"
    proves_resolution: bool = False
    customer_visible: bool = False
    corrects: UUID | None = None


class Resolution(msgspec.Struct, forbid_unknown_fields=True):
    decision: str
    evidence: list[UUID]
    mode: str | None = None
    note: str = ""


@get("/", opt={"permission": READ})
async def list_cases(
    ports: NamedDependency[Ports],
    order_id: FromQuery[str | None] = None,
    in_state: State = None,
    queue: FromQuery[str | None] = None,
    limit: FromQuery[int] = 50,
) -> Response[bytes]:
    """Cases, newest first; filter by order, queue and state (`open` for all that are not resolved)."""
    wanted, size = (a_filter(in_state, "/state"), a_filter(queue, "/queue")), page_size(limit)
    order = await views.find_order(ports, order_id) if order_id else None
    return as_json(await views.case_list(ports, order, *wanted, size))


@get("/{name:str}", opt={"permission": READ})
async def show_case(
    request: Request[Any, Any, Any], ports: NamedDependency[Ports], name: FromPath[str]
) -> Response[bytes]:
    """One case, whole: allowed and refused actions, graph, attempts, evidence, timeline."""
    view = await views.case_view(ports, await views.find_case(ports, name), actor(request))
    return as_json(view, version=view["version"])


@post("/{name:str}/{command:str}", opt={"permission": WORK}, status_code=200)
async def work_on_case(
    request: Request[Any, Any, Any], ports: NamedDependency[Ports], name: FromPath[str], command: FromPath[str]
) -> Response[bytes]:
    """The life-cycle commands: assign, release, start, wait, continue, escalate, notes, reopen, close."""
    if command not in LIFE_CYCLE:
        raise Missing(f"the command {command[:40]!r} (there are {', '.join(LIFE_CYCLE)})")
    version = expected_version(request)
    made = LIFE_CYCLE[command](await request.body(), actor(request))
    allowed_as = "escalate" if command == "notes" else command
    case_id = await views.find_case(ports, name)
    case = await cases.command(ports, case_id, version, actor(request), allowed_as, lambda _case: made)
    return _shown(case)


@post("/{name:str}/verify", opt={"permission": WORK}, status_code=200)
async def verify_case(
    request: Request[Any, Any, Any], ports: NamedDependency[Ports], name: FromPath[str]
) -> Response[bytes]:
    """Say that the repair is being proven."""
    version, body = expected_version(request), parsed(await request.body(), Verification)
    case_id = await views.find_case(ports, name)
    return _shown(await cases.verify(ports, case_id, version, actor(request), body.evidence, body.note))


@post("/{name:str}/corrections", opt={"permission": REPAIR}, status_code=201)
async def propose(
    request: Request[Any, Any, Any], ports: NamedDependency[Ports], name: FromPath[str]
) -> Response[bytes]:
    """Propose a typed correction."""
    version, proposal = expected_version(request), _proposal(await request.body())
    case_id = await views.find_case(ports, name)
    case, row = await repair.propose(ports, case_id, version, actor(request), proposal)
    return _shown(case, status=201, correction={"id": str(row.id), "state": row.state, **_preview(row)})


@post("/{name:str}/corrections/preview", opt={"permission": REPAIR}, status_code=200)
async def preview(
    request: Request[Any, Any, Any], ports: NamedDependency[Ports], name: FromPath[str]
) -> Response[bytes]:
    """What a correction would do; changes nothing."""
    case_id = await views.find_case(ports, name)
    return as_json(await repair.preview(ports, case_id, actor(request), _proposal(await request.body())))


@post("/{name:str}/corrections/{cid:uuid}/apply", opt={"permission": REPAIR}, status_code=200)
async def apply(
    request: Request[Any, Any, Any], ports: NamedDependency[Ports], name: FromPath[str], cid: FromPath[UUID]
) -> Response[bytes]:
    """Carry a proposed correction out."""
    version = expected_version(request)
    parsed(await request.body(), Nothing)
    case_id = await views.find_case(ports, name)
    case, row = await repair.apply(ports, case_id, version, actor(request), cid)
    return _shown(case, correction={"id": str(row.id), "state": row.state, "result": row.result})


@post("/{name:str}/corrections/{cid:uuid}/reject", opt={"permission": REPAIR}, status_code=200)
async def reject(
    request: Request[Any, Any, Any], ports: NamedDependency[Ports], name: FromPath[str], cid: FromPath[UUID]
) -> Response[bytes]:
    """Turn a proposed correction down, or withdraw it."""
    version, body = expected_version(request), parsed(await request.body(), Reason)
    case_id = await views.find_case(ports, name)
    case, row = await repair.reject(ports, case_id, version, actor(request), cid, body.reason)
    return _shown(case, correction={"id": str(row.id), "state": row.state})


@post("/{name:str}/evidence", opt={"permission": ADD}, status_code=201)
async def attach(
    request: Request[Any, Any, Any], ports: NamedDependency[Ports], name: FromPath[str]
) -> Response[bytes]:
    """Add evidence; it is never changed, only corrected by further evidence."""
    body = parsed(await request.body(), NewEvidence)
    data = body.content_base64 or body.content.encode()
    if not data or (body.content_base64 and body.content):
        raise Invalid("evidence has content", (("/content", "text, or base64 in content_base64, not both"),))
    now, who = ports.now(), actor(request)
    described = Evidence(
        ports.new_id(), body.type, "", 0, _line(body.media_type, "/media_type", 100),
        _line(body.source, "/source", 200), who.id, now, body.customer_visible, body.proves_resolution, body.corrects,
    )  # fmt: skip
    case_id = await views.find_case(ports, name)
    case, kept = await repair.attach(ports, case_id, given_version(request), who, data, described)
    return _shown(case, status=201, evidence=msgspec.to_builtins(kept))


@get("/{name:str}/evidence/{eid:uuid}", opt={"permission": READ})
async def read_evidence(ports: NamedDependency[Ports], name: FromPath[str], eid: FromPath[UUID]) -> Response[bytes]:
    """The bytes of one piece of evidence, checked against their digest; never rendered by a browser."""
    case_id = await views.find_case(ports, name)
    data = await views.evidence_bytes(ports, case_id, eid)
    headers = {"Content-Disposition": f'attachment; filename="{eid}"'}
    return Response(data, media_type="application/octet-stream", headers=headers)


@post("/{name:str}/resolve", opt={"permission": WORK}, status_code=200)
async def resolve_case(
    request: Request[Any, Any, Any], ports: NamedDependency[Ports], name: FromPath[str]
) -> Response[bytes]:
    """Resolve; the order goes on in the same transaction, through a resume token."""
    version, body = expected_version(request), parsed(await request.body(), Resolution)
    decision = resolve.Decision(body.decision, body.evidence, body.mode, body.note)
    case_id = await views.find_case(ports, name)
    case, token = await resolve.resolve(ports, case_id, version, actor(request), decision)
    return _shown(case, resume_token=msgspec.to_builtins(token) if token else None)


def _to(data: bytes, who: Actor) -> Command:
    to = parsed(data, Assignment).to
    return commands.Assign(who.id if to == "me" else _words(to, "/to"))


def _wait(data: bytes, _who: Actor) -> Command:
    body = parsed(data, Waiting)
    if body.on.upper() not in HUMAN_WAITS:
        raise Invalid("say on whom it waits", (("/on", f"one of {', '.join(HUMAN_WAITS)}"),))
    return commands.Wait(body.on.upper(), _words(body.note, "/note"))


def _escalate(data: bytes, _who: Actor) -> Command:
    body = parsed(data, Escalation)
    return commands.Escalate(_words(body.to, "/to"), _words(body.reason, "/reason"))


def _plain(make: type[commands.Start] | type[commands.Close]) -> Any:
    def made(data: bytes, _who: Actor) -> Command:
        parsed(data, Nothing)
        return make()

    return made


LIFE_CYCLE: dict[str, Any] = {
    "assign": _to,
    "release": lambda data, _who: commands.Release(_words(parsed(data, Remark).note, "/note")),
    "start": _plain(commands.Start),
    "wait": _wait,
    "continue": lambda data, _who: commands.Continue(_words(parsed(data, Remark).note, "/note")),
    "escalate": _escalate,
    "notes": lambda data, _who: commands.Note(_words(parsed(data, Remark).note, "/note")),
    "reopen": lambda data, _who: commands.Reopen(_words(parsed(data, Reason).reason, "/reason")),
    "close": _plain(commands.Close),
}


def _words(text: str, pointer: str) -> str:
    if not text.strip() or len(text) > 4000 or not text.replace("\n", "").replace("\t", "").isprintable():
        raise Invalid("write something", ((pointer, "1 to 4000 printable characters"),))
    return text


def _line(text: str, pointer: str, limit: int) -> str:
    if not (text.strip() and len(text) <= limit and text.isprintable()):
        raise Invalid("write one line", ((pointer, f"1 to {limit} printable characters"),))
    return text


def _proposal(data: bytes) -> repair.Proposal:
    body = parsed(data, NewCorrection)
    if depth(body.input) > DEPTH_LIMIT:
        raise Invalid("the input is nested too deeply", (("/input", f"at most {DEPTH_LIMIT} levels"),))
    return repair.Proposal(body.action, body.reason_code, _words(body.reason, "/reason"), body.input)


def _preview(row: Any) -> dict[str, Any]:
    preview: dict[str, Any] = msgspec.json.decode(row.preview)
    return preview


def _shown(case: Case, *, status: int = 200, **more: Any) -> Response[bytes]:
    shown = {"id": str(case.id), "number": f"FC-{case.number}", "state": case.state, "version": case.version, **more}
    return as_json(shown, status=status, version=case.version)


def router(ports: Ports) -> Router:
    """The routes of cases."""
    handlers = [
        list_cases, show_case, verify_case, propose, preview, apply, reject, attach, read_evidence, resolve_case,
        work_on_case,
    ]  # fmt: skip
    return Router(
        "/api/v1/fallout-cases",
        route_handlers=handlers,
        dependencies={"ports": Provide(lambda: ports, sync_to_thread=False)},
    )
