"""The one writer: nothing else writes the event table, and every change of state passes here with its events."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from unstuck.kernel.canonical import encode_trusted
from unstuck.kernel.event import Event
from unstuck.kernel.refusal import Stale
from unstuck.order.lifecycle import TaskState
from unstuck.order.state import Task
from unstuck.store.columns import COLUMNS
from unstuck.store.rows import CaseChange, Changes, OrderChange, RegistryChange
from unstuck.store.statements import sql

Rows = list[tuple[Any, ...]]
EVENT_COLUMNS = ("stream", "seq", "at", "recorded_at", "type", "v", "by", "data")
CASE_COLUMNS = (
    "id", "state", "version", "seq", "order_id", "item", "step", "task", "attempt", "reason", "system", "operation",
    "raw_code", "raw_message", "raw_sha256", "dedup_key", "detected_at", "touched_at", "pack", "source", "order_ref",
    "order_version", "customer", "correlation_id", "category_hint", "severity_hint", "queue", "owner", "repeats",
)  # fmt: skip
CASE_MOVES = (
    "id", "state", "version", "seq", "touched_at", "code", "domain", "recoverability", "queue", "owner", "repeats",
    "resolution", "resolved_by", "resolved_at", "correction", "attempt", "order_id", "order_version", "unredeemed",
)  # fmt: skip


async def record(conn: asyncpg.Connection, changes: Changes, now: datetime) -> None:
    """Write `changes` in the running transaction; raises Stale when a row was changed since it was read."""
    events: Rows = []
    for change in changes.orders:
        if change.fresh is not None:
            await _insert_order(conn, change, events, now)
        else:
            await _add_identities(conn, change, now)
    known = [change for change in changes.orders if change.fresh is None]
    if known:
        await _update_orders(conn, known, events, now)
    await _write_tasks(conn, [(c.order.id, t) for c in known for t in c.tasks], now)
    await _claim(conn, changes, now)
    await _write_cases(conn, changes.cases, events, now)
    for registered in changes.registry:
        await _write_registered(conn, registered, events, now)
    await _add(conn, changes, now)
    if events:
        await conn.copy_records_to_table("event", records=events, columns=EVENT_COLUMNS)


def _number(events: Rows, stream: UUID, row: Any, made: Sequence[Event], now: datetime) -> int:
    """Give a stream's new events their numbers, move the row's version if one is decisive; return its old seq."""
    before: int = row.seq
    for event in made:
        row.seq += 1
        data = encode_trusted(event.data)
        events.append((stream, row.seq, event.at, now, event.type.name, event.type.v, event.by, data))
    row.version += any(event.type.decisive for event in made)
    return before


async def _insert_order(conn: asyncpg.Connection, change: OrderChange, events: Rows, now: datetime) -> None:
    order, fresh = change.order, change.fresh
    assert fresh is not None
    _number(events, order.id, order, change.events, now)
    if change.plan_body is not None:
        await conn.execute(
            "INSERT INTO plan (id, body) VALUES ($1, $2) ON CONFLICT DO NOTHING", order.plan, change.plan_body
        )
    order.number = await conn.fetchval(
        "INSERT INTO orders (id, source, external_id, customer, state, plan, item_states, version, seq, prio, pack,"
        " promised_at, received_at, failed_from) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14)"
        " RETURNING number",
        order.id, fresh.source, fresh.external_id, fresh.customer, order.state, order.plan, list(order.item_states),
        order.version, order.seq, order.prio, order.pack, fresh.promised_at, fresh.received_at, order.failed_from,
    )  # fmt: skip
    await conn.execute(
        "INSERT INTO order_draft (order_id, body, raw) VALUES ($1, $2, $3)", order.id, fresh.draft, fresh.raw
    )
    await _add_identities(conn, change, now)
    if change.tasks:
        rows = [(order.id, t.no, change.targets[t.no], t.state.value, order.prio, t.due, t.since) for t in change.tasks]
        await conn.copy_records_to_table(
            "task", records=rows, columns=("order_id", "no", "target", "state", "prio", "due", "since")
        )


async def _add_identities(conn: asyncpg.Connection, change: OrderChange, now: datetime) -> None:
    for task, identity, how in change.dead:
        await conn.execute(
            "INSERT INTO dead_identity (order_id, task, identity, how, at) VALUES ($1, $2, $3, $4, $5)"
            " ON CONFLICT DO NOTHING",
            change.order.id, task, identity, how, now,
        )  # fmt: skip
    if change.commands:
        rows = [(change.order.id, c.task, c.identity, c.key, c.body) for c in change.commands]
        await conn.copy_records_to_table(
            "command", records=rows, columns=("order_id", "task", "identity", "key", "body")
        )


async def _update_orders(conn: asyncpg.Connection, changes: Sequence[OrderChange], events: Rows, now: datetime) -> None:
    rows, failures = [], []
    for change in changes:
        o = change.order
        before = _number(events, o.id, o, change.events, now)
        rows.append((o.id, o.state, ",".join(o.item_states), o.version, o.seq, o.finished_at, before))
        if not change.tasks:
            failures.append((o.id, o.failed_from))
    written = await conn.execute(sql("write_orders"), *zip(*rows, strict=True))
    if int(written.rpartition(" ")[2]) != len(rows):
        raise Stale("an order of this batch", changes[0].order.version)
    for order, failed_from in failures:
        await conn.execute("UPDATE orders SET failed_from = $2 WHERE id = $1", order, failed_from)


async def _write_tasks(conn: asyncpg.Connection, tasks: Sequence[tuple[UUID, Task]], now: datetime) -> None:
    """Most changes are a completion or a release, which need two columns; the rest is written whole."""
    done, ready, rest = [], [], []
    for order, t in tasks:
        if t.state is TaskState.COMPLETED:
            done.append((order, t.no))
        elif t.state is TaskState.READY and t.attempt == 0 and t.identity == 0 and t.due == now:
            ready.append((order, t.no))
        else:
            rest.append((order, t))
    if done:
        await conn.execute(sql("complete_tasks"), *zip(*done, strict=True), now)
    if ready:
        await conn.execute(sql("release_tasks"), *zip(*ready, strict=True), now)
    if rest:
        rows = [(o, t.no, t.state, t.identity, t.tries, t.asks, t.due, t.since or now) for o, t in rest]
        await conn.execute(sql("write_tasks"), *zip(*rows, strict=True))


async def _claim(conn: asyncpg.Connection, changes: Changes, now: datetime) -> None:
    if changes.sends:
        await conn.execute(sql("claim_sends"), *zip(*changes.sends, strict=True), changes.lease, changes.owner, now)
    if changes.asks:
        await conn.execute(sql("claim_asks"), *zip(*changes.asks, strict=True), changes.lease, changes.owner)


async def _write_cases(conn: asyncpg.Connection, changes: Sequence[CaseChange], events: Rows, now: datetime) -> None:
    """All cases of the batch in two statements; in the order of their keys, so that two batches never wait in a ring."""
    fresh = sorted((c for c in changes if c.raw is not None), key=lambda c: c.case.dedup_key)
    known = [c for c in changes if c.raw is None]
    before = [_number(events, c.case.id, c.case, c.events, now) for c in (*fresh, *known)][len(fresh) :]
    if fresh:
        rows = [(*(getattr(c.case, name) for name in CASE_COLUMNS), c.raw) for c in fresh]
        numbers = dict(await conn.fetch(sql("insert_cases"), *zip(*rows, strict=True)))
        for change in fresh:
            change.case.number = numbers[change.case.id]
    if known:
        rows = [(*(getattr(c.case, name) for name in CASE_MOVES), old) for c, old in zip(known, before, strict=True)]
        written = {row["id"] for row in await conn.fetch(sql("write_cases"), *zip(*rows, strict=True))}
        for change in known:
            if change.case.id not in written:
                raise Stale("the case", change.case.version)


async def _write_registered(conn: asyncpg.Connection, change: RegistryChange, events: Rows, now: datetime) -> None:
    before = _number(events, change.id, change, change.events, now)
    if not change.table:
        return
    values = {"seq": change.seq, "version": change.version, **change.values}
    unknown = [name for name in values if (change.table, name) not in COLUMNS]
    if unknown:
        raise ValueError(f"{change.table} has no column {', '.join(unknown)}")
    names, places = list(values), [f"${n}" for n in range(2, len(values) + 2)]
    if before == 0:
        columns, marks = ", ".join(["id", *names]), ", ".join(["$1", *places])
        await conn.execute(f"INSERT INTO {change.table} ({columns}) VALUES ({marks})", change.id, *values.values())
        return
    moves = ", ".join(f"{name} = {place}" for name, place in zip(names, places, strict=True))
    query = f"UPDATE {change.table} SET {moves} WHERE id = $1 AND seq = ${len(values) + 2}"
    if await conn.execute(query, change.id, *values.values(), before) != "UPDATE 1":
        raise Stale(f"this {change.table}", change.version)


async def _add(conn: asyncpg.Connection, changes: Changes, now: datetime) -> None:
    """The rows that are only ever added, and the timers."""
    await _copy(conn, "attempt", changes.attempts)
    await _copy(conn, "outcome", changes.outcomes)
    await _copy(conn, "failure_event", changes.failures)
    if changes.timers:
        await conn.execute(sql("add_timers"), *zip(*map(msgspec.structs.astuple, changes.timers), strict=True))
    if changes.cleared:
        await conn.execute(sql("clear_timers"), *zip(*changes.cleared, strict=True))
    for case_id, e in changes.evidence:
        await conn.execute(
            "INSERT INTO evidence VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
            e.id, case_id, e.type, e.sha256, e.size, e.media_type, e.source, e.captured_by, e.captured_at,
            e.customer_visible, e.proves_resolution, e.corrects, e.says,
        )  # fmt: skip
    for row in changes.corrections:
        await conn.execute(sql("write_correction"), *msgspec.structs.astuple(row))
    for token in changes.tokens:
        await conn.execute(
            "INSERT INTO resume_token (id, case_id, audience, body, issued_at, expires_at)"
            " VALUES ($1, $2, $3, $4, $5, $6)",
            token.id, token.case_id, token.audience, msgspec.json.encode(token), token.issued_at, token.expires_at,
        )  # fmt: skip
    for token_id in changes.asking:
        await conn.execute(sql("begin_asking"), token_id, now)
    for token_id, by in changes.redeemed:
        await conn.execute("INSERT INTO resume_use (token, at, by) VALUES ($1, $2, $3)", token_id, now, by)


async def _copy(conn: asyncpg.Connection, table: str, rows: Sequence[msgspec.Struct]) -> None:
    if rows:
        records = [msgspec.structs.astuple(row) for row in rows]
        await conn.copy_records_to_table(table, records=records, columns=rows[0].__struct_fields__)
