"""An audit export: events with their proofs, keys, checkpoints and, if asked, what they name by digest, in one file.

It is read in one consistent view and written as it is read. The export hides nothing: what somebody has changed in
the database is exported as it is, and does not verify.
"""

import base64
import json
import re
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

import asyncpg
import msgspec

from unstuck.kernel.canonical import encode, encode_trusted
from unstuck.kernel.ids import rfc3339
from unstuck.kernel.refusal import Missing
from unstuck.store.checking.export_file import ExportFile, Lines, Named
from unstuck.store.checking.proofs import Proofs
from unstuck.store.seal import Keyring, Signer, key_in_force
from unstuck.store.statements import sql
from unstuck.verifier.alone import text as verifier_text
from unstuck.verifier.check import DIGEST, FORMAT

NEWEST_CHECKPOINTS = 1000
EVENTS_AT_ONCE, PAYLOADS_AT_ONCE = 1000, 8
TOLD_EVERY = 10_000
Progress = Callable[[str, int], None]
NUMBERED = re.compile(r"(FC|ORD)-([0-9]{1,18})", re.IGNORECASE)
NO_KEY = "an export is signed, and the signing key in force is not here: run this where the worker's key is"


class NoKey(Exception):
    """What was asked needs the signing key in force, and its file is not here."""


class Scope(msgspec.Struct, frozen=True):
    """What to export: one case with its order, one order with its cases, a period, or everything."""

    kind: str
    name: str = ""
    since: datetime | None = None
    until: datetime | None = None
    payloads: bool = False
    joining: tuple[int, ...] = ()  # sizes of checkpoints held elsewhere


class Files(Protocol):
    """Where evidence is kept."""

    def path(self, sha256: str) -> Path: ...


@asynccontextmanager
async def view(url: str) -> AsyncIterator[asyncpg.Connection]:
    """One consistent view of the database, to read from."""
    conn = await asyncpg.connect(url, server_settings={"application_name": "unstuck", "timezone": "UTC"})
    try:
        async with conn.transaction(isolation="repeatable_read", readonly=True):
            yield conn
    finally:
        await conn.close()


async def export(
    conn: asyncpg.Connection, keys: Keyring, files: Files, scope: Scope, to: Path, now: datetime, progress: Progress
) -> dict[str, Any]:
    """Write the export of what `conn`'s transaction sees; its counts. NoKey, Missing, or NoTree when the tree has a hole."""
    verifier = await key_in_force(conn)
    signer = keys.signer(verifier)
    if signer is None:
        raise NoKey(NO_KEY)
    queries = await _queries(conn, scope)
    size = await conn.fetchval("SELECT coalesce(max(size), 0) FROM checkpoint")
    with ExportFile(to) as file, Named() as named:
        file.put("about.json", _line(_about(signer, scope, size, now)))
        file.put("verify.py", verifier_text().encode())
        await _keys(conn, file, signer)
        proofs = Proofs(conn, size)
        await _checkpoints(conn, file, proofs, scope)
        writer = _Events(proofs, size, scope, named, progress)
        with file.lines("events.jsonl") as lines:
            for query in queries:
                await writer.write(conn, lines, *query)
        payloads, names = await _payloads(conn, file, files, named, progress)
        _close(
            file,
            signer,
            {"events": writer.events, "sealed": writer.sealed, "payloads": payloads, "payload_names": names},
        )
    return {
        "file": str(to), "events": writer.events, "sealed": writer.sealed, "unsealed": writer.events - writer.sealed,
        "checkpoint": size, "payloads": payloads, "key": signer.verifier(), "bytes": to.stat().st_size,
    }  # fmt: skip


def _about(signer: Signer, scope: Scope, size: int, now: datetime) -> dict[str, Any]:
    period = " ".join(f"{word} {rfc3339(at)}" for word, at in (("since", scope.since), ("until", scope.until)) if at)
    return {
        "format": FORMAT, "origin": signer.origin, "scope": " ".join(filter(None, (scope.kind, scope.name, period))),
        "made_at": rfc3339(now), "size": size, "complete": scope.kind == "all",
        "whole_streams": scope.kind != "time", "payloads": scope.payloads,
    }  # fmt: skip


async def _queries(conn: asyncpg.Connection, scope: Scope) -> list[tuple[Any, ...]]:
    match scope.kind:
        case "all":
            return [(sql("export_sealed"),), (sql("export_unsealed"),)]
        case "time":
            return [(sql("export_time"), scope.since, scope.until)]
        case "case":
            case = await _named(conn, "fallout_case", scope.name)
            order = await conn.fetchval("SELECT order_id FROM fallout_case WHERE id = $1", case)
            return [(sql("export_streams"), [case, *([order] if order else [])])]
        case _:
            order = await _named(conn, "orders", scope.name)
            cases = await conn.fetch("SELECT id FROM fallout_case WHERE order_id = $1", order)
            return [(sql("export_streams"), [order, *(row["id"] for row in cases)])]


async def _named(conn: asyncpg.Connection, table: str, name: str) -> UUID:
    """The id behind what people write: FC-1042, ORD-1042, or the id itself."""
    numbered = NUMBERED.fullmatch(name)
    try:
        where, value = ("number", int(numbered[2])) if numbered else ("id", UUID(name))
    except ValueError as error:
        raise Missing(f"{name!r}: give an id, or a number such as FC-1042 or ORD-1042; it") from error
    found: UUID | None = await conn.fetchval(f"SELECT id FROM {table} WHERE {where} = $1", value)
    if found is None:
        raise Missing(f"{'case' if table == 'fallout_case' else 'order'} {name}")
    return found


async def _keys(conn: asyncpg.Connection, file: ExportFile, signer: Signer) -> None:
    rows = await conn.fetch("SELECT verifier, note FROM signing_key ORDER BY no")
    first = rows[0]["verifier"] if rows else signer.verifier()
    with file.lines("keys.jsonl") as lines:
        lines.add(_line({"verifier": first}))
        for row in rows[1:]:
            lines.add(_line({"note": row["note"]}))


async def _checkpoints(conn: asyncpg.Connection, file: ExportFile, proofs: Proofs, scope: Scope) -> None:
    with file.lines("checkpoints.jsonl") as lines:
        for row in await conn.fetch(sql("export_checkpoints"), NEWEST_CHECKPOINTS, list(scope.joining)):
            proof = await proofs.consistency(row["size"])
            lines.add(_line({"note": row["note"], "consistency": _shown(proof)}))


class _Events:
    """Writes events in the order of the tree, each sealed one with its proof unless the whole tree is exported."""

    def __init__(self, proofs: Proofs, size: int, scope: Scope, named: Named, progress: Progress) -> None:
        self._proofs, self._size, self._scope = proofs, size, scope
        self._named, self._progress = named, progress
        self.events = self.sealed = 0

    async def write(self, conn: asyncpg.Connection, lines: Lines, query: str, *given: Any) -> None:
        """The events that `query` finds."""
        async for row in conn.cursor(query, *given, prefetch=EVENTS_AT_ONCE):
            proof = None
            if row["n"] is not None and row["n"] < self._size:
                self.sealed += 1
                proof = None if self._scope.kind == "all" else _shown(await self._proofs.inclusion(row["n"]))
            if self._scope.payloads:
                self._named.add(row["stream"], DIGEST.findall(row["data"].decode(errors="replace")))
            lines.add(_event(row, proof))
            self.events += 1
            if self.events % TOLD_EVERY == 0:
                self._progress("events", self.events)


def _event(row: Any, proof: list[str] | None) -> bytes:
    fields = (row["stream"], row["seq"], row["at"], row["recorded_at"], row["type"], row["v"], row["by"])
    line = {"n": row["n"], "envelope": encode_trusted(fields).decode(), "data": "", "proof": proof}
    try:
        line["data"] = row["data"].decode()
        return _line(line)
    except UnicodeDecodeError:  # nobody of ours wrote this; it is exported as it is, and does not verify
        line["data"] = row["data"].decode("utf-8", "surrogateescape")
        return json.dumps(line).encode()


async def _payloads(
    conn: asyncpg.Connection, file: ExportFile, files: Files, named: Named, progress: Progress
) -> tuple[int, str]:
    """Enclose what was named, in the order of the digests; how many, and the digest over their names."""
    count, names = 0, sha256()
    for batch in named.batches():
        found = conn.cursor(sql("export_payloads"), list(batch.values()), list(batch), prefetch=PAYLOADS_AT_ONCE)
        packs = await _packs(conn, batch)
        rows = aiter(found)
        row = await anext(rows, None)
        for digest in batch:
            name = f"payloads/{digest}"
            if row is not None and row["digest"] == digest:
                _enclose(file, name, row["body"])
                row = await anext(rows, None)
            elif digest in packs:
                _enclose(file, name, packs[digest])
            elif files.path(digest).is_file():
                with files.path(digest).open("rb") as evidence:
                    file.copy(name, evidence)
            else:
                named.miss(digest)
                continue
            count += 1
            names.update(digest.encode())
        progress("payloads", count)
    with file.lines("absent.jsonl") as lines:
        for digest in named.missed():
            lines.add(
                _line({"sha256": digest, "because": "nothing of that digest is kept here, or it is never exported"})
            )
    return count, names.hexdigest()


def _enclose(file: ExportFile, name: str, body: bytes) -> None:
    file.put(name, body)
    del file.members[name]  # its name is its digest; millions of them must not be remembered


async def _packs(conn: asyncpg.Connection, digests: Iterable[str]) -> dict[str, bytes]:
    """Policy packs are named by the digest of their files in canonical form."""
    rows = await conn.fetch("SELECT hash, files FROM policy_pack WHERE hash = ANY($1::text[])", list(digests))
    return {row["hash"]: encode(msgspec.json.decode(row["files"])) for row in rows}


def _close(file: ExportFile, signer: Signer, counts: dict[str, Any]) -> None:
    manifest = _line({"members": file.members, **counts})
    file.put("manifest.json", manifest)
    file.put("manifest.note", signer.statement("audit export", f"sha256 {sha256(manifest).hexdigest()}").encode())


def _line(value: Any) -> bytes:
    return msgspec.json.encode(value)


def _shown(hashes: Sequence[bytes]) -> list[str]:
    return [base64.b64encode(node).decode() for node in hashes]
