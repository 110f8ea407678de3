"""Who is told what happens: receivers, their secrets, and what they did not take.

Every change is an event on the subscription's own stream. A secret is shown when it is made and never again; the
database has it locked with a key that is a file.
"""

import base64
import secrets
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import msgspec

from unstuck.fallout.published import known_types, wanted
from unstuck.kernel import registry
from unstuck.kernel.actor import Actor
from unstuck.kernel.event import Event, EventType
from unstuck.kernel.refusal import IllegalTransition, Invalid, Missing, Refused, Stale
from unstuck.policy.grant import may
from unstuck.service import once
from unstuck.service.ports import Ports
from unstuck.store import outbox
from unstuck.store.rows import Changes, RegistryChange
from unstuck.store.unit import Conflict, Unit

OVERLAP = timedelta(hours=24)
SECRET_BYTES = 32
EVERY = ("unstuck.*",)
State = Literal["ACTIVE", "PAUSED"]


class SubscriptionView(msgspec.Struct):
    """A receiver as it is shown.

    `next_leaf` is the first sealed event it has not got, `behind` how many there are; `held_until` and `because` say
    why it waits; `waiting` and `dead` count the messages it did not take and those behind them.
    """

    id: UUID
    name: str
    kind: str
    url: str
    types: list[str]
    owner: str
    state: State
    version: int
    created_at: datetime
    next_leaf: int
    behind: int
    held_until: datetime | None
    failures: int
    because: str
    delivered: int
    delivered_at: datetime | None
    waiting: int
    dead: int


class NewSecret(msgspec.Struct):
    """A subscription with the secret that signs its messages, shown this once."""

    id: UUID
    name: str
    version: int
    secret: str


class DeadMessage(msgspec.Struct):
    """A message that was refused too often, or waits behind one: `tries` is 0 for those."""

    leaf: int
    event: str
    type: str
    tries: int
    status: int
    because: str
    at: datetime


class DeadMessages(msgspec.Struct):
    """The first 500 dead messages, each stream in its order."""

    dead: list[DeadMessage]


class Wanted(msgspec.Struct, frozen=True):
    """What a receiver is registered with. `first` is the leaf to begin at, None for what comes from now on."""

    name: str
    url: str
    types: tuple[str, ...] = EVERY
    kind: str = "cloudevents"
    settings: dict[str, Any] = {}
    first: int | None = None


async def create(ports: Ports, actor: Actor, wish: Wanted) -> NewSecret:
    """Register a receiver. Refused: a URL that leads inside, types that do not exist, a name in use (409)."""
    require_types(wish.types)
    await ports.outside.webhooks.require_reachable(wish.url)
    id, secret = ports.new_id(), _new_secret()
    settings = wish.settings | ({"source": actor.source} if actor.source else {})
    try:
        async with ports.store.unit(ports.now()) as unit:
            size = await outbox.size(unit)
            first = size if wish.first is None else min(wish.first, size)
            values = {
                "name": wish.name,
                "kind": wish.kind,
                "url": wish.url,
                "types": list(wish.types),
                "settings": msgspec.json.encode(settings),
                "owner": actor.id,
                "state": "ACTIVE",
                "created_at": unit.now,
                "secret": ports.outside.vault.lock(secret.encode(), id),
                "next_leaf": first,
            }
            facts = {"name": wish.name, "kind": wish.kind, "url": wish.url, "types": list(wish.types), "first": first}
            change = RegistryChange("subscription", id, [Event(registry.SUBSCRIBED, unit.now, actor.id, facts)], values)
            await unit.record(Changes(registry=[change]))
            return NewSecret(id, wish.name, change.version, secret)
    except Conflict as known:
        raise Refused("one-subscription-per-name", f"you have a subscription {wish.name!r} already") from known


async def listed(ports: Ports, actor: Actor) -> list[SubscriptionView]:
    """The receivers this actor may see: its own, or all."""
    async with ports.store.reading(ports.now()) as unit:
        return [_view(row) for row in await outbox.shown(unit, None, _owner(ports, actor))]


async def one(ports: Ports, id: UUID, actor: Actor) -> SubscriptionView:
    """One receiver; Missing also when it is another's."""
    async with ports.store.reading(ports.now()) as unit:
        return await _shown(ports, unit, id, actor)


async def dead(ports: Ports, id: UUID, actor: Actor) -> DeadMessages:
    """What it did not take, to look at."""
    async with ports.store.reading(ports.now()) as unit:
        await _shown(ports, unit, id, actor)
        rows = await outbox.dead(unit, id)
        return DeadMessages(
            [
                DeadMessage(
                    r["leaf"], f"{r['stream']}-{r['seq']}", r["type"], r["tries"], r["status"], r["because"], r["at"]
                )
                for r in rows
            ]
        )


async def pause(ports: Ports, id: UUID, version: int, actor: Actor) -> SubscriptionView:
    """Send it nothing until it is resumed; what is on its way arrives."""
    async with once.command(ports) as unit:
        row = await _locked(ports, unit, id, version, actor)
        if row["state"] != "ACTIVE":
            raise IllegalTransition("subscription", row["state"], "pause")
        await _change(unit, row, actor, registry.PAUSED, {"state": "PAUSED"}, {})
        return await once.answered(ports, unit, await _shown(ports, unit, id, actor))


async def resume(ports: Ports, id: UUID, version: int, actor: Actor) -> SubscriptionView:
    """Send again: to a paused one all that came meanwhile, to one that is waited for without waiting longer."""
    async with once.command(ports) as unit:
        row = await _locked(ports, unit, id, version, actor)
        values = {"state": "ACTIVE", "held_until": None, "failures": 0, "refusals": 0, "because": ""}
        await _change(unit, row, actor, registry.RESUMED, values, {})
        return await once.answered(ports, unit, await _shown(ports, unit, id, actor))


async def rotate(ports: Ports, id: UUID, version: int, actor: Actor) -> NewSecret:
    """A new secret; messages carry both signatures for a day, so that the receiver can change over."""
    secret = _new_secret()
    async with ports.store.unit(ports.now()) as unit:
        row = await _locked(ports, unit, id, version, actor)
        values = {
            "secret": ports.outside.vault.lock(secret.encode(), id),
            "old_secret": row["secret"],
            "old_until": unit.now + OVERLAP,
        }
        change = await _change(unit, row, actor, registry.ROTATED, values, {})
        return NewSecret(id, row["name"], change.version, secret)


async def replay_dead(ports: Ports, id: UUID, version: int, actor: Actor) -> SubscriptionView:
    """Have every dead message sent again, each stream in its order."""
    async with once.command(ports) as unit:
        row = await _locked(ports, unit, id, version, actor)
        revived = await outbox.revive(unit, id)
        values = {"held_until": None, "failures": 0, "refusals": 0}
        await _change(unit, row, actor, registry.REPLAYED, values, {"dead": revived})
        return await once.answered(ports, unit, await _shown(ports, unit, id, actor))


async def replay_from(ports: Ports, id: UUID, version: int, actor: Actor, leaf: int) -> SubscriptionView:
    """Send everything from this leaf on once more; receivers drop what they have by its id."""
    async with once.command(ports) as unit:
        row = await _locked(ports, unit, id, version, actor)
        if leaf > row["next_leaf"]:
            because = f"it has got everything below {row['next_leaf']}; a replay begins at or below that"
            raise Invalid("that would leave events out", (("/from", because),))
        await outbox.forget_from(unit, id, leaf)
        # Without its fence a batch under way counts for nothing: it would set the cursor back to where it was.
        values = {"next_leaf": leaf, "ahead": [], "held_until": None, "failures": 0, "refusals": 0}
        values |= {"fence": None, "lease": None}
        await _change(unit, row, actor, registry.REPLAYED, values, {"from": leaf})
        return await once.answered(ports, unit, await _shown(ports, unit, id, actor))


async def drop(ports: Ports, id: UUID, version: int, actor: Actor, leaf: int) -> SubscriptionView:
    """Give up the first dead message of a stream, so that those behind it are tried."""
    async with once.command(ports) as unit:
        row = await _locked(ports, unit, id, version, actor)
        await outbox.drop(unit, id, leaf)
        await _change(unit, row, actor, registry.DROPPED, {}, {"leaf": leaf})
        return await once.answered(ports, unit, await _shown(ports, unit, id, actor))


async def delete(ports: Ports, id: UUID, version: int | None, actor: Actor) -> None:
    """Send it nothing any more; its secrets are forgotten, its history stays."""
    async with ports.store.unit(ports.now()) as unit:
        row = await _locked(ports, unit, id, version, actor)
        values = {"state": "DELETED", "secret": b"", "old_secret": None, "old_until": None}
        values |= {"fence": None, "lease": None}
        await _change(unit, row, actor, registry.UNSUBSCRIBED, values, {})
        await outbox.forget_from(unit, id, 0)


async def _locked(ports: Ports, unit: Unit, id: UUID, version: int | None, actor: Actor) -> Any:
    row = await outbox.locked(unit, id)
    if _owner(ports, actor) not in (None, row["owner"]):
        raise Missing(f"subscription {id}")
    if version is not None and row["version"] != version:
        raise Stale(f"subscription {row['name']}", row["version"])
    return row


async def _shown(ports: Ports, unit: Unit, id: UUID, actor: Actor) -> SubscriptionView:
    rows = await outbox.shown(unit, id, _owner(ports, actor))
    if not rows:
        raise Missing(f"subscription {id}")
    return _view(rows[0])


async def _change(
    unit: Unit, row: Any, actor: Actor, kind: EventType, values: dict[str, Any], facts: dict[str, Any]
) -> RegistryChange:
    event = Event(kind, unit.now, actor.id, {"name": row["name"], **facts})
    change = RegistryChange("subscription", row["id"], [event], values, row["seq"], row["version"])
    await unit.record(Changes(registry=[change]))
    return change


def _owner(ports: Ports, actor: Actor) -> str | None:
    """Whose receivers an actor may see: None for all."""
    return None if may(actor, "subscription.manage-all", ports.book.current) else actor.id


def require_types(globs: tuple[str, ...]) -> None:
    """Refuse globs that name no type that is published, and no glob at all."""
    known = known_types()
    errors = [
        (f"/types/{n}", f"no event is published as {glob}; the reference of published events lists them")
        for n, glob in enumerate(globs)
        if not any(wanted((glob,), kind) for kind in known)
    ]
    if errors or not globs:
        raise Invalid("say which events to send", tuple(errors) or (("/types", "at least one type"),))


def _view(row: Any) -> SubscriptionView:
    return SubscriptionView(**{name: row[name] for name in SubscriptionView.__struct_fields__})


def _new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
