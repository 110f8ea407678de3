"""What is due: each kind of timer has one effect, and its row goes in the transaction that records that effect."""

from uuid import UUID

from unstuck.fallout.case import decide
from unstuck.fallout.classify import classify
from unstuck.kernel.actor import CLASSIFIER, ENGINE
from unstuck.kernel.condition import holds
from unstuck.kernel.event import Event
from unstuck.order import events
from unstuck.order.lifecycle import TaskState
from unstuck.order.state import Task
from unstuck.policy.check import CASE_FACTS
from unstuck.policy.grant import machine
from unstuck.repair.judge import judge_recheck
from unstuck.repair.outcome import Call, CallKind
from unstuck.service.case_work.stops import case_change, classify_timers, stop_cases
from unstuck.service.order_work.advance import call_of, stopped
from unstuck.service.ports import Ports
from unstuck.store.rows import Changes, OrderChange, Timer
from unstuck.store.unit import Unit

GRANT = machine(CLASSIFIER)


async def classify_due(ports: Ports, limit: int) -> int:
    """Classify the cases that were detected and not yet looked at; how many."""
    now = ports.now()
    async with ports.store.unit(now) as unit:
        due = await unit.due_timers("classify", limit)
        changes = Changes(cleared=[(t.subject, t.kind, t.epoch) for t in due])
        for case in await unit.cases([timer.subject for timer in due]):
            if case.state != "DETECTED":
                continue
            pack = await ports.book.pack(case.pack)
            verdict, _row = classify(case, pack.fallout.mappings, lambda e, facts: holds(e, CASE_FACTS, facts))
            changes.cases.append(case_change(case, decide(case, verdict, GRANT, now)))
        await unit.record(changes)
    return len(due)


async def late_due(ports: Ports, limit: int) -> int:
    """Say of tasks that wait longer than expected that they are in jeopardy; no state changes. How many looked at."""
    now = ports.now()
    async with ports.store.unit(now) as unit:
        due = await unit.due_timers("late", limit)
        changes = Changes(cleared=[(t.subject, t.kind, t.epoch) for t in due])
        orders = await unit.orders(sorted({t.subject for t in due}))
        made: dict[UUID, list[Event]] = {}
        for timer in due:
            task = orders[timer.subject][1][timer.task or 0]
            if task.state is TaskState.WAITING_CALLBACK and task.attempt == timer.epoch // 1000:
                fact = {"no": task.no, "type": "Hazard", "exception": "LATE"}
                made.setdefault(timer.subject, []).append(Event(events.JEOPARDY, now, ENGINE.id, fact))
        changes.orders = [OrderChange(orders[order_id][0], events_) for order_id, events_ in made.items()]
        await unit.record(changes)
    return len(due)


async def recheck_due(ports: Ports, limit: int) -> int:
    """Look again at effects that were sent for twice: is there really one? How many looked at."""
    async with ports.store.reading(ports.now()) as unit:
        timers = await unit.timers("recheck", limit)
        calls = [await _recheck_call(ports, unit, timer) for timer in timers]
    for timer, call in zip(timers, calls, strict=True):
        await _recheck(ports, timer, call)
    return len(timers)


async def _recheck_call(ports: Ports, unit: Unit, timer: Timer) -> Call:
    identity = (await unit.peek(timer.subject))[1][timer.task or 0].identity
    ((key, body, plan_id),) = await unit.commands([(timer.subject, timer.task or 0, identity)])
    shape, pack = await ports.book.both(plan_id)
    return call_of(timer.subject, Task(timer.task or 0, identity=identity), CallKind.ASK, key, body, shape, pack)


async def _recheck(ports: Ports, timer: Timer, call: Call) -> None:
    outcome = await ports.connectors[call.target].ask(call)
    stop = judge_recheck(outcome)
    async with ports.store.unit(ports.now()) as unit:
        if not await unit.clear(timer) or stop is None:
            return
        order, tasks = await unit.order(timer.subject)
        shape, pack = await ports.book.both(order.plan or "")
        found = stopped(order, shape, tasks[call.task], pack, stop, outcome)
        changes = Changes(cases=await stop_cases(ports, unit, [found]))
        changes.timers = classify_timers(changes.cases, unit.now)
        await unit.record(changes)
