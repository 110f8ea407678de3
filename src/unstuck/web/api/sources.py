"""`/api/v1/sources`: who reports, with which tokens, and who has fallen silent."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, Router, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath

from unstuck.fallout.failure import MaybeName, Name
from unstuck.fallout.source import Source, SourceSettings
from unstuck.kernel.refusal import Missing
from unstuck.service.failures_in import sources
from unstuck.service.ports import Ports
from unstuck.store.sources import Key
from unstuck.web.protocol import actor, as_json, given_version, parsed

READ, MANAGE, REPORT = "source.read", "source.manage", "failure.report"


class SourceView(msgspec.Struct):
    """A source as it is shown. `silent_since` is the alarm: it was not heard for longer than it may be."""

    name: str
    title: str
    registered: bool
    version: int
    heartbeat_s: int | None
    last_heard: datetime | None
    silent_since: datetime | None
    settings: SourceSettings
    keys: list[Key] = []


class SourceList(msgspec.Struct):
    """Every source, by name."""

    sources: list[SourceView]


class SourceChange(msgspec.Struct, forbid_unknown_fields=True):
    """What is said of a source: how often it must be heard (seconds), how its orders are spoken of and resumed."""

    title: MaybeName = ""
    heartbeat_s: Annotated[int, msgspec.Meta(gt=0, le=31_536_000)] | None = None
    settings: SourceSettings = SourceSettings()


class NewKey(msgspec.Struct, forbid_unknown_fields=True):
    """Who holds the token."""

    holder: Name


class IssuedKey(msgspec.Struct):
    """A token, shown this once."""

    id: UUID
    holder: str
    token: str


@get("/", opt={"permission": READ, "answer": SourceList})
async def list_sources(ports: NamedDependency[Ports]) -> Response[bytes]:
    """Every source that ever reported or was registered, with when it was last heard."""
    return as_json(SourceList([_view(source) for source in await sources.listed(ports)]))


@get("/{name:str}", opt={"permission": READ, "answer": SourceView})
async def show_source(ports: NamedDependency[Ports], name: FromPath[str]) -> Response[bytes]:
    """One source with its tokens."""
    source, keys = await sources.shown(ports, _named(name))
    return as_json(_view(source, keys), version=source.version)


@put(
    "/{name:str}",
    opt={
        "permission": MANAGE,
        "body": SourceChange,
        "answer": SourceView,
        "also": {201: "it was not known before", 412: "it has moved on", 428: "it is registered: say which version"},
    },
    status_code=200,
)
async def register_source(
    request: Request[Any, Any, Any], ports: NamedDependency[Ports], name: FromPath[str]
) -> Response[bytes]:
    """Register a source, or change it (then with If-Match)."""
    body = parsed(await request.body(), SourceChange)
    said = sources.Described(body.title, body.heartbeat_s, body.settings)
    source, new = await sources.register(ports, _named(name), given_version(request), actor(request), said)
    return as_json(_view(source), status=201 if new else 200, version=source.version)


@post("/{name:str}/heartbeat", opt={"permission": REPORT, "answer": SourceView}, status_code=200)
async def beat(request: Request[Any, Any, Any], ports: NamedDependency[Ports], name: FromPath[str]) -> Response[bytes]:
    """A source says that it is alive and has nothing to report."""
    return as_json(_view(await sources.beat(ports, _named(name), actor(request))))


@post("/{name:str}/keys", opt={"permission": MANAGE, "body": NewKey, "answer": IssuedKey}, status_code=201)
async def issue_key(
    request: Request[Any, Any, Any], ports: NamedDependency[Ports], name: FromPath[str]
) -> Response[bytes]:
    """A token that speaks for this source and no other; from then on only such tokens do."""
    body = parsed(await request.body(), NewKey)
    key, secret = await sources.issue_key(ports, _named(name), actor(request), body.holder)
    return as_json(IssuedKey(key.id, key.name, secret), status=201)


@delete("/{name:str}/keys/{key:uuid}", opt={"permission": MANAGE}, status_code=204)
async def revoke_key(
    request: Request[Any, Any, Any], ports: NamedDependency[Ports], name: FromPath[str], key: FromPath[UUID]
) -> None:
    """Let a token of this source count no longer."""
    await sources.revoke(ports, _named(name), key, actor(request))


def router() -> Router:
    """The routes of sources."""
    return Router(
        "/api/v1/sources", route_handlers=[list_sources, show_source, register_source, beat, issue_key, revoke_key]
    )


def _named(name: str) -> str:
    try:
        return msgspec.convert(name, Name)
    except msgspec.ValidationError:
        raise Missing(f"source {name[:80]!r}") from None


def _view(source: Source, keys: list[Key] | None = None) -> SourceView:
    return SourceView(
        source.name, source.title, source.registered, source.version, source.heartbeat_s, source.last_heard,
        source.silent_since, source.settings, keys or [],
    )  # fmt: skip
