"""Cases held against their history: their own columns, corrections, evidence with its files, resume tokens."""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime
from hashlib import file_digest
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

import asyncpg
import msgspec

from unstuck.fallout.case import Case, evolve, from_detected
from unstuck.repair.token import ResumeToken
from unstuck.store.checking.audit_failures import check_failures, named_by
from unstuck.store.checking.audit_report import BROKEN, Report, Rows, Table, compare, keyed
from unstuck.store.checking.audit_streams import batches, histories, replay
from unstuck.store.checking.audit_tree import Progress
from unstuck.store.columns import recorded
from unstuck.store.statements import sql

FROM_REPORTS = ("order_ref", "order_version", "customer", "correlation_id", "category_hint", "severity_hint")
CASES = f"""SELECT {", ".join((*recorded("fallout_case"), *FROM_REPORTS))}, encode(sha256(convert_to(raw_message, 'UTF8')), 'hex') AS message
    FROM fallout_case WHERE id > $1 ORDER BY id LIMIT $2"""
TABLES = {
    Table("fallout_case", ("id",)): "",  # read by the batch itself
    Table("correction", ("id",)): sql("audit_corrections"),
    Table("evidence", ("id",)): "SELECT * FROM evidence WHERE case_id = ANY($1::uuid[])",
    Table("resume_token", ("id",)): sql("audit_tokens"),
    Table("resume_use", ("token",)): sql("audit_redeemed"),
}
OF_TOKEN = ("audience", "issued_at", "expires_at")
Implied = dict[str, Rows]


class Files(Protocol):
    """Where evidence is kept."""

    def path(self, sha256: str) -> Path: ...


async def check_cases(conn: asyncpg.Connection, report: Report, files: Files, progress: Progress) -> None:
    """Fold every case and compare it with its rows and files."""
    async for rows in batches(conn, CASES):
        ids = [row["id"] for row in rows]
        implied: Implied = {table.name: {} for table in TABLES}
        reports: dict[UUID, Rows] = {}
        for stream, events in (await histories(conn, ids)).items():
            reports[stream] = _imply(report, implied, stream, events)
        evidence = await _compare(conn, report, implied, rows, ids)
        await check_failures(conn, report, reports, rows)
        await asyncio.to_thread(_check_files, report, files, evidence)
        report.cases += len(rows)
        progress("cases", report.cases)


class _Folded:
    """One case rebuilt from its events, and the rows its events name beside it."""

    def __init__(self, id: UUID) -> None:
        self.id = id
        self.case: Case | None = None
        self.message = ""
        self.corrections: dict[UUID, dict[str, Any]] = {}
        self.evidence: dict[UUID, dict[str, Any]] = {}
        self.tokens: dict[UUID, dict[str, Any]] = {}
        self.redeemed: dict[UUID, dict[str, Any]] = {}
        self.reports: Rows = {}

    def fold(self, kind: str, by: str, at: datetime, data: dict[str, Any]) -> None:
        if kind == "fallout-case.detected":
            self.case = from_detected(data, id=self.id, number=0, at=at, raw_message="")
            self.message = data["message_sha256"]
        if self.case is None:
            raise ValueError("the case was never detected")
        evolve(self.case, kind, by, at, data)
        self.reports |= named_by(kind, at, data, self.id)
        match kind:
            case "fallout-case.correction-proposed":
                self.corrections[UUID(data["correction"])] = self._proposed(by, at, data)
            case "fallout-case.correction-rejected":
                self.corrections[UUID(data["correction"])]["state"] = "REJECTED"
            case "fallout-case.correction-applied":
                state = "FAILED" if data["result"] == "silent" else "APPLIED"
                done = {"state": state, "applied_by": by, "applied_at": at, "result": data["result"]}
                self.corrections[UUID(data["correction"])] |= done
            case "fallout-case.evidence-attached":
                self.evidence[UUID(data["evidence"])] = self._attached(by, at, data)
            case "fallout-case.resolved" if data["token"]:
                self.tokens[UUID(data["token"])] = {"case_id": self.id, "sha256": data["token_sha256"]}
            case "fallout-case.resume-redeemed":
                self.redeemed[UUID(data["token"])] = {"at": at, "by": by}

    def _proposed(self, by: str, at: datetime, data: dict[str, Any]) -> dict[str, Any]:
        same = {name: data[name] for name in ("action", "reason_code", "given", "preview")}
        made = {"case_id": self.id, "reason": data["why"], "proposed_by": by, "proposed_at": at}
        return {**same, **made, "state": "PROPOSED", "applied_by": "", "applied_at": None, "result": ""}

    def _attached(self, by: str, at: datetime, data: dict[str, Any]) -> dict[str, Any]:
        same = {name: value for name, value in data.items() if name not in ("evidence", "corrects")}
        corrects = UUID(data["corrects"]) if data["corrects"] else None
        return {**same, "case_id": self.id, "captured_by": by, "captured_at": at, "corrects": corrects}


OWN = tuple(name for name in recorded("fallout_case") if name not in ("seq", "version"))


def _imply(report: Report, implied: Implied, stream: UUID, events: Sequence[Any]) -> Rows:
    """What the history of one case implies of the tables; the failure events it names."""
    folded = _Folded(stream)
    seq, version = replay(report, stream, events, folded.fold)
    if folded.case is None:
        report.add("stream", f"fallout_case {stream}", "no event says that it was ever detected")
        return {}
    own = {name: getattr(folded.case, name) for name in OWN}
    implied["fallout_case"][stream] = {**own, "seq": seq, "version": version, "message": folded.message}
    implied["correction"] |= folded.corrections
    implied["evidence"] |= folded.evidence
    implied["resume_token"] |= folded.tokens
    implied["resume_use"] |= folded.redeemed
    return folded.reports


async def _compare(
    conn: asyncpg.Connection, report: Report, implied: Implied, cases: Sequence[Any], ids: Sequence[UUID]
) -> Iterable[Any]:
    rows: Sequence[Any] = ()
    evidence: Sequence[Any] = ()
    for table, query in TABLES.items():
        rows = await conn.fetch(query, ids) if query else cases
        if table.name == "resume_token":
            _imply_tokens(implied[table.name], rows)
        if table.name == "evidence":
            evidence = rows
        compare(report, table, implied[table.name], keyed(table, rows))
        report.rows[table.name] += len(rows)
    return evidence


def _imply_tokens(tokens: Rows, rows: Sequence[Any]) -> None:
    """Beside the body that was sealed stand columns for the indexes: they must say what it says."""
    for row in rows:
        known: Any = tokens.get(row["id"])
        if known is None:
            continue
        try:
            body = msgspec.json.decode(row["body"], type=ResumeToken)
        except BROKEN:
            continue  # its digest is wrong already
        known |= {name: getattr(body, name) for name in OF_TOKEN}


def _check_files(report: Report, files: Files, evidence: Iterable[Any]) -> None:
    for row in evidence:
        report.files += 1
        path = files.path(row["sha256"])
        try:
            with path.open("rb") as file:
                digest = file_digest(file, "sha256").hexdigest()
        except OSError:
            report.add("file-missing", f"evidence {row['id']}", f"its file {row['sha256']} is gone")
            continue
        if digest != row["sha256"]:
            report.add("file-changed", f"evidence {row['id']}", f"its file {row['sha256']} has other bytes")
