"""Source systems: who reports failures, how often each must be heard, how its orders are spoken of and resumed (B10)."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec

from unstuck.kernel.actor import Actor
from unstuck.kernel.event import EventType
from unstuck.repair.manager import OrderManager

FIRST_HEARD = EventType("source.first-heard", False, "a system that nobody had registered reported something")
REGISTERED = EventType("source.registered", True, "somebody said who it is and how often it must be heard")
KEY_ISSUED = EventType("source.key-issued", False, "it got a token that speaks for it alone")
KEY_REVOKED = EventType("source.key-revoked", False, "a token of it no longer counts")
WENT_SILENT = EventType("source.went-silent", False, "it was not heard for longer than it may be silent")
HEARD_AGAIN = EventType("source.heard-again", False, "a silent source was heard again")

ALL = (FIRST_HEARD, REGISTERED, KEY_ISSUED, KEY_REVOKED, WENT_SILENT, HEARD_AGAIN)
RESERVED = ("person", "engine")  # who opens cases beside sources


def is_ours(name: str) -> bool:
    """Whether no source may be called so: it is who opens cases beside sources, or a loop of our own."""
    return name.strip() in RESERVED or Actor(name.strip()).is_machine


class SourceSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How its orders are spoken of (`dialect`, a name of the pack) and how they are resumed by us (`resume`).

    `token_life_s`: how long its resume tokens last, when not as the pack says.
    """

    dialect: str = ""
    resume: OrderManager | None = None
    token_life_s: Annotated[int, msgspec.Meta(gt=0, le=30 * 86_400)] | None = None


class Source(msgspec.Struct, frozen=True):
    """One source. Without `heartbeat_s` (seconds) it may be silent for ever; not `registered`: it just reported."""

    id: UUID
    name: str
    title: str
    registered: bool
    version: int
    seq: int
    heartbeat_s: Annotated[int, msgspec.Meta(gt=0)] | None
    watched_since: datetime | None
    last_heard: datetime | None
    silent_since: datetime | None
    settings: SourceSettings

    @property
    def is_silent(self) -> bool:
        return self.silent_since is not None
