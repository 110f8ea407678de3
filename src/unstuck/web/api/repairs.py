"""`/api/v1/fallout-cases/{name}/…`: corrections, evidence, resolution. Parses, calls one use case, shows the result."""

from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from unstuck.kernel.canonical import printable
from unstuck.kernel.refusal import Invalid
from unstuck.repair.evidence import Evidence
from unstuck.service.case_work import repair, resolve, reveal
from unstuck.service.case_work.done import CaseDone, Preview
from unstuck.service.looks import views
from unstuck.service.looks.shown import CaseView
from unstuck.service.ports import Ports
from unstuck.web.api.bodies import EvidenceForm, EvidenceUpload, NewCorrection, NewEvidence, Nothing, Reason, Resolution
from unstuck.web.form import FORM, read_form
from unstuck.web.openapi import COMMAND
from unstuck.web.protocol import actor, as_json, expected_version, media_type, parsed

READ, WORK, REPAIR, ADD = "case.read", "case.work", "case.repair", "evidence.add"


class EvidenceList(msgspec.Struct):
    """The evidence of a case, oldest first."""

    evidence: tuple[Evidence, ...]


@post(
    "/corrections",
    opt={"permission": REPAIR, "body": NewCorrection, "answer": CaseDone} | COMMAND,
    status_code=201,
)
async def propose(
    request: Request[Any, Any, Any], ports: NamedDependency[Ports], name: FromPath[str]
) -> Response[bytes]:
    """Propose a typed correction."""
    version, proposal = expected_version(request), _proposal(await request.body())
    case_id = await views.find_case(ports, name)
    done = await repair.propose(ports, case_id, version, actor(request), proposal)
    return as_json(done, status=201, version=done.version)


@post(
    "/corrections/preview",
    opt={"permission": REPAIR, "body": NewCorrection, "answer": Preview, "also": {409: "there is no step to repair"}},
    status_code=200,
)
async def preview(
    request: Request[Any, Any, Any], ports: NamedDependency[Ports], name: FromPath[str]
) -> Response[bytes]:
    """What a correction would do; changes nothing."""
    proposal = _proposal(await request.body())
    case_id = await views.find_case(ports, name)
    return as_json(await repair.preview(ports, case_id, actor(request), proposal))


@post(
    "/corrections/{cid:uuid}/preview",
    opt={"permission": REPAIR, "body": Nothing, "answer": Preview, "also": {409: "it cannot be applied any more"}},
    status_code=200,
)
async def preview_proposed(
    request: Request[Any, Any, Any], ports: NamedDependency[Ports], name: FromPath[str], cid: FromPath[UUID]
) -> Response[bytes]:
    """What a correction that was proposed would do as things are now; changes nothing."""
    parsed(await request.body(), Nothing)
    case_id = await views.find_case(ports, name)
    return as_json(await repair.preview_proposed(ports, case_id, actor(request), cid))


@post(
    "/corrections/{cid:uuid}/apply",
    opt={"permission": REPAIR, "body": Nothing, "answer": CaseDone} | COMMAND,
    status_code=200,
)
async def apply(
    request: Request[Any, Any, Any], ports: NamedDependency[Ports], name: FromPath[str], cid: FromPath[UUID]
) -> Response[bytes]:
    """Carry a proposed correction out."""
    version = expected_version(request)
    parsed(await request.body(), Nothing)
    case_id = await views.find_case(ports, name)
    done = await repair.apply(ports, case_id, version, actor(request), cid)
    return as_json(done, version=done.version)


@post(
    "/corrections/{cid:uuid}/reject",
    opt={"permission": REPAIR, "body": Reason, "answer": CaseDone} | COMMAND,
    status_code=200,
)
async def reject(
    request: Request[Any, Any, Any], ports: NamedDependency[Ports], name: FromPath[str], cid: FromPath[UUID]
) -> Response[bytes]:
    """Turn a proposed correction down, or withdraw it."""
    version, body = expected_version(request), parsed(await request.body(), Reason)
    case_id = await views.find_case(ports, name)
    done = await repair.reject(ports, case_id, version, actor(request), cid, body.reason)
    return as_json(done, version=done.version)


@get("/evidence", opt={"permission": READ, "answer": EvidenceList})
async def list_evidence(ports: NamedDependency[Ports], name: FromPath[str]) -> Response[bytes]:
    """The evidence of a case, oldest first."""
    return as_json(EvidenceList(await views.evidence_of(ports, await views.find_case(ports, name))))


@post(
    "/evidence",
    opt={
        "permission": ADD,
        "body": NewEvidence,
        "one_of": ("content", "content_base64", "reference"),
        "accepts": ("application/json", FORM),
        "form": EvidenceUpload,
        "answer": CaseDone,
    }
    | COMMAND,
    status_code=201,
)
async def attach(
    request: Request[Any, Any, Any], ports: NamedDependency[Ports], name: FromPath[str]
) -> Response[bytes]:
    """Add evidence: content, a reference, or a form with a file. It is never changed, only corrected by further evidence."""
    version, who = expected_version(request), actor(request)
    given, data, media = _given(await request.body(), request.headers.get("content-type", ""))
    described = Evidence(
        ports.new_id(), given.type, "", 0, media, given.source, who.id, ports.now(), given.customer_visible,
        given.proves_resolution, given.corrects,
    )  # fmt: skip
    case_id = await views.find_case(ports, name)
    done = await repair.attach(ports, case_id, version, who, data, described)
    return as_json(done, status=201, version=done.version)


@get("/evidence/{eid:uuid}", opt={"permission": READ, "media": "application/octet-stream"})
async def read_evidence(
    request: Request[Any, Any, Any], ports: NamedDependency[Ports], name: FromPath[str], eid: FromPath[UUID]
) -> Response[bytes]:
    """The bytes of one piece of evidence, checked against their digest; never rendered by a browser.

    A file with sensitive fields, or one that is no JSON, is given for ten minutes to who has had what is hidden
    revealed on this case; each time it is given is an event of the case.
    """
    case_id = await views.find_case(ports, name)
    data = await reveal.file(ports, case_id, eid, actor(request))
    headers = {"Content-Disposition": f'attachment; filename="{eid}"'}
    return Response(data, media_type="application/octet-stream", headers=headers)


@post(
    "/reveal",
    opt={
        "permission": "sensitive.reveal",
        "body": Reason,
        "answer": CaseView,
        "also": {409: "nothing is hidden", 429: "too often within an hour"},
    },
    status_code=200,
)
async def reveal_case(
    request: Request[Any, Any, Any], ports: NamedDependency[Ports], name: FromPath[str]
) -> Response[bytes]:
    """The case with its sensitive fields, once; who saw which of them and why is kept, the values are not.

    The next look at the case hides them again.
    """
    body = parsed(await request.body(), Reason)
    case_id = await views.find_case(ports, name)
    view = await reveal.case(ports, case_id, actor(request), body.reason)
    return as_json(view, version=view.version)


@post("/resolve", opt={"permission": WORK, "body": Resolution, "answer": CaseDone} | COMMAND, status_code=200)
async def resolve_case(
    request: Request[Any, Any, Any], ports: NamedDependency[Ports], name: FromPath[str]
) -> Response[bytes]:
    """Resolve; the order goes on in the same transaction, through a resume token."""
    version, body = expected_version(request), parsed(await request.body(), Resolution)
    decision = resolve.Decision(body.decision, body.evidence, body.mode, body.note)
    case_id = await views.find_case(ports, name)
    done = await resolve.resolve(ports, case_id, version, actor(request), decision)
    return as_json(done, version=done.version)


def _given(body: bytes, content_type: str) -> tuple[NewEvidence | EvidenceForm, bytes, str]:
    """What is said of the evidence, its bytes and their media type."""
    if media_type(content_type) == FORM:
        form, data, media = read_form(body, content_type, EvidenceForm)
        return form, data, printable(media, 100)
    new = parsed(body, NewEvidence)
    return new, *_content(new)


def _content(body: NewEvidence) -> tuple[bytes, str]:
    match body.content, body.content_base64, body.reference:
        case str(text), msgspec.UNSET, msgspec.UNSET:
            return text.encode(), body.media_type
        case msgspec.UNSET, bytes(data), msgspec.UNSET if data:
            return data, body.media_type
        case msgspec.UNSET, msgspec.UNSET, str(where):  # what is kept here is where the evidence is kept
            return msgspec.json.encode({"reference": where}), "application/json"
    raise Invalid("evidence has content", (("/content", "one of content, content_base64 and reference"),))


def _proposal(data: bytes) -> repair.Proposal:
    body = parsed(data, NewCorrection)
    return repair.Proposal(body.action, body.reason_code, body.reason, body.input)


def router() -> Router:
    """The routes of repairs."""
    handlers = [
        propose, preview, preview_proposed, apply, reject, list_evidence, attach, read_evidence, reveal_case, resolve_case,
    ]  # fmt: skip
    return Router("/api/v1/fallout-cases/{name:str}", route_handlers=handlers)
