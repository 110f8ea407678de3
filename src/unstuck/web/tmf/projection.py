"""A `serviceOrder` as TMF641 v4.1 has it, made of what is true of an order and of what its sender said (tmf.md §2-3).

Strict in what is ours: states, errors, alerts and milestones are always computed. What the sender said besides is
shown back as it came; a field that the schema knows is left out when it does not have the schema's shape.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from unstuck.kernel.ids import rfc3339
from unstuck.order.dialect import STANDARD, value
from unstuck.order.lifecycle import ORDER_IS_OVER, TaskState
from unstuck.order.plan import OrderItem
from unstuck.order.tmf import REJECTED, item_state, order_state
from unstuck.service.looks.service_orders import Rejected, Told, ToldCase, waiting_steps

BASE = "/tmf-api/serviceOrdering/v4"
Shown = dict[str, Any]
# What only we say of an order and of an item, whatever came in.
OURS = {
    "id", "href", "externalId", "state", "orderDate", "completionDate", "startDate", "expectedCompletionDate",
    "cancellationDate", "cancellationReason", "serviceOrderItem", "orderItem", "errorMessage", "jeopardyAlert",
    "milestone", "@type",
}  # fmt: skip
ITEM_OURS = {"id", "action", "state", "service", "errorMessage", "@type"}


def projected(order: Told, state: str | None = None) -> Shown:
    """The resource; `state` when it is shown on its way through another state than the one it has now."""
    live = [case for case in order.cases if case.is_open]
    mine: Shown = {
        "id": str(order.id),
        "href": f"{BASE}/serviceOrder/{order.id}",
        "externalId": order.external_id,
        "state": state or state_of(order),
        "orderDate": rfc3339(order.received_at),
        "completionDate": _time(order.finished_at),
        "requestedCompletionDate": _time(order.promised_at) if "requestedCompletionDate" not in order.words else None,
        "relatedParty": _parties(order),
        **_said({**order.came, "requestedCompletionDate": None} | order.words),
        "serviceOrderItem": list(_items(order, live)),
        "errorMessage": [_error_message(case) for case in live if case.reason != "unknown"],
        "jeopardyAlert": [*_unknown(order, live), *_late(order)],
        "milestone": list(_milestones(order)),
        "@type": "ServiceOrder",
    }
    return {name: value for name, value in mine.items() if value not in (None, [])}


def rejected(refusal: Rejected) -> Shown:
    """What is shown of an order that was never taken."""
    error = {"code": str(refusal.answer), "reason": "rejected", "message": refusal.because}
    return {
        "id": str(refusal.id),
        "href": f"{BASE}/serviceOrder/{refusal.id}",
        "state": REJECTED,
        "orderDate": rfc3339(refusal.at),
        "errorMessage": [{**error, "timestamp": rfc3339(refusal.at)}],
        "@type": "ServiceOrder",
    }


def state_of(order: Told) -> str:
    """The state TM Forum sees of the order as it is."""
    return order_state(order.state, order.item_states, failed=order.failed, waits=order.waits)


def selected(shown: Shown, fields: str | None) -> Shown:
    """Only the fields that were asked for, by commas; id and href always, `none` asks for them alone."""
    if fields is None:
        return shown
    wanted = {"id", "href", *(name.strip() for name in fields.split(","))}
    return {name: value for name, value in shown.items() if name in wanted}


def _said(words: Mapping[str, Any]) -> Shown:
    """What the sender said, with what was added since merged over it."""
    said = {name: value for name, value in words.items() if name not in OURS and value is not None}
    return {name: value for name, value in said.items() if FITS.get(name, _anything)(value)}


def _parties(order: Told) -> list[Shown]:
    customer = {"id": order.draft.customer, "role": "customer", "@referredType": "Customer", "@type": "RelatedParty"}
    return [customer] if order.draft.customer else []


def _items(order: Told, live: list[ToldCase]) -> Iterable[Shown]:
    failed, came = order.failed, _items_that_came(order.came)
    for number, item in enumerate(order.draft.items):
        cases = [case for case in live if case.item == item.id]
        errors = [case for case in cases if case.reason != "unknown"]
        said = {name: value for name, value in came.get(item.id, {}).items() if name not in ITEM_OURS}
        shown = {
            **{name: value for name, value in said.items() if FITS.get(name, _anything)(value)},
            "id": item.id,
            "action": item.action,
            "state": _item_state(order, number, cases, errors, number in failed),
            "service": _service(item, came.get(item.id, {})),
            "errorMessage": [_error_message(case) for case in errors],
            "@type": "ServiceOrderItem",
        }
        yield {name: value for name, value in shown.items() if value not in (None, [])}


def _items_that_came(came: Mapping[str, Any]) -> dict[str, Shown]:
    said = value(STANDARD, "serviceOrderItem", came)
    items: list[Any] = said if isinstance(said, list) else []
    return {item["id"]: item for item in items if isinstance(item, dict) and isinstance(item.get("id"), str)}


def _service(item: OrderItem, came: Mapping[str, Any]) -> Shown:
    service = came.get("service")
    said = dict(service) if isinstance(service, dict) else {}
    specification = said.get("serviceSpecification")
    known = {name: v for name, v in specification.items() if v is not None} if isinstance(specification, dict) else {}
    known = {name: value for name, value in known.items() if isinstance(value, str)}
    characteristics = [{"name": name, "value": value} for name, value in item.characteristics.items()]
    rest = {name: value for name, value in said.items() if FITS.get(name, _anything)(value) and value is not None}
    return rest | {
        "serviceSpecification": {"id": item.offer, "name": item.offer, **known},
        "serviceCharacteristic": characteristics,
    }


def _item_state(order: Told, number: int, cases: list[ToldCase], errors: list[ToldCase], failed: bool) -> str:
    if not order.item_states:
        if order.state in ORDER_IS_OVER:
            return "cancelled"
        return "held" if errors else "acknowledged"
    steps = {case.step for case in cases}
    waits = bool(steps) and waiting_steps((case.step, case.state) for case in cases) == steps
    return item_state(order.item_states[number], failed=failed, waits=waits)


def _error_message(case: ToldCase) -> Shown:
    return {
        "code": case.code or "DETECTED",
        "reason": case.reason,
        "message": case.raw_message,
        "status": case.raw_code,
        "referenceError": f"/api/v1/fallout-cases/{case.id}",
        "timestamp": rfc3339(case.detected_at),
        "serviceOrderItem": [{"itemId": case.item}] if case.item else [],
    }


def _unknown(order: Told, live: list[ToldCase]) -> Iterable[Shown]:
    """What nobody can say: the cases of it, and what the engine still asks about by itself."""
    cases = [case for case in live if case.reason == "unknown"]
    for case in cases:
        yield _unknown_outcome(order, case.step, case.item, str(case.id), case.detected_at, case.system)
    for task in order.tasks:
        if task.state is TaskState.UNKNOWN and task.key not in {case.step for case in cases}:
            yield _unknown_outcome(order, task.key, task.item, task.key, task.since, task.target)


def _unknown_outcome(order: Told, step: str, item: str, id: str, since: datetime | None, system: str) -> Shown:
    message = f"{system} did not say whether it did {step}"
    return _alert(
        order, item, id, since, jeopardyType="Critical", exception="UNKNOWN_OUTCOME", name=step, message=message
    )


def _late(order: Told) -> Iterable[Shown]:
    for alert in order.late:
        task = order.tasks[alert.task]
        message = f"{task.target} takes longer than expected for {task.key}"
        kind = {"jeopardyType": "Hazard", "exception": "LATE"}
        yield _alert(order, task.item, f"late-{alert.seq}", alert.at, name=task.key, message=message, **kind)


def _alert(order: Told, item: str, id: str, since: datetime | None, **more: str) -> Shown:
    action = next((line.action for line in order.draft.items if line.id == item), "add")
    reference = {"itemId": item, "id": item, "action": action, "service": {}}
    alert = {"id": id, "alertDate": _time(since), **more, "serviceOrderItem": [reference]}
    return {name: value for name, value in alert.items() if value is not None}


def _milestones(order: Told) -> Iterable[Shown]:
    for task in order.tasks:
        if task.state is TaskState.COMPLETED:
            shown = {"id": task.key, "name": task.type, "status": "completed", "milestoneDate": _time(task.since)}
            yield {name: value for name, value in shown.items() if value}


def _time(at: datetime | None) -> str | None:
    return rfc3339(at) if at else None


def _anything(_value: Any) -> bool:
    return True


def _nothing(_value: Any) -> bool:
    return False


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _when(value: Any) -> bool:
    try:
        msgspec.convert(value, datetime)
    except msgspec.ValidationError:
        return False
    return isinstance(value, str)


def _rows(*required: str) -> Callable[[Any], bool]:
    """A list of objects that have these fields as texts; what the schema calls a text is one."""

    def fits(value: Any) -> bool:
        return isinstance(value, list) and all(_row(row, required) for row in value)

    return fits


def _list_of_objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(row, dict) for row in value)


def _row(row: Any, required: tuple[str, ...]) -> bool:
    if not isinstance(row, dict) or not all(isinstance(row.get(name), str) for name in required):
        return False
    return all(isinstance(row[name], str) for name in TEXTS & row.keys()) and ("date" not in row or _when(row["date"]))


TEXTS = {
    "id", "href", "name", "role", "text", "author", "externalReferenceType", "relationshipType", "@type", "@baseType",
    "@schemaLocation", "@referredType",
}  # fmt: skip
SERVICE_STATES = ("feasibilityChecked", "designed", "reserved", "inactive", "active", "terminated")
# The fields that the schema knows of an order, its items and their services, and what each must be.
FITS: dict[str, Callable[[Any], bool]] = {
    "category": _text,
    "description": _text,
    "notificationContact": _text,
    "priority": _text,
    "requestedCompletionDate": _when,
    "requestedStartDate": _when,
    "externalReference": _rows("name"),
    "note": _rows("text"),
    "orderRelationship": _rows("id", "relationshipType"),
    "relatedParty": _rows("id", "@referredType", "@type"),
    "@baseType": _text,
    "@schemaLocation": _text,
    "quantity": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "appointment": lambda value: _row(value, ("id",)),
    "serviceOrderItemRelationship": _list_of_objects,
    "name": _text,
    "id": _text,
    "href": _text,
    "state": SERVICE_STATES.__contains__,
    "serviceType": _text,
    "hasStarted": lambda value: isinstance(value, bool),
    "isBundle": lambda value: isinstance(value, bool),
    "isServiceEnabled": lambda value: isinstance(value, bool),
    "isStateful": lambda value: isinstance(value, bool),
    "startDate": _when,
    "endDate": _when,
    "serviceDate": _text,
    "startMode": _text,
    "place": _rows("role"),
    "relatedEntity": _rows("role"),
    "supportingResource": _rows("id"),
    # Whole services and orders within: they stay in the bytes that came.
    **dict.fromkeys(("supportingService", "feature", "serviceRelationship", "serviceOrderItem"), _nothing),
}
