"""The registry of sources: who they are, their tokens, and the alarm when one falls silent (B10)."""

import secrets
from hashlib import sha256
from typing import Any
from uuid import UUID

import msgspec

from unstuck.fallout import source as events
from unstuck.fallout.source import Source, SourceSettings, is_ours
from unstuck.kernel.actor import ENGINE, Actor
from unstuck.kernel.event import Event, EventType
from unstuck.kernel.refusal import Forbidden, Invalid, Missing, Refused, Stale
from unstuck.service.access.accounts import require_own_name
from unstuck.service.elsewhere.foreign import require_callable
from unstuck.service.ports import Ports
from unstuck.store.failures import heard
from unstuck.store.rows import Changes, RegistryChange
from unstuck.store.sources import Key, keys_of, revoke_key, silence_changes, source_named, sources, unknown_sources
from unstuck.store.unit import Unit

KEY_ROLE = "integration"


class Described(msgspec.Struct, frozen=True):
    """What is said of a source when it is registered or changed."""

    title: str
    heartbeat_s: int | None
    settings: SourceSettings


async def listed(ports: Ports) -> list[Source]:
    """Every source that ever reported or was registered."""
    async with ports.store.reading(ports.now()) as unit:
        return await sources(unit)


async def shown(ports: Ports, name: str) -> tuple[Source, list[Key]]:
    """One source with its tokens."""
    async with ports.store.reading(ports.now()) as unit:
        return await source_named(unit, name), await keys_of(unit, name)


async def register(ports: Ports, name: str, version: int | None, actor: Actor, said: Described) -> tuple[Source, bool]:
    """Register a source or change it (then `version` is needed); return it and whether it is new."""
    if is_ours(name):
        raise Invalid(f"{name} cannot be a source: it stands for something else here", (("/name", "another name"),))
    await require_callable(ports, said.settings.resume)
    async with ports.store.unit(ports.now()) as unit:
        new = name in await unknown_sources(unit, [name])
        if not new:
            _require_version(await source_named(unit, name, lock=True), version)
        before = None if new else await source_named(unit, name)
        values = {
            "name": name,
            "title": said.title,
            "registered": True,
            "heartbeat_s": said.heartbeat_s,
            "watched_since": unit.now,
            "silent_since": None,
            "settings": msgspec.json.encode(said.settings),
        }
        facts = {"name": name, "title": said.title, "heartbeat_s": said.heartbeat_s}
        event = Event(events.REGISTERED, unit.now, actor.id, facts | {"settings": msgspec.to_builtins(said.settings)})
        await unit.record(Changes(registry=[_change(ports, before, event, values)]))
        return await source_named(unit, name), new


async def issue_key(ports: Ports, name: str, actor: Actor, holder: str) -> tuple[Key, str]:
    """A token that speaks for this source alone; its secret is shown this once."""
    secret = f"unst_src_{secrets.token_urlsafe(24)}"
    async with ports.store.unit(ports.now()) as unit:
        source = await source_named(unit, name, lock=True)
        await require_own_name(unit, holder, name)
        key = Key(ports.new_id(), holder, unit.now, None)
        await unit.keep_token(key.id, holder, sha256(secret.encode()).hexdigest(), (KEY_ROLE,), name)
        await _say(unit, source, events.KEY_ISSUED, actor, key=str(key.id), holder=holder)
        return key, secret


async def revoke(ports: Ports, name: str, key: UUID, actor: Actor) -> None:
    """Let a token of this source count no longer."""
    async with ports.store.unit(ports.now()) as unit:
        source = await source_named(unit, name, lock=True)
        if not await revoke_key(unit, name, key):
            raise Missing(f"key {key} of source {name}")
        await _say(unit, source, events.KEY_REVOKED, actor, key=str(key))


async def beat(ports: Ports, name: str, actor: Actor) -> Source:
    """A source says that it is alive, and has nothing to report."""
    if actor.source not in ("", name):
        raise Forbidden("source-key", f"this token speaks for {actor.source}")
    async with ports.store.unit(ports.now()) as unit:
        await source_named(unit, name)
        await heard(unit, [name])
        return await source_named(unit, name)


async def watch(ports: Ports) -> int:
    """Say of watched sources that they fell silent, or were heard again; how many."""
    async with ports.store.unit(ports.now()) as unit:
        changed = await silence_changes(unit)
        changes = []
        for source in changed:
            silent = not source.is_silent
            kind = events.WENT_SILENT if silent else events.HEARD_AGAIN
            event = Event(kind, unit.now, ENGINE.id, {"name": source.name, "heartbeat_s": source.heartbeat_s})
            changes.append(_change(ports, source, event, {"silent_since": unit.now if silent else None}))
        await unit.record(Changes(registry=changes))
    return len(changed)


def first_heard(ports: Ports, unit: Unit, name: str) -> RegistryChange:
    """The row of a source that reports before anybody registered it."""
    event = Event(events.FIRST_HEARD, unit.now, ENGINE.id, {"name": name})
    return _change(ports, None, event, {"name": name, "registered": False, "last_heard": unit.now})


async def _say(unit: Unit, source: Source, kind: EventType, actor: Actor, **facts: Any) -> None:
    event = Event(kind, unit.now, actor.id, {"name": source.name, **facts})
    change = RegistryChange("source", source.id, [event], {}, source.seq, source.version)
    await unit.record(Changes(registry=[change]))


def _change(ports: Ports, before: Source | None, event: Event, values: dict[str, Any]) -> RegistryChange:
    if before is None:
        return RegistryChange("source", ports.new_id(), [event], values)
    return RegistryChange("source", before.id, [event], values, before.seq, before.version)


def _require_version(source: Source, version: int | None) -> None:
    if not source.registered:
        return
    if version is None:
        raise Refused("if-match-missing", f"{source.name} is registered already; send If-Match with its version")
    if version != source.version:
        raise Stale(f"source {source.name}", source.version)
