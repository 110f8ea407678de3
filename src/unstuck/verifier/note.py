"""Signed notes (C2SP): checkpoints, statements of rotation, and which key was in force when."""

import base64
import binascii
import re
from collections.abc import Iterable, Sequence
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

ED25519 = b"\x01"
Rotation = tuple[str, str, int]


class BadNote(ValueError):
    """A key, a statement or a checkpoint cannot be read, or nobody we trust has signed it."""


class Key:
    """A public key as it is written down: `name+id+key`."""

    def __init__(self, line: str) -> None:
        self.line = line.strip()
        self.name, _, rest = self.line.partition("+")
        claimed, _, encoded = rest.partition("+")
        key = unbase64(encoded)
        self.id = sha256(self.name.encode() + b"\n" + key).digest()[:4]
        if key[:1] != ED25519 or len(key) != 33 or claimed != self.id.hex():
            raise BadNote(f"{self.line[:200]!r} is not a verifier key of the form name+id+key (ed25519)")
        self.raw = key[1:]
        self._key = Ed25519PublicKey.from_public_bytes(self.raw)

    def has_signed(self, note: str) -> bool:
        """Whether one of the note's signatures is this key's, over exactly its text."""
        text, signatures = _taken_apart(note)
        return any(
            name == self.name and signature[:4] == self.id and self._verifies(signature[4:], text.encode())
            for name, signature in signatures
        )

    def _verifies(self, signature: bytes, text: bytes) -> bool:
        try:
            self._key.verify(signature, text)
        except InvalidSignature:
            return False
        return True


class Checkpoint:
    """What a note says: that a tree of `size` leaves has this root."""

    def __init__(self, note: str) -> None:
        text, _ = _taken_apart(note)
        lines = text.split("\n")
        if len(lines) != 4 or not re.fullmatch("0|[1-9][0-9]{0,17}", lines[1]):
            raise BadNote("it may be signed, but it is no checkpoint")
        self.note, self.origin, self.size, self.root = note, lines[0], int(lines[1]), unbase64(lines[2])


class Keys:
    """The keys of a history, oldest first, each in force for the checkpoints larger than the size it took over at.

    `given` are those somebody holds from elsewhere: they vouch for themselves and for those that came after them,
    each named by a statement that the one before has signed. None: nobody holds any.
    """

    def __init__(self, first: str, rotations: Iterable[str] = (), given: Sequence[str] | None = None) -> None:
        self.keys, self.after = [Key(first)], [0]
        for note in rotations:
            old, new, size = rotation_of(note)
            if Key(old).line != self.keys[-1].line or not self.keys[-1].has_signed(note) or size < self.after[-1]:
                raise BadNote("a key was replaced without the signature of the one before")
            self.keys.append(Key(new))
            self.after.append(size)
        lines = None if given is None else {Key(line).line for line in given}
        held = [n for n, key in enumerate(self.keys) if lines is None or key.line in lines]
        self.trusted_from = min(held, default=len(self.keys))

    @property
    def current(self) -> Key:
        return self.keys[-1]

    def read(self, note: str) -> tuple[Checkpoint, bool]:
        """The checkpoint, and whether a key that we trust vouches for it; BadNote when it was not signed as it must be."""
        said = Checkpoint(note)
        n = sum(after < said.size for after in self.after[1:])
        if said.origin != self.keys[n].name or not self.keys[n].has_signed(note):
            replaced = any(key.has_signed(note) for key in self.keys)
            raise BadNote(
                "it is signed by a key that was not in force at its size"
                if replaced
                else "no key we were given has signed it"
            )
        if self.trusted_from == len(self.keys):
            raise BadNote("no key we were given has signed it, nor a key before the one that has")
        return said, n >= self.trusted_from


def rotation_of(note: str) -> Rotation:
    """Old key, new key, and the size above which the new one signs, of a statement of rotation."""
    lines = _taken_apart(note)[0].split("\n")
    if len(lines) != 5 or not lines[0].endswith(" key rotation") or not lines[3].isdecimal():
        raise BadNote("it is no statement of a key rotation")
    return lines[1], lines[2], int(lines[3])


def unbase64(encoded: str) -> bytes:
    """The bytes; BadNote when it is not base64, or not the one way to write them."""
    try:
        data = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadNote(f"{encoded[:80]!r} is not base64") from error
    if base64.b64encode(data).decode() != encoded:
        raise BadNote(f"{encoded[:80]!r} is not base64 as it is written")
    return data


def _taken_apart(note: str) -> tuple[str, list[tuple[str, bytes]]]:
    text, blank, rest = note.partition("\n\n")
    if not blank or not rest.endswith("\n"):
        raise BadNote("it is not a signed note")
    return f"{text}\n", [_signature(line) for line in rest[:-1].split("\n")]


def _signature(line: str) -> tuple[str, bytes]:
    parts = line.split(" ")
    if len(parts) != 3 or parts[0] != "—":
        raise BadNote(f"{line[:80]!r} is no signature")
    return parts[1], unbase64(parts[2])
