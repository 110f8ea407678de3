"""`/api/v1/subscriptions`: who is told what happens, and what a receiver did not take."""

from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Request, Response, Router, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from unstuck.kernel.refusal import Invalid
from unstuck.service.elsewhere.decisions import KIND as DECISION
from unstuck.service.elsewhere.decisions import decision_settings
from unstuck.service.events_out import subscriptions
from unstuck.service.events_out.subscriptions import EVERY, DeadMessages, NewSecret, SubscriptionView, Wanted
from unstuck.service.ports import Ports
from unstuck.web.openapi import COMMAND
from unstuck.web.protocol import Line, actor, as_json, expected_version, parsed

MANAGE = "subscription.manage"
Glob = Annotated[
    str,
    msgspec.Meta(
        max_length=100, pattern=r"^[a-z*][a-z0-9.*-]*$(?!\n)", description="a type, or several by *: unstuck.order.*"
    ),
]
Leaf = Annotated[int, msgspec.Meta(ge=0, le=2**53, description="the number of a sealed event")]
Url = Annotated[
    str,
    msgspec.Meta(min_length=1, max_length=2000, pattern=r"^https?://", description="https, and not an address inside"),
]


class SubscriptionList(msgspec.Struct):
    """The receivers that whoever asks may see."""

    subscriptions: list[SubscriptionView]


class NewSubscription(msgspec.Struct, forbid_unknown_fields=True):
    """Where published events go, which of them, and (`from`) the sealed event to begin at, else from now on.

    `decision` is for an order manager that reports failures: what was decided of them, with leave to resume, to the
    source alone whose token subscribes.
    """

    name: Line
    url: Url
    kind: Literal["cloudevents", "decision"] = "cloudevents"
    types: Annotated[tuple[Glob, ...], msgspec.Meta(min_length=1, max_length=100)] = EVERY
    first: Leaf | None = msgspec.field(name="from", default=None)


class Replay(msgspec.Struct, forbid_unknown_fields=True):
    """Either everything that is dead, or everything from a sealed event on."""

    dead: bool = False
    first: Leaf | None = msgspec.field(name="from", default=None)


class Dropped(msgspec.Struct, forbid_unknown_fields=True):
    """The dead message to give up, the first of its stream."""

    leaf: Leaf


SHOWN = {"permission": MANAGE, "answer": SubscriptionView}
Asked = Request[Any, Any, Any]


@get("/", opt={"permission": MANAGE, "answer": SubscriptionList})
async def list_subscriptions(request: Asked, ports: NamedDependency[Ports]) -> Response[bytes]:
    """Your receivers, or all of them for an administrator, with how far behind each is."""
    return as_json(SubscriptionList(await subscriptions.listed(ports, actor(request))))


@post(
    "/",
    opt={
        "permission": MANAGE,
        "body": NewSubscription,
        "answer": NewSecret,
        "also": {409: "you have a subscription of that name"},
    },
    status_code=201,
)
async def subscribe(request: Asked, ports: NamedDependency[Ports]) -> Response[bytes]:
    """Register a receiver of CloudEvents. The secret in the answer signs its messages, and is never shown again."""
    body = parsed(await request.body(), NewSubscription)
    settings = decision_settings(actor(request)) if body.kind == DECISION else {}
    wish = Wanted(body.name, body.url, body.types, body.kind, settings, body.first)
    made = await subscriptions.create(ports, actor(request), wish)
    return as_json(made, status=201, version=made.version)


@get("/{id:uuid}", opt=SHOWN)
async def show_subscription(request: Asked, ports: NamedDependency[Ports], id: FromPath[UUID]) -> Response[bytes]:
    """One receiver."""
    return _shown(await subscriptions.one(ports, id, actor(request)))


@get("/{id:uuid}/dead", opt={"permission": MANAGE, "answer": DeadMessages})
async def show_dead(request: Asked, ports: NamedDependency[Ports], id: FromPath[UUID]) -> Response[bytes]:
    """The messages that were refused too often, with those behind them."""
    return as_json(await subscriptions.dead(ports, id, actor(request)))


@post("/{id:uuid}/pause", opt=SHOWN | COMMAND, status_code=200)
async def pause_subscription(request: Asked, ports: NamedDependency[Ports], id: FromPath[UUID]) -> Response[bytes]:
    """Send it nothing until it is resumed."""
    return _shown(await subscriptions.pause(ports, id, expected_version(request), actor(request)))


@post("/{id:uuid}/resume", opt=SHOWN | COMMAND, status_code=200)
async def resume_subscription(request: Asked, ports: NamedDependency[Ports], id: FromPath[UUID]) -> Response[bytes]:
    """Send again, at once: also to a receiver that is being waited for."""
    return _shown(await subscriptions.resume(ports, id, expected_version(request), actor(request)))


@post(
    "/{id:uuid}/rotate-secret",
    opt={"permission": MANAGE, "answer": NewSecret, "if_match": True},
    status_code=200,
)
async def rotate_secret(request: Asked, ports: NamedDependency[Ports], id: FromPath[UUID]) -> Response[bytes]:
    """A new secret; for 24 hours messages carry both signatures."""
    made = await subscriptions.rotate(ports, id, expected_version(request), actor(request))
    return as_json(made, version=made.version)


@post("/{id:uuid}/replay", opt=SHOWN | COMMAND | {"body": Replay}, status_code=200)
async def replay(request: Asked, ports: NamedDependency[Ports], id: FromPath[UUID]) -> Response[bytes]:
    """Send again what is dead, or everything from a sealed event on."""
    version, body = expected_version(request), parsed(await request.body(), Replay)
    if body.dead is (body.first is not None):
        raise Invalid("say what to send again", (("/dead", 'either "dead": true or "from": a number'),))
    if body.first is None:
        return _shown(await subscriptions.replay_dead(ports, id, version, actor(request)))
    return _shown(await subscriptions.replay_from(ports, id, version, actor(request), body.first))


@post("/{id:uuid}/drop", opt=SHOWN | COMMAND | {"body": Dropped}, status_code=200)
async def drop(request: Asked, ports: NamedDependency[Ports], id: FromPath[UUID]) -> Response[bytes]:
    """Give up the first dead message of a stream, so that those behind it are tried."""
    version, body = expected_version(request), parsed(await request.body(), Dropped)
    return _shown(await subscriptions.drop(ports, id, version, actor(request), body.leaf))


@delete("/{id:uuid}", opt={"permission": MANAGE, "if_match": True}, status_code=204)
async def unsubscribe(request: Asked, ports: NamedDependency[Ports], id: FromPath[UUID]) -> None:
    """Send it nothing any more."""
    await subscriptions.delete(ports, id, expected_version(request), actor(request))


def _shown(view: SubscriptionView) -> Response[bytes]:
    return as_json(view, version=view.version)


def router() -> Router:
    """The routes of subscriptions."""
    return Router(
        "/api/v1/subscriptions",
        route_handlers=[
            list_subscriptions,
            subscribe,
            show_subscription,
            show_dead,
            pause_subscription,
            resume_subscription,
            rotate_secret,
            replay,
            drop,
            unsubscribe,
        ],
    )
