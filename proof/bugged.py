"""Seeded bugs, put in from outside: `python -m proof.bugged BUG worker|serve …` is that command with one bug.

The product has no switch for any of them. Each replaces one rule by the mistake it guards against.
"""

import asyncio
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec

from unstuck.connect.http import HttpConnector
from unstuck.kernel.actor import Actor
from unstuck.kernel.refusal import Refused
from unstuck.order import advance as order_advance
from unstuck.order.advance import Learned
from unstuck.order.lifecycle import ItemState, OrderState, TaskAction, TaskState
from unstuck.order.plan import OrderDraft
from unstuck.order.state import Order, Task
from unstuck.repair import judge
from unstuck.repair.judge import Judgement, Rules
from unstuck.repair.outcome import Call, Outcome
from unstuck.repair.resume import redeem as moved_by
from unstuck.service.case_work import cases, repair, resolve
from unstuck.service.elsewhere import foreign
from unstuck.service.failures_in import failures
from unstuck.service.looks import service_orders
from unstuck.service.looks.service_orders import Told
from unstuck.service.order_work import advance, callbacks, intake
from unstuck.service.ports import Ports
from unstuck.store import unit as store_unit
from unstuck.store.rows import Changes
from unstuck.store.statements import sql
from unstuck.store.unit import Unit
from unstuck.web.api import failures as failures_in

COMMITS_AFTER_S = 1.0
TASK_COLUMNS = ("no", "state", "identity", "attempt", "tries", "asks", "lease", "sent_at", "due")


def new_key_per_retry() -> None:
    """Every attempt gets a key of its own: the target cannot know that it is the same intent."""
    send = HttpConnector.send

    async def sent(self: HttpConnector, call: Call, may_send: Callable[[], bool]) -> Outcome:
        call.key = f"{call.key}.{call.attempt}"
        return await send(self, call, may_send)

    HttpConnector.send = sent  # type: ignore[method-assign]


def blind_retry() -> None:
    """An unknown outcome is simply sent again, whatever the target is."""
    judge.lose = advance.lose = _again  # type: ignore[attr-defined]


def expired_lease_runs_again() -> None:
    """A call whose worker is gone is simply run again."""
    advance.lose = _again  # type: ignore[attr-defined]


def absent_at_once() -> None:
    """Absent is believed at the first answer: what is still under way is forgotten."""
    judge._landed_by = lambda task, target: task.sent_at


def callback_regresses() -> None:
    """A callback is taken at its word: an *accepted* that comes late takes a finished task back."""
    judged, table = callbacks.judge_callback, order_advance.TASK

    def believed(task: Task, status: str, outcome: Outcome, rules: Rules, now: datetime) -> Judgement | None:
        if status == "accepted" and task.state is TaskState.COMPLETED:
            return Judgement(Learned(task.no, TaskAction.ACCEPT, TaskState.WAITING_CALLBACK))
        return judged(task, status, outcome, rules, now)

    class Anything:
        def step(self, state: TaskState, action: TaskAction, to: TaskState | None = None) -> TaskState:
            return to or table.step(state, action)

    callbacks.judge_callback = believed
    order_advance.TASK = Anything()  # type: ignore[assignment]


def ack_before_commit() -> None:
    """The answer goes out first; the order is committed a second later, if we live."""
    submit, shown = intake.submit, service_orders.told
    drafts: dict[UUID, OrderDraft] = {}
    later: set[asyncio.Task[None]] = set()

    async def committed(ports: Ports, draft: OrderDraft, sent: intake.Sent) -> None:
        await asyncio.sleep(COMMITS_AFTER_S)
        await submit(ports, draft, sent)

    async def careless(ports: Ports, draft: OrderDraft, sent: intake.Sent) -> intake.Received:
        order_id = ports.new_id()
        drafts[order_id], ids = draft, iter([order_id])
        then = msgspec.structs.replace(ports, new_id=lambda: next(ids, None) or ports.new_id())
        task = asyncio.create_task(committed(then, draft, sent))
        later.add(task)
        task.add_done_callback(later.discard)
        return intake.Received(order_id, known=False)

    async def told(ports: Ports, order_id: UUID, seen_by: str) -> Told:
        return _promised(order_id, drafts[order_id]) if order_id in drafts else await shown(ports, order_id, seen_by)

    intake.submit, service_orders.told = careless, told


def failure_acked_before_commit() -> None:
    """The same with reported failures: the answer is known before the commit, and given before it."""
    later: set[asyncio.Task[None]] = set()

    async def filed(ports: Ports, reports: Sequence[Any], said: "asyncio.Future[list[Any]]") -> None:
        try:
            async with ports.store.unit(ports.now()) as unit:
                said.set_result(await failures.file(ports, unit, reports))
                await asyncio.sleep(COMMITS_AFTER_S)
        except Exception as error:
            if said.done():
                raise
            said.set_exception(error)

    async def careless(ports: Ports, reports: Sequence[Any]) -> list[Any]:
        said: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(filed(ports, reports, said))
        later.add(task)
        task.add_done_callback(later.discard)
        return await said

    failures_in.receive = careless  # type: ignore[attr-defined]


def if_match_ignored() -> None:
    """A command is carried out whatever version its sender had seen."""
    opened = cases.open_desk

    async def careless(
        ports: Ports, unit: Unit, case_id: UUID, version: int | None, actor: Actor, *, whole: bool = False
    ) -> cases.Desk:
        return await opened(ports, unit, case_id, None, actor, whole=whole)

    for room in (cases, repair, resolve):
        room.open_desk = careless  # type: ignore[attr-defined]


def lock_and_load_in_one() -> None:
    """Lock and tasks in one statement: after waiting, the row is new and the tasks are as they were before."""
    names = ", ".join(f"t.{name} AS t_{name}" for name in TASK_COLUMNS)
    one = (
        f"WITH o AS ({sql('lock_orders')}) SELECT o.*, {names} FROM o JOIN ({sql('load_tasks')}) t ON t.order_id = o.id"
    )

    async def orders(self: Unit, ids: Sequence[UUID]) -> dict[UUID, tuple[Order, list[Task]]]:
        rows = await self.conn.fetch(one, sorted(ids))
        return {row["id"]: (store_unit._order(row), store_unit._tasks(_only_task(row))) for row in rows}

    Unit.orders = orders  # type: ignore[method-assign]


def check_then_act_token() -> None:
    """A token is looked up, found unused, and then used: two who look at once both find it so."""
    resolve.redeem = _look_then_redeem


def check_then_act_leave() -> None:
    """The same with leave for an order manager that is not ours: looked at under no lock, then taken."""
    foreign.redeem = _look_then_take


def token_reused() -> None:
    """A token is good for ever: neither its use nor the step it was issued for is held against it."""
    resolve.require_redeemable = lambda *_args, **_facts: None  # type: ignore[attr-defined]
    record = Unit.record

    async def forgetful(self: Unit, changes: Changes) -> None:
        changes.redeemed = []
        await record(self, changes)

    Unit.record = forgetful  # type: ignore[method-assign]


async def _look_then_take(ports: Ports, token_id: UUID, _text: str, _version: str, actor: Actor) -> None:
    async with ports.store.unit(ports.now()) as unit:
        if await unit.conn.fetchval("SELECT 1 FROM resume_use WHERE token = $1", token_id):
            raise Refused("token-used", "this token was redeemed before")
    async with ports.store.unit(ports.now()) as unit:
        query = "INSERT INTO resume_use (token, at, by) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"
        await unit.conn.execute(query, token_id, unit.now, actor.id)


async def _look_then_redeem(ports: Ports, token_id: UUID, audience: str, actor: Actor) -> None:
    async with ports.store.unit(ports.now()) as unit:
        if await unit.conn.fetchval("SELECT 1 FROM resume_use WHERE token = $1", token_id):
            raise Refused("token-used", "this token was redeemed before")
        token = await unit.token(token_id)
        order, tasks = await unit.peek(token.order_id)
        moved_by(token, await ports.book.shape(order.plan or ""), order, tasks, unit.now)
    async with ports.store.unit(ports.now()) as unit:
        await unit.conn.execute(
            "UPDATE task SET state = 'READY', due = $3 WHERE order_id = $1 AND no = $2",
            token.order_id, token.task, unit.now,
        )  # fmt: skip
        await unit.conn.execute(
            "INSERT INTO resume_use (token, at, by) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
            token_id, unit.now, actor.id,
        )  # fmt: skip


def _promised(order_id: UUID, draft: OrderDraft) -> Told:
    return Told(
        id=order_id, number=0, external_id="", source=draft.source, state=OrderState.IN_PROGRESS, version=1,
        item_states=[ItemState.IN_PROGRESS] * len(draft.items), received_at=datetime.now(UTC), promised_at=None,
        finished_at=None, draft=draft, came={}, words={},
    )  # fmt: skip


def _again(task: Task, outcome: Outcome, rules: Rules, now: datetime, chance: float) -> Judgement:
    due = now + judge._wait(task, rules.retry, chance)
    return Judgement(judge._learn(task, TaskAction.RETRY, TaskState.READY, outcome, due))


def _only_task(row: Any) -> dict[str, Any]:
    return {name: row[f"t_{name}"] for name in TASK_COLUMNS}


BUGS: dict[str, Callable[[], None]] = {
    bug.__name__: bug
    for bug in (
        new_key_per_retry, blind_retry, expired_lease_runs_again, absent_at_once, callback_regresses,
        ack_before_commit, if_match_ignored, lock_and_load_in_one, check_then_act_token, token_reused,
        check_then_act_leave, failure_acked_before_commit,
    )
}  # fmt: skip


def main() -> None:
    """Put the bug in, then be the command."""
    from unstuck.cli.main import main as unstuck

    BUGS[sys.argv[1]]()
    sys.argv = ["unstuck", *sys.argv[2:]]
    unstuck()


if __name__ == "__main__":
    main()
