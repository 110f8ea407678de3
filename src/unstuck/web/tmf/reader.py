"""TMF641 in: tolerant where dialects differ, clear where an order cannot be understood (tmf.md §2.1, §3.5)."""

from datetime import datetime
from typing import Annotated, Any

import msgspec

from unstuck.kernel.ids import can_be_kept
from unstuck.kernel.strict import DEPTH_LIMIT, depth
from unstuck.order.dialect import STANDARD, names
from unstuck.order.plan import OrderDraft, OrderItem

ACTIONS = ("add", "modify", "delete", "noChange")
ITEM_LIMIT = 500
Aware = Annotated[datetime, msgspec.Meta(tz=True)]


class NotAnOrder(Exception):
    """The body is no service order; `pointer` says where."""

    def __init__(self, because: str, pointer: str = "") -> None:
        super().__init__(f"{pointer or '/'}: {because}")


def read_order(body: bytes, source: str) -> OrderDraft:
    """The order a TMF641 create request asks for; unknown fields stay in the raw bytes."""
    try:
        data = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise NotAnOrder(f"the body is not JSON ({error})") from error
    except RecursionError as error:
        raise NotAnOrder("the body is nested too deeply") from error
    if depth(data) > DEPTH_LIMIT:
        raise NotAnOrder(f"the body is nested too deeply; {DEPTH_LIMIT} levels are enough")
    if not isinstance(data, dict):
        raise NotAnOrder("a service order is a JSON object")
    if data.get("state") is not None:
        raise NotAnOrder("an order that is created has no state yet", "/state")
    known = names(STANDARD, "serviceOrderItem")
    name = next((name for name in known if name in data), known[0])
    items = data.get(name)
    if not isinstance(items, list) or not items:
        raise NotAnOrder("an order has at least one item", f"/{name}")
    if len(items) > ITEM_LIMIT:
        raise NotAnOrder(f"an order has at most {ITEM_LIMIT} items", f"/{name}")
    read = tuple(_item(item, f"/{name}/{number}") for number, item in enumerate(items))
    _require_distinct(read, name)
    return OrderDraft(
        external_id=_text(data, "externalId", "", required=False),
        source=source,
        customer=_customer(data),
        items=read,
        promised_at=_time(data, "requestedCompletionDate"),
    )


def _item(item: Any, at: str) -> OrderItem:
    if not isinstance(item, dict):
        raise NotAnOrder("an item is a JSON object", at)
    action = _text(item, "action", at)
    if action not in ACTIONS:
        raise NotAnOrder(f"one of {', '.join(ACTIONS)}", f"{at}/action")
    service = item.get("service")
    if not isinstance(service, dict):
        raise NotAnOrder("is mandatory: the service that is ordered", f"{at}/service")
    specification = service.get("serviceSpecification")
    specification = specification if isinstance(specification, dict) else {}
    offer = specification.get("name") or specification.get("id") or service.get("name") or ""
    if not _is_name(offer) and offer != "":
        raise NotAnOrder("is a text of 1 to 200 printable characters", f"{at}/service/serviceSpecification/name")
    return OrderItem(_text(item, "id", at), offer, action, _characteristics(service, at))


def _characteristics(service: dict[str, Any], at: str) -> dict[str, Any]:
    rows = service.get("serviceCharacteristic") or []
    if not isinstance(rows, list):
        raise NotAnOrder("is a list", f"{at}/service/serviceCharacteristic")
    named = {}
    for number, row in enumerate(rows):
        if not isinstance(row, dict) or not isinstance(row.get("name"), str):
            raise NotAnOrder("has a name", f"{at}/service/serviceCharacteristic/{number}")
        named[row["name"]] = row.get("value")
    return named


def _customer(data: dict[str, Any]) -> str:
    parties = data.get("relatedParty")
    for number, party in enumerate(parties if isinstance(parties, list) else ()):
        if isinstance(party, dict) and str(party.get("role", "")).lower() == "customer":
            return _text(party, "id", f"/relatedParty/{number}")
    return ""


def _require_distinct(items: tuple[OrderItem, ...], name: str) -> None:
    seen: set[str] = set()
    for number, item in enumerate(items):
        if item.id in seen:
            raise NotAnOrder(f"the item id {item.id!r} is given twice", f"/{name}/{number}/id")
        seen.add(item.id)


def _text(data: dict[str, Any], name: str, at: str, *, required: bool = True) -> str:
    value = data.get(name)
    if value is None and not required:
        return ""
    if not _is_name(value):
        raise NotAnOrder("is mandatory: a text of 1 to 200 printable characters", f"{at}/{name}")
    return str(value)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 200 and value.isprintable()


def _time(data: dict[str, Any], name: str) -> str:
    value = data.get(name)
    if value is None:
        return ""
    try:
        at = msgspec.convert(value, Aware)
    except msgspec.ValidationError as error:
        raise NotAnOrder("is an RFC 3339 time with an offset", f"/{name}") from error
    if not can_be_kept(at):
        raise NotAnOrder("is a time between the years 1 and 9999", f"/{name}")
    return at.isoformat()
