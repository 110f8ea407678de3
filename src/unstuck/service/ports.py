"""What the service is given: the store, time, ids, chance, other systems, evidence files. `app` fills it in."""

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

import msgspec

from unstuck.connect.tmf import Asked, Seen
from unstuck.connect.webhook import Reply
from unstuck.repair.manager import OrderManager, Way
from unstuck.repair.outcome import Call, Outcome
from unstuck.service.book import Book
from unstuck.service.looks.trying import Try, nothing_to_try
from unstuck.store.answers import Once
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


class Webhooks(Protocol):
    """Addresses of strangers as we may use them: never one inside, never redirected, never waited for long."""

    async def require_reachable(self, url: str) -> None:
        """Refuse (Invalid) an address that we will not call."""
        ...

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Send once. Never raises for what the receiver does."""
        ...


class Vault(Protocol):
    """Keeps secrets unreadable in the database. `owner` is what a secret belongs to: it opens for no other."""

    def lock(self, secret: bytes, owner: UUID) -> bytes: ...

    def unlock(self, locked: bytes, owner: UUID) -> bytes: ...


class Outside(msgspec.Struct, frozen=True):
    """What events out need: who calls, with which secrets, and the name under which we publish."""

    webhooks: Webhooks
    vault: Vault
    origin: str


class Tokens(Protocol):
    """Signs resume tokens, and knows its own again, also those of a key before the one in force."""

    @property
    def issuer(self) -> str: ...

    def sign(self, claims: dict[str, Any]) -> str: ...

    def read(self, text: str) -> dict[str, Any]:
        """The claims; Refused (token-forged) when no key of ours has signed them."""
        ...


class OtherManagers(Protocol):
    """Order managers that are not ours. None of it raises for what they do."""

    async def require_reachable(self, manager: OrderManager) -> None:
        """Refuse (Invalid) settings that lead inside."""
        ...

    async def look(self, manager: OrderManager, order_ref: str) -> Seen: ...

    async def ask(
        self, manager: OrderManager, way: Way, words: Mapping[str, str], before: dict[str, Any], etag: str
    ) -> Asked: ...


class Foreign(msgspec.Struct, frozen=True):
    """What orders need that go on elsewhere: tokens as text, and the managers that cannot take one."""

    tokens: Tokens
    managers: OtherManagers


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
    outside: Outside
    foreign: Foreign
    trying: Callable[[], tuple[Try, ...]] = nothing_to_try  # what a demo offers its visitors
    once: Once | None = None  # the command at hand may be sent again under this key
