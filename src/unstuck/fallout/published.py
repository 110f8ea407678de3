"""What the world is told: which of our events goes out under which type, and what it says (contract §6). Pure.

An event that the table does not name goes out as `unstuck.` and its own name. One that has rows goes out under the
type of every row whose condition holds, the first being its own and the others beside it. Rows without an event
wait for a capability, named by the row of the mission.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any
from uuid import UUID

import msgspec

from unstuck.fallout import events as of_cases
from unstuck.fallout import source as of_sources
from unstuck.kernel import person, registry
from unstuck.kernel.event import EventType
from unstuck.order import events as of_orders

PREFIX = "unstuck."
DECLARED = (*of_orders.ALL, *of_cases.ALL, *of_sources.ALL, *registry.ALL, *person.ALL)
INSIDE = frozenset(kind.name for kind in person.ALL)  # who signs in here is nobody's business outside
_TABLE = """
| event                            | when                                  | type                                       | names in the seeds                                                      | says                                                      |
|----------------------------------|---------------------------------------|--------------------------------------------|-------------------------------------------------------------------------|-----------------------------------------------------------|
| fallout-case.detected            |                                       | fallout-case.detected                      | FalloutDetected FalloutCaseDetected                                     | a stop became a case                                      |
| fallout-case.classified          |                                       | fallout-case.classified                    | FalloutClassified FalloutCaseClassified                                 | code, domain, recoverability and queue were decided       |
| fallout-case.assigned            |                                       | fallout-case.assigned                      | FalloutAssigned FalloutCaseAssigned                                     | a person owns it                                          |
| fallout-case.waiting             |                                       | fallout-case.wait-started                  |                                                                         | it waits for somebody outside                             |
| fallout-case.continued           |                                       | fallout-case.wait-ended                    |                                                                         | the wait is over                                          |
| fallout-case.correction-proposed |                                       | fallout-case.correction-proposed           | FalloutCorrectionProposed FalloutRepairActionRequested                  | a typed correction was chosen                             |
| fallout-case.correction-rejected |                                       | fallout-case.correction-rejected           | FalloutCorrectionRejected                                               | the correction was turned down or withdrawn               |
| fallout-case.correction-applied  | result=found,absent,readied,corrected,marked | fallout-case.correction-applied     | FalloutCorrectionApplied FalloutRepairActionCompleted                   | the correction was carried out                            |
| fallout-case.correction-applied  | result=silent                         | fallout-case.correction-failed             | FalloutRepairActionFailed                                               | the target did not answer, so nothing was learned         |
| fallout-case.correction-applied  | result=found,absent                   | fallout-case.external-state-reconciled     | ExternalStateReconciled                                                 | the target was asked and said what is true                |
| fallout-case.evidence-attached   |                                       | fallout-case.evidence-attached             | FalloutEvidenceAttached                                                 | evidence was added, by digest                             |
| fallout-case.verifying           |                                       | fallout-case.revalidated                   | FalloutRevalidated                                                      | the repair is held against its evidence                   |
| fallout-case.resolved            | resolution=resume                     | fallout-case.resolved-for-resume           | FalloutResolved FalloutCaseResolvedForResume                            | the order goes on; names the resume token, never shows it |
| fallout-case.resolved            | resolution=cancel                     | fallout-case.resolved-for-cancellation     | FalloutResolved FalloutCaseResolvedForCancellation                      | the item is cancelled                                     |
| fallout-case.resolved            | resolution=compensate                 | fallout-case.resolved-for-compensation     | FalloutResolved FalloutCaseResolvedForCompensation                      | what was done is undone                                   |
| fallout-case.resolved            | resolution=none                       | fallout-case.resolved-without-action       | FalloutResolved                                                         | a duplicate, a false alarm, or settled by itself          |
| fallout-case.settled-outside     |                                       | fallout-case.settled-outside               | FalloutResolved                                                         | a late answer or a read-back settled it                   |
| fallout-case.settled-outside     |                                       | fallout-case.external-state-reconciled     | ExternalStateReconciled                                                 | the outside said what is true                             |
| fallout-case.reopened            |                                       | fallout-case.reopened                      | FalloutReopened                                                         | the resolution did not last                               |
| fallout-case.escalated           |                                       | fallout-case.escalated                     | FalloutEscalated FalloutCaseEscalated                                   | it was made more visible; its state did not change        |
| fallout-case.closed              |                                       | fallout-case.closed                        | FalloutCaseClosed                                                       | done, with its audit complete                             |
| order.advanced                   |                                       | order.advanced                             |                                                                         | tasks moved, and what follows                             |
| order.advanced                   | tasks.to=UNKNOWN                      | order.unknown-outcome-detected             | UnknownOutcomeDetected                                                  | nobody knows whether a call took effect                   |
|                                  | D4                                    | fallout-case.sla-warning-raised            | FalloutSlaWarningRaised                                                 | a clock is about to run out                               |
|                                  | D4                                    | fallout-case.sla-breached                  | FalloutSlaBreached FalloutCaseBreachedSla                               | a clock ran out                                           |
|                                  | D7                                    | task.created                               | FalloutTaskCreated                                                      | work was asked of a person                                |
|                                  | E3                                    | fallout-case.correction-approved           | FalloutCorrectionApproved                                               | a second person agreed                                    |
|                                  | B5                                    | order.marked-stuck                         | OrderMarkedStuck                                                        | nothing moves it and nobody owns it                       |
|                                  | G2                                    | customer-notification.requested            | CustomerNotificationRequested                                           | the customer is to be told                                |
"""


class Row(msgspec.Struct, frozen=True):
    """One row of the table; without an `event` it waits for the row of the mission that `waits` names."""

    event: str
    field: str
    values: tuple[str, ...]
    type: str
    seeds: tuple[str, ...]
    says: str
    waits: str

    def holds(self, data: Mapping[str, Any]) -> bool:
        """Whether its condition holds of an event's data."""
        return not self.field or any(found in self.values for found in _found(data, self.field))


class About(msgspec.Struct, frozen=True):
    """What a leaf's stream is about, from its case's and its order's rows; empty or None where there is none.

    `order_id` is our order's id, `order_ref` the order in its source's words, `source` who reported the case.
    """

    case_id: UUID | None = None
    case_number: int | None = None
    order_id: UUID | None = None
    order_number: int | None = None
    external_id: str = ""
    order_ref: str = ""
    source: str = ""
    item: str = ""
    step: str = ""
    customer: str = ""
    correlation_id: str = ""


class Leaf(msgspec.Struct, frozen=True):
    """One sealed event. `n` is its leaf number: dense, in an order that no late commit disturbs."""

    n: int
    stream: UUID
    seq: int
    at: datetime
    type: str
    v: int
    by: str
    data: dict[str, Any]
    about: About


def types_of(event: str, data: Mapping[str, Any]) -> tuple[str, ...]:
    """The types an event goes out under, its own first; never none."""
    found = tuple(PREFIX + row.type for row in BY_EVENT.get(event, ()) if row.holds(data))
    return found or (PREFIX + event,)


def wanted(globs: Sequence[str], kind: str) -> bool:
    """Whether one of the globs names this type."""
    return any(fnmatchcase(kind, glob) for glob in globs)


def cloud_events(leaf: Leaf, origin: str) -> list[dict[str, Any]]:
    """A leaf as CloudEvents 1.0: one for each of its types, none when it stays inside. `origin`: we publish under it."""
    if leaf.type in INSIDE:
        return []
    return [
        {
            "specversion": "1.0",
            "id": f"{leaf.stream}-{leaf.seq}" + (f"-{n}" if n else ""),
            "source": origin,
            "type": kind,
            "subject": str(leaf.stream),
            "time": rfc3339(leaf.at),
            "datacontenttype": "application/json",
            "correlationid": correlation_id(leaf),
            "causationid": causation_id(leaf),
            "sequence": f"{leaf.n:020d}",
            "data": says(leaf),
        }
        for n, kind in enumerate(types_of(leaf.type, leaf.data))
    ]


def correlation_id(leaf: Leaf) -> str:
    """What ties together all that happens about one order: the source's own id, else the order, else the stream."""
    about = leaf.about
    return about.correlation_id or str(about.order_id or "") or about.order_ref or str(leaf.stream)


def causation_id(leaf: Leaf) -> str:
    """What made it happen: the report it came with, the token or correction it carries out, else what was before."""
    data, about = leaf.data, leaf.about
    if data.get("source") and data.get("event"):
        return f"{data['source']}/{data['event']}"
    if leaf.type == "order.repaired" and data.get("token"):
        return str(data["token"])
    if data.get("correction") and leaf.type != "fallout-case.correction-proposed":
        return str(data["correction"])
    if leaf.seq > 1:
        return f"{leaf.stream}-{leaf.seq - 1}"
    return str(about.order_id or about.external_id or leaf.stream)


def says(leaf: Leaf) -> dict[str, Any]:
    """The data of a published event: whom it is about, and its facts.

    Facts are named one by one: what people wrote, raw payloads and tokens never go out, only what identifies them.
    """
    about = leaf.about
    told = {
        "falloutCaseId": _text(about.case_id),
        "falloutCaseNumber": f"FC-{about.case_number}" if about.case_number else "",
        "serviceOrderId": _text(about.order_id) or about.order_ref,
        "serviceOrderNumber": f"ORD-{about.order_number}" if about.order_number else "",
        "externalId": about.external_id or about.order_ref,
        "serviceOrderItemId": about.item,
        "failedStepKey": about.step,
        "customerId": about.customer,
        "sourceSystem": about.source,
        "correlationId": correlation_id(leaf),
        "causationId": causation_id(leaf),
        "by": leaf.by,
        "at": rfc3339(leaf.at),
        **_named(leaf),
    }
    return {name: value for name, value in told.items() if value not in ("", None, [])}


FACTS = {
    "to": "state",
    "code": "normalizedFailureCode",
    "raw_code": "rawErrorCode",
    "system": "downstreamSystem",
    "event": "sourceEventId",
    "domain": "category",
    "recoverability": "recoverability",
    "queue": "queue",
    "rule": "rule",
    "owner": "owner",
    "escalated_to": "escalatedTo",
    "reason": "reason",
    "reason_code": "reasonCode",
    "operation": "operation",
    "attempt": "attempt",
    "action": "correctionAction",
    "result": "result",
    "resolution": "resolution",
    "mode": "resumeMode",
    "by_what": "settledBy",
    "type": "evidenceType",
    "correction": "correctionActionId",
    "token": "resumeTokenId",
    "case": "falloutCaseId",
}


def _named(leaf: Leaf) -> dict[str, Any]:
    data = leaf.data
    facts = {name: data[field] for field, name in FACTS.items() if isinstance(data.get(field), str | int)}
    every = [data["evidence"]] if isinstance(data.get("evidence"), str) else _list(data, "evidence")
    if every:
        facts |= {"evidenceId": every[0], "evidenceIds": every}
    if leaf.type.startswith("order."):
        facts |= _moves(data)
    if data.get("resolution"):
        facts |= {"resolvedBy": leaf.by, "resolvedAt": rfc3339(leaf.at)}
    return facts


def _moves(data: Mapping[str, Any]) -> dict[str, Any]:
    """What moved in an order: its own state, its items' and its tasks'."""
    tasks = [{"task": fact["no"], "state": fact["to"]} for fact in _list(data, "tasks") if _is_move(fact)]
    return {"orderState": data.get("order"), "itemStates": _list(data, "items"), "tasks": tasks}


def _list(data: Mapping[str, Any], field: str) -> list[Any]:
    """A list in an event's data; the same field is a count in another."""
    found = data.get(field)
    return found if isinstance(found, list) else []


def _is_move(fact: Any) -> bool:
    return isinstance(fact, dict) and "no" in fact and "to" in fact


def rfc3339(at: datetime) -> str:
    """A time as it goes out: UTC, with a Z."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _text(id: UUID | None) -> str:
    return str(id) if id else ""


def _found(data: Mapping[str, Any], field: str) -> Iterator[Any]:
    first, _, rest = field.partition(".")
    inner = data.get(first)
    if not rest:
        yield inner
    elif isinstance(inner, list):
        yield from (part.get(rest) for part in inner if isinstance(part, dict))


def _rows(table: str) -> Iterator[Row]:
    for line in table.strip().splitlines()[2:]:
        event, when, kind, seeds, says = (cell.strip() for cell in line.strip().strip("|").split("|"))
        field, _, values = when.partition("=") if event else ("", "", "")
        yield Row(event, field, tuple(values.split(",")), kind, tuple(seeds.split()), says, "" if event else when)


TABLE = tuple(_rows(_TABLE))
BY_EVENT = {
    name: tuple(row for row in TABLE if row.event == name) for name in {row.event for row in TABLE if row.event}
}


def known_types(declared: Iterable[EventType] = DECLARED) -> tuple[str, ...]:
    """Every type that goes out, or will when what it waits for is built."""
    told = [kind.name for kind in declared if kind.name not in INSIDE]
    plain = {PREFIX + name for name in told if all(row.field for row in BY_EVENT.get(name, ()))}
    return tuple(sorted(plain | {PREFIX + row.type for row in TABLE}))
