"""The history shown to those who check it: checkpoints, keys, proofs; and a new key in place of the old."""

import base64
from datetime import datetime
from typing import Annotated, Any, Protocol
from uuid import UUID

import msgspec

from unstuck.connect.jws import public_jwk
from unstuck.kernel import registry
from unstuck.kernel.canonical import encode_trusted
from unstuck.kernel.event import Event
from unstuck.kernel.ids import rfc3339
from unstuck.kernel.refusal import Invalid, Missing, Refused
from unstuck.service.ports import Ports
from unstuck.store.checking import audit_look
from unstuck.store.keys import STREAM
from unstuck.store.rows import Changes, RegistryChange
from unstuck.verifier.note import Key

Base64 = Annotated[str, msgspec.Meta(description="base64 of 32 bytes")]
Time = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})]


class Signer(Protocol):
    """A signing key."""

    def verifier(self) -> str: ...

    def statement(self, about: str, *lines: object) -> str: ...


class Keyring(Protocol):
    """Our signing keys, as files."""

    def signer(self, verifier: str | None) -> Signer | None: ...

    def add(self) -> Signer: ...

    def settle(self, verifier: str) -> None: ...


class CheckpointView(msgspec.Struct):
    """A signed tree: `note` is the C2SP text, which is all that counts."""

    size: int
    at: Time
    note: str


class CheckpointPage(msgspec.Struct):
    """Checkpoints by size; `after` for the next page, null at the end."""

    checkpoints: list[CheckpointView]
    next: int | None


class Jwk(msgspec.Struct):
    """The same key as RFC 8037 writes it; `kid` is its thumbprint (RFC 7638), as in the header of a resume token."""

    kid: str
    kty: str
    crv: str
    x: str
    use: str
    alg: str


class KeyView(msgspec.Struct):
    """A signing key, in force for checkpoints larger than `after` and up to `until`, null while it is.

    `statement` is what the key before has signed about it, empty for the first.
    """

    id: str
    verifier: str
    after: int
    until: int | None
    since: Time
    statement: str


class KeyList(msgspec.Struct):
    """All keys that ever signed, oldest first; `keys` is a JWK set."""

    history: list[KeyView]
    keys: list[Jwk]


class ProofView(msgspec.Struct, kw_only=True):
    """One event in the exact bytes that are hashed, and what leads from it to a signed checkpoint.

    While `sealed` is false there is no leaf, or no checkpoint that covers it yet; then there is no proof.
    """

    stream: UUID
    seq: int
    envelope: str
    data: str
    sealed: bool
    leaf: int | None = None
    size: int | None = None
    checkpoint: str | None = None
    proof: list[Base64] | None = None


class ConsistencyView(msgspec.Struct):
    """That the larger tree only adds to the smaller one (RFC 6962, 2.1.2), with both checkpoints."""

    old: str
    new: str
    proof: list[Base64]


class RotatedKey(msgspec.Struct):
    """The old key, the new one, and the size of the tree above which only the new one signs."""

    old: str
    new: str
    after: int


async def checkpoints(ports: Ports, after: int, limit: int) -> CheckpointPage:
    """A page of checkpoints."""
    async with ports.store.reading(ports.now()) as unit:
        rows = await audit_look.checkpoints(unit, after, limit + 1)
    shown = [CheckpointView(row["size"], rfc3339(row["at"]), row["note"]) for row in rows[:limit]]
    return CheckpointPage(shown, shown[-1].size if len(rows) > limit else None)


async def keys(ports: Ports) -> KeyList:
    """The public keys."""
    async with ports.store.reading(ports.now()) as unit:
        rows = await audit_look.keys(unit)
    until: list[int | None] = [*(row["after"] for row in rows[1:]), None]
    history = [_key(row, end) for row, end in zip(rows, until[-len(rows) or 1 :], strict=False)]
    return KeyList(history, [Jwk(**public_jwk(Key(one.verifier).raw)) for one in history])


async def proof(ports: Ports, stream: UUID, seq: int) -> ProofView:
    """One event and its way to the newest checkpoint; Missing when there is no such event."""
    async with ports.store.reading(ports.now()) as unit:
        row = await audit_look.event(unit, stream, seq)
        if row is None:
            raise Missing(f"event {stream} {seq}")
        newest = await audit_look.checkpoint(unit, None)
        if newest is None or row["n"] is None or row["n"] >= newest["size"]:
            return _event(row)
        nodes = await audit_look.inclusion(unit, row["n"], newest["size"])
    view = _event(row)
    view.sealed, view.leaf, view.size, view.checkpoint = True, row["n"], newest["size"], newest["note"]
    view.proof = _shown(nodes)
    return view


async def consistency(ports: Ports, old: int, new: int | None) -> ConsistencyView:
    """That one checkpoint continues another; Missing when there is none of that size."""
    async with ports.store.reading(ports.now()) as unit:
        smaller, larger = await audit_look.checkpoint(unit, old), await audit_look.checkpoint(unit, new)
        if smaller is None or larger is None:
            raise Missing(f"a checkpoint of size {old if smaller is None else new}")
        if smaller["size"] > larger["size"]:
            raise Invalid("a tree grows: give the smaller size first", (("/from", "is larger than `to`"),))
        nodes = await audit_look.consistency(unit, smaller["size"], larger["size"])
    return ConsistencyView(smaller["note"], larger["note"], _shown(nodes))


async def rotate_key(ports: Ports, keyring: Keyring, by: str) -> RotatedKey:
    """Replace the signing key: from the tree as it is now on, only the new one signs. Running processes find it."""
    new = keyring.add()
    async with ports.store.unit(ports.now()) as unit:
        size, verifier, count = await audit_look.lock_tree(unit)
        old = keyring.signer(verifier)
        if old is None:
            raise Refused(
                "signing-key", f"the key in force ({verifier}) is not here: bring its file, it signs the change"
            )
        count = count or await _introduce(unit, old)
        note = old.statement("key rotation", old.verifier(), new.verifier(), size)
        await audit_look.add_key(unit, count + 1, new.verifier(), size, note)
        await unit.record(
            Changes(registry=[_rotated(RotatedKey(old.verifier(), new.verifier(), size), note, count, by, unit.now)])
        )
    keyring.settle(new.verifier())
    return RotatedKey(old.verifier(), new.verifier(), size)


async def _introduce(unit: Any, first: Signer) -> int:
    await audit_look.add_key(unit, 1, first.verifier(), 0, "")
    return 1


def _rotated(change: RotatedKey, note: str, count: int, by: str, at: datetime) -> RegistryChange:
    data = {"old": change.old, "new": change.new, "after": change.after, "note": note}
    return RegistryChange("", STREAM, [Event(registry.KEY_ROTATED, at, by, data)], seq=count - 1)


def _key(row: Any, until: int | None) -> KeyView:
    known = Key(row["verifier"])
    return KeyView(known.id.hex(), known.line, row["after"], until, rfc3339(row["at"]), row["note"])


def _event(row: Any) -> ProofView:
    fields = (row["stream"], row["seq"], row["at"], row["recorded_at"], row["type"], row["v"], row["by"])
    text = row["data"].decode(errors="replace")
    envelope = encode_trusted(fields).decode()
    return ProofView(stream=row["stream"], seq=row["seq"], envelope=envelope, data=text, sealed=False)


def _shown(nodes: list[bytes]) -> list[str]:
    return [base64.b64encode(node).decode() for node in nodes]
