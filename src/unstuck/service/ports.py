"""What the service is given: the store, time, ids, chance, other systems, evidence files. `app` fills it in."""

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Protocol
from uuid import UUID

import msgspec

from unstuck.repair.outcome import Call, Outcome
from unstuck.service.book import Book
from unstuck.store.unit import Store


class Connector(Protocol):
    """A downstream system as we may use it. Neither call raises for what the target does: an outcome says it.

    `may_send` is asked right before the bytes are written; when it says no, nothing is sent.
    """

    async def send(self, call: Call, may_send: Callable[[], bool]) -> Outcome: ...

    async def ask(self, call: Call) -> Outcome: ...


class Blobs(Protocol):
    """Evidence bytes by their digest: written once, read and checked by anybody."""

    def put(self, data: bytes) -> str: ...

    def path(self, sha256: str) -> Path: ...

    def read(self, sha256: str) -> bytes: ...


class Ports(msgspec.Struct, frozen=True):
    """The world as the service knows it."""

    store: Store
    book: Book
    now: Callable[[], datetime]
    new_id: Callable[[], UUID]
    chance: Callable[[], float]
    connectors: Mapping[str, Connector]
    blobs: Blobs
    lease_s: float
    worker: str
