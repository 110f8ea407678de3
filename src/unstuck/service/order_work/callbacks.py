"""Callbacks in: correlated by our key, kept as they came, counted once, never taking a task backwards (A8)."""

from hashlib import sha256
from typing import Annotated, Any

import msgspec

from unstuck.kernel.actor import ENGINE
from unstuck.kernel.canonical import printable
from unstuck.kernel.event import Event
from unstuck.kernel.refusal import Invalid, Missing
from unstuck.kernel.strict import NOT_JSON
from unstuck.order import events
from unstuck.order.advance import Shape, follow
from unstuck.order.lifecycle import ORDER_IS_OVER
from unstuck.order.plan import PlannedTask
from unstuck.order.state import Order, Task
from unstuck.policy.pack import Pack
from unstuck.repair.judge import Judgement, Stop, contradicts, judge_callback
from unstuck.repair.outcome import Outcome, Result
from unstuck.service.case_work.stops import classify_timers, settle_cases, stop_cases
from unstuck.service.order_work.advance import set_timers, stopped
from unstuck.service.ports import Ports
from unstuck.store.rows import Changes, OrderChange
from unstuck.store.unit import Unit

STATUSES = ("accepted", "done", "failed")


class Callback(msgspec.Struct):
    """What a target tells us of one of our commands; fields we do not know are kept in the raw bytes.

    Without an id of its own a second callback would be taken for the first one repeated.
    """

    id: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    key: Annotated[str, msgspec.Meta(min_length=1, max_length=400)]
    status: str
    reference: str | None = None
    code: str | None = None
    message: str | None = None


class About(msgspec.Struct):
    """The command that a callback answers: its order, task and plan, and which identity of the task it was."""

    order: Order
    tasks: list[Task]
    task: Task
    shape: Shape
    pack: Pack
    identity: int

    @property
    def planned(self) -> PlannedTask:
        return self.shape.plan.tasks[self.task.no]


async def receive(ports: Ports, system: str, body: bytes) -> str:
    """Take one callback; return what it was: settled, repeated, noted or contradiction.

    Raises Invalid for one that cannot be read and Missing for one that answers no command of ours; both kept.
    """
    callback = await _read(ports, system, body)
    async with ports.store.unit(ports.now()) as unit:
        about = await _about(ports, unit, system, callback.key)
        if about is None:
            await _keep(unit, system, callback, body, None, "uncorrelated")
        else:
            verdict = await _take(ports, unit, system, callback, body, about)
    if about is None:
        raise Missing(f"a command to {system} with key {printable(callback.key, 120)}")
    return verdict


async def _about(ports: Ports, unit: Unit, system: str, key: str) -> About | None:
    """What a key of ours stands for, its order locked; nothing when it was sent to another system."""
    known = await unit.order_of_key(key)
    if known is None:
        return None
    order_id, task_no, identity = known
    order, tasks = await unit.order(order_id)
    shape, pack = await ports.book.both(order.plan or "")
    about = About(order, tasks, tasks[task_no], shape, pack, identity)
    return about if about.planned.target == system else None


async def _read(ports: Ports, system: str, body: bytes) -> Callback:
    try:
        callback = msgspec.json.decode(body, type=Callback)
        if callback.status not in STATUSES:
            raise msgspec.ValidationError(f"status is one of {', '.join(STATUSES)}")
        if "\x00" in callback.id + callback.key:
            raise msgspec.ValidationError("id and key are texts without NUL")
        return callback
    except NOT_JSON as error:
        unread = Callback(sha256(body).hexdigest(), "", "unreadable")
        async with ports.store.unit(ports.now()) as unit:
            await _keep(unit, system, unread, body, None, "unreadable")
        raise Invalid(f"this callback cannot be read ({error}); it was kept") from error


async def _take(ports: Ports, unit: Unit, system: str, callback: Callback, body: bytes, about: About) -> str:
    order, task = about.order, about.task
    result = Result.DONE if callback.status == "done" else Result.REFUSED
    outcome = Outcome(
        result, unit.now, code=printable(callback.code or "", 100), message=printable(callback.message or ""), body=body
    )
    rules = about.pack.rules[about.planned.type]
    current = about.identity == task.identity
    judgement = judge_callback(task, callback.status, outcome, rules, unit.now) if current else None
    opposite = _opposite(about, callback.status)
    verdict = "settled" if judgement else "contradiction" if opposite else "noted"
    if not await _keep(unit, system, callback, body, (order, task.no), verdict):
        return "repeated"
    changes = Changes()
    facts: dict[str, Any] = {"no": task.no, "system": system, "event": callback.id, "sha256": sha256(body).hexdigest()}
    if judgement is not None:
        _settle(about, judgement, changes, unit, facts)
    else:
        noted = {"outcomes": [{**facts, "status": callback.status, "verdict": verdict}]}
        changes.orders.append(OrderChange(order, [Event(events.NOTED, unit.now, ENGINE.id, noted)]))
    stop = judgement.stop if judgement else None
    if verdict == "contradiction":
        stop = Stop("contradiction", "CONTRADICTION", f"{opposite} before, and now {callback.status}")
    if stop is not None:
        changes.cases = await stop_cases(ports, unit, [stopped(order, about.shape, task, about.pack, stop, outcome)])
    elif judgement is not None:
        settled = [(order, about.planned.key, "callback", facts["sha256"])]
        changes.cases = await settle_cases(unit, settled, [])
    changes.timers += classify_timers(changes.cases, unit.now)
    await unit.record(changes)
    return verdict


def _opposite(about: About, status: str) -> str:
    """What was settled before, if this says the opposite. An identity that was replaced had been proven dead."""
    if about.identity != about.task.identity:
        return "proven to have no effect" if status == "done" else ""
    return about.task.state.value if contradicts(about.task, status) else ""


def _settle(about: About, judgement: Judgement, changes: Changes, unit: Unit, facts: dict[str, Any]) -> None:
    order, tasks, shape = about.order, about.tasks, about.shape
    set_timers(order, about.task, judgement, about.pack, shape, changes, unit.now)
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
    about = (of[0].id, of[1]) if of else (None, None)
    row = (callback.key[:400], *about, callback.status[:40], verdict, sha256(body).hexdigest(), body)
    return await unit.keep_callback(system, callback.id[:200], row)
