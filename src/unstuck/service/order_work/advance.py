"""Outcomes in, next calls out, in one transaction: the heart of the engine (architecture §4).

Lock the orders, read their tasks, judge each outcome, let `follow` say what that leads to, open cases for what
stops, pick what may be called next with room per target, record all of it. The caller then makes the calls.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

import msgspec

from unstuck.kernel.actor import ENGINE
from unstuck.kernel.event import Event
from unstuck.order import events
from unstuck.order.advance import Learned, Shape, follow
from unstuck.order.lifecycle import ORDER_IS_OVER, OrderState, TaskState
from unstuck.order.state import Order, Task
from unstuck.policy.pack import Pack
from unstuck.repair.judge import Judgement, Stop, judge_ask, judge_send, lose
from unstuck.repair.outcome import Call, CallKind, Outcome, Result
from unstuck.service.case_work.stops import Stopped, classify_timers, settle_cases, stop_cases
from unstuck.service.ports import Ports
from unstuck.store.rows import Arrived, Attempt, Changes, OrderChange, Timer
from unstuck.store.unit import Unit

ACTED_AFTER_ALL = Stop("contradiction", "CONTRADICTION", "a call that was to have no effect any more says it was done")


class Arrival(msgspec.Struct):
    """An outcome and the call it answers. `lapsed` when nobody answered: the lease or the callback is overdue."""

    order_id: UUID
    task: int
    attempt: int
    kind: CallKind
    day: datetime
    outcome: Outcome
    identity: int = 0
    lapsed: bool = False


class Started(msgspec.Struct):
    """A call whose intent is committed: make it now."""

    call: Call
    lease: datetime
    day: datetime


async def advance(
    ports: Ports, arrivals: Sequence[Arrival], room: Mapping[str, int], *, again: bool = False
) -> list[Started]:
    """Record `arrivals` and what follows; return the calls to make, at most `room` for each target.

    `again`: the last try ended without an answer and may have been recorded; what was is left out.
    """
    now = ports.now()
    free = dict(room)
    changes = Changes()
    async with ports.store.unit(now) as unit:
        if again:
            known = await unit.recorded([(a.order_id, a.task, a.attempt) for a in arrivals])
            arrivals = [a for a in arrivals if a.lapsed or (a.order_id, a.task, a.attempt) not in known]
        touched, chained = await _learn_all(ports, unit, arrivals, free, changes)
        picked = await _pick(unit, free, touched)
        started = await _claim(ports, unit, chained + picked, changes)
        await unit.record(changes)
    return started


async def _learn_all(
    ports: Ports, unit: Unit, arrivals: Sequence[Arrival], free: dict[str, int], changes: Changes
) -> tuple[set[tuple[UUID, int]], list[tuple[UUID, Task, CallKind]]]:
    by_order: dict[UUID, list[Arrival]] = defaultdict(list)
    for arrival in arrivals:
        by_order[arrival.order_id].append(arrival)
    touched: set[tuple[UUID, int]] = set()
    chained: list[tuple[UUID, Task, CallKind]] = []
    stops: list[Stopped] = []
    settled: list[tuple[Order, str, str, str]] = []
    if not by_order:
        return touched, chained
    for order_id, (order, tasks) in (await unit.orders(list(by_order))).items():
        shape, pack = await ports.book.both(order.plan or "")
        change = _learn(ports, unit.now, order, tasks, shape, pack, by_order[order_id], changes, stops, settled)
        if change is None:
            continue
        changes.orders.append(change)
        touched.update((order_id, task.no) for task in change.tasks)
        if order.state is OrderState.IN_PROGRESS:
            chained += _chain(order_id, change.tasks, shape, free, unit.now)
    if stops:
        changes.cases += await stop_cases(ports, unit, stops)
    if settled:
        changes.cases += await settle_cases(unit, settled, changes.cases)
    changes.timers += classify_timers(changes.cases, unit.now)
    return touched, chained


def _learn(
    ports: Ports,
    now: datetime,
    order: Order,
    tasks: list[Task],
    shape: Shape,
    pack: Pack,
    arrivals: Iterable[Arrival],
    changes: Changes,
    stops: list[Stopped],
    settled: list[tuple[Order, str, str, str]],
) -> OrderChange | None:
    learned: list[Learned] = []
    notes: list[dict[str, Any]] = []
    decided: set[int] = set()  # one batch may bring two answers for a task: the first one counts
    for arrival in arrivals:
        task, outcome = tasks[arrival.task], arrival.outcome
        if not arrival.lapsed:
            changes.outcomes.append(_row(arrival))
        if task.no in decided or not (_answers(task, arrival, now) or _proves_late(task, arrival)):
            if not arrival.lapsed:
                notes.append(_note(task, arrival))
            if _acted_after_all(task, arrival):
                stops.append(stopped(order, shape, task, pack, ACTED_AFTER_ALL, outcome))
            continue
        decided.add(task.no)
        judgement = _judge(task, arrival, pack, shape, now, ports.chance())
        judgement.learned.facts |= {"code": outcome.code} if arrival.lapsed else _came(arrival)
        learned.append(judgement.learned)
        if judgement.stop:
            stops.append(stopped(order, shape, task, pack, judgement.stop, outcome))
        elif judgement.learned.to is TaskState.COMPLETED and (task.attempt > 1 or task.state is TaskState.UNKNOWN):
            how = "read_back" if arrival.kind is CallKind.ASK else "reply"
            settled.append((order, shape.plan.tasks[task.no].key, how, sha256(outcome.body).hexdigest()))
        set_timers(order, task, judgement, pack, shape, changes, now)
    made: list[Event] = []
    changed: list[Task] = []
    if learned:
        data = follow(shape, order, tasks, learned, now)
        changed = [tasks[no] for no in sorted({fact["no"] for fact in data["tasks"]})]
        made.append(Event(events.ADVANCED, now, ENGINE.id, data))
        if order.state in ORDER_IS_OVER:
            made.append(Event(events.COMPLETED, now, ENGINE.id, {}))
    if notes:
        made.append(Event(events.NOTED, now, ENGINE.id, {"outcomes": notes}))
    return OrderChange(order, made, changed) if made else None


def _answers(task: Task, arrival: Arrival, now: datetime) -> bool:
    """Whether the task still waits for exactly this call: the fence."""
    if task.attempt != arrival.attempt:
        return False
    if arrival.lapsed and task.lease is None:
        return task.state is TaskState.WAITING_CALLBACK and task.due is not None and task.due < now
    if arrival.lapsed:
        return task.lease is not None and task.lease < now
    return task.lease is not None and task.state in (TaskState.READY, TaskState.UNKNOWN)


def _proves_late(task: Task, arrival: Arrival) -> bool:
    """A reply of a call that was given up says that it was done: that settles the unknown, like a late callback."""
    is_proof = arrival.kind is CallKind.SEND and arrival.outcome.result is Result.DONE and not arrival.lapsed
    return is_proof and task.state is TaskState.UNKNOWN and arrival.identity == task.identity


def _acted_after_all(task: Task, arrival: Arrival) -> bool:
    """An identity that was proven dead, and replaced, or a step that was given up, says that it was done."""
    done = arrival.outcome.result is Result.DONE and arrival.kind is CallKind.SEND
    given_up = arrival.identity != task.identity or task.state is TaskState.CANCELLED
    return done and not arrival.lapsed and given_up


def _judge(task: Task, arrival: Arrival, pack: Pack, shape: Shape, now: datetime, chance: float) -> Judgement:
    rules = pack.rules[shape.plan.tasks[task.no].type]
    if task.state is TaskState.UNKNOWN and not _proves_late(task, arrival):
        return judge_ask(task, arrival.outcome, rules, now, chance)
    if arrival.lapsed:
        return lose(task, arrival.outcome, rules, now, chance)
    return judge_send(task, arrival.outcome, rules, now, chance)


def _came(arrival: Arrival) -> dict[str, Any]:
    """What the event says of an outcome's row, so that the row can be proven. A late reply is of an earlier attempt."""
    o = arrival.outcome
    seen = {"code": o.code, "status": o.status, "reference": o.reference}
    sure = {"attempt": arrival.attempt, "sha256": sha256(o.body).hexdigest()}
    return sure | {name: value for name, value in seen.items() if value}


def _note(task: Task, arrival: Arrival) -> dict[str, Any]:
    return {
        "no": task.no,
        "result": arrival.outcome.result.value,
        **_came(arrival),
    }


def _row(arrival: Arrival) -> Arrived:
    o = arrival.outcome
    return Arrived(
        arrival.order_id, arrival.task, arrival.attempt, arrival.day.date(), o.at, o.result.value, o.status, o.code,
        o.reference, sha256(o.body).digest(), o.body,
    )  # fmt: skip


def stopped(order: Order, shape: Shape, task: Task, pack: Pack, stop: Stop, outcome: Outcome) -> Stopped:
    """What a case needs to know of a task that stopped."""
    planned = shape.plan.tasks[task.no]
    return Stopped(
        order_id=order.id,
        pack=order.pack,
        item=shape.plan.items[planned.item][0],
        step=planned.key,
        task=task.no,
        attempt=task.attempt,
        system=planned.target,
        operation=pack.document.task_types[planned.type].operation,
        stop=stop,
        raw=outcome.body,
        dedup=pack.fallout.dedup,
    )


def set_timers(
    order: Order, task: Task, judgement: Judgement, pack: Pack, shape: Shape, changes: Changes, now: datetime
) -> None:
    if judgement.learned.to is TaskState.WAITING_CALLBACK:
        warning = pack.rules[shape.plan.tasks[task.no].type].warning_s
        due = now + timedelta(seconds=warning)
        changes.timers.append(Timer(order.id, "late", task.attempt * 1000 + task.no, due, task.no))
    for number, seconds in enumerate(judgement.recheck):
        due = now + timedelta(seconds=seconds)
        epoch = (task.attempt * 1000 + task.no) * 10 + number
        changes.timers.append(Timer(order.id, "recheck", epoch, due, task.no))


def _chain(
    order_id: UUID, tasks: Iterable[Task], shape: Shape, free: dict[str, int], now: datetime
) -> list[tuple[UUID, Task, CallKind]]:
    """Ready successors whose target has room are started in this same transaction."""
    chained = []
    for task in tasks:
        target = shape.plan.tasks[task.no].target
        if task.state is TaskState.READY and task.due is not None and task.due <= now and free.get(target, 0) > 0:
            free[target] -= 1
            chained.append((order_id, task, CallKind.SEND))
    return chained


async def _pick(unit: Unit, free: dict[str, int], touched: set[tuple[UUID, int]]) -> list[tuple[UUID, Task, CallKind]]:
    """More work where there is room. Tasks this batch already decided on are left: their rows are older."""
    room = {target: n for target, n in free.items() if n > 0}
    asks = [(o, t, CallKind.ASK) for o, t in await unit.pick("pick_asks", room) if (o, t.no) not in touched]
    sends = [(o, t, CallKind.SEND) for o, t in await unit.pick("pick_sends", room) if (o, t.no) not in touched]
    return asks + sends


async def _claim(
    ports: Ports, unit: Unit, work: Sequence[tuple[UUID, Task, CallKind]], changes: Changes
) -> list[Started]:
    """Put every intent on record: running, attempt + 1, lease; only its commit allows the call."""
    commands = await unit.commands([(order_id, task.no, task.identity) for order_id, task, _ in work])
    lease = unit.now + timedelta(seconds=ports.lease_s)
    changes.lease, changes.owner = lease, ports.worker
    started = []
    for (order_id, task, kind), (key, body, plan_id) in zip(work, commands, strict=True):
        task.attempt += 1
        task.due = None
        (changes.sends if kind is CallKind.SEND else changes.asks).append((order_id, task.no))
        changes.attempts.append(
            Attempt(order_id, task.no, task.attempt, unit.now.date(), kind, task.identity, ports.worker, unit.now)
        )
        shape, pack = await ports.book.both(plan_id)
        call = call_of(order_id, task, kind, key, body, shape, pack)
        started.append(Started(call, lease, unit.now))
    return started


def call_of(order_id: UUID, task: Task, kind: CallKind, key: str, body: bytes, shape: Shape, pack: Pack) -> Call:
    """The call that an attempt makes."""
    planned = shape.plan.tasks[task.no]
    kind_of = pack.document.task_types[planned.type]
    return Call(
        order_id=order_id,
        task=task.no,
        attempt=task.attempt,
        identity=task.identity,
        kind=kind,
        key=key,
        target=planned.target,
        operation=kind_of.operation,
        body=body,
        ask_by=kind_of.business_key,
        reply_s=kind_of.timeouts.reply,
        may_query_key=pack.document.targets[planned.target].kind == "A",
    )


def lapse(now: datetime, what: str) -> Outcome:
    """The outcome of a call that nobody answered for."""
    code = {"lease": "LEASE_EXPIRED", "callback": "CALLBACK_OVERDUE"}[what]
    return Outcome(Result.UNKNOWN, now, code=code, message=f"no answer in time ({what})")
