"""The shapes in which orders and cases are shown: what the API answers, field by field.

Times are RFC 3339 in UTC with microseconds. Texts of strangers (raw messages, requests, replies) are cut at 100,000
bytes and shown as text whatever they are; their digest is that of the whole.
"""

from typing import TYPE_CHECKING, Annotated, Any, Literal
from uuid import UUID

import msgspec

from unstuck.fallout.ending import Ending
from unstuck.fallout.lifecycle import CaseState
from unstuck.order.lifecycle import ItemState, OrderState, TaskState
from unstuck.policy.suggestion import Suggestion
from unstuck.repair.evidence import Evidence
from unstuck.repair.policy import FieldRule
from unstuck.repair.token import ResumeToken

Time = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})]
Json = dict[str, Any]


class CaseRow(msgspec.Struct, kw_only=True):
    """A case as lists show it. Without `order_id` it is about an order that is not ours: `order_ref` names it.

    `source` is who reported it, empty when our own engine saw it; `customer` and the hints are the source's words.
    """

    id: UUID
    number: str
    order_id: UUID | None
    state: CaseState
    version: int
    item: str
    step: str
    reason: str
    system: str
    operation: str
    code: str
    domain: str
    recoverability: str
    queue: str
    owner: str
    repeats: int
    resolution: str
    resolved_by: str
    raw_code: str
    raw_message: str
    source: str
    order_ref: str
    order_version: str
    customer: str
    correlation_id: str
    category_hint: str
    severity_hint: str
    detected_at: Time
    touched_at: Time
    resolved_at: Time | None


class Raw(msgspec.Struct):
    """What a target or a source said, as it came."""

    code: str
    message: str
    sha256: str
    body: str


class AllowedAction(msgspec.Struct, kw_only=True):
    """An action this actor may take now. Repairs say what policy knows of them; the life cycle only its name."""

    action: str
    title: str
    roles: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    risk: Literal["none", "low", "high"] | msgspec.UnsetType = msgspec.UNSET
    mode: Literal["automatic", "manual", "hybrid"] | msgspec.UnsetType = msgspec.UNSET
    reasons: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    needs: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    audit: str | msgspec.UnsetType = msgspec.UNSET
    fields: dict[str, FieldRule] | msgspec.UnsetType = msgspec.UNSET


class RefusedAction(msgspec.Struct):
    """An action that is not possible or not allowed now, with the rule that says so."""

    action: str
    rule: str
    because: str


class GraphItem(msgspec.Struct):
    """One line of an order."""

    id: str
    offer: str
    title: str


class GraphTask(msgspec.Struct, kw_only=True):
    """One step of an order's plan. `after` are the numbers of the steps it waits for."""

    no: int
    key: str
    type: str
    title: str
    target: str
    item: str
    after: list[int]
    state: TaskState
    running: bool
    identity: int
    attempts: int
    due: Time | None
    since: Time | None


class Graph(msgspec.Struct):
    """The plan of an order as it stands; empty for an order without a plan."""

    items: list[GraphItem]
    tasks: list[GraphTask]


class Attempt(msgspec.Struct, kw_only=True):
    """One call and what came back; without `answered_at` nothing has yet."""

    task: int
    attempt: int
    kind: str
    key: str
    at: Time
    worker: str
    request: str
    answered_at: Time | None
    result: str | None
    status: int | None
    code: str | None
    reference: str | None
    reply: str


class Callback(msgspec.Struct, kw_only=True):
    """A callback of a target, and what was made of it."""

    system: str
    event_id: str
    task: int | None
    status: str
    verdict: str
    at: Time
    body: str


class Correction(msgspec.Struct, kw_only=True):
    """A correction that was proposed, and what became of it."""

    id: UUID
    case_id: UUID
    action: str
    state: Literal["PROPOSED", "APPLYING", "APPLIED", "FAILED", "REJECTED"]
    reason_code: str
    reason: str
    given: Json
    preview: Json
    proposed_by: str
    proposed_at: Time
    applied_by: str
    applied_at: Time | None
    result: str


class Token(ResumeToken, frozen=True, kw_only=True):
    """A resume token of a case and when it was used; its secret is never shown."""

    redeemed_at: Time | None


class TimelineEntry(msgspec.Struct):
    """One event of an order or a case."""

    seq: int
    at: Time
    type: str
    by: str
    data: Json


class CaseView(CaseRow, kw_only=True):
    """One case, whole, as this actor may see and work on it; `hidden` names the sensitive fields that are not shown.

    `suggestion` is the obvious next action and `endings` say how it may end now, whoever asks.
    """

    order_number: str | None
    title: str
    raw: Raw
    task_state: TaskState | None
    outcome_proven: str
    allowed_actions: list[AllowedAction]
    refused_actions: list[RefusedAction]
    suggestion: Suggestion | None
    endings: list[Ending]
    order_graph: Graph
    attempts: list[Attempt]
    evidence: tuple[Evidence, ...]
    corrections: list[Correction]
    resume_tokens: list[Token]
    timeline: list[TimelineEntry]
    hidden: list[str]


class OrderRow(msgspec.Struct, kw_only=True):
    """An order as lists show it."""

    id: UUID
    number: str
    external_id: str
    source: str
    customer: str
    state: OrderState
    version: int
    item_states: list[ItemState]
    received_at: Time
    promised_at: Time | None
    finished_at: Time | None
    pack: str


class OrderView(OrderRow, kw_only=True):
    """One order, whole, with its plan as it stands; `hidden` names the sensitive fields that are not shown."""

    graph: Graph
    attempts: list[Attempt]
    callbacks: list[Callback]
    cases: list[CaseRow]
    timeline: list[TimelineEntry]
    hidden: list[str]


def _sparse(rows: type[msgspec.Struct]) -> type[msgspec.Struct]:
    """The rows of a list: with `fields` they have those alone, so nothing but the id is required."""
    known = {field.name: field.type for field in msgspec.structs.fields(rows)}
    absent = [(name, kind | msgspec.UnsetType, msgspec.UNSET) for name, kind in known.items() if name != "id"]
    return msgspec.defstruct(f"{rows.__name__}InList", [("id", UUID), *absent], module=__name__)


if TYPE_CHECKING:
    CaseInList = CaseRow | Json
    OrderInList = OrderRow | Json
else:
    CaseInList = _sparse(CaseRow)
    OrderInList = _sparse(OrderRow)


class Extent(msgspec.Struct, kw_only=True):
    """What a page says beside its rows. `next` is the cursor of the next page.

    Without `complete` the walk ended before everything was looked at; `next` goes on from there. `count` comes when
    asked for; with `more_than` it is the least there are.
    """

    next: str | None
    more: bool
    complete: bool
    count: int | msgspec.UnsetType = msgspec.UNSET
    more_than: bool | msgspec.UnsetType = msgspec.UNSET


class CasePage(Extent, kw_only=True):
    """A page of cases, and the sources that should have been heard and were not: their failures would be missing."""

    cases: list[CaseInList]
    silent_sources: list[str]


class OrderPage(Extent, kw_only=True):
    """A page of orders."""

    orders: list[OrderInList]
