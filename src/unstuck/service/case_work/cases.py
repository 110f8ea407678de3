"""Commands of people on a case: its life cycle. Each is one transaction under the order's lock and If-Match."""

from collections.abc import Callable, Sequence
from uuid import UUID

import msgspec

from unstuck.fallout import case as commands
from unstuck.fallout.case import Case, Command, decide
from unstuck.kernel.actor import Actor, Grant
from unstuck.kernel.refusal import Invalid, Refused, Stale
from unstuck.order.advance import Shape
from unstuck.order.lifecycle import TaskState
from unstuck.order.plan import PlannedTask
from unstuck.order.state import Order, Task
from unstuck.policy.grant import allowed
from unstuck.policy.pack import Pack
from unstuck.repair.correction import Facts
from unstuck.repair.evidence import EvidenceType
from unstuck.repair.resume import cancelled_with
from unstuck.repair.wording import step_names
from unstuck.service import once
from unstuck.service.case_work.done import CaseDone, case_done
from unstuck.service.case_work.stops import case_change
from unstuck.service.ports import Ports
from unstuck.store.rows import Changes
from unstuck.store.unit import Conflict, Unit
from unstuck.store.whole import order_whole


class Desk(msgspec.Struct):
    """A case with everything a decision on it reads; order and case are locked. Without `own`, the order is not ours."""

    case: Case
    own: Order | None
    tasks: list[Task]
    shape: Shape | None
    pack: Pack
    facts: Facts | None
    grant: Grant

    @property
    def order(self) -> Order:
        """The order, refused when it is somebody else's to change."""
        if self.own is None:
            raise Refused("foreign-order", f"this order is not run here; {self.case.source} holds it")
        return self.own


async def open_desk(
    ports: Ports, unit: Unit, case_id: UUID, version: int | None, actor: Actor, *, whole: bool = False
) -> Desk:
    """Lock and read; Stale when `version` is given and the case has moved on.

    `whole` for decisions that move tasks: no worker can start a call of this order meanwhile.
    """
    order_id = await unit.order_of_case(case_id)
    hold = order_whole if whole else Unit.order
    own, tasks = await hold(unit, order_id) if order_id else (None, [])
    case = await unit.case(case_id)
    if case.order_id != order_id:
        raise Stale(f"case FC-{case.number}", case.version)  # its order came at this very moment
    if version is not None and case.version != version:
        raise Stale(f"case FC-{case.number}", case.version)
    pack = await ports.book.pack(case.pack)
    shape = await ports.book.shape(own.plan) if own and own.plan else None
    facts = await step_facts(unit, case, own, tasks, shape, pack)
    return Desk(case, own, tasks, shape, pack, facts, allowed(case, facts, actor, pack))


async def command(
    ports: Ports, case_id: UUID, version: int, actor: Actor, name: str, make: Callable[[Case], Command]
) -> CaseDone:
    """Carry out one life-cycle command; `name` is what the grant must allow."""
    try:
        async with once.command(ports) as unit:
            desk = await open_desk(ports, unit, case_id, version, actor)
            desk.grant.require(name)
            made = decide(desk.case, make(desk.case), desk.grant, unit.now)
            await unit.record(Changes(cases=[case_change(desk.case, made)]))
            return await once.answered(ports, unit, case_done(desk.case))
    except Conflict as other:
        raise Refused("one-open-case", "another open case stands for the same failure; work on that one") from other


async def verify(ports: Ports, case_id: UUID, version: int, actor: Actor, evidence: list[UUID], note: str) -> CaseDone:
    """Say that the repair is being proven, by evidence of this case."""
    async with once.command(ports) as unit:
        desk = await open_desk(ports, unit, case_id, version, actor)
        desk.grant.require("verify")
        await own_evidence(unit, case_id, evidence)
        made = decide(desk.case, commands.Verify(tuple(evidence), note), desk.grant, unit.now)
        await unit.record(Changes(cases=[case_change(desk.case, made)]))
        return await once.answered(ports, unit, case_done(desk.case))


async def own_evidence(unit: Unit, case_id: UUID, wanted: Sequence[UUID], at: str = "/evidence/{}") -> None:
    """Refuse evidence that is not of this case; `at` points to the n-th."""
    known = {e.id for e in await unit.evidence(case_id)}
    missing = [(at.format(n), "is no evidence of this case") for n, e in enumerate(wanted) if e not in known]
    if missing:
        raise Invalid("name evidence of this case", tuple(missing))


async def step_facts(
    unit: Unit, case: Case, order: Order | None, tasks: list[Task], shape: Shape | None, pack: Pack
) -> Facts | None:
    """What a repair of this case is decided on; None when the case has no step of ours."""
    if order is None or shape is None or case.task is None:
        return None
    task, planned = tasks[case.task], shape.plan.tasks[case.task]
    kind = pack.document.task_types[planned.type]
    ((key, body, _plan),) = await unit.commands([(order.id, task.no, task.identity)])
    evidence = await unit.evidence(case.id)
    current = tuple(
        e
        for e in evidence
        if e.type is not EvidenceType.READ_BACK or task.sent_at is None or e.captured_at >= task.sent_at
    )
    return Facts(
        order_id=str(order.id),
        order_state=order.state.value,
        task=task.no,
        task_key=planned.key,
        task_type=planned.type,
        task_state=task.state,
        attempt=task.attempt,
        identity=task.identity,
        key=key,
        target_name=planned.target,
        target=pack.document.targets[planned.target],
        operation=kind.operation,
        body=body,
        running=task.lease is not None,
        item_tasks=tuple(_state(shape.plan.tasks[n], tasks[n]) for n in cancelled_with(shape, task.no)),
        evidence=current,
        correctable=pack.document.correctable.get(planned.type, {}),
        titles=step_names((one.key, pack.document.task_types[one.type].title) for one in shape.plan.tasks),
    )


def _state(planned: PlannedTask, task: Task) -> tuple[str, str]:
    """A task that waits for its next attempt may have been sent already: that is shown as in flight too."""
    in_flight = task.lease is not None or (task.state is TaskState.READY and task.attempt > 0)
    return planned.key, "RUNNING" if in_flight else task.state.value
