"""Reported failures held against the history of their cases: the rows, their bytes, and what cases know from them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from unstuck.fallout.failure import Failure, told
from unstuck.store.checking.audit_report import BROKEN, Report, Rows, Table, compare, keyed

TABLE = Table("failure_event", ("source", "event_id"))
NOTHING_TOLD = told(
    msgspec.convert(dict.fromkeys(("sourceSystem", "sourceEventId", "reasonCode", "message"), "-"), Failure)
)
REPORTS = "SELECT * FROM failure_event WHERE case_id = ANY($1::uuid[])"


def named_by(kind: str, at: datetime, data: dict[str, Any], case_id: UUID) -> Rows:
    """The failure event that an event of a case files, if it files one."""
    if kind == "fallout-case.detected" and data.get("source"):
        row = {"at": at, "case_id": case_id, "was": "new", "sha256": data["report_sha256"]}
    elif kind == "fallout-case.repeated" and data.get("source"):
        row = {"at": at, "case_id": case_id, "was": data["was"], "sha256": data["sha256"]}
    else:
        return {}
    return {(data["source"], data["event"]): row}


async def check_failures(
    conn: asyncpg.Connection, report: Report, implied: dict[UUID, Rows], cases: Sequence[Any]
) -> None:
    """Compare the failure events of these cases, and recompute what the cases know from them alone."""
    rows = keyed(TABLE, await conn.fetch(REPORTS, [row["id"] for row in cases]))
    compare(report, TABLE, {key: row for of_case in implied.values() for key, row in of_case.items()}, rows)
    report.rows[TABLE.name] += len(rows)
    for case in cases:
        known = [rows[key] for key in implied.get(case["id"], ()) if key in rows]
        for name, value in _told(known).items():
            if case[name] != value:
                report.add("column", f"fallout_case {case['id']} {name}", "is not what its reports say")


def _told(reports: Sequence[Any]) -> dict[str, Any]:
    """What the first report says; the order's version is the one that was named last."""
    try:
        said = [told(msgspec.json.decode(row["body"], type=Failure)) for row in reports]
    except BROKEN:
        return {}  # its digest is wrong already
    versions = [one["order_version"] for one in said if one["order_version"]]
    return (said[0] if said else NOTHING_TOLD) | {"order_version": versions[-1] if versions else ""}
