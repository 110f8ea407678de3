"""An order and its tasks as values: what the store keeps, what rules read. Changed only by `follow` and `apply`."""

from datetime import datetime
from uuid import UUID

import msgspec

from unstuck.order.lifecycle import ItemState, OrderState, TaskState


class Task(msgspec.Struct):
    """One task of one order.

    Recorded: state, identity, revision. Operational: attempt, tries, asks, due, lease, owner, sent_at.
    `identity` counts the business identities this task has had; `attempt` counts calls and is the fence.
    """

    no: int
    state: TaskState = TaskState.PENDING
    identity: int = 0
    attempt: int = 0
    tries: int = 0
    asks: int = 0
    due: datetime | None = None
    lease: datetime | None = None
    owner: str | None = None
    sent_at: datetime | None = None
    since: datetime | None = None


class Order(msgspec.Struct):
    """One order. Recorded: state, failed_from, item_states, plan, version, seq."""

    id: UUID
    number: int
    state: OrderState
    version: int
    seq: int
    pack: str
    plan: str | None
    item_states: tuple[ItemState, ...]
    failed_from: OrderState | None = None
    finished_at: datetime | None = None
    prio: int = 100
