"""TM Forum's hub: listeners are subscriptions of their own kind, so the relay treats them like every other."""

from typing import Any
from uuid import UUID

import msgspec

from unstuck.kernel.actor import Actor
from unstuck.kernel.refusal import Missing
from unstuck.service.events_out import subscriptions
from unstuck.service.events_out.subscriptions import SubscriptionView, Wanted
from unstuck.service.ports import Ports

KIND = "tmf641"
# Orders and cases: whatever moves one of them may move what TM Forum sees.
TYPES = ("unstuck.order.*", "unstuck.fallout-case.*")


class Listener(msgspec.Struct, frozen=True):
    """Who is told, and of what: `query` filters, empty for everything."""

    id: UUID
    callback: str
    query: str


async def subscribe(ports: Ports, actor: Actor, callback: str, query: str) -> Listener:
    """Register a listener from now on; the same one twice is refused (409), and so is an address inside."""
    name = f"{_prefix(callback)}{query}"
    settings: dict[str, Any] = {"query": query}
    made = await subscriptions.create(ports, actor, Wanted(name, callback, TYPES, KIND, settings))
    return Listener(made.id, callback, query)


async def listener(ports: Ports, id: UUID, actor: Actor) -> Listener:
    """One listener; Missing when it is no listener, or another's."""
    view = await subscriptions.one(ports, id, actor)
    _require_listener(view)
    return Listener(view.id, view.url, view.name.removeprefix(_prefix(view.url)))


async def unsubscribe(ports: Ports, id: UUID, actor: Actor) -> None:
    """Tell this listener nothing any more."""
    _require_listener(await subscriptions.one(ports, id, actor))
    await subscriptions.delete(ports, id, None, actor)


def _prefix(callback: str) -> str:
    return f"{KIND} {callback} "


def _require_listener(view: SubscriptionView) -> None:
    if view.kind != KIND:
        raise Missing(f"listener {view.id}")
