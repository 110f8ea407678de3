"""The file of an export, written as it comes: members whose length is not known get their header afterwards."""

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import IO
from uuid import UUID

from unstuck.verifier.archive import BLOCK, CHUNK, header, padding

NAMED_AT_ONCE = 200


class ExportFile:
    """A new file, its owner's alone, that gets its name when it is complete."""

    def __init__(self, path: Path) -> None:
        self._path, self._draft = path, path.with_name(f"{path.name}.{os.getpid()}.partial")
        self._file = os.fdopen(os.open(self._draft, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), "w+b")
        self.members: dict[str, list[object]] = {}

    def __enter__(self) -> "ExportFile":
        return self

    def __exit__(self, kind: type[BaseException] | None, _error: object, _trace: TracebackType | None) -> None:
        with self._file:
            if kind is None:
                self._file.write(bytes(2 * BLOCK))
                self._file.flush()
                os.fsync(self._file.fileno())
        if kind is None:
            self._draft.replace(self._path)
        else:
            self._draft.unlink()

    def put(self, name: str, data: bytes) -> None:
        """A member whose bytes are at hand."""
        self._file.write(b"".join((header(name, len(data)), data, padding(len(data)))))
        self.members[name] = [len(data), sha256(data).hexdigest()]

    def copy(self, name: str, source: IO[bytes]) -> None:
        """A member that is a file; it is not counted among the members, its name is its digest."""
        size = os.fstat(source.fileno()).st_size
        self._file.write(header(name, size))
        left = size
        while chunk := source.read(min(left, CHUNK)):
            self._file.write(chunk)
            left -= len(chunk)
        self._file.write(bytes(left) + padding(size))

    @contextmanager
    def lines(self, name: str) -> Iterator["Lines"]:
        """A member that grows line by line."""
        start = self._file.tell()
        self._file.write(bytes(BLOCK))
        growing = Lines(self._file)
        yield growing
        self._file.write(padding(growing.size))
        end = self._file.tell()
        self._file.seek(start)
        self._file.write(header(name, growing.size))
        self._file.seek(end)
        self.members[name] = [growing.size, growing.hash.hexdigest()]


class Lines:
    """The lines of one member, counted and digested on their way."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.size, self.hash = 0, sha256()

    def add(self, line: bytes) -> None:
        """One more line; its end is added."""
        data = line + b"\n"
        self._file.write(data)
        self.hash.update(data)
        self.size += len(data)


class Named:
    """The digests that events have named, and by which stream first: on disk, for there may be millions."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("")  # a temporary file of its own
        self._db.execute("CREATE TABLE named (digest TEXT PRIMARY KEY, stream TEXT, absent INT) WITHOUT ROWID")

    def __enter__(self) -> "Named":
        return self

    def __exit__(self, *_error: object) -> None:
        self._db.close()

    def add(self, stream: UUID, digests: Iterable[str]) -> None:
        """These digests are named by an event of that stream."""
        self._db.executemany("INSERT OR IGNORE INTO named VALUES (?, ?, 0)", [(d, str(stream)) for d in digests])

    def batches(self) -> Iterator[dict[str, UUID]]:
        """All of them in order, some at a time, each with its stream."""
        query, last = "SELECT digest, stream FROM named WHERE digest > ? ORDER BY digest LIMIT ?", ""
        while rows := self._db.execute(query, (last, NAMED_AT_ONCE)).fetchall():
            last = rows[-1][0]
            yield {digest: UUID(stream) for digest, stream in rows}

    def miss(self, digest: str) -> None:
        """Nothing of that digest is kept here."""
        self._db.execute("UPDATE named SET absent = 1 WHERE digest = ?", (digest,))

    def missed(self) -> Iterator[str]:
        """The digests that nothing is kept of, in order."""
        yield from (row[0] for row in self._db.execute("SELECT digest FROM named WHERE absent ORDER BY digest"))
