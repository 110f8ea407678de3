"""A stop becomes a case in the very transaction that stops the task; a stop that is over settles its case."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from unstuck.fallout import events as facts
from unstuck.fallout.case import Case, Disprove, Repeat, Settle, decide, evolve, from_detected
from unstuck.fallout.classify import dedup_key
from unstuck.fallout.lifecycle import CaseState
from unstuck.fallout.policy import Dedup
from unstuck.kernel.actor import ENGINE
from unstuck.kernel.canonical import digest, printable
from unstuck.kernel.event import Event
from unstuck.order.state import Order
from unstuck.policy.grant import machine
from unstuck.repair.judge import Stop
from unstuck.service.ports import Ports
from unstuck.store.rows import CaseChange, Timer
from unstuck.store.unit import Unit

GRANT = machine(ENGINE)
BEING_PROVEN = (CaseState.CORRECTION_APPLIED, CaseState.VERIFYING)
OF_THEIR_OWN = ("duplicate", "contradiction")


class Stopped(msgspec.Struct):
    """One task, or a whole order (`task` None), that cannot go on by itself."""

    order_id: UUID
    pack: str
    item: str
    step: str
    task: int | None
    attempt: int
    system: str
    operation: str
    stop: Stop
    raw: bytes
    dedup: dict[str, Dedup]

    def key(self) -> str:
        """What makes it the same failure as another."""
        return dedup_key(
            self.dedup,
            self.stop.reason,
            order=str(self.order_id),
            item=self.item,
            task=self.step,
            system=self.system,
            code=self.stop.code,
        )


async def stop_cases(ports: Ports, unit: Unit, stops: Sequence[Stopped]) -> list[CaseChange]:
    """A new case for each stop, or one more repeat on the case that is open for it already."""
    open_cases = await unit.open_cases([s.order_id for s in stops])
    known = {case.dedup_key: CaseChange(case, []) for case in open_cases}
    proving = {(c.order_id, c.step): c.dedup_key for c in open_cases if c.state in BEING_PROVEN}
    for stop in stops:
        key = stop.key()
        if key not in known and stop.stop.reason not in OF_THEIR_OWN:
            key = proving.get((stop.order_id, stop.step), key)  # its own repair failed: no second case
        if key in known:
            _repeat(known[key], stop, unit)
        else:
            known[key] = new_case(ports, unit, stop, key)
    return [case for case in known.values() if case.events]


def _repeat(known: CaseChange, stop: Stopped, unit: Unit) -> None:
    repeat = Repeat(stop.stop.code, stop.attempt, digest(stop.raw))
    change(known, decide(known.case, repeat, GRANT, unit.now))
    if known.case.state in BEING_PROVEN:
        change(known, decide(known.case, Disprove(f"it stopped again: {stop.stop.reason}"), GRANT, unit.now))


def classify_timers(cases: Iterable[CaseChange], now: datetime) -> list[Timer]:
    """New cases are classified right after this transaction, by their own."""
    return [Timer(c.case.id, "classify", 0, now) for c in cases if c.raw is not None]


def new_case(ports: Ports, unit: Unit, stop: Stopped, key: str) -> CaseChange:
    """The case of a stop: DETECTED, its raw facts kept. The classifier looks at it right after."""
    message, code = printable(stop.stop.message), printable(stop.stop.code, 100)
    data = {
        "order": str(stop.order_id),
        "item": stop.item,
        "step": stop.step,
        "task": stop.task,
        "attempt": stop.attempt,
        "reason": stop.stop.reason,
        "system": stop.system,
        "operation": stop.operation,
        "raw_code": code,
        "sha256": digest(stop.raw),
        "message_sha256": digest(message.encode()),
        "dedup_key": key,
        "pack": stop.pack,
        "to": "DETECTED",
    }
    case = from_detected(data, id=ports.new_id(), number=0, at=unit.now, raw_message=message)
    return CaseChange(case, [Event(facts.DETECTED, unit.now, ENGINE.id, data)], raw=stop.raw)


async def settle_cases(
    unit: Unit, settled: Iterable[tuple[Order, str, str, str]], made: Sequence[CaseChange]
) -> list[CaseChange]:
    """The outside settled these steps by itself: their open cases end with that as evidence."""
    steps = {(order.id, step): (by_what, sha256) for order, step, by_what, sha256 in settled}
    out = []
    for case in await unit.open_cases(list({order.id for order, *_ in settled})):
        how = steps.get((case.order_id, case.step)) if case.order_id else None
        if how and case.reason not in OF_THEIR_OWN and all(m.case.id != case.id for m in made):
            out.append(CaseChange(case, []))
            change(out[-1], decide(case, Settle(*how), GRANT, unit.now))
    return out


def change(into: CaseChange, made: Iterable[Event]) -> None:
    """Fold freshly decided events into the case and remember them for the writer."""
    for event in made:
        evolve(into.case, event.type.name, event.by, event.at, event.data)
        into.events.append(event)


def case_change(case: Case, made: Iterable[Event]) -> CaseChange:
    """A case and what was just decided of it."""
    out = CaseChange(case, [])
    change(out, made)
    return out
