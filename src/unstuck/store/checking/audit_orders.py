"""Orders held against their history: their own columns, their tasks, and the digests of all that was sent and came."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from unstuck.order.fold import Folded, evolve
from unstuck.order.plan import Plan, command_key
from unstuck.store.checking.audit_report import BROKEN, Report, Rows, Table, compare, keyed
from unstuck.store.checking.audit_streams import batches, histories, replay
from unstuck.store.checking.audit_tree import Progress
from unstuck.store.columns import recorded
from unstuck.store.statements import sql

ORDERS = f"SELECT {', '.join(recorded('orders'))} FROM orders WHERE id > $1 ORDER BY id LIMIT $2"
OF_THESE = "WHERE order_id = ANY($1::uuid[])"
TABLES = {
    Table("orders", ("id",)): "",  # read by the batch itself
    Table("order_draft", ("order_id",)): f"SELECT order_id, raw, encode(sha256(body), 'hex') AS body FROM order_draft {OF_THESE}",
    Table("intake", ("id",)): sql("audit_intake"),
    Table("command", ("order_id", "task", "identity")): sql("audit_commands"),
    Table("dead_identity", ("order_id", "task", "identity")): f"SELECT * FROM dead_identity {OF_THESE}",
    Table("attempt", ("order_id", "task", "attempt"), may_have_more=True): f"SELECT order_id, task, attempt, identity, kind, at FROM attempt {OF_THESE}",
    Table("task", ("order_id", "no")): (
        f"SELECT order_id, no, state, identity, since, target, replaces, attempt, sent_at FROM task {OF_THESE}"
    ),
    Table("outcome", ("order_id", "task", "attempt")): (
        f"SELECT order_id, task, attempt, result, status, code, reference, sha256 FROM outcome {OF_THESE}"
    ),
    Table("callback", ("order_id", "system", "event_id")): sql("audit_callbacks"),
    Table("resume_use", ("token",)): sql("audit_resume_use"),
    Table("order_annotation", ("id",)): f"SELECT id, order_id, at, encode(sha256(body), 'hex') AS body FROM order_annotation {OF_THESE}",
    Table("cancel_service_order", ("id",)): (
        f"SELECT id, order_id, at, outcome, encode(sha256(body), 'hex') AS body FROM cancel_service_order {OF_THESE}"
    ),
}  # fmt: skip
Implied = dict[str, Rows]


async def check_orders(conn: asyncpg.Connection, report: Report, progress: Progress) -> None:
    """Fold every order and compare; what the fold does not say of a row is compared by nobody."""
    async for rows in batches(conn, ORDERS):
        ids = [row["id"] for row in rows]
        streams = await histories(conn, ids)
        plans = await _plans(conn, report, {row["plan"] for row in rows if row["plan"]})
        implied: Implied = {table.name: {} for table in TABLES}
        for stream, events in streams.items():
            _imply(report, implied, plans, stream, events)
        await _compare(conn, report, implied, rows, ids)
        report.orders += len(rows)
        progress("orders", report.orders)


async def _plans(conn: asyncpg.Connection, report: Report, ids: set[str]) -> dict[str, Plan]:
    plans = {}
    for row in await conn.fetch("SELECT id, body FROM plan WHERE id = ANY($1::text[])", list(ids)):
        try:
            plans[row["id"]] = msgspec.json.decode(row["body"], type=Plan)
        except BROKEN:
            report.add("payload", f"plan {row['id']}", "its body is no plan")
    return plans


def _imply(report: Report, implied: Implied, plans: dict[str, Plan], stream: UUID, events: Sequence[Any]) -> None:
    order = Folded()
    seq, version = replay(report, stream, events, lambda kind, _by, at, data: evolve(order, kind, at, data))
    own = {name: getattr(order, name) for name in OWN}
    implied["orders"][stream] = {**own, "seq": seq, "version": version}
    implied["order_draft"][stream] = {"raw": order.raw, "body": order.draft}
    received = {"order_id": stream, "at": order.received_at, "sha256": order.sha256, "whole": True}
    implied["intake"][order.raw] = received
    for token, at in order.redeemed.items():
        implied["resume_use"][token] = {"at": at, "by": True}
    _imply_words(implied, stream, order)
    _imply_calls(implied, stream, order)
    plan = plans.get(order.plan or "")
    if plan is not None and len(plan.tasks) == len(order.tasks):
        _imply_work(implied, stream, order, plan)
    elif order.tasks:
        report.add("plan", f"orders {stream}", f"its plan {order.plan!s:.64} is missing or is another one")


OWN = tuple(name for name in recorded("orders") if name not in ("id", "seq", "version"))


def _imply_work(implied: Implied, stream: UUID, order: Folded, plan: Plan) -> None:
    for planned, task in zip(plan.tasks, order.tasks, strict=True):
        replaces = task.identity - 1 if task.identity else None
        own = {"state": task.state, "identity": task.identity, "since": task.since, "attempt": 0, "sent_at": None}
        implied["task"][stream, task.no] = {**own, "target": planned.target, "replaces": replaces}
    for (no, identity), body in order.bodies.items():
        key = command_key(str(stream), plan.tasks[no].key, plan.revision, identity)
        implied["command"][stream, no, identity] = {"key": key, "body": body}
    for (no, identity), (how, at) in order.dead.items():
        implied["dead_identity"][stream, no, identity] = {"how": how, "at": at}


def _imply_words(implied: Implied, stream: UUID, order: Folded) -> None:
    for id, (at, body) in order.annotations.items():
        implied["order_annotation"][id] = {"order_id": stream, "at": at, "body": body}
    for id, (at, outcome, body) in order.cancellations.items():
        implied["cancel_service_order"][id] = {"order_id": stream, "at": at, "outcome": outcome, "body": body}


def _imply_calls(implied: Implied, stream: UUID, order: Folded) -> None:
    for (no, attempt), identity in order.attempts.items():
        implied["attempt"][stream, no, attempt] = {"identity": identity}
    for (no, attempt), fact in order.outcomes.items():
        implied["outcome"][stream, no, attempt] = {
            "result": fact["result"],
            "status": fact.get("status", 0),
            "code": fact.get("code", ""),
            "reference": fact.get("reference", ""),
            "sha256": bytes.fromhex(fact["sha256"]),
        }
    for (system, event_id), said in order.callbacks.items():
        row = {"at": said.at, "task": said.task, "status": said.status, "verdict": said.verdict, "sha256": said.sha256}
        implied["callback"][stream, system, event_id] = {**row, "key": True}


async def _compare(
    conn: asyncpg.Connection, report: Report, implied: Implied, orders: Sequence[Any], ids: Sequence[UUID]
) -> None:
    for table, query in TABLES.items():
        rows = await conn.fetch(query, ids) if query else orders
        if table.name == "attempt":
            _imply_fences(implied["task"], rows)
        compare(report, table, implied[table.name], keyed(table, rows))
        report.rows[table.name] += len(rows)


def _imply_fences(tasks: Rows, attempts: Sequence[Any]) -> None:
    """The fence of a task is its last call on record; when it was sent is when the last send was."""
    for row in sorted(attempts, key=lambda row: row["attempt"]):
        task: Any = tasks.get((row["order_id"], row["task"]))
        if task is not None:
            task["attempt"] = row["attempt"]
            if row["kind"] == "send":
                task["sent_at"] = row["at"]
