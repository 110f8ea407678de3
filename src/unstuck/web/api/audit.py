"""`/api/v1/audit`: what somebody needs to check the history without trusting us."""

from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, Router, get
from litestar.di import NamedDependency

from unstuck.service.history import audit
from unstuck.service.history.audit import CheckpointPage, ConsistencyView, KeyList, ProofView
from unstuck.service.ports import Ports
from unstuck.web.api.listing import asked
from unstuck.web.auth import PUBLIC
from unstuck.web.protocol import as_json

READ = "audit.read"
LARGEST = 999_999_999
Checkpoint = Annotated[int, msgspec.Meta(ge=1, le=LARGEST, description="the size of a checkpoint")]


class CheckpointQuery(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Checkpoints larger than `above`: the `next` of the page before, or the last one that is held already."""

    above: Annotated[int, msgspec.Meta(ge=0, le=LARGEST)] = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100


class ProofQuery(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One event: its stream, which is the id of an order or a case, and its number there."""

    stream: UUID
    seq: Annotated[int, msgspec.Meta(ge=1, le=LARGEST)]


class ConsistencyQuery(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Two checkpoints by their sizes; without `to` the newest."""

    old: Checkpoint = msgspec.field(name="from")
    new: Checkpoint | None = msgspec.field(name="to", default=None)


@get("/checkpoints", opt={"permission": READ, "query": CheckpointQuery, "answer": CheckpointPage})
async def list_checkpoints(request: Request[Any, Any, Any], ports: NamedDependency[Ports]) -> Response[bytes]:
    """Signed checkpoints, smallest first.

    Keep them where nobody who runs this can change them.
    """
    query = asked(request, CheckpointQuery)
    return as_json(await audit.checkpoints(ports, query.above, query.limit))


@get("/keys", opt={"permission": PUBLIC, "answer": KeyList})
async def list_keys(ports: NamedDependency[Ports]) -> Response[bytes]:
    """The public keys that sign, and how each replaced the one before; also as a JWK set."""
    return as_json(await audit.keys(ports))


@get(
    "/proof",
    opt={"permission": READ, "query": ProofQuery, "answer": ProofView, "also": {404: "there is no such event"}},
)
async def prove_event(request: Request[Any, Any, Any], ports: NamedDependency[Ports]) -> Response[bytes]:
    """One event and the hashes that lead from it to the newest checkpoint (RFC 6962, 2.1.1)."""
    query = asked(request, ProofQuery)
    return as_json(await audit.proof(ports, query.stream, query.seq))


@get(
    "/consistency",
    opt={
        "permission": READ,
        "query": ConsistencyQuery,
        "answer": ConsistencyView,
        "also": {404: "there is no checkpoint of that size"},
    },
)
async def prove_consistency(request: Request[Any, Any, Any], ports: NamedDependency[Ports]) -> Response[bytes]:
    """That one checkpoint only adds to another, which somebody may hold (RFC 6962, 2.1.2)."""
    query = asked(request, ConsistencyQuery)
    return as_json(await audit.consistency(ports, query.old, query.new))


def router() -> Router:
    """The routes of the audit."""
    return Router("/api/v1/audit", route_handlers=[list_checkpoints, list_keys, prove_event, prove_consistency])
