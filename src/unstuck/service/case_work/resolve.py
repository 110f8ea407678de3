"""Resolving a case: the decision, its proof, the token.

Our own engine redeems it in the same transaction; the order manager that reported the case does so in its own time.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec

from unstuck.fallout.case import Case, Resolve, decide
from unstuck.fallout.ending import Standing, require_nothing_left, require_way_on
from unstuck.kernel.actor import Actor
from unstuck.kernel.event import Event
from unstuck.kernel.refusal import Invalid, Refused
from unstuck.order import events
from unstuck.order.lifecycle import ORDER, ORDER_IS_OVER, OrderAction, OrderState
from unstuck.order.state import Order, Task
from unstuck.repair.correction import ActionCode
from unstuck.repair.evidence import Evidence, proof_before_resolution
from unstuck.repair.resume import redeem as moved_by
from unstuck.repair.token import OUR_ENGINE, ResumeMode, ResumeToken, require_redeemable
from unstuck.service import once
from unstuck.service.case_work.cases import Desk, open_desk, own_evidence
from unstuck.service.case_work.done import CaseDone, case_done
from unstuck.service.case_work.stops import case_change
from unstuck.service.elsewhere.foreign import hand_over
from unstuck.service.ports import Ports
from unstuck.store.rows import Changes, OrderChange
from unstuck.store.unit import Conflict, Unit

ENGINE = OUR_ENGINE
MODE_OF = {"cancel": ResumeMode.CANCEL_ITEM, "compensate": ResumeMode.COMPENSATE_AND_CLOSE}


class Decision(msgspec.Struct, frozen=True):
    """How a case ends: resume (with a mode), cancel, compensate, or none (settled, duplicate, false alarm)."""

    decision: str
    evidence: list[UUID]
    mode: str | None = None
    note: str = ""


async def resolve(ports: Ports, case_id: UUID, version: int, actor: Actor, decision: Decision) -> CaseDone:
    """Resolve the case and let the order go on, in one transaction; refused without proof."""
    async with once.command(ports) as unit:
        desk = await open_desk(ports, unit, case_id, version, actor, whole=True)
        desk.grant.require("resolve")
        mode = _mode(decision)
        standing = await _standing(unit, desk, mode)
        if mode is None:
            require_nothing_left(standing)
        evidence = await _evidence(unit, case_id, decision.evidence)
        proof_before_resolution(evidence)
        if mode is not None:
            require_way_on(mode, standing)
        changes = Changes()
        if mode and desk.case.goes_on_elsewhere:
            token: ResumeToken | None = await hand_over(ports, unit, desk, mode, evidence, changes)
        else:
            token = await _own(ports, unit, desk, mode, evidence, actor, changes)
        settled = Resolve(decision.decision, mode, tuple(decision.evidence), token, decision.note)
        changes.cases.append(case_change(desk.case, decide(desk.case, settled, desk.grant, unit.now)))
        await unit.record(changes)
        return await once.answered(ports, unit, case_done(desk.case, resume_token=token))


async def _own(
    ports: Ports, unit: Unit, desk: Desk, mode: ResumeMode | None, evidence: Sequence[Evidence], actor: Actor,
    changes: Changes,
) -> ResumeToken | None:  # fmt: skip
    """Issue the token and redeem it at once; without a plan there is nothing to redeem, and cancelling is all."""
    if mode is None:
        return None
    token = _issue(ports, unit, desk, mode, evidence)
    if token is None:
        changes.orders.append(_cancel_order(unit, desk, actor))
        return None
    changes.tokens.append(token)
    changes.redeemed.append((token.id, ENGINE))
    changes.orders.append(await _redeem(ports, unit, token, ENGINE, desk.order, desk.tasks, actor))
    return token


async def redeem(ports: Ports, token_id: UUID, audience: str, actor: Actor) -> None:
    """Redeem a token that was issued before: once, by its audience, while the step stands where it stood."""
    try:
        async with ports.store.unit(ports.now()) as unit:
            token = await unit.token(token_id)
            if token.order_id is None:
                raise Refused("token-audience", f"this token was issued to {token.audience}")
            order, tasks = await unit.order(token.order_id)
            change = await _redeem(ports, unit, token, audience, order, tasks, actor)
            await unit.record(Changes(orders=[change], redeemed=[(token.id, audience)]))
    except Conflict as again:
        raise Refused("token-used", "this token was redeemed before") from again


async def _redeem(
    ports: Ports, unit: Unit, token: ResumeToken, audience: str, order: Order, tasks: list[Task], actor: Actor
) -> OrderChange:
    shape = await ports.book.shape(order.plan or "")
    task = tasks[token.step]
    guard = (shape.plan.revision, task.no, task.attempt)
    require_redeemable(token, audience=audience, order_id=order.id, guard=guard, now=unit.now)
    data: dict[str, Any] = moved_by(token, shape, order, tasks, unit.now)
    data |= {"token": str(token.id), "case": str(token.case_id), "mode": token.mode.value}
    made = [Event(events.REPAIRED, unit.now, actor.id, data)]
    if order.state in ORDER_IS_OVER:
        made.append(Event(events.COMPLETED, unit.now, actor.id, {}))
    changed = [tasks[no] for no in sorted({fact["no"] for fact in data["tasks"]})]
    return OrderChange(order, made, changed)


async def _standing(unit: Unit, desk: Desk, mode: ResumeMode | None) -> Standing:
    case, own = desk.case, desk.own
    others = await unit.open_cases([own.id]) if own and mode is None else []
    return Standing(
        case=case,
        facts=desk.facts,
        order_state=own.state if own else None,
        planned=desk.shape is not None,
        marked=await _marked(unit, case),
        shared=any(other.id != case.id and other.step == case.step for other in others),
    )


def _issue(ports: Ports, unit: Unit, desk: Desk, mode: ResumeMode, evidence: Sequence[Evidence]) -> ResumeToken | None:
    case, facts = desk.case, desk.facts
    if facts is None or desk.shape is None:
        return None
    return ResumeToken(
        id=ports.new_id(),
        audience=ENGINE,
        case_id=case.id,
        order_id=desk.order.id,
        item=case.item,
        failed_step=case.step,
        mode=mode,
        correction=case.correction,
        evidence=tuple(e.id for e in evidence),
        plan_revision=desk.shape.plan.revision,
        task=facts.task,
        attempt=facts.attempt,
        issued_at=unit.now,
        expires_at=unit.now + timedelta(seconds=desk.pack.document.resume_tokens.life_s),
    )


async def _marked(unit: Unit, case: Case) -> bool:
    """Whether the correction in force is *mark done outside*, applied."""
    if case.correction is None:
        return False
    row = await unit.correction(case.correction)
    return row.state == "APPLIED" and row.action == ActionCode.MARK_DONE_OUTSIDE


async def _evidence(unit: Unit, case_id: UUID, wanted: list[UUID]) -> tuple[Evidence, ...]:
    await own_evidence(unit, case_id, wanted)
    return tuple(e for e in await unit.evidence(case_id) if e.id in wanted)


def _mode(decision: Decision) -> ResumeMode | None:
    if decision.decision == "none":
        return None
    if decision.decision in MODE_OF:
        return MODE_OF[decision.decision]
    if decision.decision != "resume":
        raise Invalid("decide how it ends", (("/decision", "one of resume, cancel, compensate, none"),))
    if decision.mode not in set(ResumeMode):
        raise Invalid("say from where it goes on", (("/mode", f"one of {', '.join(ResumeMode)}"),))
    return ResumeMode(decision.mode)


def _cancel_order(unit: Unit, desk: Desk, actor: Actor) -> OrderChange:
    """An order without a plan has done nothing outside: it can be cancelled at once."""
    order = desk.order
    order.state = ORDER.step(order.state, OrderAction.CANCEL)
    order.state = ORDER.step(order.state, OrderAction.CANCELLED)
    order.finished_at, order.failed_from = unit.now, None
    fact = {"order": OrderState.CANCELLED.value, "tasks": [], "case": str(desk.case.id)}
    return OrderChange(order, [Event(events.REPAIRED, unit.now, actor.id, fact)])
