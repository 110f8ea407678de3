"""Repairs: propose, preview, apply, attach evidence. A foreign call stands alone between two transactions."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from unstuck.fallout.case import Apply, Attach, Case, Propose, Reject, decide
from unstuck.kernel.actor import Actor
from unstuck.kernel.canonical import digest, encode
from unstuck.kernel.event import Event
from unstuck.kernel.refusal import Invalid, Missing, Refused
from unstuck.order import events
from unstuck.order.advance import Learned, follow
from unstuck.order.lifecycle import TaskAction, TaskState
from unstuck.order.plan import command_key
from unstuck.policy.grant import titles_of
from unstuck.policy.masking import Mask
from unstuck.repair.correction import ASKS, SENDS, ActionCode, Correction, Facts, RepairPlan, plan, require_safe
from unstuck.repair.evidence import Evidence, EvidenceType
from unstuck.repair.outcome import Call, CallKind, Outcome, Result
from unstuck.service import once
from unstuck.service.case_work.cases import Desk, open_desk, own_evidence
from unstuck.service.case_work.done import CaseDone, Preview, case_done, correction_done, effects, effects_shown
from unstuck.service.case_work.stops import case_change
from unstuck.service.order_work.advance import call_of
from unstuck.service.ports import Ports
from unstuck.store.rows import Changes, Command, CorrectionRow, OrderChange
from unstuck.store.unit import Unit


class Proposal(msgspec.Struct, frozen=True):
    """What a person proposes: the action, why, and its input."""

    action: str
    reason_code: str
    reason: str
    input: dict[str, Any] = {}


async def propose(ports: Ports, case_id: UUID, version: int, actor: Actor, proposal: Proposal) -> CaseDone:
    """Put a typed correction on the case; refused as policy says, Invalid for input it cannot take."""
    async with once.command(ports) as unit:
        desk = await open_desk(ports, unit, case_id, version, actor, whole=True)
        action, facts = _action(desk, proposal)
        desk.grant.require(action)
        planned = plan(action, proposal.input, facts)
        await _require_needs(desk, unit, action, proposal.input)
        correction = Correction(
            ports.new_id(), action, "PROPOSED", proposal.reason_code, proposal.reason, proposal.input, actor.id
        )
        row = CorrectionRow(
            correction.id, case_id, action.value, "PROPOSED", proposal.reason_code, proposal.reason,
            msgspec.json.encode(proposal.input), msgspec.json.encode(effects(planned)), actor.id, unit.now,
        )  # fmt: skip
        made = decide(desk.case, Propose(correction, digest(row.given), digest(row.preview)), desk.grant, unit.now)
        await unit.record(Changes(cases=[case_change(desk.case, made)], corrections=[row]))
        proposed = correction_done(row, **effects_shown(planned, ports.book.mask()))
        return await once.answered(ports, unit, case_done(desk.case, correction=proposed))


async def preview(ports: Ports, case_id: UUID, actor: Actor, proposal: Proposal) -> Preview:
    """What a correction would do; touches nothing. The same `plan` that `apply` carries out."""
    async with ports.store.unit(ports.now()) as unit:
        desk = await open_desk(ports, unit, case_id, None, actor)
        action, facts = _action(desk, proposal)
        return _preview(desk, action, proposal.input, facts, ports.book.mask())


async def preview_proposed(ports: Ports, case_id: UUID, actor: Actor, correction_id: UUID) -> Preview:
    """What a correction that was proposed would do as things are now; touches nothing."""
    async with ports.store.unit(ports.now()) as unit:
        desk = await open_desk(ports, unit, case_id, None, actor)
        row = await _own(unit, desk.case, correction_id)
        given = msgspec.json.decode(row.given, type=dict[str, Any])
        return _preview(desk, ActionCode(row.action), given, _require_step(desk), ports.book.mask())


async def reject(
    ports: Ports, case_id: UUID, version: int, actor: Actor, correction_id: UUID, because: str
) -> CaseDone:
    """Turn a proposed correction down, or withdraw one's own."""
    async with once.command(ports) as unit:
        desk = await open_desk(ports, unit, case_id, version, actor, whole=True)
        row = await _current(unit, desk.case, correction_id, "PROPOSED")
        row.state = "REJECTED"
        made = decide(desk.case, Reject(_of(row), because), desk.grant, unit.now)
        await unit.record(Changes(cases=[case_change(desk.case, made)], corrections=[row]))
        return await once.answered(ports, unit, case_done(desk.case, correction=correction_done(row)))


async def apply(ports: Ports, case_id: UUID, version: int, actor: Actor, correction_id: UUID) -> CaseDone:
    """Carry a proposed correction out. One that asks the target does so between two transactions."""
    async with once.command(ports) as unit:
        desk = await open_desk(ports, unit, case_id, version, actor, whole=True)
        row = await _current(unit, desk.case, correction_id, "PROPOSED", "APPLYING")
        action = ActionCode(row.action)
        facts = _require_step(desk)
        _require_role(desk, action, actor)
        require_safe(action, facts)
        row.applied_by, row.applied_at = actor.id, unit.now
        if action not in ASKS:
            return await _carry_out(ports, unit, desk, row, action, facts)
        row.state = "APPLYING"
        await unit.record(Changes(corrections=[row]))
        await once.begun(ports, unit)
        call = _asking(desk, facts)
    outcome = await ports.connectors[call.target].ask(call)
    try:
        return await _answered(ports, case_id, actor, correction_id, outcome)
    except Refused:
        await once.given_up(ports)
        raise


async def attach(ports: Ports, case_id: UUID, version: int, actor: Actor, data: bytes, described: Evidence) -> CaseDone:
    """Add evidence: the bytes as a file named by their digest, the row in the transaction of its event."""
    sha256 = ports.blobs.put(data)
    async with once.command(ports) as unit:
        desk = await open_desk(ports, unit, case_id, version, actor, whole=True)
        kept = msgspec.structs.replace(
            described, id=ports.new_id(), sha256=sha256, size=len(data), captured_by=actor.id, captured_at=unit.now
        )
        if kept.corrects is not None:
            await own_evidence(unit, case_id, [kept.corrects], "/corrects")
        made = decide(desk.case, Attach(kept), desk.grant, unit.now)
        await unit.record(Changes(cases=[case_change(desk.case, made)], evidence=[(case_id, kept)]))
        return await once.answered(ports, unit, case_done(desk.case, evidence=kept))


async def _answered(ports: Ports, case_id: UUID, actor: Actor, correction_id: UUID, outcome: Outcome) -> CaseDone:
    sha256 = ports.blobs.put(outcome.body) if outcome.body else ""
    async with ports.store.unit(ports.now()) as unit:
        desk = await open_desk(ports, unit, case_id, None, actor, whole=True)
        row = await _current(unit, desk.case, correction_id, "APPLYING")
        facts = _require_step(desk)
        row.result = _says(outcome, facts, desk.tasks[facts.task].sent_at, unit.now)
        row.state = "APPLIED" if row.result in ("found", "absent") else "FAILED"
        row.applied_at = unit.now
        evidence = _read_back(ports, actor, outcome, sha256, row.result, unit.now, facts) if sha256 else ()
        known = row.result in ("found", "absent")
        made = decide(desk.case, Apply(_of(row), row.result if known else "silent", evidence), desk.grant, unit.now)
        await unit.record(
            Changes(cases=[case_change(desk.case, made)], corrections=[row], evidence=[(case_id, e) for e in evidence])
        )
        return await once.answered(ports, unit, _applied(desk.case, row))


def _says(outcome: Outcome, facts: Facts, sent_at: datetime | None, now: datetime) -> str:
    """What a read-back proves: absent only once nothing of ours can still land."""
    if outcome.result is Result.FOUND:
        return "found"
    if outcome.result is not Result.ABSENT:
        return "silent"
    in_flight = timedelta(seconds=facts.target.max_in_flight_s or 0)
    return "too_early" if facts.target.kind != "A" and sent_at and now < sent_at + in_flight else "absent"


def _read_back(
    ports: Ports, actor: Actor, outcome: Outcome, sha256: str, says: str, now: datetime, facts: Facts
) -> tuple[Evidence, ...]:
    proves = says in ("found", "absent")
    return (
        Evidence(
            ports.new_id(), EvidenceType.READ_BACK, sha256, len(outcome.body), "application/json", facts.target_name,
            actor.id, now, proves_resolution=proves, says=says if proves else "",
        ),
    )  # fmt: skip


async def _carry_out(
    ports: Ports, unit: Unit, desk: Desk, row: CorrectionRow, action: ActionCode, facts: Facts
) -> CaseDone:
    given = msgspec.json.decode(row.given, type=dict[str, Any])
    planned = plan(action, given, facts)
    changes = Changes(corrections=[row])
    evidence: tuple[Evidence, ...] = ()
    row.state = "APPLIED"
    if action in SENDS:
        row.result = "readied"
        changes.orders.append(_ready(unit, desk, facts, row))
    elif action is ActionCode.CORRECT_DATA:
        row.result = "corrected"
        changes.orders.append(_new_identity(unit, desk, facts, planned, row))
        evidence = (_data_diff(ports, unit, planned, row),)
    else:
        row.result = "marked"
        await _require_needs(desk, unit, action, given)
    changes.evidence = [(desk.case.id, e) for e in evidence]
    made = decide(desk.case, Apply(_of(row), row.result, evidence), desk.grant, unit.now)
    changes.cases.append(case_change(desk.case, made))
    await unit.record(changes)
    return await once.answered(ports, unit, _applied(desk.case, row))


def _applied(case: Case, row: CorrectionRow) -> CaseDone:
    return case_done(case, correction=correction_done(row, result=row.result))


def _ready(unit: Unit, desk: Desk, facts: Facts, row: CorrectionRow) -> OrderChange:
    """The same identity again; the engine sends it, and what comes back settles or disproves the case."""
    assert desk.shape is not None
    task = desk.tasks[facts.task]
    task.tries = task.asks = 0
    again = Learned(task.no, TaskAction.RESUME, TaskState.READY, unit.now, {"correction": str(row.id)})
    data = follow(desk.shape, desk.order, desk.tasks, [again], unit.now)
    return OrderChange(desk.order, [Event(events.REPAIRED, unit.now, row.applied_by, data)], [task])


def _new_identity(unit: Unit, desk: Desk, facts: Facts, planned: RepairPlan, row: CorrectionRow) -> OrderChange:
    """Corrected data gets a new identity, and only because the old one is proven to have no effect."""
    assert desk.shape is not None
    task, revision = desk.tasks[facts.task], desk.shape.plan.revision
    how = "refused" if task.state is TaskState.FAILED else "absent"
    dead = [(task.no, task.identity, how)]
    task.identity, task.since = task.identity + 1, unit.now
    key = command_key(str(desk.order.id), facts.task_key, revision, task.identity)
    fact = {"no": task.no, "to": task.state.value, "identity": task.identity, "correction": str(row.id)}
    fact["command"] = digest(planned.new_body)
    made = Event(events.CORRECTED, unit.now, row.applied_by, {"tasks": [fact]})
    return OrderChange(
        desk.order, [made], [task], commands=[Command(task.no, task.identity, key, planned.new_body)], dead=dead
    )


def _data_diff(ports: Ports, unit: Unit, planned: RepairPlan, row: CorrectionRow) -> Evidence:
    data = encode(list(planned.changes))
    return Evidence(
        ports.new_id(), EvidenceType.DATA_DIFF, ports.blobs.put(data), len(data), "application/json", "unstuck",
        row.applied_by, unit.now, proves_resolution=True,
    )  # fmt: skip


def _asking(desk: Desk, facts: Facts) -> Call:
    assert desk.shape is not None
    return call_of(desk.order.id, desk.tasks[facts.task], CallKind.ASK, facts.key, facts.body, desk.shape, desk.pack)


async def _require_needs(desk: Desk, unit: Unit, action: ActionCode, given: dict[str, Any]) -> None:
    needs = desk.pack.document.actions[action].needs
    if not needs:
        return
    given_ids = given.get("evidence")
    named = {str(e) for e in given_ids} if isinstance(given_ids, list) else set()
    fit = [e for e in await unit.evidence(desk.case.id) if str(e.id) in named and e.type in needs]
    if not any(e.proves_resolution for e in fit):
        wanted = f"name evidence of this case that proves it, of type {', '.join(needs)}"
        raise Invalid(wanted, (("/input/evidence", wanted),))


async def _own(unit: Unit, case: Case, correction_id: UUID) -> CorrectionRow:
    row = await unit.correction(correction_id)
    if row.case_id != case.id:
        raise Missing(f"correction {correction_id}")
    return row


async def _current(unit: Unit, case: Case, correction_id: UUID, *states: str) -> CorrectionRow:
    row = await _own(unit, case, correction_id)
    if case.correction != correction_id or row.state not in states:
        raise Refused("current-correction", f"this correction is {row.state.lower()}; propose a new one")
    return row


def _require_role(desk: Desk, action: ActionCode, actor: Actor) -> None:
    definition = desk.pack.document.actions[action]
    if not actor.roles & set(definition.roles):
        desk.grant.require(action)
        raise Refused("role", f"{definition.title} is for {titles_of(definition.roles, desk.pack)}")


def _action(desk: Desk, proposal: Proposal) -> tuple[ActionCode, Facts]:
    definition = desk.pack.document.actions.get(proposal.action)
    if definition is None:
        known = ", ".join(desk.pack.document.actions)
        raise Invalid("there is no such action", (("/action", f"one of {known}"),))
    if proposal.reason_code not in definition.reasons:
        raise Invalid("give a reason", (("/reason_code", f"one of {', '.join(definition.reasons)}"),))
    return ActionCode(proposal.action), _require_step(desk)


def _require_step(desk: Desk) -> Facts:
    if desk.facts is None:
        raise Refused("no-step", "this case stands for an order without a plan; there is no step to repair")
    return desk.facts


def _of(row: CorrectionRow) -> Correction:
    return Correction(
        row.id, ActionCode(row.action), row.state, row.reason_code, row.reason, {}, row.proposed_by, row.result
    )


def _preview(desk: Desk, action: ActionCode, given: dict[str, Any], facts: Facts, mask: Mask) -> Preview:
    verdict = desk.grant.verdicts[action]
    shown = effects_shown(plan(action, given, facts), mask)
    return Preview(**shown, allowed=verdict.allowed, rule=verdict.rule, because=verdict.because)
