"""What is written in one go: the values that `record` takes, and the rows that are only ever added."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

import msgspec

from unstuck.fallout.case import Case
from unstuck.kernel.event import Event
from unstuck.order.state import Order, Task
from unstuck.repair.evidence import Evidence
from unstuck.repair.token import ResumeToken


class NewOrder(msgspec.Struct):
    """What is written of an order once, when it is received."""

    source: str
    external_id: str
    customer: str
    promised_at: datetime | None
    received_at: datetime
    draft: bytes
    raw: UUID


class Command(msgspec.Struct):
    """One business identity of a task."""

    task: int
    identity: int
    key: str
    body: bytes


class OrderChange(msgspec.Struct):
    """One order as it is next. `order.seq` and `version` are still those it was read with."""

    order: Order
    events: list[Event]
    tasks: list[Task] = []
    fresh: NewOrder | None = None
    plan_body: bytes | None = None  # when the plan is new
    targets: tuple[str, ...] = ()
    commands: list[Command] = []
    dead: list[tuple[int, int, str]] = []  # task, identity, refused or absent


class CaseChange(msgspec.Struct):
    """One case as it is next; `raw` is given when it is new."""

    case: Case
    events: list[Event]
    raw: bytes | None = None


class Attempt(msgspec.Struct, array_like=True):
    """The intent of one call, written before it leaves; `kind` says whether it sends or asks."""

    order_id: UUID
    task: int
    attempt: int
    day: date
    kind: str
    identity: int
    owner: str
    at: datetime


class Arrived(msgspec.Struct, array_like=True):
    """An outcome row."""

    order_id: UUID
    task: int
    attempt: int
    day: date
    at: datetime
    result: str
    status: int
    code: str
    reference: str
    sha256: bytes
    body: bytes


class FailureEvent(msgspec.Struct, array_like=True):
    """A reported failure as it came, and the case it is filed under."""

    source: str
    event_id: str
    at: datetime
    case_id: UUID
    was: str  # new, joined or reopened
    sha256: str
    body: bytes


class Timer(msgspec.Struct, frozen=True):
    """Something due: whose, what kind, and the epoch that makes it fire once."""

    subject: UUID
    kind: str
    epoch: int
    due: datetime
    task: int | None = None


class CorrectionRow(msgspec.Struct):
    """A correction as it is kept; `given`, `preview` are JSON."""

    id: UUID
    case_id: UUID
    action: str
    state: str
    reason_code: str
    reason: str
    given: bytes
    preview: bytes
    proposed_by: str
    proposed_at: datetime
    applied_by: str = ""
    applied_at: datetime | None = None
    result: str = ""


class RegistryChange(msgspec.Struct):
    """A registered thing (a source, a subscription, a key) as it is next: its events go to a stream of its own.

    `seq` and `version` are those its row was read with, 0 when it is new; `values` are the columns to write beside
    them. A table without a name has no row: its events are only appended after `seq`.
    """

    table: str
    id: UUID
    events: list[Event]
    values: dict[str, Any] = {}
    seq: int = 0
    version: int = 0


class Changes(msgspec.Struct):
    """Everything one transaction records."""

    orders: list[OrderChange] = []
    cases: list[CaseChange] = []
    registry: list[RegistryChange] = []
    sends: list[tuple[UUID, int]] = []  # claimed: operational columns only, so no event
    asks: list[tuple[UUID, int]] = []
    lease: datetime | None = None
    owner: str = ""
    attempts: list[Attempt] = []
    outcomes: list[Arrived] = []
    failures: list[FailureEvent] = []
    timers: list[Timer] = []
    cleared: list[tuple[UUID, str, int]] = []
    corrections: list[CorrectionRow] = []
    evidence: list[tuple[UUID, Evidence]] = []
    tokens: list[ResumeToken] = []
    asking: list[UUID] = []  # tokens whose order manager we ask to go on
    redeemed: list[tuple[UUID, str]] = []
