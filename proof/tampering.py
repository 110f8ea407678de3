"""What somebody with all rights on the database and the files may do to the history: every kind, one at random each.

`edit T.c` for each proven column, `delete T` and `forge T` for each proven table, and the schemes by name. All run with
triggers and foreign keys off, in a transaction that the caller rolls back; `Hand.undo` puts files back.
"""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

from unstuck.fallout.lifecycle import CaseState
from unstuck.kernel.merkle import Frontier
from unstuck.order.lifecycle import OrderState, TaskState
from unstuck.store.blobs import FileBlobs
from unstuck.store.columns import COLUMNS, Kept
from unstuck.store.seal import hash_of

# Which rows the history speaks of, where it does not speak of all.
PROVEN = {
    "intake": "id IN (SELECT raw FROM order_draft)",
    "callback": "order_id IS NOT NULL",
    "attempt": "EXISTS (SELECT FROM outcome o WHERE (o.order_id, o.task, o.attempt) = (t.order_id, t.task, t.attempt))",
    "plan": "id IN (SELECT plan FROM orders)",
}
STATES = {
    "orders": tuple(OrderState),
    "task": tuple(TaskState),
    "fallout_case": tuple(CaseState),
    "correction": ("APPLIED", "FAILED", "REJECTED"),
}
NEW_VALUE = {
    "text": "coalesce({0}, '') || 'x'",
    "boolean": "NOT {0}",
    "uuid": "gen_random_uuid()",
    "date": "{0} + 1",
    "timestamp with time zone": "coalesce({0}, '2026-01-01') + interval '1 second'",
    "ARRAY": "array_append({0}, 'COMPLETED')",
    "bytea": "CASE WHEN {0} = '' THEN ' ' ELSE set_byte({0}, octet_length({0}) / 2, get_byte({0}, octet_length({0}) / 2) # 1) END",
}
NEW_NUMBER = "coalesce({0}, 0) + 1000"
# A copy of a row that nobody made, and what of it must be new.
FORGED = {
    "orders": "id = gen_random_uuid(), external_id = 'forged', number = -1",
    "order_draft": "order_id = gen_random_uuid()",
    "command": "identity = 99, key = 'forged'",
    "dead_identity": "identity = 99",
    "task": "no = 99",
    "attempt": "attempt = 99",
    "outcome": "attempt = 99",
    "callback": "event_id = 'forged'",
    "fallout_case": "id = gen_random_uuid(), dedup_key = 'forged', number = -1",
    "correction": "id = gen_random_uuid()",
    "evidence": "id = gen_random_uuid()",
    "resume_token": "id = gen_random_uuid()",
    "resume_use": "token = gen_random_uuid()",
    "order_annotation": "id = gen_random_uuid()",
    "cancel_service_order": "id = gen_random_uuid()",
    "event": "seq = 1000, xid = pg_current_xact_id()",
    "leaf": "n = -1, seq = 1000",
    "checkpoint": "size = 1000000",
}
# Rows whose going leaves nothing unproven: content that only its name refers to is looked for by that name.
NOT_MISSED = {"checkpoint"}


@dataclass
class Hand:
    """The tamperer: a superuser's connection, the evidence folder, dice, and what to put back afterwards."""

    conn: asyncpg.Connection
    blobs: FileBlobs
    dice: random.Random
    undo: list[Callable[[], object]] = field(default_factory=list)

    async def any(self, table: str, where: str = "true") -> Any:
        """One row at random, its place as `ctid` and partition."""
        proven = PROVEN.get(table, "true")
        rows = await self.conn.fetch(
            f"SELECT *, tableoid::regclass::text AS part, ctid::text AS at_ctid FROM {table} t WHERE {proven} AND {where}"
        )
        return self.dice.choice(rows)

    async def set(self, table: str, row: Any, assignments: str, *values: Any) -> None:
        """Change that very row; the columns' checks do not stop a superuser."""
        await self.conn.execute(
            f"UPDATE {table} SET {assignments} WHERE tableoid = '{row['part']}'::regclass AND ctid = '{row['at_ctid']}'::tid",
            *values,
        )

    async def put_back(self) -> None:
        for step in reversed(self.undo):
            step()
        self.undo.clear()


Act = Callable[[Hand], Awaitable[None]]


async def lawless(conn: asyncpg.Connection) -> None:
    """In this transaction: no triggers, no foreign keys, no checks, nothing that two open cases may not share."""
    checks = await conn.fetch(
        "SELECT conrelid::regclass::text AS t, conname FROM pg_constraint c JOIN pg_class r ON r.oid = c.conrelid"
        " WHERE contype = 'c' AND NOT relispartition AND connamespace = 'public'::regnamespace"
    )
    for check in checks:
        await conn.execute(f'ALTER TABLE {check["t"]} DROP CONSTRAINT "{check["conname"]}"')
    await conn.execute("DROP INDEX one_open_case_per_failure")
    await conn.execute("SET LOCAL session_replication_role = replica")


def edit(table: str, column: str) -> Act:
    """Give one row of the table another value in that column."""

    async def act(hand: Hand) -> None:
        row = await hand.any(table)
        if column == "state":
            return await hand.set(table, row, "state = $1", _other(hand.dice, STATES[table], row["state"]))
        kind = await hand.conn.fetchval(
            "SELECT data_type FROM information_schema.columns WHERE table_schema = 'public'"
            " AND table_name = $1 AND column_name = $2",
            table, column,
        )  # fmt: skip
        quoted = f'"{column}"'
        return await hand.set(table, row, f"{quoted} = " + NEW_VALUE.get(kind, NEW_NUMBER).format(quoted))

    return act


def delete(table: str) -> Act:
    """Take one row away."""

    async def act(hand: Hand) -> None:
        row = await hand.any(table)
        await hand.conn.execute(
            f"DELETE FROM {table} WHERE tableoid = '{row['part']}'::regclass AND ctid = '{row['at_ctid']}'::tid"
        )

    return act


def forge(table: str) -> Act:
    """Copy one row under a new identity."""

    async def act(hand: Hand) -> None:
        row = await hand.any(table)
        await hand.conn.execute(
            f"CREATE TEMP TABLE forged ON COMMIT DROP AS SELECT * FROM {table}"
            f" WHERE tableoid = '{row['part']}'::regclass AND ctid = '{row['at_ctid']}'::tid"
        )
        await hand.conn.execute(f"UPDATE forged SET {FORGED[table]}")
        await hand.conn.execute(f"INSERT INTO {table} OVERRIDING SYSTEM VALUE SELECT * FROM forged")

    return act


def with_digest(table: str, column: str, digest: str, as_text: bool = True) -> Act:
    """Change bytes and the digest beside them, so that the row fits itself."""

    async def act(hand: Hand) -> None:
        row = await hand.any(table)
        shown = "encode(sha256($1), 'hex')" if as_text else "sha256($1)"
        await hand.set(table, row, f"{column} = $1, {digest} = {shown}", row[column] + b" ")

    return act


async def swap_events(hand: Hand) -> None:
    """Two events of one stream change places."""
    first = await hand.any("event", "seq > 1")
    second = await hand.any("event", f"stream = '{first['stream']}' AND seq <> {first['seq']}")
    await hand.set("event", first, "seq = -1")
    await hand.set("event", second, "seq = $1", first["seq"])
    await hand.conn.execute("UPDATE event SET seq = $2 WHERE stream = $1 AND seq = -1", first["stream"], second["seq"])


async def swap_leaves(hand: Hand) -> None:
    """Two leaves change places in the tree."""
    first = await hand.any("leaf")
    second = await hand.any("leaf", f"n <> {first['n']}")
    await hand.set("leaf", first, "n = -7")
    await hand.set("leaf", second, "n = $1", first["n"])
    await hand.conn.execute("UPDATE leaf SET n = $1 WHERE n = -7", second["n"])


async def swap_bodies(hand: Hand) -> None:
    """What was sent for one task is shown as what was sent for another."""
    first = await hand.any("command")
    second = await hand.any("command", f"body <> '\\x{first['body'].hex()}'")
    await hand.set("command", first, "body = $1", second["body"])
    await hand.set("command", second, "body = $1", first["body"])


async def edit_event_and_leaf(hand: Hand) -> None:
    """Another actor in an event, and its leaf made to fit."""
    event = await hand.any("event")
    await hand.set("event", event, "by = by || 'x'")
    await _fit_leaf(hand, event)


async def rewrite_history(hand: Hand) -> None:
    """An event, its leaf, the stored tree and the sealer's record changed to fit; the checkpoints in the database thrown away."""
    await edit_event_and_leaf(hand)
    await hand.conn.execute("DELETE FROM checkpoint")
    await _fit_seal(hand)


async def cut_the_tail(hand: Hand) -> None:
    """The newest events never happened: their leaves and every later checkpoint gone, the sealer's record rewound."""
    size = await hand.conn.fetchval("SELECT size FROM seal")
    keep = hand.dice.randrange(size)
    await hand.conn.execute(
        "DELETE FROM event e USING leaf l WHERE (l.stream, l.seq) = (e.stream, e.seq) AND l.n >= $1", keep
    )
    await hand.conn.execute("DELETE FROM leaf WHERE n >= $1", keep)
    await hand.conn.execute("DELETE FROM checkpoint WHERE size > $1", keep)
    await _fit_seal(hand)


async def insert_old_event(hand: Hand) -> None:
    """One more event at the end of a stream, dated into a transaction that was sealed long ago."""
    event = await hand.any("event")
    await hand.conn.execute(
        "INSERT INTO event SELECT stream, (SELECT max(seq) + 1 FROM event WHERE stream = $1), at, recorded_at,"
        " type, v, by, data, xid FROM event WHERE stream = $1 AND seq = $2",
        event["stream"], event["seq"],
    )  # fmt: skip


async def postpone_event(hand: Hand) -> None:
    """A sealed event claims a transaction that is not over, so that it would be sealed again."""
    await hand.set("event", await hand.any("event"), "xid = pg_current_xact_id()")


async def relabel_plan(hand: Hand) -> None:
    """Another plan under an order, stored under its true name."""
    order = await hand.any("orders", "plan IS NOT NULL")
    await hand.conn.execute(
        "INSERT INTO plan SELECT encode(sha256(body || ' '), 'hex'), body || ' ' FROM plan WHERE id = $1", order["plan"]
    )
    await hand.set(
        "orders", order, "plan = (SELECT encode(sha256(body || ' '), 'hex') FROM plan WHERE id = $1)", order["plan"]
    )


async def edit_file(hand: Hand) -> None:
    """Other bytes in an evidence file."""
    path, data = await _file(hand)
    path.write_bytes(bytes([data[0] ^ 1]) + data[1:])


async def empty_file(hand: Hand) -> None:
    """Nothing left in an evidence file."""
    (await _file(hand))[0].write_bytes(b"")


async def delete_file(hand: Hand) -> None:
    """An evidence file gone."""
    (await _file(hand))[0].unlink()


async def exchange_file(hand: Hand) -> None:
    """Another file for a piece of evidence, named as its digest says, and the row made to point to it."""
    row = await hand.any("evidence")
    name = hand.blobs.put(b"forged")
    hand.undo.append(hand.blobs.path(name).unlink)
    await hand.set("evidence", row, "sha256 = $1, size = 6", name)


async def _file(hand: Hand) -> tuple[Path, bytes]:
    path = hand.blobs.path((await hand.any("evidence"))["sha256"])
    data = path.read_bytes()
    hand.undo.append(lambda: path.write_bytes(data))
    return path, data


async def _fit_leaf(hand: Hand, event: Any) -> None:
    key = (event["stream"], event["seq"])
    changed = await hand.conn.fetchrow("SELECT * FROM event WHERE stream = $1 AND seq = $2", *key)
    await hand.conn.execute("UPDATE leaf SET hash = $3 WHERE stream = $1 AND seq = $2", *key, hash_of(changed))


async def _fit_seal(hand: Hand) -> None:
    tree = Frontier()
    for row in await hand.conn.fetch("SELECT hash FROM leaf ORDER BY n"):
        tree.append(row["hash"])
    await hand.conn.execute("UPDATE seal SET size = $1, frontier = $2", tree.size, tree.packed())
    await hand.conn.execute("DELETE FROM tile")
    await hand.conn.executemany("INSERT INTO tile VALUES ($1, $2, $3)", tree.tiles)


def _other(dice: random.Random, values: tuple[str, ...], current: str) -> str:
    return dice.choice([str(value) for value in values if value != current])


SCHEMES: tuple[Act, ...] = (
    swap_events, swap_leaves, swap_bodies, edit_event_and_leaf, rewrite_history, cut_the_tail, insert_old_event,
    postpone_event, relabel_plan, edit_file, empty_file, delete_file, exchange_file,
)  # fmt: skip
BYTES_WITH_DIGEST = (
    ("intake", "body", "sha256", True), ("outcome", "body", "sha256", False), ("callback", "body", "sha256", True),
    ("fallout_case", "raw", "raw_sha256", True), ("plan", "body", "id", True),
)  # fmt: skip


def kinds() -> dict[str, Act]:
    """Every kind of tampering that must be found, by name."""
    proven = [(table, column) for (table, column), kept in COLUMNS.items() if kept is not Kept.OPERATIONAL]
    tables = sorted({table for table, _column in proven} - NOT_MISSED)
    return (
        {f"edit {table}.{column}": edit(table, column) for table, column in proven}
        | {f"delete {table}": delete(table) for table in tables}
        | {f"forge {table}": forge(table) for table in FORGED}
        | {f"edit {args[0]}.{args[1]} and its digest": with_digest(*args) for args in BYTES_WITH_DIGEST}
        | {scheme.__name__.replace("_", " "): scheme for scheme in SCHEMES}
    )
