"""Failures in, from anywhere: each event of a source once, many in one transaction, none lost once acknowledged (B6 B7)."""

from collections.abc import Mapping, Sequence
from uuid import UUID

import msgspec

from unstuck.fallout.case import Case, Reopen, Repeat, decide
from unstuck.fallout.classify import dedup_rule
from unstuck.fallout.failure import NOWHERE, REPORTED, Failure, Place, case_of_failure, key_of
from unstuck.kernel.actor import Actor
from unstuck.kernel.canonical import digest
from unstuck.kernel.refusal import Refused
from unstuck.policy.grant import machine
from unstuck.policy.pack import Pack
from unstuck.service.case_work.stops import change, classify_timers
from unstuck.service.failures_in.sources import first_heard
from unstuck.service.ports import Ports
from unstuck.store.failures import (
    Known,
    Named,
    Reporting,
    cases_of_failures,
    heard,
    hold_orders,
    known_events,
    orders_named,
    reporting_sources,
    task_fences,
)
from unstuck.store.rows import CaseChange, Changes, FailureEvent
from unstuck.store.unit import Conflict, Unit

TRIES = 5
Key = tuple[str, str]


class Report(msgspec.Struct, frozen=True):
    """One failure as it was understood, its bytes as they came, and who sent it."""

    failure: Failure
    body: bytes
    by: Actor
    sha256: str = ""

    def __post_init__(self) -> None:
        """The digest of the body, once for all who ask."""
        msgspec.structs.force_setattr(self, "sha256", digest(self.body))

    @property
    def key(self) -> Key:
        """What makes it the same event whenever it comes again."""
        return self.failure.source_system, self.failure.source_event_id


class Filed(msgspec.Struct, frozen=True):
    """What became of a report. `was`: new, joined (an open case has it), reopened, or known (the very same event)."""

    was: str
    case_id: UUID
    number: int
    body_differs: bool = False


async def receive(ports: Ports, reports: Sequence[Report]) -> list[Filed | Refused]:
    """File every report under its case, in one transaction; a refusal for those whose sender may not speak so.

    Another process may file the same event or open the same case at this moment: then all of it is done again.
    """
    for _ in range(TRIES):
        try:
            async with ports.store.unit(ports.now()) as unit:
                return await file(ports, unit, reports)
        except Conflict:
            continue
    raise Refused("busy", "the same failures are being reported by many at once; send the very same again")


async def file(ports: Ports, unit: Unit, reports: Sequence[Report]) -> list[Filed | Refused]:
    """File every report in a transaction that is open; Conflict when another files the same."""
    sources = await reporting_sources(unit, {report.failure.source_system for report in reports})
    refused = _unheard(sources, reports)
    first: dict[Key, Report] = {}
    for report in reports:
        if report.key not in refused:
            first.setdefault(report.key, report)
    known = await known_events(unit, list(first)) if first else {}
    fresh = [first[key] for key in sorted(first.keys() - known.keys())]
    desk = _Desk(ports, unit)
    filed = await desk.file(fresh)
    names = sorted({source for source, _ in first})
    if unheard := [name for name in names if sources[name].unheard]:
        await heard(unit, unheard)
    desk.changes.registry = [first_heard(ports, unit, name) for name in names if not sources[name].known]
    await unit.record(desk.changes)
    answers: list[Filed | Refused] = []
    for report in reports:
        answers.append(refused.get(report.key) or _answer(report, first[report.key], known, filed))
    await _keep_other_bodies(ports, unit, reports, first, known)
    return answers


def _answer(report: Report, first: Report, known: Mapping[Key, Known], filed: Mapping[Key, tuple[str, Case]]) -> Filed:
    if before := known.get(report.key):
        return Filed("known", before.case_id, before.number, report.sha256 != before.sha256)
    was, case = filed[report.key]
    if report is first:
        return Filed(was, case.id, case.number)
    return Filed("known", case.id, case.number, report.sha256 != first.sha256)


def _unheard(sources: Mapping[str, Reporting], reports: Sequence[Report]) -> dict[Key, Refused]:
    """Reports that their sender may not make: a source with a key of its own speaks with it alone."""
    out = {}
    for report in reports:
        source, speaks = report.failure.source_system, report.by.source
        if speaks != source and (speaks or sources[source].keyed):
            because = f"this token speaks for {speaks}" if speaks else f"{source} reports with a token of its own"
            out[report.key] = Refused("source-key", f"{because}; it cannot report for {source}")
    return out


async def _keep_other_bodies(
    ports: Ports, unit: Unit, reports: Sequence[Report], first: Mapping[Key, Report], known: Mapping[Key, Known]
) -> None:
    """The same event with other bytes changes nothing, and is kept."""
    for report in reports:
        leader = first.get(report.key)
        if leader is None:
            continue
        before = known[report.key].sha256 if report.key in known else leader.sha256
        if report.sha256 != before:
            log = ("failure-event", report.by.id, 200, "known event, other bytes", None, "application/json")
            size = len(report.body)
            await unit.keep_intake(ports.new_id(), (*log, size), report.sha256, False, report.body)


class _Desk:
    """One batch on its way to be recorded."""

    def __init__(self, ports: Ports, unit: Unit) -> None:
        self._ports, self._unit = ports, unit
        self._pack: Pack = ports.book.current
        self.changes = Changes()

    async def file(self, reports: Sequence[Report]) -> dict[Key, tuple[str, Case]]:
        """Put each under the case that is open for it, the one that is reopened, or a new one."""
        places = await self._places(reports)
        rules = self._pack.fallout.dedup
        keys = [key_of(report.failure, rules) for report in reports]
        reopens = dedup_rule(rules, REPORTED).after_close == "reopen"
        cases = await cases_of_failures(self._unit, sorted(set(keys)), sorted(set(keys)) if reopens else ())
        fit = [case for case in cases if case.is_open or reopens]  # one may have ended before it was locked
        by_key = {
            case.dedup_key: CaseChange(case, []) for case in sorted(fit, key=lambda c: (c.is_open, c.detected_at))
        }
        filed = {}
        for report, key, place in zip(reports, keys, places, strict=True):
            was = self._put(by_key, key, report, place)
            case = by_key[key].case
            filed[report.key] = (was, case)
            body = FailureEvent(*report.key, self._unit.now, case.id, was, report.sha256, report.body)
            self.changes.failures.append(body)
        self.changes.cases = [c for c in by_key.values() if c.events]
        self.changes.timers += classify_timers(self.changes.cases, self._unit.now)
        return filed

    def _put(self, by_key: dict[str, CaseChange], key: str, report: Report, place: Place) -> str:
        known = by_key.get(key)
        if known is None:
            by_key[key] = self._new(report, key, place)
            return "new"
        grant = machine(report.by)
        was = "joined" if known.case.is_open else "reopened"
        if not known.case.is_open:
            change(known, decide(known.case, Reopen("the same failure was reported again"), grant, self._unit.now))
        failure = report.failure
        again = Repeat(failure.reason_code, known.case.attempt, report.sha256, *report.key, was)
        change(known, decide(known.case, again, grant, self._unit.now))
        known.case.order_version = failure.order_version or known.case.order_version
        return was

    def _new(self, report: Report, key: str, place: Place) -> CaseChange:
        case, detected, raw = case_of_failure(
            report.failure, report.body, key, place,
            id=self._ports.new_id(), at=self._unit.now, pack=self._pack.hash, by=report.by.id,
        )  # fmt: skip
        return CaseChange(case, [detected], raw=raw)

    async def _places(self, reports: Sequence[Report]) -> list[Place]:
        """What of ours each report is about. Orders are held before any case is."""
        named = await orders_named(self._unit, (report.failure.order_ref for report in reports))
        by_ref: dict[str, list[Named]] = {}
        for one in named:
            by_ref.setdefault(one.ref, []).append(one)
        meant = [_meant(by_ref.get(r.failure.order_ref, ()), r.failure.source_system) for r in reports]
        await hold_orders(self._unit, (one.order_id for one in meant if one))
        steps = [await self._step(one, r.failure) if one else NOWHERE for one, r in zip(meant, reports, strict=True)]
        fences = await task_fences(
            self._unit, [(p.order_id, p.task) for p in steps if p.order_id and p.task is not None]
        )
        return [_fenced(place, fences) for place in steps]

    async def _step(self, order: Named, failure: Failure) -> Place:
        """The step of our own plan that the report names, if it names one."""
        here = Place(order.order_id)
        if not (failure.step and order.plan):
            return here
        plan = (await self._ports.book.shape(order.plan)).plan
        for no, task in enumerate(plan.tasks):
            if failure.step in (task.key, task.key.partition(".")[2]) and failure.item in (
                "",
                plan.items[task.item][0],
            ):
                return Place(order.order_id, no, 0, task.key, plan.items[task.item][0])
        return here


def _meant(named: Sequence[Named], source: str) -> Named | None:
    """The order of the source itself, else the only one that is called so; of several nobody can say."""
    own = [one for one in named if one.source == source]
    found = own or list({one.order_id: one for one in named}.values())
    return found[0] if len(found) == 1 else None


def _fenced(place: Place, fences: Mapping[tuple[UUID, int], int]) -> Place:
    if place.order_id is None or place.task is None:
        return place
    return msgspec.structs.replace(place, attempt=fences[place.order_id, place.task])
