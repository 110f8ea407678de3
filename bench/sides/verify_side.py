"""The audit at work on a finished database: seals it anew, folds and compares it, exports it, verifies the export.

One phase a line on stdin; says what it did as one JSON object a line. Beside each phase stands the floor under it:
the same rows only read, the same bytes only hashed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import uvloop

from unstuck.app import utc_now
from unstuck.kernel.merkle import Frontier
from unstuck.store.blobs import FileBlobs
from unstuck.store.checking import audit_orders
from unstuck.store.checking.audit_report import Report
from unstuck.store.checking.audit_streams import batches, histories
from unstuck.store.checking.audit_tree import check_tree
from unstuck.store.checking.export import Scope, export
from unstuck.store.seal import Signer, hash_of, seal
from unstuck.store.statements import sql
from unstuck.verifier.check import verify
from unstuck.verifier.note import Keys

EVERYTHING = ("0", "9223372036854775807")
SIGNER = Signer("bench", b"b" * 32)
Done = dict[str, int]


class Bench:
    """The phases. `folder` gets the exports."""

    def __init__(self, pool: asyncpg.Pool, admin: asyncpg.Connection, folder: Path) -> None:
        self._pool, self._admin = pool, admin
        self._rows: list[Any] = []
        self._whole, self._proven, self._blobs = (
            folder / "whole.tar",
            folder / "proven.tar",
            FileBlobs(folder / "files"),
        )

    async def reset(self) -> Done:
        """Nothing is sealed."""
        await self._admin.execute("SET session_replication_role = replica")
        await self._admin.execute("TRUNCATE leaf, tile, checkpoint, signing_key")
        await self._admin.execute("UPDATE seal SET size = 0, frontier = '', below = '0', checkpoint_at = NULL")
        await self._admin.execute("VACUUM ANALYZE")
        return {"rows": 0}

    async def read(self) -> Done:
        """The floor of sealing: the rows, read."""
        self._rows = await self._pool.fetch(sql("seal_batch"), *EVERYTHING)
        return {"rows": len(self._rows)}

    async def digest(self) -> Done:
        """The floor of hashing: SHA-256 over the data of each row."""
        return {"rows": len([sha256(row["data"]).digest() for row in self._rows])}

    async def hash(self) -> Done:
        """Every row hashed to its leaf and put into the tree; no database."""
        tree = Frontier()
        for row in self._rows:
            tree.append(hash_of(row))
        return {"rows": tree.size}

    async def seal(self) -> Done:
        """Everything sealed as the worker does it, batch by batch: read, hashed, numbered, written, signed."""
        rows = 0
        while sealed := await seal(self._pool, SIGNER, utc_now(), None):
            rows += sealed
        return {"rows": rows}

    async def tree(self) -> Done:
        """Every leaf held against its event, and the tree against its checkpoint."""
        return await self._audit(lambda conn, report: check_tree(conn, report, Keys(SIGNER.verifier()), (), _quiet))

    async def fold(self) -> Done:
        """Every order folded from its events and compared with its rows."""
        return await self._audit(lambda conn, report: audit_orders.check_orders(conn, report, _quiet))

    async def fold_floor(self) -> Done:
        """The floor of folding: the same rows in the same batches, only read."""
        rows = 0
        async with self._pool.acquire() as conn, conn.transaction(readonly=True):
            async for orders in batches(conn, audit_orders.ORDERS):
                ids: list[UUID] = [row["id"] for row in orders]
                rows += len(orders) + sum(map(len, (await histories(conn, ids)).values()))
                for query in filter(None, audit_orders.TABLES.values()):
                    rows += len(await conn.fetch(query, ids))
        return {"rows": rows}

    async def export_whole(self) -> Done:
        """The whole history into one file."""
        return await self._export(Scope("all"), self._whole)

    async def export_proven(self) -> Done:
        """The same events, each with a proof of its own."""
        return await self._export(Scope("time"), self._proven)

    async def verify_whole(self) -> Done:
        return self._verify(self._whole)

    async def verify_proven(self) -> Done:
        return self._verify(self._proven)

    async def file(self) -> Done:
        """The floor of verifying: the file, hashed."""
        with self._whole.open("rb") as file:
            file_digest(file, "sha256")
        return {"rows": len(self._rows), "bytes": self._whole.stat().st_size}

    async def _audit(self, work: Callable[[asyncpg.Connection, Report], Awaitable[None]]) -> Done:
        report = Report()
        report.events = len(self._rows)
        async with self._pool.acquire() as conn, conn.transaction(isolation="repeatable_read", readonly=True):
            await work(conn, report)
        if not report.ok:
            raise SystemExit(f"the audit found something: {report.findings[:3]}")
        return {"rows": report.events + sum(report.rows.values()), "events": report.events}

    async def _export(self, scope: Scope, to: Path) -> Done:
        async with self._pool.acquire() as conn, conn.transaction(isolation="repeatable_read", readonly=True):
            made = await export(conn, SIGNER, self._blobs, scope, to, utc_now(), _quiet)
        return {"rows": made["events"], "bytes": made["bytes"]}

    def _verify(self, path: Path) -> Done:
        report = verify(path, [SIGNER.verifier()])
        if not report["ok"] or report["sealed"] != len(self._rows):
            raise SystemExit(f"the export does not verify: {report['findings'][:3]}")
        return {"rows": report["events"], "bytes": path.stat().st_size}


def _quiet(_stage: str, _done: int) -> None:
    pass


async def run(options: argparse.Namespace) -> None:
    pool = await asyncpg.create_pool(options.dsn, min_size=1, max_size=2, server_settings={"timezone": "UTC"})
    admin = await asyncpg.connect(options.admin_dsn)
    bench = Bench(pool, admin, options.folder)
    say({"ready": True})
    for line in sys.stdin:
        phase = line.strip()
        say({"phase": phase, **await getattr(bench, phase)()})
    await admin.close()
    await pool.close()


def say(what: dict[str, object]) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("dsn", "admin-dsn"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--folder", type=Path, required=True)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(parser.parse_args()))
