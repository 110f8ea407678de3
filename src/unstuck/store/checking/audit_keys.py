"""The signing keys held against their history: each is named by a statement that the one before has signed."""

from collections.abc import Sequence
from typing import Any

import asyncpg
import msgspec

from unstuck.store.checking.audit_report import BROKEN, Report
from unstuck.store.keys import STREAM
from unstuck.verifier.note import BadNote, Keys

KEYS = "SELECT no, verifier, after, note FROM signing_key ORDER BY no"
EVENTS = "SELECT data FROM event WHERE stream = $1 ORDER BY seq"


async def check_keys(conn: asyncpg.Connection, report: Report, given: Sequence[str]) -> Keys | None:
    """The keys on record, trusted as far as those `given` reach; None when they are not those of a history."""
    rows = await conn.fetch(KEYS)
    if not rows:
        if await conn.fetchval("SELECT EXISTS (SELECT FROM checkpoint)"):
            report.add("missing-row", "signing_key", "checkpoints were signed, and no key is on record")
        return None
    try:
        keys = Keys(rows[0]["verifier"], [row["note"] for row in rows[1:]], given)
    except BadNote as bad:
        report.add("signature", "signing_key", str(bad))
        return None
    told = ["", *(_note(event) for event in await conn.fetch(EVENTS, STREAM))]
    implied = [(n, key.line, after) for n, (key, after) in enumerate(zip(keys.keys, keys.after, strict=True), 1)]
    if [(row["no"], row["verifier"], row["after"]) for row in rows] != implied:
        report.add("column", "signing_key", "a key is not the one that the statement about it names")
    if [row["note"] for row in rows] != told:
        report.add("column", "signing_key", "a key is not on record as the history has it")
    return keys


def _note(event: Any) -> str:
    try:
        return str(msgspec.json.decode(event["data"])["note"])
    except BROKEN:
        return "an event that nobody can read"
