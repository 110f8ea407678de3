"""Cases and orders of every kind, written straight into the tables, and a slow reader of them to compare lists with."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from web_lab import House

from unstuck.fallout.lifecycle import CASE_IS_RESOLVED, CaseState
from unstuck.order.lifecycle import OrderState

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
OPEN = frozenset(state.value for state in CaseState if state not in CASE_IS_RESOLVED)
QUEUES = ("FIXED_ACTIVATION_L2", "BILLING_L2", "PARTNER_DESK")
CODES = ("ADDRESS_INVALID", "PORT_TAKEN", "UNMAPPED")
OWNERS = ("", "", "ana", "budi")
SOURCES = ("", "", "legacy-oms", "crm")
REASONS = ("refused", "exhausted", "unknown")
CUSTOMERS = ("C-1", "C-2", "C-3", "Smith & Sons")
Row = dict[str, Any]


def id_of(kind: int, number: int) -> UUID:
    return UUID(int=kind << 96 | 7 << 76 | 2 << 62 | number)


def some_orders(chance: random.Random, many: int) -> list[Row]:
    """Orders, some of them received in the very same moment."""
    return [
        {
            "id": id_of(1, n), "source": chance.choice(("shop", "crm")), "external_id": f"PO-{n}",
            "customer": chance.choice(CUSTOMERS), "state": chance.choice(list(OrderState)).value,
            "received_at": BEGAN + timedelta(minutes=n // 3),
        }
        for n in range(many)
    ]  # fmt: skip


def some_cases(chance: random.Random, many: int, orders: list[Row]) -> list[Row]:
    """Cases in every state, of our orders and of others', some detected in the very same moment."""
    return [_case(chance, n, orders) for n in range(many)]


def _case(chance: random.Random, n: int, orders: list[Row]) -> Row:
    source = chance.choice(SOURCES)
    ours = not source or chance.random() < 0.3
    detected = BEGAN + timedelta(seconds=n // 2)
    return {
        "id": id_of(2, chance.getrandbits(60)), "state": chance.choice(list(CaseState)).value,
        "order_id": chance.choice(orders)["id"] if ours else None, "item": chance.choice(("1", "2")),
        "reason": chance.choice(REASONS), "system": chance.choice(("provisioning", "billing")),
        "raw_code": chance.choice(("E-17", "TIMEOUT", "")), "raw_message": f"Nothing worked, try {n}: no free port",
        "detected_at": detected, "touched_at": detected + timedelta(seconds=chance.randrange(500)),
        "code": chance.choice(CODES), "domain": chance.choice(("data", "inventory")), "queue": chance.choice(QUEUES),
        "owner": chance.choice(OWNERS), "source": source, "order_ref": f"EXT-{n}" if source else "",
        "customer": chance.choice(CUSTOMERS) if source else "", "resolution": "resumed",
    }  # fmt: skip


async def written(house: House, orders: list[Row], cases: list[Row]) -> None:
    """Put them into the tables, with a report for each case that a source has made."""
    pack = house.ports.book.current.hash
    await _insert(house, "orders", [{**row, "item_states": [], "version": 1, "seq": 1, "pack": pack} for row in orders])
    plain = {
        "version": 1, "seq": 1, "step": "1.activate", "attempt": 1, "operation": "activate", "raw_sha256": "", "raw": b"",
        "pack": pack,
    }  # fmt: skip
    await _insert(house, "fallout_case", [{**row, **plain, "dedup_key": str(row["id"])} for row in cases])
    reports = [
        {"source": c["source"], "event_id": str(c["id"]), "at": BEGAN, "case_id": c["id"], "was": "new", "sha256": "",
         "body": b"{}"}
        for c in cases if c["source"]
    ]  # fmt: skip
    await _insert(house, "failure_event", reports)
    for table, rows in (("orders", orders), ("fallout_case", cases)):
        numbers = {row["id"]: row["number"] for row in await house.owner.fetch(f"SELECT id, number FROM {table}")}
        for row in rows:
            row["number"] = numbers[row["id"]]


async def _insert(house: House, table: str, rows: list[Row]) -> None:
    columns = list(rows[0])
    marks = ", ".join(f"${n}" for n in range(1, len(columns) + 1))
    text = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"
    await house.owner.executemany(text, [tuple(row[c] for c in columns) for row in rows])


def slowly(rows: list[Row], query: dict[str, str], orders: dict[UUID, Row]) -> list[Row]:
    """What a list of cases should show, by looking at every one."""
    sort = query.get("sort", "-detected_at")
    keep = [row for row in rows if all(_fits(row, name, text, orders) for name, text in query.items())]
    return sorted(keep, key=lambda row: (row[sort.lstrip("-")], row["id"]), reverse=sort.startswith("-"))


def _fits(row: Row, name: str, text: str, orders: dict[UUID, Row]) -> bool:
    match name:
        case "state":
            return row["state"] in {s for part in text.split(",") for s in (OPEN if part == "open" else (part,))}
        case "detected_after" | "received_after":
            return bool(row[name.replace("after", "at")] >= datetime.fromisoformat(text))
        case "detected_before" | "received_before":
            return bool(row[name.replace("before", "at")] < datetime.fromisoformat(text))
        case "customer" if row.get("order_id"):
            return bool({row["customer"], orders[row["order_id"]]["customer"]} & set(text.split(",")))
        case "order_id":
            return str(row["order_id"]) in text.split(",")
        case "source":
            return row["source"] in {"" if part == "engine" else part for part in text.split(",")}
        case "q":
            return text.lower() in row["raw_message"].lower() or text.lower() in row["raw_code"].lower()
        case "sort":
            return True
    return row["domain" if name == "category" else name] in text.split(",")
