"""People and what they may do: made, changed and disabled by who runs this; each change is an event of that person."""

import asyncio
import secrets
from collections.abc import Sequence
from datetime import timedelta
from hashlib import sha256
from typing import Any

import msgspec

from unstuck.kernel import person as rules
from unstuck.kernel.event import Event, EventType
from unstuck.kernel.person import Person, folded, plain_name, require_password
from unstuck.kernel.refusal import Invalid, Missing, Refused
from unstuck.service.access import passwords
from unstuck.service.access.accounts import require_roles
from unstuck.service.ports import Ports
from unstuck.store import people as rows
from unstuck.store.rows import Changes, RegistryChange
from unstuck.store.unit import Unit

ADMIN = "admin"
LINK_LIFE = timedelta(hours=24)


class NewPerson(msgspec.Struct, frozen=True):
    """Somebody to be let in."""

    name: str
    roles: tuple[str, ...]
    password: str


async def add(ports: Ports, wish: NewPerson, by: str) -> Person:
    """Let somebody in. Refused: a name that is somebody's, a role that the pack does not know, a weak password."""
    require_roles(ports, wish.roles)
    require_password(wish.password, wish.name)
    digest = await passwords.digest_of(wish.password)
    async with ports.store.unit(ports.now()) as unit:
        return await _insert(ports, unit, wish, digest, by)


async def listed(ports: Ports) -> list[Person]:
    """All of them, by name."""
    async with ports.store.reading(ports.now()) as unit:
        return await rows.people(unit)


async def anybody(ports: Ports) -> bool:
    """Whether anybody can sign in at all."""
    async with ports.store.reading(ports.now()) as unit:
        return await rows.are_any(unit)


async def change_roles(ports: Ports, name: str, roles: tuple[str, ...], by: str) -> None:
    """Give somebody these roles and no others, from their next request on."""
    require_roles(ports, roles)
    async with ports.store.unit(ports.now()) as unit:
        person = await locked(unit, name)
        await say(unit, person, rules.ROLES_CHANGED, by, {"roles": list(roles)}, roles=list(roles))


async def disable(ports: Ports, name: str, by: str) -> None:
    """Let somebody in no more, and end their sessions."""
    async with ports.store.unit(ports.now()) as unit:
        person = await locked(unit, name)
        if person.disabled_at is None:
            await say(unit, person, rules.DISABLED, by, disabled_at=unit.now)
        await rows.end_sessions(unit, person.id)


async def enable(ports: Ports, name: str, by: str) -> None:
    """Let somebody in again."""
    async with ports.store.unit(ports.now()) as unit:
        person = await locked(unit, name)
        if person.disabled_at is not None:
            await say(unit, person, rules.ENABLED, by, disabled_at=None)


async def set_password(ports: Ports, name: str, password: str, by: str) -> None:
    """Give somebody another password; their sessions end, and wrong tries are forgotten."""
    require_password(password, name)
    digest = await passwords.digest_of(password)
    async with ports.store.unit(ports.now()) as unit:
        await put_password(unit, await locked(unit, name), digest, by)


async def put_password(unit: Unit, person: Person, digest: str, by: str) -> None:
    """Write it, in a transaction that holds the person."""
    await say(unit, person, rules.PASSWORD_CHANGED, by, password=digest)
    await rows.end_sessions(unit, person.id)
    await rows.forget_tries(unit, subject_of_name(person.name))


async def make_demo(ports: Ports, wishes: Sequence[NewPerson]) -> bool:
    """The people of a demo world, those that are not there yet; whether this database is one for them.

    It is when it was made with a demo: it holds its people already, or nothing at all.
    """
    async with ports.store.unit(ports.now()) as unit:
        known = await rows.people(unit)
        if not any(one.demo for one in known) and (known or await rows.has_worked(unit)):
            return False
    missing = [wish for wish in wishes if folded(wish.name) not in {folded(one.name) for one in known}]
    digests = await asyncio.gather(*(passwords.digest_of(wish.password) for wish in missing))
    async with ports.store.unit(ports.now()) as unit:
        for wish, digest in zip(missing, digests, strict=True):
            await _insert(ports, unit, wish, digest, "unstuck:up", demo=True)
    return True


async def first_link(ports: Ports) -> str:
    """The secret of a link that makes the first administrator; empty when somebody may sign in already."""
    secret = secrets.token_urlsafe(32)
    async with ports.store.unit(ports.now()) as unit:
        if await rows.are_any(unit):
            return ""
        await rows.keep_link(unit, _digest(secret), unit.now + LINK_LIFE)
    return secret


async def require_link(ports: Ports, secret: str) -> None:
    """Refuse a link that was used, is too old, or is none."""
    if not await rows.link_counts(ports.store, _digest(secret), ports.now()):
        raise _no_link()


async def make_first(ports: Ports, secret: str, name: str, password: str) -> Person:
    """Use the link up and make the administrator it is for."""
    await require_link(ports, secret)
    require_password(password, name)
    require_roles(ports, (ADMIN,))
    digest = await passwords.digest_of(password)
    async with ports.store.unit(ports.now()) as unit:
        if not await rows.use_link(unit, _digest(secret)) or await rows.are_any(unit):
            raise _no_link()
        return await _insert(ports, unit, NewPerson(name, (ADMIN,), password), digest, plain_name(name))


async def locked(unit: Unit, name: str) -> Person:
    """The person of that name, held until this transaction ends; Missing without."""
    found = await rows.find_person(unit, folded(name))
    if found is None:
        raise Missing(f"a person called {name!r}")
    return (await rows.person_of(unit, found[0].id))[0]


async def say(
    unit: Unit, person: Person, kind: EventType, by: str, facts: dict[str, Any] | None = None, /, **values: Any
) -> None:
    """Record what became true of a person, with the columns that follow from it."""
    event = Event(kind, unit.now, by, {"name": person.name, **(facts or {})})
    change = RegistryChange("person", person.id, [event], values, person.seq, person.version)
    await unit.record(Changes(registry=[change]))


def subject_of_name(name: str) -> str:
    """What tries to sign in under this name are counted by."""
    return _digest(f"name\0{folded(name)}")


async def _insert(ports: Ports, unit: Unit, wish: NewPerson, digest: str, by: str, *, demo: bool = False) -> Person:
    name = plain_name(wish.name)
    await rows.hold_name(unit, folded(name))
    if await rows.find_person(unit, folded(name)) is not None:
        raise _taken(name, "somebody who signs in already")
    if await rows.is_of_a_token(unit, name):
        raise _taken(name, "the holder of an API token, whose deeds would be theirs")
    values = {
        "name": name, "folded": folded(name), "roles": list(wish.roles), "password": digest, "demo": demo,
        "made_at": unit.now,
    }  # fmt: skip
    event = Event(rules.ADDED, unit.now, by, {"name": name, "roles": list(wish.roles), "demo": demo})
    change = RegistryChange("person", ports.new_id(), [event], values)
    await unit.record(Changes(registry=[change]))
    return Person(change.id, name, wish.roles, demo, unit.now, None, change.version, change.seq)


def _taken(name: str, whose: str) -> Invalid:
    return Invalid(f"{name} is the name of {whose}; choose another", (("/name", "a name that nobody has"),))


def _no_link() -> Refused:
    because = (
        "this link was used, is older than a day, or somebody can sign in already; `unstuck user add` makes people"
    )
    return Refused("first-start-link", because)


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()
