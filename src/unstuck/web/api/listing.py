"""The query of a list, strictly read: an unknown filter, field, order or state is told, with those that are known."""

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar
from uuid import UUID

import msgspec
from litestar import Request

from unstuck.fallout.lifecycle import CASE_IS_RESOLVED, CaseState
from unstuck.kernel.refusal import Invalid, Refused
from unstuck.order.lifecycle import OrderState
from unstuck.service.looks.lists import Shape
from unstuck.service.looks.shown import CaseRow, OrderRow
from unstuck.store.listing.case_list import Wanted
from unstuck.store.listing.order_list import WantedOrders
from unstuck.web.faults import faults
from unstuck.web.protocol import UNSEEN

Q = TypeVar("Q", bound="msgspec.Struct")
ENGINE = "engine"  # how our own engine is called as a source; its cases carry no source
NOT_BUILT = {
    "severity": ("C3", "severity as the desk computes it (severity_hint is the source's word)"),
    "incident": ("F1", "incidents"),
}
LIST = {501: "a filter that waits for what is not built"}
OPEN_STATES = tuple(state.value for state in CaseState if state not in CASE_IS_RESOLVED)
WHOLE = re.compile(r"-?\d{1,9}")
NUMBERS = ("limit", "above", "seq", "from", "to")


def _some_of(names: Iterable[str]) -> msgspec.Meta:
    known = tuple(names)
    one = f"({'|'.join(known)})"
    return msgspec.Meta(pattern=f"^{one}(,{one}){{0,99}}$(?!\n)", description=f"some of {', '.join(known)}, by comma")


VALUE = rf"[^,\t\n{UNSEEN}]{{1,200}}"
Values = Annotated[
    str,
    msgspec.Meta(
        pattern=rf"^{VALUE}(,{VALUE}){{0,19}}$(?!\n)", description="1 to 20 values of 1 to 200 characters, by comma"
    ),
]
Text = Annotated[
    str, msgspec.Meta(pattern=rf"^[^\t\n{UNSEEN}]{{1,200}}$(?!\n)", description="1 to 200 printable characters")
]
Size = Annotated[int, msgspec.Meta(ge=1, le=500, description="between 1 and 500")]
Moment = Annotated[datetime, msgspec.Meta(tz=True, description="a time like 2026-11-03T08:15:00Z")]
Cursor = Annotated[str, msgspec.Meta(min_length=1, max_length=400, description="the `next` of the page before")]
CaseStates = Annotated[str, _some_of(("open", *CaseState))]
CaseFields = Annotated[str, _some_of(CaseRow.__struct_fields__)]
OrderStates = Annotated[str, _some_of(OrderState)]
OrderFields = Annotated[str, _some_of(OrderRow.__struct_fields__)]


class CaseQuery(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Filters, order and extent of a list of cases. Periods are half open: from `after` on, up to `before`."""

    order_id: Values | None = None
    state: CaseStates | None = None
    queue: Values | None = None
    owner: Values | None = None
    category: Values | None = None
    domain: Values | None = None
    code: Values | None = None
    system: Values | None = None
    source: Values | None = None
    customer: Values | None = None
    item: Values | None = None
    reason: Values | None = None
    detected_after: Moment | None = None
    detected_before: Moment | None = None
    q: Text | None = None
    sort: Literal["detected_at", "-detected_at", "touched_at", "-touched_at", "number", "-number"] = "-detected_at"
    fields: CaseFields | None = None
    limit: Size = 50
    after: Cursor | None = None
    count: Literal["true", "false"] = "false"


class OrderQuery(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Filters, order and extent of a list of orders. Periods are half open: from `after` on, up to `before`."""

    state: OrderStates | None = None
    source: Values | None = None
    external_id: Values | None = None
    customer: Values | None = None
    received_after: Moment | None = None
    received_before: Moment | None = None
    q: Text | None = None
    sort: Literal["received_at", "-received_at", "number", "-number"] = "-received_at"
    fields: OrderFields | None = None
    limit: Size = 50
    after: Cursor | None = None
    count: Literal["true", "false"] = "false"


def asked(request: Request[Any, Any, Any], kind: type[Q]) -> Q:
    """The query as `kind`; Invalid with everything that is wrong with it."""
    given: dict[str, Any] = {}
    for name, value in request.query_params.multi_items():
        if name in NOT_BUILT:
            row, what = NOT_BUILT[name]
            raise Refused("not-built", f"the filter {name} waits for {what} ({row})")
        if name in given:
            raise Invalid("a parameter is given once", ((f"/{name}", "is given twice; several values go by comma"),))
        given[name] = _read(name, value)
    wrong = tuple(faults(given, kind))
    if wrong:
        raise Invalid(f"the list cannot be asked for like that: {wrong[0][0]} {wrong[0][1]}", wrong)
    return msgspec.convert(given, kind)


def case_filters(query: CaseQuery, orders: tuple[UUID, ...] | None) -> Wanted:
    """What cases are wanted; `orders` are those that `order_id` names."""
    equal = {"domain": query.domain, **{n: getattr(query, n) for n in ("queue", "owner", "code", "system", "customer")}}
    equals = {name: _values(text) for name, text in equal.items() if text}
    equals |= {name: _values(text) for name in ("item", "reason") if (text := getattr(query, name))}
    if query.category:
        equals["domain"] = _both(equals.get("domain"), _values(query.category))
    if query.source:
        equals["source"] = tuple("" if name == ENGINE else name for name in _values(query.source))
    states = [s for name in _values(query.state or "") for s in (OPEN_STATES if name == "open" else (name,)) if s]
    period = (query.detected_after, query.detected_before)
    return Wanted(equals, tuple(dict.fromkeys(states)), orders, *period, query.q or "")


def order_filters(query: OrderQuery) -> WantedOrders:
    """What orders are wanted."""
    names = ("state", "source", "external_id", "customer")
    equals = {name: _values(text) for name in names if (text := getattr(query, name))}
    return WantedOrders(equals, query.received_after, query.received_before, query.q or "")


def shape(query: CaseQuery | OrderQuery) -> Shape:
    """How the list is to be shown."""
    fields = _values(query.fields) if query.fields else ()
    return Shape(query.sort, query.after or "", query.limit, fields, query.count == "true")


def _read(name: str, value: str) -> Any:
    if name in NUMBERS and WHOLE.fullmatch(value):
        return int(value)
    if name == "state":
        return ",".join(part if part == "open" else part.upper() for part in value.split(","))
    return value


def _values(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text.split(",")))


def _both(one: tuple[str, ...] | None, other: tuple[str, ...]) -> tuple[str, ...]:
    """Category and domain are one thing; who names both wants what is in both."""
    return other if one is None else tuple(value for value in one if value in other)
