"""Commands on a whole order, by people and by partners: each is one transaction that holds the order whole."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec

from unstuck.fallout.case import Case
from unstuck.kernel.actor import Actor
from unstuck.kernel.canonical import digest
from unstuck.kernel.event import Event
from unstuck.kernel.refusal import Forbidden, Refused, Stale
from unstuck.order import command, events
from unstuck.order.advance import Shape
from unstuck.order.lifecycle import ORDER_IS_OVER, OrderState
from unstuck.order.state import Order, Task
from unstuck.policy.grant import may
from unstuck.repair.judge import Stop
from unstuck.service import once
from unstuck.service.case_work.stops import Stopped, classify_timers, stop_cases
from unstuck.service.ports import Ports
from unstuck.store.listing.look import order_row
from unstuck.store.rows import Changes, OrderChange
from unstuck.store.unit import Unit
from unstuck.store.whole import give_back, hold_back, keep_annotation, keep_cancellation, order_whole


class CleanUp(msgspec.Struct):
    """An effect outside that nobody will undo by himself: which system has it, under which key, how sure that is."""

    task: str
    target: str
    key: str
    state: str
    outside: str


class OrderDone(msgspec.Struct):
    """What a command made of an order. `open_cases` are the cases that still stand on it."""

    id: UUID
    number: str
    state: str
    version: int
    open_cases: list[str]
    clean_up: list[CleanUp] = []


class Held(msgspec.Struct):
    """An order with everything a command on it reads, order and tasks locked."""

    order: Order
    tasks: list[Task]
    shape: Shape | None
    actor: Actor


async def suspend(ports: Ports, order_id: UUID, version: int, actor: Actor, reason: str) -> OrderDone:
    """Send nothing new of the order until it is resumed."""
    async with once.command(ports) as unit:
        held = await _hold(ports, unit, order_id, version, actor)
        made = command.suspend(held.order, actor.id, reason, unit.now)
        await hold_back(unit, order_id)
        return await _record(ports, unit, held, made)


async def resume(ports: Ports, order_id: UUID, version: int, actor: Actor, reason: str) -> OrderDone:
    """Let a suspended order go on."""
    async with once.command(ports) as unit:
        held = await _hold(ports, unit, order_id, version, actor)
        made = command.resume(held.order, actor.id, reason, unit.now)
        await give_back(unit, order_id)
        return await _record(ports, unit, held, made)


async def fail(ports: Ports, order_id: UUID, version: int, actor: Actor, reason: str) -> OrderDone:
    """Declare the order failed: it stops, and a case stands for it from this very transaction on."""
    async with once.command(ports) as unit:
        held = await _hold(ports, unit, order_id, version, actor)
        made = command.fail(held.order, actor.id, reason, unit.now)
        await hold_back(unit, order_id)
        changes = Changes(cases=await stop_cases(ports, unit, [_by_hand(ports, held.order, reason)]))
        changes.timers = classify_timers(changes.cases, unit.now)
        return await _record(ports, unit, held, made, changes)


async def resolve_failure(ports: Ports, order_id: UUID, version: int, actor: Actor, reason: str) -> OrderDone:
    """Return a failed order to what it was; `reason` describes why the failure is none any more."""
    async with once.command(ports) as unit:
        held = await _hold(ports, unit, order_id, version, actor)
        made = command.resolve_failure(held.order, actor.id, reason, unit.now)
        await _give_back(unit, held.order)
        return await _record(ports, unit, held, made)


async def cancel(ports: Ports, order_id: UUID, version: int, actor: Actor, reason: str) -> OrderDone:
    """Call off an order of which nothing was ever sent."""
    async with once.command(ports) as unit:
        held = await _hold(ports, unit, order_id, version, actor)
        made = command.cancel(held.order, held.tasks, held.shape, actor.id, reason, unit.now)
        return await _record(ports, unit, held, made)


async def abort(ports: Ports, order_id: UUID, version: int, actor: Actor, reason: str) -> OrderDone:
    """End the order as it stands, undoing nothing; the answer lists what is to be cleaned up outside."""
    async with once.command(ports) as unit:
        held = await _hold(ports, unit, order_id, version, actor)
        left = await clean_up(unit, order_id, held.shape, command.clean_up(held.tasks))
        made = command.abort(held.order, held.tasks, held.shape, actor.id, reason, unit.now)
        return await _record(ports, unit, held, made, clean_up=left)


class Asked(msgspec.Struct, frozen=True):
    """A request to cancel, as it came; without `version` the order is taken as it is."""

    order_id: UUID
    reason: str
    body: bytes
    version: int | None = None


async def assess_cancellation(ports: Ports, asked: Asked, actor: Actor) -> UUID:
    """Answer a request to cancel, whatever the answer is: cancelled, kept, or impossible because it is over."""
    async with ports.store.unit(ports.now()) as unit:
        held = await _hold(ports, unit, asked.order_id, asked.version, actor)
        await _require_theirs(ports, unit, asked.order_id, actor)
        request = ports.new_id()
        outcome, because = _assessment(held)
        facts = {"request": str(request), "outcome": outcome, "sha256": digest(asked.body), "reason": asked.reason}
        made = [Event(events.ASSESSED, unit.now, actor.id, facts)]
        if outcome == "cancelled":
            who, why = actor.id, asked.reason
            made += command.cancel(held.order, held.tasks, held.shape, who, why, unit.now, request=str(request))
        await keep_cancellation(unit, request, asked.order_id, outcome, because, asked.body)
        await _record(ports, unit, held, made)
        return request


async def _require_theirs(ports: Ports, unit: Unit, order_id: UUID, actor: Actor) -> None:
    """Who only sends orders in may ask to cancel what they sent, and nobody else's."""
    theirs = (await order_row(unit, order_id))["source"] == actor.id
    if not theirs and not may(actor, "order.manage", ports.book.current):
        raise Forbidden(
            "own-order", "this order was sent by somebody else; only who manages orders may ask to cancel it"
        )


class Patch(msgspec.Struct, frozen=True):
    """What a partner changes of an order: its state to *in progress*, and words that change no plan."""

    go_on: bool
    words: bytes
    reason: str = "asked by a change of its state"


async def patch(ports: Ports, order_id: UUID, version: int | None, actor: Actor, wanted: Patch) -> OrderDone:
    """Carry out a partner's change whole, or refuse it whole; an open case blocks going on."""
    async with ports.store.unit(ports.now()) as unit:
        held = await _hold(ports, unit, order_id, version, actor)
        made = await _go_on(unit, held, wanted) if wanted.go_on else []
        if wanted.words:
            annotation = ports.new_id()
            await keep_annotation(unit, annotation, order_id, wanted.words)
            facts = {"annotation": str(annotation), "sha256": digest(wanted.words)}
            made.append(Event(events.ANNOTATED, unit.now, actor.id, facts))
        return await _record(ports, unit, held, made)


async def _go_on(unit: Unit, held: Held, wanted: Patch) -> list[Event]:
    order = held.order
    blocking = await unit.open_cases([order.id])
    if blocking and order.state not in ORDER_IS_OVER:
        named = ", ".join(_number(case) for case in blocking)
        raise Refused("blocked-by-case", f"it goes on when its fallout is resolved: {named}")
    if order.state is OrderState.IN_PROGRESS:
        return []
    move = command.resolve_failure if order.state is OrderState.FAILED else command.resume
    made = move(order, held.actor.id, wanted.reason, unit.now)
    await _give_back(unit, order)
    return made


async def _give_back(unit: Unit, order: Order) -> None:
    """What goes on may be sent; an order that returned to its suspension still waits."""
    if order.state is OrderState.IN_PROGRESS:
        await give_back(unit, order.id)


async def _hold(ports: Ports, unit: Unit, order_id: UUID, version: int | None, actor: Actor) -> Held:
    order, tasks = await order_whole(unit, order_id)
    if version is not None and order.version != version:
        raise Stale(f"order ORD-{order.number}", order.version)
    shape = await ports.book.shape(order.plan) if order.plan else None
    return Held(order, tasks, shape, actor)


async def _record(
    ports: Ports,
    unit: Unit,
    held: Held,
    made: Sequence[Event],
    changes: Changes | None = None,
    clean_up: Sequence[CleanUp] = (),
) -> OrderDone:
    changes, order = changes or Changes(), held.order
    if made:
        touched = sorted({fact["no"] for event in made for fact in event.data.get("tasks", ())})
        changes.orders = [OrderChange(order, list(made), [held.tasks[no] for no in touched])]
        await unit.record(changes)
    still = [_number(case) for case in await unit.open_cases([order.id])]
    done = OrderDone(order.id, f"ORD-{order.number}", order.state.value, order.version, still, list(clean_up))
    return await once.answered(ports, unit, done)


async def clean_up(
    unit: Unit, order_id: UUID, shape: Shape | None, found: Sequence[Mapping[str, Any]]
) -> list[CleanUp]:
    """What an abort leaves outside for somebody to undo, with the keys it is known by there."""
    keys = await unit.commands([(order_id, fact["no"], fact["identity"]) for fact in found])
    out = []
    for fact, (key, _body, _plan) in zip(found, keys, strict=True):
        assert shape is not None
        planned = shape.plan.tasks[fact["no"]]
        out.append(CleanUp(planned.key, planned.target, key, fact["was"], fact["outside"]))
    return out


def _assessment(held: Held) -> tuple[str, str]:
    if held.order.state in ORDER_IS_OVER:
        return "impossible", f"the order is {held.order.state.value.lower()} already"
    try:
        command.require_cancellable(held.order, held.tasks)
    except Refused as refusal:
        return "kept", refusal.because
    return "cancelled", "nothing of the order had been sent"


def _by_hand(ports: Ports, order: Order, reason: str) -> Stopped:
    return Stopped(
        order_id=order.id,
        pack=order.pack,
        item="",
        step="order",
        task=None,
        attempt=0,
        system="unstuck",
        operation="fail",
        stop=Stop("failed_by_hand", "FAILED_BY_HAND", reason),
        raw=reason.encode(),
        dedup=ports.book.current.fallout.dedup,
    )


def _number(case: Case) -> str:
    return f"FC-{case.number}"
