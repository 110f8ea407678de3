"""Streams as the audit reads them: in batches, dense from 1, each event fed to a fold."""

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from unstuck.fallout import events as case_events
from unstuck.order import events as order_events
from unstuck.store.checking.audit_report import BROKEN, Report
from unstuck.store.statements import sql

BATCH = 500
FIRST = UUID(int=0)
DECISIVE = {(kind.name, kind.v): kind.decisive for kind in (*order_events.ALL, *case_events.ALL)}
Fold = Callable[[str, str, datetime, dict[str, Any]], None]


async def batches(conn: asyncpg.Connection, query: str) -> AsyncIterator[list[Any]]:
    """Rows of a table by id, a batch at a time."""
    last = FIRST
    while rows := await conn.fetch(query, last, BATCH):
        yield rows
        last = rows[-1]["id"]


async def histories(conn: asyncpg.Connection, ids: Sequence[UUID]) -> dict[UUID, list[Any]]:
    """The events of these streams, each in its order; a stream without any is an empty list."""
    streams: dict[UUID, list[Any]] = {stream: [] for stream in ids}
    for row in await conn.fetch(sql("audit_events"), ids):
        streams[row["stream"]].append(row)
    return streams


def replay(report: Report, stream: UUID, rows: Sequence[Any], fold: Fold) -> tuple[int, int]:
    """Feed each event to `fold`; return the seq and the version that the stream's row must have."""
    deciding = set()
    for n, row in enumerate(rows, 1):
        decisive = DECISIVE.get((row["type"], row["v"]))
        if row["seq"] != n:
            report.add("seq", f"stream {stream}", f"where event {n} is due there is event {row['seq']}")
            break
        if decisive is None:
            report.add("event-type", f"event {stream} {n}", f"this release knows no {row['type']!s:.60} v{row['v']}")
            continue
        if decisive:
            deciding.add(row["xid"])
        try:
            fold(row["type"], row["by"], row["at"], msgspec.json.decode(row["data"]))
        except BROKEN as error:
            because = f"{row['type']} cannot be folded: {type(error).__name__} {error!s:.80}"
            report.add("event-unfoldable", f"event {stream} {n}", because)
    return len(rows), len(deciding)
