"""What the pages show of orders beside the rows and views of the API: open cases, the promise, what may be done."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from unstuck.fallout.lifecycle import CASE_IS_RESOLVED, CaseState
from unstuck.kernel.actor import Actor
from unstuck.order import events
from unstuck.order.command import clean_up
from unstuck.order.lifecycle import ORDER_IS_OVER, OrderState
from unstuck.order.promise import Promise, promise
from unstuck.order.standing import STOPPED
from unstuck.order.state import Task
from unstuck.policy.order_grant import commands_on
from unstuck.service.looks import lists, views
from unstuck.service.looks.lists import Shape
from unstuck.service.looks.shown import Extent, OrderRow, OrderView, RefusedAction
from unstuck.service.order_work import orders
from unstuck.service.order_work.orders import CleanUp
from unstuck.service.ports import Ports
from unstuck.store.listing import order_list
from unstuck.store.listing.order_list import WantedOrders
from unstuck.store.unit import Unit

ABORTED = f"unstuck.{events.ABORTED.name}"
HALTED = (OrderState.FAILED, OrderState.SUSPENDED, OrderState.WAITING_FOR_REVISION)


class OpenCase(msgspec.Struct, frozen=True):
    """An open case of an order, by the name that people use."""

    number: str
    state: CaseState
    code: str


class ListedOrder(msgspec.Struct, frozen=True):
    """A row of the list, with what stands open on it."""

    row: OrderRow
    cases: tuple[OpenCase, ...]
    promise: Promise


class OrderList(msgspec.Struct, frozen=True):
    """A page of orders, and what is said of it beside its rows."""

    orders: tuple[ListedOrder, ...]
    extent: Extent


class OrderDesk(msgspec.Struct, frozen=True, kw_only=True):
    """One order with what this actor may do to it now.

    `left_outside`: what an abort would leave to be undone, or what one has left; `not_begun`: steps of which nothing
    was sent; `seen`: the last event that is shown; `queues`: the pack's words for queues.
    """

    view: OrderView
    promise: Promise
    may: tuple[str, ...]
    may_not: tuple[RefusedAction, ...]
    left_outside: tuple[CleanUp, ...]
    not_begun: int
    seen: int
    queues: Mapping[str, str]


async def order_list_of(ports: Ports, wanted: WantedOrders, shape: Shape) -> OrderList:
    """A page of the list, each order with its open cases."""
    page = await lists.orders(ports, wanted, shape)
    rows: list[OrderRow] = list(page.orders)  # type: ignore[arg-type]  # whole rows: no fields were chosen
    now = ports.now()
    async with ports.store.reading(now) as unit:
        opened = await _open_cases(unit, [row.id for row in rows])
    listed = tuple(ListedOrder(row, tuple(opened[row.id]), _promise(row, bool(opened[row.id]), now)) for row in rows)
    return OrderList(listed, Extent(next=page.next, more=page.more, complete=page.complete))


async def order_desk(ports: Ports, order_id: UUID, actor: Actor) -> OrderDesk:
    """One order, whole, with every command allowed or refused."""
    view = await views.order_view(ports, order_id)
    async with ports.store.reading(ports.now()) as unit:
        order, tasks = await unit.peek(order_id)
        shape = await ports.book.shape(order.plan) if order.plan else None
        left = await orders.clean_up(unit, order_id, shape, _left_outside(view, tasks))
    verdicts = commands_on(order, tasks, actor, ports.book.current)
    still = any(case.state not in CASE_IS_RESOLVED for case in view.cases) or _stopped(tasks)
    return OrderDesk(
        view=view,
        promise=_promise(view, still, ports.now()),
        may=tuple(name for name, verdict in verdicts.items() if verdict.allowed),
        may_not=tuple(RefusedAction(n, v.rule, v.because) for n, v in verdicts.items() if not v.allowed),
        left_outside=tuple(left),
        not_begun=sum(task.attempt == 0 for task in tasks),
        seen=view.timeline[-1].seq if view.timeline else 0,
        queues={name: queue.title for name, queue in ports.book.current.fallout.queues.items()},
    )


def _left_outside(view: OrderView, tasks: Sequence[Task]) -> Sequence[Mapping[str, Any]]:
    """Of an aborted order what its end has left; else what an abort would leave now, as long as it can end like that."""
    if view.state is OrderState.ABORTED:
        ends = [entry.data for entry in view.timeline if entry.type == ABORTED]
        return ends[-1]["clean_up"] if ends else ()
    return () if view.state in ORDER_IS_OVER else clean_up(tasks)


def _stopped(tasks: Sequence[Task]) -> bool:
    return any(task.state in STOPPED for task in tasks)


def _promise(row: OrderRow, stands_still: bool, now: datetime) -> Promise:
    promised, finished = (datetime.fromisoformat(at) if at else None for at in (row.promised_at, row.finished_at))
    return promise(row.state, promised, finished, stands_still or row.state in HALTED, now)


async def _open_cases(unit: Unit, ids: Sequence[UUID]) -> dict[UUID, list[OpenCase]]:
    found: dict[UUID, list[OpenCase]] = {id: [] for id in ids}
    for row in await order_list.open_cases_of(unit, ids):
        found[row["order_id"]].append(OpenCase(f"FC-{row['number']}", CaseState(row["state"]), row["code"]))
    return found
