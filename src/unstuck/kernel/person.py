"""People who sign in: what their names and passwords must be, how long they stay, what can become true of them."""

import re
import unicodedata
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network
from uuid import UUID

import msgspec

from unstuck.kernel.actor import Actor
from unstuck.kernel.event import EventType
from unstuck.kernel.refusal import Invalid

ADDED = EventType("person.added", True, "somebody may sign in from now on, with these roles")
ROLES_CHANGED = EventType("person.roles-changed", True, "they have these roles and no others")
DISABLED = EventType("person.disabled", True, "they may not sign in any more; their sessions ended")
ENABLED = EventType("person.enabled", True, "they may sign in again")
PASSWORD_CHANGED = EventType("person.password-changed", False, "they have another password; their sessions ended")
SIGNED_IN = EventType("person.signed-in", False, "they proved who they are; a session began")
SIGN_IN_FAILED = EventType("person.sign-in-failed", False, "somebody gave this name and was not let in")
SIGNED_OUT = EventType("person.signed-out", False, "they ended a session")
SESSIONS_ENDED = EventType("person.sessions-ended", False, "they ended all their sessions")

ALL = (
    ADDED,
    ROLES_CHANGED,
    DISABLED,
    ENABLED,
    PASSWORD_CHANGED,
    SIGNED_IN,
    SIGN_IN_FAILED,
    SIGNED_OUT,
    SESSIONS_ENDED,
)

NAME = re.compile(r"\w(?:[\w.@' -]{0,58}[\w.])?")
RESERVED = ("nobody", "person", "engine")  # what the history calls who is none of the people
PASSWORD_LENGTH = (12, 200)
DIFFERENT_CHARACTERS = 5
IDLE, LIFE = timedelta(hours=8), timedelta(hours=24)
TRIES_OF_A_NAME, TRIES_OF_AN_ADDRESS, TRIES_WITHIN = 5, 20, timedelta(minutes=15)


class Person(msgspec.Struct, frozen=True):
    """One of them. `demo`: made with a demo world, and let in only where one runs."""

    id: UUID
    name: str
    roles: tuple[str, ...]
    demo: bool
    made_at: datetime
    disabled_at: datetime | None
    version: int
    seq: int

    @property
    def actor(self) -> Actor:
        return Actor(self.name, frozenset(self.roles))


def folded(name: str) -> str:
    """What two spellings of one name have in common: nobody is to pass for somebody else by a capital letter."""
    return unicodedata.normalize("NFKC", name).strip().casefold()


def plain_name(name: str) -> str:
    """The name as it is kept; Invalid when it cannot be one."""
    given = unicodedata.normalize("NFKC", name).strip()
    if NAME.fullmatch(given) is None or folded(given) in RESERVED or Actor(given).is_machine:
        wanted = "1 to 60 letters, digits and . _ - @ ' or blanks between them, beginning with a letter or digit"
        raise Invalid(f"{given[:60]!r} cannot be the name of a person: {wanted}", (("/name", wanted),))
    return given


def network(address: str) -> str:
    """What tries from an address are counted by: who has one of IPv6 has as many as they like of the same 64 bits."""
    try:
        at = ip_address(address)
    except ValueError:
        return address
    if at.version == 4:
        return str(at)
    return str(at.ipv4_mapped or ip_network((int(at), 64), strict=False))


def require_password(password: str, name: str) -> None:
    """Refuse a password that is easily guessed."""
    shortest, longest = PASSWORD_LENGTH
    if not shortest <= len(password) <= longest:
        _weak(f"a password has {shortest} to {longest} characters; a few words are easily remembered")
    if len(set(password)) < DIFFERENT_CHARACTERS:
        _weak(f"a password has at least {DIFFERENT_CHARACTERS} different characters")
    if folded(name) in folded(password) and len(folded(password)) - len(folded(name)) < shortest // 2:
        _weak("a password is not the name with a little added")


def _weak(because: str) -> None:
    raise Invalid(because, (("/password", because),))
