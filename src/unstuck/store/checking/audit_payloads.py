"""Payloads that stand on their own: bytes and the digest beside them, drafts, packs; and rows that belong to nothing."""

from datetime import datetime
from functools import lru_cache
from typing import Any

import asyncpg
import msgspec
import yaml

from unstuck.policy.pack import hash_of
from unstuck.store.checking.audit_report import BROKEN, Report
from unstuck.store.statements import sql

PAYLOADS = (
    "intake",
    "order_draft",
    "command",
    "outcome",
    "callback",
    "failure_event",
    "fallout_case",
    "plan",
    "policy_pack",
)
DRAFTS_AT_ONCE = 50  # each may be as large as what intake takes
OF_NO_ORDER = {"callback": "WHERE order_id IS NOT NULL"}


class _Draft(msgspec.Struct):
    external_id: str
    customer: str
    promised_at: str = ""


async def check_payloads(conn: asyncpg.Connection, report: Report) -> None:
    """Digest what is kept beside its digest, and recompute what is read from it."""
    for row in await conn.fetch(sql("audit_digests")):
        report.add("payload", row["place"], "its bytes are not those of the digest beside them")
    for row in await conn.fetch(sql("audit_days")):
        report.add("day", row["place"], "there is no call on record for it on that day")
    async for row in conn.cursor(sql("audit_orders_of_drafts"), prefetch=DRAFTS_AT_ONCE):
        _check_draft(report, row)
    for row in await conn.fetch("SELECT hash, name, files FROM policy_pack"):
        _check_pack(report, row)
    for row in await conn.fetch(sql("audit_packs_gone")):
        report.add("missing-row", f"policy_pack {row['pack']}", "orders or cases were decided by it, and it is gone")
    for table in PAYLOADS:
        report.payloads += await conn.fetchval(f"SELECT count(*) FROM {table}")


async def check_belongings(conn: asyncpg.Connection, report: Report) -> None:
    """Every event has its stream's row, and every row was met while the streams were folded."""
    for row in await conn.fetch(sql("audit_lost_streams")):
        report.other_streams += 1
        if row["type"].startswith(("order.", "fallout-case.")):
            report.add("stream", f"stream {row['stream']}", f"it has {row['events']} events and no row")
        elif not row["dense"]:
            report.add("seq", f"stream {row['stream']}", "its events are not numbered from 1 without a gap")
    for table, met in sorted(report.rows.items()):
        if table != "intake":
            there = await conn.fetchval(f"SELECT count(*) FROM {table} {OF_NO_ORDER.get(table, '')}")
            if there != met:
                report.add("forged-row", table, f"{there - met} rows belong to no order or case")


def _check_draft(report: Report, row: Any) -> None:
    try:
        draft = msgspec.json.decode(row["body"], type=_Draft)
        promised = datetime.fromisoformat(draft.promised_at) if draft.promised_at else None
        derived = (draft.external_id or str(row["id"]), draft.customer, promised)
    except BROKEN:
        report.add("payload", f"order_draft {row['id']}", "its body is no order")
        return
    if derived != (row["external_id"], row["customer"], row["promised_at"]):
        report.add("column", f"orders {row['id']}", "external_id, customer or promised_at is not what was ordered")


def _check_pack(report: Report, row: Any) -> None:
    if _pack(row["files"]) != (row["hash"], row["name"]):
        report.add("payload", f"policy_pack {row['hash']}", "its files are not those its hash or its name tells")


@lru_cache(maxsize=16)
def _pack(files: bytes) -> tuple[str, str]:
    try:
        texts = msgspec.json.decode(files, type=dict[str, str])
        sections = [yaml.safe_load(text) or {} for text in texts.values()]
        return hash_of(texts), next(part["name"] for part in sections if "name" in part)
    except (*BROKEN, StopIteration, yaml.YAMLError):
        return "", ""
