"""`unstuck audit verify`: is the history the one that was sealed, and is everything else what the history says?

Four passes over one consistent view, each in bounded memory: the tree and its checkpoints; orders and cases folded
and compared; payloads digested; and a last one for what belongs to nothing. It says nothing of the open tail.
"""

from collections.abc import Sequence

import asyncpg

from unstuck.store.audit_cases import Files, check_cases
from unstuck.store.audit_orders import check_orders
from unstuck.store.audit_payloads import check_belongings, check_payloads
from unstuck.store.audit_report import Finding, Report
from unstuck.store.audit_tree import Progress, check_tree
from unstuck.store.notes import read_keys

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
    await check_tree(conn, report, read_keys(verifier_keys), checkpoints_elsewhere, progress)
    await check_orders(conn, report, progress)
    await check_cases(conn, report, files, progress)
    await check_payloads(conn, report)
    await check_belongings(conn, report)
    return report
