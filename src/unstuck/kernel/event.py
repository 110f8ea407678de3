"""Events: facts about one stream, in order. Their types and versions are declared, never invented on the way."""

from datetime import datetime
from typing import Any

import msgspec


class EventType(msgspec.Struct, frozen=True):
    """One kind of fact. `decisive` ones move the version that approvals and tabs are compared with."""

    name: str
    decisive: bool
    says: str
    v: int = 1


class Event(msgspec.Struct, frozen=True):
    """A fact: what kind, when it became true for us, who made it so, and the data (canonical values only)."""

    type: EventType
    at: datetime
    by: str
    data: dict[str, Any]
