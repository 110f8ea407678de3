"""Checkpoints as they are read back: C2SP signed notes, checked with the public keys somebody else kept."""

import base64
import binascii
from collections.abc import Iterable, Mapping
from hashlib import sha256

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from unstuck.store.seal import ED25519

Keys = Mapping[tuple[str, bytes], Ed25519PublicKey]


class BadNote(ValueError):
    """A key or a checkpoint cannot be read, or nobody we trust has signed it."""


class Checkpoint(msgspec.Struct, frozen=True):
    """What a signed note says: that a tree of `size` leaves has this root."""

    origin: str
    size: int
    root: bytes


def read_keys(verifiers: Iterable[str]) -> Keys:
    """The keys of these `name+id+key` lines, by name and id; BadNote names one that is not well formed."""
    return dict(_key(line.strip()) for line in verifiers)


def read_note(note: str, keys: Keys) -> Checkpoint:
    """The checkpoint that a note holds; BadNote when no trusted key has signed exactly this text."""
    text, blank, signatures = note.partition("\n\n")
    if not blank or not signatures.endswith("\n"):
        raise BadNote("it is not a signed note")
    trusted = [_signed(line, f"{text}\n".encode(), keys) for line in signatures[:-1].split("\n")]
    if not any(trusted):
        raise BadNote("no key we were given has signed it")
    lines = text.split("\n")
    if len(lines) < 3 or not lines[1].isdecimal():
        raise BadNote("it is signed but is no checkpoint")
    return Checkpoint(lines[0], int(lines[1]), _bytes(lines[2]))


def _key(line: str) -> tuple[tuple[str, bytes], Ed25519PublicKey]:
    name, _, rest = line.partition("+")
    claimed, _, encoded = rest.partition("+")
    key = _bytes(encoded)
    known = sha256(name.encode() + b"\n" + key).digest()[:4]
    if key[:1] != ED25519 or len(key) != 33 or claimed != known.hex():
        raise BadNote(f"{line!r} is not a verifier key of the form name+id+key (ed25519)")
    return (name, known), Ed25519PublicKey.from_public_bytes(key[1:])


def _signed(line: str, text: bytes, keys: Keys) -> bool:
    dash, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    if dash != "—":
        raise BadNote(f"{line!r} is no signature")
    signature = _bytes(encoded)
    key = keys.get((name, signature[:4]))
    if key is None:
        return False
    try:
        key.verify(signature[4:], text)
    except InvalidSignature:
        return False
    return True


def _bytes(encoded: str) -> bytes:
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadNote(f"{encoded!r} is not base64") from error
