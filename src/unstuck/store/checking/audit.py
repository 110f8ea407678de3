"""`unstuck audit verify`: is the history the one that was sealed, and is everything else what the history says?

Four passes over one consistent view, each in bounded memory: the tree and its checkpoints; orders and cases folded
and compared; payloads digested; and a last one for what belongs to nothing. It says nothing of the open tail.
"""

from collections.abc import Coroutine, Sequence
from typing import Any

import asyncpg

from unstuck.store.checking.audit_cases import Files, check_cases
from unstuck.store.checking.audit_keys import check_keys
from unstuck.store.checking.audit_orders import check_orders
from unstuck.store.checking.audit_payloads import check_belongings, check_payloads
from unstuck.store.checking.audit_report import Finding, Report
from unstuck.store.checking.audit_tree import Progress, check_tree
from unstuck.verifier.note import Key

__all__ = ["Finding", "Report", "verify", "verify_view"]


def _quiet(_stage: str, _done: int) -> None:
    pass


async def verify(
    pool: asyncpg.Pool,
    files: Files,
    *,
    verifier_keys: Sequence[str],
    checkpoints_elsewhere: Sequence[str] = (),
    progress: Progress = _quiet,
) -> Report:
    """Audit the database as it is at this moment; writers are not disturbed. BadNote for an unreadable key."""
    async with pool.acquire() as conn, conn.transaction(isolation="repeatable_read", readonly=True):
        return await verify_view(
            conn, files, verifier_keys=verifier_keys, checkpoints_elsewhere=checkpoints_elsewhere, progress=progress
        )


async def verify_view(
    conn: asyncpg.Connection,
    files: Files,
    *,
    verifier_keys: Sequence[str],
    checkpoints_elsewhere: Sequence[str] = (),
    progress: Progress = _quiet,
) -> Report:
    """`verify` in the transaction that `conn` is in."""
    report = Report()
    report.events = await conn.fetchval("SELECT count(*) FROM event")
    for line in verifier_keys:
        Key(line)
    keys = await check_keys(conn, report, verifier_keys)
    await _readable(report, "tree", check_tree(conn, report, keys, checkpoints_elsewhere, progress))
    await _readable(report, "orders", check_orders(conn, report, progress))
    await _readable(report, "cases", check_cases(conn, report, files, progress))
    await _readable(report, "payloads", check_payloads(conn, report))
    await _readable(report, "belongings", check_belongings(conn, report))
    return report


async def _readable(report: Report, name: str, work: Coroutine[Any, Any, None]) -> None:
    """A value that cannot even be read (a time before Christ) was not written by us; the other passes go on."""
    try:
        await work
    except (OverflowError, ValueError) as error:
        report.add("unreadable", name, f"a value here cannot be read, so this pass ended early: {error!s:.120}")
