"""`/api/v1/resume-tokens` and the decisions of a source: leave to resume, out to an order manager and back."""

from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from unstuck.service.elsewhere import decisions, foreign
from unstuck.service.elsewhere.decisions import DecisionPage
from unstuck.service.elsewhere.foreign import Redeemed
from unstuck.service.ports import Ports
from unstuck.web.api.listing import Size, asked
from unstuck.web.protocol import actor, as_json, parsed

SPEAKS = "failure.report"  # whoever reports failures is told what was decided of them
Asked = Request[Any, Any, Any]


class Redemption(msgspec.Struct, forbid_unknown_fields=True):
    """A resume token as it was received, and the version that its order has now (empty if it has none)."""

    token: Annotated[str, msgspec.Meta(min_length=1, max_length=16_384)]
    order_version: Annotated[str, msgspec.Meta(max_length=200)]


@post(
    "/resume-tokens/{id:uuid}/redeem",
    opt={
        "permission": SPEAKS,
        "body": Redemption,
        "answer": Redeemed,
        "once": True,
        "also": {409: "it was used, has expired, was replaced, or its order has moved: the rule says which"},
    },
    status_code=200,
)
async def redeem_token(request: Asked, ports: NamedDependency[Ports], id: FromPath[UUID]) -> Response[bytes]:
    """Take leave to resume, before the order goes on: once, by the source it was issued to."""
    body = parsed(await request.body(), Redemption)
    return as_json(await foreign.redeem(ports, id, body.token, body.order_version, actor(request)))


class DecisionQuery(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Decisions after a leaf: the `next` of the page before, or the `leaf` of the last one that was dealt with."""

    after: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,15}$(?!\n)", description="the leaf of a decision")] | None = (
        None
    )
    limit: Size = 50


@get("/sources/{name:str}/decisions", opt={"permission": SPEAKS, "query": DecisionQuery, "answer": DecisionPage})
async def list_decisions(request: Asked, ports: NamedDependency[Ports], name: FromPath[str]) -> Response[bytes]:
    """What was decided of this source's failures and it has not redeemed yet; only for its own token.

    Each decision stays in the list until it is redeemed or its token expires, in the order of `leaf`.
    """
    query = asked(request, DecisionQuery)
    after = int(query.after) if query.after is not None else -1
    return as_json(await decisions.awaited(ports, name, actor(request), after, query.limit))


def router() -> Router:
    """The routes of resume tokens."""
    return Router("/api/v1", route_handlers=[redeem_token, list_decisions])
