"""Orders in: what was sent is kept whatever becomes of it; what can be planned starts, what cannot is a case."""

from datetime import datetime
from uuid import UUID

import msgspec

from unstuck.fallout.case import Link, decide
from unstuck.kernel.actor import Actor
from unstuck.kernel.canonical import digest, encode_trusted
from unstuck.kernel.event import Event
from unstuck.order import events
from unstuck.order.advance import Shape, start
from unstuck.order.lifecycle import ORDER, ItemState, OrderAction, OrderState
from unstuck.order.plan import OrderDraft, Plan, Unplannable, command_key, decompose
from unstuck.order.state import Order, Task
from unstuck.policy.grant import machine
from unstuck.policy.pack import Pack
from unstuck.repair.judge import Stop
from unstuck.service.case_work.stops import Stopped, case_change, classify_timers, new_case
from unstuck.service.ports import Ports
from unstuck.store.failures import cases_waiting_for
from unstuck.store.rows import CaseChange, Changes, Command, NewOrder, OrderChange
from unstuck.store.unit import Conflict, Unit

INTAKE = "unstuck:intake"


class Sent(msgspec.Struct, frozen=True):
    """Bytes that came in, as they came: from whom, over which door. `size` may exceed what was kept."""

    channel: str
    source: str
    media_type: str
    body: bytes
    size: int


class Received(msgspec.Struct, frozen=True):
    """What became of it: the order, and whether it is one that was already known."""

    order_id: UUID
    known: bool


class AlreadyKnown(Exception):
    """Another order has this source's external id and other bytes."""

    def __init__(self, order_id: UUID) -> None:
        super().__init__(f"order {order_id} already has this external id with other content")
        self.order_id = order_id


async def submit(ports: Ports, draft: OrderDraft, sent: Sent) -> Received:
    """Keep the order and start it; sent twice it is one order. Raises AlreadyKnown for other bytes under its id."""
    now = ports.now()
    try:
        async with ports.store.unit(now) as unit:
            order_id = ports.new_id()
            raw = await keep(ports, unit, sent, 201, "accepted", order_id)
            await _open(ports, unit, draft, sent, order_id, raw)
            return Received(order_id, known=False)
    except Conflict:
        return await _known(ports, draft, sent)


async def refuse(ports: Ports, sent: Sent, status: int, because: str) -> UUID:
    """Keep what cannot be taken as an order, with the answer it got; return the id under which it is kept."""
    async with ports.store.unit(ports.now()) as unit:
        return await keep(ports, unit, sent, status, because, None)


async def keep(ports: Ports, unit: Unit, sent: Sent, status: int, because: str, order_id: UUID | None) -> UUID:
    """Write the intake log: the bytes as they came, and the answer."""
    raw = ports.new_id()
    log = (sent.channel, sent.source, status, because[:500], order_id, sent.media_type[:200], sent.size)
    await unit.keep_intake(raw, log, digest(sent.body), sent.size > len(sent.body), sent.body)
    return raw


async def _open(ports: Ports, unit: Unit, draft: OrderDraft, sent: Sent, order_id: UUID, raw: UUID) -> None:
    pack = ports.book.current
    order = Order(order_id, 0, OrderState.NOT_STARTED, 0, 0, pack.hash, None, ())
    fresh = NewOrder(
        source=draft.source,
        external_id=draft.external_id or str(order_id),
        customer=draft.customer,
        promised_at=_time(draft.promised_at),
        received_at=unit.now,
        draft=msgspec.json.encode(draft),
        raw=raw,
    )
    kept = {"sha256": digest(sent.body), "raw": str(raw), "draft": digest(fresh.draft)}
    received = {"source": draft.source, "pack": pack.hash, **kept}
    change = OrderChange(order, [Event(events.RECEIVED, unit.now, INTAKE, received)], fresh=fresh)
    changes = Changes(orders=[change], cases=await _awaited(unit, order, fresh))
    try:
        plan, bodies = decompose(draft, pack.templates, pack.hash)
    except Unplannable as problem:
        _fail(ports, unit, change, changes, pack, problem, sent)
    else:
        _start(unit, change, plan, bodies)
    await unit.record(changes)


async def _awaited(unit: Unit, order: Order, fresh: NewOrder) -> list[CaseChange]:
    """The cases that others reported about this order before it came are about it from now on."""
    waiting = await cases_waiting_for(unit, fresh.source, fresh.external_id)
    return [case_change(case, decide(case, Link(order.id), machine(Actor(INTAKE)), unit.now)) for case in waiting]


def _start(unit: Unit, change: OrderChange, plan: Plan, bodies: tuple[bytes, ...]) -> None:
    order = change.order
    order.plan = plan.id()
    order.item_states = (ItemState.NOT_STARTED,) * len(plan.items)
    change.plan_body = encode_trusted(msgspec.to_builtins(plan))
    change.tasks = [Task(no) for no in range(len(plan.tasks))]
    change.targets = tuple(task.target for task in plan.tasks)
    change.commands = [
        Command(no, 0, command_key(str(order.id), task.key, plan.revision, 0), bodies[no])
        for no, task in enumerate(plan.tasks)
    ]
    made = {"plan": order.plan, "items": len(plan.items), "commands": [digest(body) for body in bodies]}
    change.events.append(Event(events.DECOMPOSED, unit.now, INTAKE, made))
    started = start(Shape(plan), order, change.tasks, unit.now)
    change.events.append(Event(events.STARTED, unit.now, INTAKE, started))


def _fail(
    ports: Ports, unit: Unit, change: OrderChange, changes: Changes, pack: Pack, problem: Unplannable, sent: Sent
) -> None:
    order = change.order
    order.failed_from = order.state
    order.state = ORDER.step(order.state, OrderAction.FAIL)
    facts = {"order": order.state.value, "code": problem.code, "from": order.failed_from.value}
    change.events.append(Event(events.FAILED, unit.now, INTAKE, facts))
    stop = Stopped(
        order_id=order.id,
        pack=pack.hash,
        item=problem.item,
        step="decomposition",
        task=None,
        attempt=0,
        system="unstuck",
        operation="decompose",
        stop=Stop("unplannable", problem.code, problem.because),
        raw=sent.body,
        dedup=pack.fallout.dedup,
    )
    changes.cases.append(new_case(ports, unit, stop, stop.key()))
    changes.timers += classify_timers(changes.cases, unit.now)


async def _known(ports: Ports, draft: OrderDraft, sent: Sent) -> Received:
    async with ports.store.unit(ports.now()) as unit:
        order_id, sha256 = await unit.known_order(draft.source, draft.external_id)
        same = sha256 == digest(sent.body)
        await keep(ports, unit, sent, 201 if same else 409, "known" if same else "other bytes", order_id)
    if not same:
        raise AlreadyKnown(order_id)
    return Received(order_id, known=True)


def _time(text: str) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
