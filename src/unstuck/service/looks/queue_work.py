"""One command on several cases that somebody selected: each is a command of its own, and each has an answer of its own."""

from collections.abc import Callable, Sequence
from hashlib import sha256

import msgspec

from unstuck.fallout.case import Case, Command
from unstuck.kernel.actor import Actor
from unstuck.kernel.refusal import Refused
from unstuck.service import once
from unstuck.service.case_work import cases
from unstuck.service.looks import views
from unstuck.service.ports import Ports
from unstuck.store.answers import Once

DONE = 303


class Chosen(msgspec.Struct, frozen=True):
    """A selected case, with the version that was looked at."""

    name: str
    version: int


class Answered(msgspec.Struct, frozen=True):
    """What became of one: done when no `rule` refused it."""

    name: str
    rule: str = ""
    because: str = ""

    @property
    def done(self) -> bool:
        return not self.rule


async def for_each(
    ports: Ports, chosen: Sequence[Chosen], who: Actor, name: str, make: Callable[[Case], Command], key: str, says: str
) -> list[Answered]:
    """Carry out the command `name` on each, one after the other; nothing of one depends on another.

    Sent again under the same `key`, what was done is answered again. `says` is what the command was given.
    """
    return [await _one(ports, one, who, name, make, f"queue:{key}:{one.name}", says) for one in chosen]


async def _one(
    ports: Ports, one: Chosen, who: Actor, name: str, make: Callable[[Case], Command], key: str, says: str
) -> Answered:
    digest = sha256(f"{name}\0{one.name}\0{one.version}\0{says}".encode()).hexdigest()
    again = Once(who.id, key, digest, DONE)
    try:
        if await once.earlier(ports, again) is None:
            case_id = await views.find_case(ports, one.name)
            await cases.command(msgspec.structs.replace(ports, once=again), case_id, one.version, who, name, make)
    except Refused as refusal:
        return Answered(one.name, refusal.rule, refusal.because)
    return Answered(one.name)
