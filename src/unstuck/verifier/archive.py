"""The archive: a plain tar in which every header is what its name and size make it, so it can be read in one way only."""

import json
import re
from collections.abc import Iterator
from hashlib import sha256
from typing import IO, Any

BEFORE = ("about.json", "verify.py", "keys.jsonl", "checkpoints.jsonl", "events.jsonl")
AFTER = ("absent.jsonl", "manifest.json", "manifest.note")
PAYLOAD = re.compile(r"payloads/([0-9a-f]{64})")
BLOCK, CHUNK, LINE_LIMIT = 512, 1 << 16, 1 << 26
Json = dict[str, Any]


class Broken(Exception):
    """The export cannot be read any further: what, where and why."""


def header(name: str, size: int) -> bytes:
    """The one header of a member: a regular file of nobody, from no time."""
    length = f"{size:011o}\0".encode() if size < 8**11 else b"\x80" + size.to_bytes(11, "big")
    fields = (name.encode().ljust(100, b"\0"), b"0000644\0" + b"0000000\0" * 2, length, b"00000000000\0", b" " * 8)
    block = (b"".join(fields) + b"0").ljust(257, b"\0") + b"ustar\x0000"
    block = block.ljust(BLOCK, b"\0")
    return block[:148] + f"{sum(block):06o}\0 ".encode() + block[156:]


def padding(size: int) -> bytes:
    """What fills the last block of a member."""
    return bytes(-size % BLOCK)


class Member:
    """A member being read; its digest is known when all of it was."""

    def __init__(self, name: str, size: int, file: IO[bytes]) -> None:
        self.name, self.size, self._file, self._left = name, size, file, size
        self._hash = sha256()

    def lines(self) -> Iterator[bytes]:
        """Its lines; the last ends like all others."""
        while self._left:
            line = self._file.readline(min(self._left, LINE_LIMIT))
            if not line.endswith(b"\n"):
                raise Broken("archive", self.name, "it is cut short, or a line of it is too long")
            self._hash.update(line)
            self._left -= len(line)
            yield line

    def rest(self) -> bytes:
        """What of it was not read yet; for members that are small."""
        return b"".join(self._chunks())

    def close(self) -> str:
        """Read to the end and its padding; return the digest."""
        for _chunk in self._chunks():
            pass
        if self._file.read(len(padding(self.size))) != padding(self.size):
            raise Broken("archive", self.name, "it is cut short, or there is something behind it")
        return self._hash.hexdigest()

    def _chunks(self) -> Iterator[bytes]:
        while self._left:
            chunk = self._file.read(min(self._left, CHUNK))
            if not chunk:
                raise Broken("archive", self.name, "the file is cut short")
            self._hash.update(chunk)
            self._left -= len(chunk)
            yield chunk


def members(file: IO[bytes]) -> Iterator[Member]:
    """The members in order; the caller reads and closes each before it takes the next."""
    while block := file.read(BLOCK):
        if block == bytes(BLOCK):
            if file.read(BLOCK) != bytes(BLOCK) or file.read(1):
                raise Broken("archive", "end", "it does not end as an export does, or something was appended")
            return
        try:
            name = block[:100].rstrip(b"\0").decode("ascii")
            large = block[124:125] == b"\x80"
            size = int.from_bytes(block[125:136], "big") if large else int(block[124:135], 8)
        except ValueError as error:
            raise Broken("archive", "header", "a header cannot be read") from error
        if len(block) != BLOCK or header(name, size) != block:
            raise Broken("archive", repr(name), "its header is not one that an export has")
        yield Member(name, size, file)
    raise Broken("archive", "end", "the file is cut short")


def parsed(text: bytes, where: str, fields: str) -> Json:
    """A JSON object of exactly these fields."""
    try:
        value = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise Broken("json", where, f"it cannot be read ({error!s:.80})") from error
    if not isinstance(value, dict) or sorted(value) != sorted(fields.split()):
        raise Broken("json", where, f"it is not an object with exactly: {fields}")
    return value


def _once(pairs: list[tuple[str, Any]]) -> Json:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a field is there twice")
    return value
