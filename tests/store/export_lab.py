"""What the tests of exports share: an export of the small world, and ways to write an archive nobody of ours would."""

import asyncio
import json
import os
import random
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from proof.p7 import Lab

from unstuck.store.checking.export import Scope, export
from unstuck.store.seal import Signer
from unstuck.verifier.archive import header, padding

NOW = datetime(2026, 11, 3, 12, 0, tzinfo=UTC)


async def exported(lab: Lab, to: Path, scope: Scope, **more: Any) -> dict[str, Any]:
    """The export of the finished world."""
    async with reading(lab) as conn:
        return await export(conn, more.get("keys", lab.world.keys), lab.blobs, scope, to, NOW, lambda *_: None)


async def command(lab: Lab, *arguments: str, **environment: str) -> tuple[int, Any]:
    """`unstuck` in a process of its own, beside the lab's database and key; its exit code and what it printed."""
    given = {"UNSTUCK_DATABASE_URL": lab.world.urls.app, "UNSTUCK_DATA": str(lab.world.keys._path.parent)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "unstuck.cli.main", *arguments,
        env={**os.environ, **given, **environment}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    assert b"Traceback" not in err, err.decode()
    return process.returncode or 0, json.loads(out) if out and "--json" in arguments else err.decode()


@asynccontextmanager
async def reading(lab: Lab) -> AsyncIterator[Any]:
    """A view of the lab's database."""
    async with lab.world.ports.store.pool.acquire() as conn, conn.transaction(readonly=True):
        yield conn


@dataclass
class Archive:
    """An export taken apart, to be put together again as a forger would."""

    parts: list[tuple[str, bytes]]
    end: bytes = bytes(1024)
    headers: dict[str, bytes] = field(default_factory=dict)

    @classmethod
    def of(cls, path: Path) -> "Archive":
        data, at, parts = path.read_bytes(), 0, []
        while data[at] != 0:
            name = data[at : at + 100].rstrip(b"\0").decode()
            size = int(data[at + 124 : at + 135], 8)
            parts.append((name, data[at + 512 : at + 512 + size]))
            at += 512 + size + len(padding(size))
        return cls(parts)

    def names(self) -> list[str]:
        return [name for name, _ in self.parts]

    def get(self, name: str) -> bytes:
        return dict(self.parts)[name]

    def set(self, name: str, data: bytes) -> None:
        self.parts = [(n, data if n == name else old) for n, old in self.parts]

    def lines(self, name: str) -> list[Any]:
        return [json.loads(line) for line in self.get(name).splitlines()]

    def set_lines(self, name: str, lines: list[Any]) -> None:
        self.set(name, b"".join(json.dumps(line).encode() + b"\n" for line in lines))

    def sign(self, signer: Signer) -> None:
        """A manifest that fits what is there now, signed."""
        counted = [n for n in self.names() if not n.startswith(("payloads/", "manifest"))]
        members = {name: [len(self.get(name)), sha256(self.get(name)).hexdigest()] for name in counted}
        self.set("manifest.json", json.dumps(json.loads(self.get("manifest.json")) | {"members": members}).encode())
        self.note(signer)

    def note(self, signer: Signer) -> None:
        digest = sha256(self.get("manifest.json")).hexdigest()
        self.set("manifest.note", signer.statement("audit export", f"sha256 {digest}").encode())

    def write(self, path: Path) -> None:
        whole = (self.headers.get(n, header(n, len(data))) + data + padding(len(data)) for n, data in self.parts)
        path.write_bytes(b"".join(whole) + self.end)


Deed = Callable[[Archive, random.Random], None]
