"""What people and systems are shown of orders and cases: plain values, read in one consistent view."""

from typing import Any
from uuid import UUID

import msgspec

from unstuck.fallout.classify import TRIAGE
from unstuck.fallout.lifecycle import CASE_IS_RESOLVED
from unstuck.kernel.actor import Actor
from unstuck.kernel.ids import rfc3339
from unstuck.kernel.refusal import Missing
from unstuck.order.plan import OrderDraft
from unstuck.policy.grant import allowed
from unstuck.policy.pack import Pack
from unstuck.service.cases import step_facts
from unstuck.service.ports import Ports
from unstuck.store import look
from unstuck.store.unit import Unit, case_of

View = dict[str, Any]
CLOSED = tuple(state.value for state in CASE_IS_RESOLVED)


async def case_view(ports: Ports, case_id: UUID, actor: Actor) -> View:
    """Everything about one case, with the actions allowed to this actor and the refused ones with their reason."""
    async with ports.store.reading(ports.now()) as unit:
        row = await look.case_row(unit, case_id)
        case = case_of(row)
        order, tasks = await unit.peek(case.order_id)
        pack = await ports.book.pack(case.pack)
        shape = await ports.book.shape(order.plan) if order.plan else None
        facts = await step_facts(unit, case, order, tasks, shape, pack)
        grant = allowed(case, facts, actor, pack)
        return {
            **_case_row(row),
            "order_number": f"ORD-{order.number}",
            "title": _title(pack, case.code),
            "raw": _raw(row),
            "task_state": facts.task_state.value if facts else None,
            "outcome_proven": facts.proven if facts else "",
            **_actions(grant.verdicts, pack, facts.correctable if facts else {}),
            "order_graph": await _graph(unit, ports, case.order_id),
            "attempts": await _attempts(unit, case.order_id, case.task),
            "evidence": msgspec.to_builtins(await unit.evidence(case_id)),
            "corrections": [_correction(c) for c in await unit.corrections(case_id)],
            "resume_tokens": await _tokens(unit, case_id),
            "timeline": await _timeline(unit, case_id),
        }


async def open_count(ports: Ports) -> int:
    """How many cases are open."""
    return await look.open_cases(ports.store, CLOSED)


async def require_database(ports: Ports) -> None:
    """Raise when the database does not answer."""
    await look.answers(ports.store)


async def evidence_bytes(ports: Ports, case_id: UUID, evidence_id: UUID) -> bytes:
    """The bytes of one piece of evidence of this case, checked against their digest."""
    async with ports.store.reading(ports.now()) as unit:
        found = next((e for e in await unit.evidence(case_id) if e.id == evidence_id), None)
    if found is None:
        raise Missing(f"evidence {evidence_id} of this case")
    return ports.blobs.read(found.sha256)


async def find_case(ports: Ports, name: str) -> UUID:
    """A case by id or by its number (`FC-1042`)."""
    return await _find(ports, name, "FC-", "fallout_case", "case")


async def find_order(ports: Ports, name: str) -> UUID:
    """An order by id or by its number (`ORD-1042`)."""
    return await _find(ports, name, "ORD-", "orders", "order")


async def case_list(ports: Ports, order_id: UUID | None, state: str | None, queue: str | None, limit: int) -> View:
    """Cases, newest first; `open` is every state that is not resolved."""
    wanted = {"order_id": order_id, "queue": queue, "state": state.upper() if state and state != "open" else None}
    where = {column: value for column, value in wanted.items() if value}
    async with ports.store.reading(ports.now()) as unit:
        rows = await look.cases(unit, where, CLOSED if state == "open" else (), limit + 1)
    return {"cases": [_case_row(row) for row in rows[:limit]], "more": len(rows) > limit}


async def order_view(ports: Ports, order_id: UUID) -> View:
    """One order: its items, tasks, attempts, cases and timeline."""
    async with ports.store.reading(ports.now()) as unit:
        row = await look.order_row(unit, order_id)
        cases = await look.cases_of(unit, order_id)
        return {
            **_order_row(row),
            "graph": await _graph(unit, ports, order_id),
            "attempts": await _attempts(unit, order_id, None),
            "callbacks": await _callbacks(unit, order_id),
            "cases": [_case_row(case) for case in cases],
            "timeline": await _timeline(unit, order_id),
        }


async def order_list(ports: Ports, state: str | None, limit: int) -> View:
    """Orders, newest first."""
    async with ports.store.reading(ports.now()) as unit:
        rows = await look.orders(unit, state.upper() if state else None, limit + 1)
    return {"orders": [_order_row(row) for row in rows[:limit]], "more": len(rows) > limit}


async def service_order(ports: Ports, order_id: UUID) -> tuple[View, OrderDraft, list[Any]]:
    """What the TM Forum projection is made of: the order, its draft, its cases."""
    async with ports.store.reading(ports.now()) as unit:
        row = await look.order_row(unit, order_id)
        cases = await look.cases_of(unit, order_id)
        graph = await _graph(unit, ports, order_id)
        draft = await unit.draft(order_id)
    return {**_order_row(row), "graph": graph}, draft, [_case_row(case) for case in cases]


def _case_row(row: Any) -> View:
    names = (
        "state", "version", "item", "step", "reason", "system", "operation", "code", "domain", "recoverability",
        "queue", "owner", "repeats", "resolution", "resolved_by", "raw_code", "raw_message",
    )  # fmt: skip
    return {
        "id": str(row["id"]),
        "number": f"FC-{row['number']}",
        "order_id": str(row["order_id"]),
        **{name: row[name] for name in names},
        "detected_at": rfc3339(row["detected_at"]),
        "touched_at": rfc3339(row["touched_at"]),
        "resolved_at": rfc3339(row["resolved_at"]) if row["resolved_at"] else None,
    }


def _order_row(row: Any) -> View:
    return {
        "id": str(row["id"]),
        "number": f"ORD-{row['number']}",
        "external_id": row["external_id"],
        "source": row["source"],
        "customer": row["customer"],
        "state": row["state"],
        "version": row["version"],
        "item_states": list(row["item_states"]),
        "received_at": rfc3339(row["received_at"]),
        "promised_at": rfc3339(row["promised_at"]) if row["promised_at"] else None,
        "finished_at": rfc3339(row["finished_at"]) if row["finished_at"] else None,
        "pack": row["pack"],
    }


def _raw(row: Any) -> View:
    return {
        "code": row["raw_code"],
        "message": row["raw_message"],
        "sha256": row["raw_sha256"],
        "body": row["raw"][:100_000].decode("utf-8", "replace").replace("\x00", "�"),
    }


def _actions(verdicts: Any, pack: Pack, correctable: Any) -> View:
    allowed_actions, refused = [], []
    for name, verdict in verdicts.items():
        definition = pack.document.actions.get(name)
        if verdict.allowed:
            shown = msgspec.to_builtins(definition) if definition else {"title": name}
            if name == "correct_data":
                shown["fields"] = msgspec.to_builtins(correctable)
            allowed_actions.append({"action": name, **shown})
        else:
            refused.append({"action": name, "rule": verdict.rule, "because": verdict.because})
    return {"allowed_actions": allowed_actions, "refused_actions": refused}


async def _graph(unit: Unit, ports: Ports, order_id: UUID) -> View:
    plan_id = (await look.order_row(unit, order_id))["plan"]
    if plan_id is None:
        return {"items": [], "tasks": []}
    shape = await ports.book.shape(plan_id)
    rows = await look.tasks(unit, order_id)
    tasks = [
        {
            "no": row["no"],
            "key": planned.key,
            "type": planned.type,
            "target": planned.target,
            "item": shape.plan.items[planned.item][0],
            "after": list(planned.after),
            "state": row["state"],
            "running": row["lease"] is not None,
            "identity": row["identity"],
            "attempts": row["attempt"],
            "due": rfc3339(row["due"]) if row["due"] else None,
            "since": rfc3339(row["since"]) if row["since"] else None,
        }
        for planned, row in zip(shape.plan.tasks, rows, strict=True)
    ]
    return {"items": [{"id": i, "offer": offer} for i, offer in shape.plan.items], "tasks": tasks}


async def _attempts(unit: Unit, order_id: UUID, task: int | None) -> list[View]:
    rows = await look.attempts(unit, order_id, task)
    return [
        {
            "task": row["task"],
            "attempt": row["attempt"],
            "kind": row["kind"],
            "key": row["key"],
            "at": rfc3339(row["at"]),
            "worker": row["owner"],
            "request": _text(row["request"]),
            "answered_at": rfc3339(row["answered_at"]) if row["answered_at"] else None,
            "result": row["result"],
            "status": row["status"],
            "code": row["code"],
            "reference": row["reference"],
            "reply": _text(row["reply"] or b""),
        }
        for row in rows
    ]


async def _callbacks(unit: Unit, order_id: UUID) -> list[View]:
    rows = await look.callbacks(unit, order_id)
    names = ("system", "event_id", "task", "status", "verdict")
    return [{**{n: row[n] for n in names}, "at": rfc3339(row["at"]), "body": _text(row["body"])} for row in rows]


async def _tokens(unit: Unit, case_id: UUID) -> list[View]:
    rows = await look.tokens(unit, case_id)
    return [
        {**msgspec.json.decode(r["body"]), "redeemed_at": rfc3339(r["used_at"]) if r["used_at"] else None} for r in rows
    ]


async def _timeline(unit: Unit, stream: UUID) -> list[View]:
    rows = await look.events(unit, stream)
    return [
        {
            "seq": row["seq"],
            "at": rfc3339(row["at"]),
            "type": f"unstuck.{row['type']}",
            "by": row["by"],
            "data": msgspec.json.decode(row["data"]),
        }
        for row in rows
    ]


def _correction(row: Any) -> View:
    shown: View = msgspec.to_builtins(row)
    shown["given"], shown["preview"] = msgspec.json.decode(row.given), msgspec.json.decode(row.preview)
    return shown


def _title(pack: Pack, code: str) -> str:
    return next((row.title for row in pack.fallout.mappings if row.code == code), TRIAGE.title if code else "")


def _text(body: bytes) -> str:
    return body[:100_000].decode("utf-8", "replace").replace("\x00", "�")


async def _find(ports: Ports, name: str, prefix: str, table: str, what: str) -> UUID:
    try:
        if name.upper().startswith(prefix):
            number = int(name[len(prefix) :])
            found = await look.by_number(ports.store, table, number) if 0 < number < 2**63 else None
            if found is None:
                raise Missing(f"{what} {name}")
            return found
        return UUID(name)
    except ValueError:
        raise Missing(f"{what} {name[:80]}") from None
