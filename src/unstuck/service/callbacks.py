"""Callbacks in: correlated by our key, kept as they came, counted once, never taking a task backwards (A8)."""

from hashlib import sha256
from typing import Any

import msgspec

from unstuck.kernel.actor import ENGINE
from unstuck.kernel.canonical import printable
from unstuck.kernel.event import Event
from unstuck.kernel.refusal import Invalid, Missing
from unstuck.order import events
from unstuck.order.advance import follow
from unstuck.order.lifecycle import ORDER_IS_OVER
from unstuck.order.state import Order, Task
from unstuck.repair.judge import Judgement, Stop, contradicts, judge_callback
from unstuck.repair.outcome import Outcome, Result
from unstuck.service.advance import set_timers, stopped
from unstuck.service.ports import Ports
from unstuck.service.stops import classify_timers, settle_cases, stop_cases
from unstuck.store.rows import Changes, OrderChange
from unstuck.store.unit import Unit

STATUSES = ("accepted", "done", "failed")


class Callback(msgspec.Struct):
    """What a target tells us of one of our commands; fields we do not know are kept in the raw bytes."""

    id: str
    key: str
    status: str
    reference: str | None = None
    code: str | None = None
    message: str | None = None


async def receive(ports: Ports, system: str, body: bytes) -> str:
    """Take one callback; return what it was: settled, repeated, noted or contradiction.

    Raises Invalid for one that cannot be read and Missing for one that answers no command of ours; both kept.
    """
    callback = await _read(ports, system, body)
    async with ports.store.unit(ports.now()) as unit:
        known = await unit.order_of_key(callback.key)
        if known is None:
            await _keep(unit, system, callback, body, None, "uncorrelated")
        else:
            order_id, task_no, identity = known
            order, tasks = await unit.order(order_id)
            verdict = await _take(ports, unit, system, callback, body, order, tasks, task_no, identity)
    if known is None:
        raise Missing(f"a command with key {printable(callback.key, 120)}")
    return verdict


async def _read(ports: Ports, system: str, body: bytes) -> Callback:
    try:
        callback = msgspec.json.decode(body, type=Callback)
        if callback.status not in STATUSES:
            raise msgspec.ValidationError(f"status is one of {', '.join(STATUSES)}")
        if "\x00" in callback.id + callback.key:
            raise msgspec.ValidationError("id and key are texts without NUL")
        return callback
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        unread = Callback(sha256(body).hexdigest(), "", "unreadable")
        async with ports.store.unit(ports.now()) as unit:
            await _keep(unit, system, unread, body, None, "unreadable")
        raise Invalid(f"this callback cannot be read ({error}); it was kept") from error


async def _take(
    ports: Ports,
    unit: Unit,
    system: str,
    callback: Callback,
    body: bytes,
    order: Order,
    tasks: list[Task],
    task_no: int,
    identity: int,
) -> str:
    task = tasks[task_no]
    shape, pack = await ports.book.both(order.plan or "")
    result = Result.DONE if callback.status == "done" else Result.REFUSED
    outcome = Outcome(
        result, unit.now, code=printable(callback.code or "", 100), message=printable(callback.message or ""), body=body
    )
    rules = pack.rules[shape.plan.tasks[task_no].type]
    current = identity == task.identity
    judgement = judge_callback(task, callback.status, outcome, rules, unit.now) if current else None
    verdict = "settled" if judgement else "contradiction" if contradicts(task, callback.status) else "noted"
    if not await _keep(unit, system, callback, body, (order, task_no), verdict):
        return "repeated"
    changes = Changes()
    facts: dict[str, Any] = {"no": task_no, "system": system, "event": callback.id, "sha256": sha256(body).hexdigest()}
    if judgement is not None:
        _settle(order, tasks, judgement, outcome, shape, pack, changes, unit, facts)
    else:
        noted = {"outcomes": [{**facts, "status": callback.status, "verdict": verdict}]}
        changes.orders.append(OrderChange(order, [Event(events.NOTED, unit.now, ENGINE.id, noted)]))
    stop = judgement.stop if judgement else None
    if verdict == "contradiction":
        stop = Stop("contradiction", "CONTRADICTION", f"{task.state} before, and now {callback.status}")
    if stop is not None:
        changes.cases = await stop_cases(ports, unit, [stopped(order, shape, task, pack, stop, outcome)])
    elif judgement is not None:
        settled = [(order, shape.plan.tasks[task_no].key, "callback", facts["sha256"])]
        changes.cases = await settle_cases(unit, settled, [])
    changes.timers += classify_timers(changes.cases, unit.now)
    await unit.record(changes)
    return verdict


def _settle(
    order: Order,
    tasks: list[Task],
    judgement: Judgement,
    outcome: Outcome,
    shape: Any,
    pack: Any,
    changes: Changes,
    unit: Unit,
    facts: dict[str, Any],
) -> None:
    set_timers(order, tasks[judgement.learned.no], judgement, pack, shape, changes, unit.now)
    judgement.learned.facts = {**judgement.learned.facts, **facts, "by": "callback"}
    data = follow(shape, order, tasks, [judgement.learned], unit.now)
    made = [Event(events.ADVANCED, unit.now, ENGINE.id, data)]
    if order.state in ORDER_IS_OVER:
        made.append(Event(events.COMPLETED, unit.now, ENGINE.id, {}))
    changed = [tasks[no] for no in sorted({fact["no"] for fact in data["tasks"]})]
    changes.orders.append(OrderChange(order, made, changed))


async def _keep(
    unit: Unit, system: str, callback: Callback, body: bytes, of: tuple[Order, int] | None, verdict: str
) -> bool:
    """Write the callback as it came, once for each event id; whether it is new."""
    written = await unit.conn.execute(
        "INSERT INTO callback VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING",
        system, callback.id[:200], unit.now, callback.key[:400], of[0].id if of else None, of[1] if of else None,
        callback.status[:40], verdict, sha256(body).hexdigest(), body,
    )  # fmt: skip
    return bool(written == "INSERT 0 1")
