"""API tokens: a name, its roles, and a secret that is shown once and kept only as its digest."""

from collections.abc import Sequence
from hashlib import sha256

from unstuck.kernel.actor import Actor
from unstuck.kernel.person import folded
from unstuck.kernel.refusal import Invalid
from unstuck.service.ports import Ports
from unstuck.store import people
from unstuck.store.listing.look import token_holders
from unstuck.store.sources import is_held_elsewhere
from unstuck.store.unit import Unit


async def holders(ports: Ports, tokens: Sequence[bytes]) -> list[Actor | None]:
    """Who holds each of these API tokens; None for one that is unknown, revoked, or pretends to be our own loop."""
    digests = [sha256(token).hexdigest() for token in tokens]
    known = await token_holders(ports.store, sorted(set(digests)))
    who = {digest: Actor(*found) for digest, found in known.items()}
    return [None if one is None or one.is_machine else one for one in map(who.get, digests)]


async def add_token(ports: Ports, name: str, roles: tuple[str, ...], secret: str, source: str = "") -> None:
    """Give `name` a token. The same secret again changes its name and roles: a restart of the demo is no error.

    With a `source` it speaks for that one and no other.
    """
    require_roles(ports, roles)
    if len(secret) < 20:
        raise Invalid("a token has at least 20 characters")
    async with ports.store.unit(ports.now()) as unit:
        await require_own_name(unit, name, source)
        await unit.keep_token(ports.new_id(), name, sha256(secret.encode()).hexdigest(), roles, source)


def require_roles(ports: Ports, roles: Sequence[str]) -> None:
    """Refuse roles that the pack does not know, and none at all."""
    there = ports.book.current.document.roles
    unknown = sorted(set(roles) - there.keys())
    if unknown or not roles:
        because = f"no such role: {', '.join(unknown) or '(none given)'}; there are {', '.join(there)}"
        raise Invalid(because, (("/roles", "roles of the policy pack"),))


async def require_own_name(unit: Unit, name: str, source: str) -> None:
    """Refuse a name that is none, or under which somebody speaks for another source or for none.

    What an account owns and its answers to repeated commands go by its name.
    """
    if Actor(name).is_machine or not name.strip() or not name.isprintable():
        because = f"{name!r} cannot be a name: names of our own loops begin like that, or it is not printable"
        raise Invalid(because, (("/holder", "a printable name that does not begin with unstuck:"),))
    await people.hold_name(unit, folded(name))
    if await people.find_person(unit, folded(name)) is not None:
        because = f"{name!r} is somebody who signs in; a token goes by a name of its own"
        raise Invalid(because, (("/holder", "a name that no person has"),))
    if await is_held_elsewhere(unit, name, source):
        because = f"{name!r} is the name of another account, or of a key of another source"
        raise Invalid(because, (("/holder", "a name of its own"),))
