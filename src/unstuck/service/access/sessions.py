"""Who is signed in: sessions begin with a password, and end unused, by age, by their person, or when roles end."""

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256

import msgspec

from unstuck.kernel import person as rules
from unstuck.kernel.actor import Actor
from unstuck.kernel.person import IDLE, LIFE, TRIES_OF_A_NAME, TRIES_OF_AN_ADDRESS, TRIES_WITHIN, Person, folded
from unstuck.kernel.refusal import Forbidden, Missing, Refused, TooMany
from unstuck.service.access import passwords
from unstuck.service.access.people import locked, put_password, say, subject_of_name
from unstuck.service.ports import Ports
from unstuck.store import people as rows
from unstuck.store.unit import Unit

NOBODY = "nobody"
USED_EVERY = timedelta(minutes=1)  # how exactly it is known when a session was last used
Seen = tuple[bytes, bool]  # what a browser showed, and whether a person did it: a page that only listens does not


class NewSession(msgspec.Struct, frozen=True):
    """A session that has just begun; `token` is shown to its browser, and only there."""

    person: Person
    token: str


class Wanted(msgspec.Struct, frozen=True):
    """Somebody who wants to come in: from where, and whether this place lets the people of a demo in."""

    name: str
    password: str
    address: str
    demo: bool


async def sign_in(ports: Ports, wanted: Wanted) -> NewSession:
    """Begin a session. Refused alike: an unknown name, a wrong password, somebody disabled. Too many tries: TooMany."""
    known, at = await _counted(ports, wanted)
    fits = await passwords.fits(known[1] if known else None, wanted.password)
    if known is None or not fits or known[0].disabled_at is not None:
        await _not_let_in(ports, known)
        raise Refused("sign-in", "the name or the password is wrong, or this person may not sign in any more")
    person, digest = known
    _require_demo_here(person, wanted.demo)
    async with ports.store.unit(ports.now()) as unit:
        now_known, now_digest = await rows.person_of(unit, person.id)
        if now_digest != digest or now_known.disabled_at is not None:
            raise Refused("sign-in", "the password was changed at this moment; sign in with the new one")
        await rows.forget_tries(unit, subject_of_name(person.name))
        await rows.give_back_try(unit, _subject_of_address(wanted.address), at)
        return await begin(unit, now_known)


async def enter_demo(ports: Ports, name: str) -> NewSession:
    """Begin a session for one of a demo's people, who need no password where their demo runs."""
    async with ports.store.unit(ports.now()) as unit:
        found = await rows.find_person(unit, folded(name)) if "\0" not in name else None
        if found is None or not found[0].demo or found[0].disabled_at is not None:
            raise Missing(f"a demo account called {name[:60]!r}")
        return await begin(unit, (await rows.person_of(unit, found[0].id))[0])


async def begin(unit: Unit, person: Person) -> NewSession:
    """A session of a person that this transaction holds: always a new one, whatever the browser had before."""
    token = secrets.token_urlsafe(32)
    await rows.keep_session(unit, _digest(token), person.id, unit.now + LIFE)
    await say(unit, person, rules.SIGNED_IN, person.name)
    return NewSession(person, token)


async def sign_out(ports: Ports, token: str) -> None:
    """End this session; nothing happens when it has ended."""
    async with ports.store.unit(ports.now()) as unit:
        whose = await rows.end_session(unit, _digest(token))
        if whose is not None:
            person, _ = await rows.person_of(unit, whose)
            await say(unit, person, rules.SIGNED_OUT, person.name)


async def sign_out_everywhere(ports: Ports, name: str) -> None:
    """End all sessions of this person."""
    async with ports.store.unit(ports.now()) as unit:
        person = await locked(unit, name)
        await rows.end_sessions(unit, person.id)
        await say(unit, person, rules.SESSIONS_ENDED, person.name)


async def change_password(ports: Ports, wanted: Wanted, new: str) -> NewSession:
    """Take a new password from who knows the old one; all their sessions end, and one begins.

    Wrong ones count like tries to sign in: who found an open browser is not to guess on.
    """
    rules.require_password(new, wanted.name)
    known, at = await _counted(ports, wanted)
    if known is None or not await passwords.fits(known[1], wanted.password):
        await _not_let_in(ports, known)
        raise Refused("sign-in", "this is not your password so far")
    digest = await passwords.digest_of(new)
    async with ports.store.unit(ports.now()) as unit:
        person = await locked(unit, wanted.name)
        await put_password(unit, person, digest, person.name)
        await rows.give_back_try(unit, _subject_of_address(wanted.address), at)
        return await begin(unit, await locked(unit, wanted.name))


async def holders(ports: Ports, seen: Sequence[Seen], *, demo: bool) -> list[Actor | None]:
    """Who is behind each of these sessions now; None for one that has ended."""
    now = ports.now()
    digests = [sha256(token).hexdigest() for token, _ in seen]
    known = await rows.session_holders(ports.store, sorted(set(digests)), now, now - IDLE)
    used = {digest for digest, (_, by_person) in zip(digests, seen, strict=True) if by_person}
    stale = sorted(digest for digest in used & known.keys() if known[digest][1] < now - USED_EVERY)
    if stale:
        await rows.use_sessions(ports.store, stale, now)
    return [_actor(known.get(digest), demo) for digest in digests]


async def demo_people(ports: Ports) -> list[Person]:
    """Who can be let in without a password where a demo runs."""
    async with ports.store.reading(ports.now()) as unit:
        return [one for one in await rows.people(unit) if one.demo and one.disabled_at is None]


async def forget_ended(ports: Ports, limit: int) -> int:
    """Drop sessions that are over and tries that count no more, at most `limit` of each; how many."""
    now = ports.now()
    return await rows.forget_ended(ports.store, now, now - TRIES_WITHIN, limit)


def _actor(found: tuple[Person, datetime] | None, demo: bool) -> Actor | None:
    if found is None or (found[0].demo and not demo) or found[0].actor.is_machine:
        return None
    return found[0].actor


def _require_demo_here(person: Person, demo: bool) -> None:
    if person.demo and not demo:
        because = (
            "this is a demo account, and it counts only where a demo runs, on an address that no other machine reaches"
        )
        raise Forbidden("demo-account", because)


async def _counted(ports: Ports, wanted: Wanted) -> tuple[tuple[Person, str] | None, datetime]:
    """Who it may be, after this try was counted: before the password is looked at, so that no number of simultaneous
    tries gets round the limit."""
    async with ports.store.unit(ports.now()) as unit:
        for subject, limit in (
            (_subject_of_address(wanted.address), TRIES_OF_AN_ADDRESS),
            (subject_of_name(wanted.name), TRIES_OF_A_NAME),
        ):
            times = await rows.take_try(unit, subject, unit.now - TRIES_WITHIN)
            if len(times) > limit:
                raise _too_many(times[0] + TRIES_WITHIN - unit.now)
        known = await rows.find_person(unit, folded(wanted.name)) if "\0" not in wanted.name else None
        return known, unit.now


async def _not_let_in(ports: Ports, known: tuple[Person, str] | None) -> None:
    """Of a name that is nobody's nothing is kept: it may be a password in the wrong place."""
    if known is not None:
        async with ports.store.unit(ports.now()) as unit:
            person, _ = await rows.person_of(unit, known[0].id)
            await say(unit, person, rules.SIGN_IN_FAILED, NOBODY)


def _too_many(wait: timedelta) -> TooMany:
    seconds = max(1, int(wait.total_seconds()) + 1)
    minutes = -(-seconds // 60)
    because = f"too many wrong names or passwords; wait {minutes} minute{'s' * (minutes > 1)}, then try again"
    return TooMany("sign-in-limit", because, seconds)


def _subject_of_address(address: str) -> str:
    return _digest(f"address\0{rules.network(address)}")


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()
