"""Evidence files: named by their SHA-256, written once, checked when read."""

import os
from pathlib import Path

from unstuck.kernel.canonical import digest
from unstuck.kernel.refusal import Missing


class FileBlobs:
    """A folder of files, `ab/cdef…`. A name that is there already is the same bytes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def put(self, data: bytes) -> str:
        """Write the bytes durably; return their digest."""
        name = digest(data)
        path = self.path(name)
        if path.exists():
            return name
        path.parent.mkdir(exist_ok=True)
        draft = path.with_suffix(f".{os.getpid()}.new")
        with draft.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        return name

    def path(self, sha256: str) -> Path:
        """Where the bytes of that digest are, or would be."""
        return self._folder / sha256[:2] / sha256[2:]

    def read(self, sha256: str) -> bytes:
        """The bytes; Missing when the file is gone or is no longer what its name says."""
        try:
            data = self.path(sha256).read_bytes()
        except FileNotFoundError as error:
            raise Missing(f"evidence file {sha256}") from error
        if digest(data) != sha256:
            raise Missing(f"an untouched evidence file {sha256}")
        return data
