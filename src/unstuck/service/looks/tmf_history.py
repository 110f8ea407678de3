"""What TM Forum saw of an order, leaf by leaf: the history folded again, each leaf's steps in legal order.

The same leaf gives the same steps however often it is asked for, whatever happened since.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

import msgspec

from unstuck.fallout.lifecycle import CASE_IS_RESOLVED, CaseState
from unstuck.order.advance import Shape
from unstuck.order.fold import Folded, evolve
from unstuck.order.lifecycle import ItemState, TaskState
from unstuck.order.tmf import CALLED_OFF, all_waits, order_state, path
from unstuck.service.looks.service_orders import waiting_steps
from unstuck.service.ports import Ports
from unstuck.store.listing import service_orders as store

CHANGE, VALUES = "ServiceOrderStateChangeEvent", "ServiceOrderAttributeValueChangeEvent"
INFORMATION = "ServiceOrderInformationRequiredEvent"
MILESTONE, JEOPARDY = "ServiceOrderMilestoneStateChangeEvent", "ServiceOrderJeopardyAlertEvent"
CANCEL_CREATE, CANCEL_CHANGE = "CancelServiceOrderCreateEvent", "CancelServiceOrderStateChangeEvent"
# Events of a case after which the errors shown of an order are others than before.
SHOWN_OF_CASES = ("detected", "classified", "resolved", "settled-outside", "reopened", "order-linked")


class Step(msgspec.Struct, frozen=True):
    """One event to tell: its type, the state shown with it, in words; `request` when it is about a cancellation."""

    event: str
    state: str
    says: str
    request: UUID | None = None


class _Case(msgspec.Struct):
    step: str = ""
    item: str = ""
    state: str = ""
    resolution: str = ""
    recoverability: str = ""


async def steps_of(ports: Ports, order_id: UUID, leaves: Sequence[int]) -> dict[int, list[Step]]:
    """The steps that each of these leaves of the order, or of its cases, made visible."""
    async with ports.store.reading(ports.now()) as unit:
        rows = await store.history(unit, order_id, max(leaves))
        plan = (await store.orders(unit, [order_id]))[0]["plan"]
    seen = _Seen(order_id, await ports.book.shape(plan) if plan else None)
    wanted, steps = set(leaves), {leaf: list[Step]() for leaf in leaves}
    for row in rows:
        told = list(seen.tell(row["stream"], row["type"], row["at"], msgspec.json.decode(row["data"])))
        if row["n"] in wanted:
            steps[row["n"]] = told
    return steps


class _Seen:
    """What was shown of one order so far."""

    def __init__(self, order_id: UUID, shape: Shape | None) -> None:
        self._id, self._shape = order_id, shape
        self._order, self._cases = Folded(), defaultdict[UUID, _Case](_Case)
        self._state = "acknowledged"

    def tell(self, stream: UUID, kind: str, at: Any, data: dict[str, Any]) -> Iterator[Step]:
        """Fold one event and say what it shows."""
        if stream == self._id:
            evolve(self._order, kind, at, data)
        else:
            _fold(self._cases[stream], data)
        yield from self._around(kind, data)
        yield from self._moved(data)

    def _around(self, kind: str, data: dict[str, Any]) -> Iterator[Step]:
        """What is told beside the state."""
        subject, _, what = kind.partition(".")
        match subject, what:
            case "order", "received":
                yield Step("ServiceOrderCreateEvent", self._state, "it was received")
            case "order", "annotated":
                yield Step(VALUES, self._state, "words were added")
            case "order", "jeopardy-raised":
                yield Step(JEOPARDY, self._state, f"{self._name(data['no'])} takes longer than expected")
            case "order", "cancellation-assessed":
                yield from self._assessed(data)
            case "fallout-case", _ if what in SHOWN_OF_CASES:
                yield Step(VALUES, self._state, f"a fallout case was {what.replace('-', ' ')}")
        for fact in data.get("tasks", ()) if subject == "order" else ():
            if fact.get("to") == TaskState.COMPLETED:
                yield Step(MILESTONE, self._state, f"{self._name(fact['no'])} is done")
            elif fact.get("to") == TaskState.UNKNOWN and fact.get("result") != "silent":
                yield Step(JEOPARDY, self._state, f"nobody can say whether {self._name(fact['no'])} was done")

    def _moved(self, data: dict[str, Any]) -> Iterator[Step]:
        goal = self._goal()
        way = (
            CALLED_OFF if "request" in data and goal == "cancelled" and self._state != goal else path(self._state, goal)
        )
        for state in way:
            yield Step(CHANGE, state, f"it is {state} now")
            if state == "pending" and goal == "pending":
                yield Step(INFORMATION, state, "all that remains waits for others")
        self._state = goal

    def _goal(self) -> str:
        items = [ItemState(state) for state in self._order.item_states]
        open_cases = [case for case in self._cases.values() if case.state not in CASE_IS_RESOLVED]
        waiting = waiting_steps((case.step, case.state) for case in open_cases)
        waits = all_waits(((self._name(task.no), task.state) for task in self._order.tasks), waiting)
        return order_state(self._order.state, items, self._state, failed=self._failed(), waits=waits)

    def _failed(self) -> set[int]:
        ended = {c.item for c in self._cases.values() if (c.resolution, c.recoverability) == ("cancel", "terminal")}
        lines = self._shape.plan.items if self._shape else ()
        return {number for number, (item, _offer) in enumerate(lines) if item in ended}

    def _assessed(self, data: dict[str, Any]) -> Iterator[Step]:
        request, outcome = UUID(data["request"]), data["outcome"]
        yield Step(CANCEL_CREATE, "accepted", "somebody asks to cancel it", request)
        yield Step(CANCEL_CHANGE, "inProgress", "that is being assessed", request)
        end = "terminatedWithError" if outcome == "impossible" else "done"
        if outcome == "kept":
            yield Step(CHANGE, CALLED_OFF[0], "whether it can be cancelled is being assessed")
            yield Step(CHANGE, self._state, "it is kept")
        yield Step(CANCEL_CHANGE, end, f"the order is {outcome}", request)

    def _name(self, no: int) -> str:
        return self._shape.plan.tasks[no].key if self._shape else str(no)


def _fold(case: _Case, data: dict[str, Any]) -> None:
    """What a projection reads of a case, from the facts of its events."""
    case.state = CaseState(data["to"]).value if "to" in data else case.state
    for name in ("step", "item", "recoverability", "resolution"):
        if isinstance(data.get(name), str):
            setattr(case, name, data[name])
    if case.state and CaseState(case.state) not in CASE_IS_RESOLVED:
        case.resolution = ""
