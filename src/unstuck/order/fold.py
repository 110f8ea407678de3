"""The fold of an order's history: all that its events say it is, was told and was sent. Nothing else is read."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from unstuck.order.advance import fold_tasks
from unstuck.order.lifecycle import ORDER_IS_OVER, ItemState, OrderState, TaskState
from unstuck.order.state import Task

CALLBACK_STATUS = {"done": "done", "refused": "failed"}


class Answer(msgspec.Struct):
    """What an event says of a callback's row."""

    at: datetime
    task: int
    status: str
    verdict: str
    sha256: str


class Folded(msgspec.Struct):
    """One order as its events describe it. Keys are (task, identity), (task, attempt) and (system, event id)."""

    source: str = ""
    pack: str = ""
    raw: UUID | None = None
    sha256: str = ""
    draft: str = ""
    received_at: datetime | None = None
    state: OrderState = OrderState.NOT_STARTED
    failed_from: OrderState | None = None
    plan: str | None = None
    item_states: list[str] = []
    finished_at: datetime | None = None
    tasks: list[Task] = []
    bodies: dict[tuple[int, int], str] = {}
    dead: dict[tuple[int, int], tuple[str, datetime]] = {}
    attempts: dict[tuple[int, int], int] = {}
    outcomes: dict[tuple[int, int], dict[str, Any]] = {}
    callbacks: dict[tuple[str, str], Answer] = {}
    redeemed: dict[UUID, datetime] = {}
    annotations: dict[UUID, tuple[datetime, str]] = {}
    cancellations: dict[UUID, tuple[datetime, str, str]] = {}


def evolve(order: Folded, kind: str, at: datetime, data: dict[str, Any]) -> None:
    """Fold one event into the order; understands every version of every type ever released."""
    match kind:
        case "order.received":
            order.source, order.pack, order.received_at = data["source"], data["pack"], at
            order.raw, order.sha256, order.draft = UUID(data["raw"]), data["sha256"], data["draft"]
        case "order.decomposed":
            _decomposed(order, data)
        case "order.failed":
            order.state, order.failed_from = OrderState(data["order"]), OrderState(data["from"])
        case "order.outcome-noted":
            _answered(order, at, data["outcomes"])
        case "order.corrected":
            _corrected(order, at, data["tasks"])
            fold_tasks(order.tasks, data, at)
        case "order.suspended" | "order.resumed" | "order.failure-resolved":
            _moved(order, at, data)
        case "order.cancelled" | "order.aborted":
            fold_tasks(order.tasks, data, at)
            _moved(order, at, data)
        case "order.annotated":
            order.annotations[UUID(data["annotation"])] = (at, data["sha256"])
        case "order.cancellation-assessed":
            order.cancellations[UUID(data["request"])] = (at, data["outcome"], data["sha256"])
        case "order.started" | "order.advanced" | "order.repaired":
            _answered(order, at, data["tasks"])
            fold_tasks(order.tasks, data, at)
            _moved(order, at, data)


def _decomposed(order: Folded, data: dict[str, Any]) -> None:
    order.plan = data["plan"]
    order.item_states = [ItemState.NOT_STARTED.value] * data["items"]
    order.tasks = [Task(no) for no in range(len(data["commands"]))]
    order.bodies = {(no, 0): sha256 for no, sha256 in enumerate(data["commands"])}


def _moved(order: Folded, at: datetime, data: dict[str, Any]) -> None:
    order.item_states = data.get("items", order.item_states)
    if "order" in data:
        order.state, order.failed_from = OrderState(data["order"]), None
        order.finished_at = at if order.state in ORDER_IS_OVER else None
    if "token" in data:
        order.redeemed[UUID(data["token"])] = at


def _corrected(order: Folded, at: datetime, facts: Iterable[dict[str, Any]]) -> None:
    """A new identity: the one before it is dead, refused when the task has failed and absent when it was unknown."""
    for fact in facts:
        no, identity = fact["no"], fact["identity"]
        how = "refused" if fact["to"] == TaskState.FAILED else "absent"
        order.dead[no, identity - 1] = (how, at)
        order.bodies[no, identity] = fact["command"]


def _answered(order: Folded, at: datetime, facts: Iterable[dict[str, Any]]) -> None:
    for fact in facts:
        no = fact["no"]
        if "to" in fact and fact.get("attempt"):
            order.attempts[no, fact["attempt"]] = order.tasks[no].identity
        if "event" in fact:
            status = fact["status"] if "status" in fact else CALLBACK_STATUS[fact["result"]]
            answer = Answer(at, no, status, fact.get("verdict", "settled"), fact["sha256"])
            order.callbacks[fact["system"], fact["event"][:200]] = answer
        elif "sha256" in fact:
            order.outcomes[no, fact["attempt"]] = fact
