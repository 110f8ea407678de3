"""How other order managers speak TMF641: field names, states, event names, what they show a fallout as. Data, no code.

A section of the policy pack: versioned and checked with the rules that read what a dialect brings in, and named by a
source in its settings. The standard itself is `STANDARD`; what is not said of a dialect is as in the standard.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec


class Sign(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What shows that an order stopped: a state (as TM Forum calls it), or words in a field; both when both are given."""

    state: str = ""
    field: str = ""
    contains: str = ""


class Dialect(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One way to speak TMF641.

    `fields`: our name of a field → the names it has there, the first that is present counts. `states`: theirs → TM
    Forum's. `events`: theirs → TM Forum's. `envelope`: where in an event the order is, dotted; empty is the event itself.
    """

    title: str
    fields: dict[str, tuple[str, ...]] = {}
    states: dict[str, str] = {}
    events: dict[str, str] = {}
    envelope: tuple[str, ...] = ("event.serviceOrder", "event")
    fallout: tuple[Sign, ...] = ()


EVENTS = (
    "serviceOrderCreateEvent",
    "serviceOrderStateChangeEvent",
    "serviceOrderAttributeValueChangeEvent",
    "serviceOrderDeleteEvent",
    "serviceOrderInformationRequiredEvent",
    "serviceOrderMilestoneStateChangeEvent",
    "serviceOrderJeopardyAlertEvent",
    "cancelServiceOrderCreateEvent",
    "cancelServiceOrderStateChangeEvent",
    "cancelServiceOrderInformationRequiredEvent",
)
STANDARD = Dialect(
    title="TMF641 v4.1",
    fields={
        "serviceOrderItem": ("serviceOrderItem", "orderItem"),
        "timeOcurred": ("timeOcurred", "timeOccurred", "eventTime"),
    },
    # The two names that the specification's text has and its published schema has not.
    events={
        "serviceOrderMilestoneEvent": "serviceOrderMilestoneStateChangeEvent",
        "serviceOrderJeopardyEvent": "serviceOrderJeopardyAlertEvent",
    },
    fallout=(Sign(state="held"), Sign(state="failed")),
)


def value(dialect: Dialect, name: str, data: Mapping[str, Any]) -> Any:
    """What `data` has under our name of a field, whatever it is called there; None when it has not."""
    return next((data[known] for known in names(dialect, name) if data.get(known) is not None), None)


def names(dialect: Dialect, name: str) -> tuple[str, ...]:
    """The names a field may have."""
    return dialect.fields.get(name) or STANDARD.fields.get(name) or (name,)


def state_of(dialect: Dialect, order: Mapping[str, Any]) -> str:
    """The state of that order as TM Forum calls it; a word that the dialect does not know stays as it is."""
    said = value(dialect, "state", order)
    return dialect.states.get(said, said) if isinstance(said, str) else ""


def event_of(dialect: Dialect, said: str) -> str:
    """TM Forum's name of an event (as in a listener's path), empty when there is none."""
    name = said[:1].lower() + said[1:]
    known = {**STANDARD.events, **dialect.events}.get(name, name)
    return known if known in EVENTS else ""


def order_in(dialect: Dialect, event: Mapping[str, Any]) -> dict[str, Any]:
    """The order that an event carries, empty when it carries none."""
    found = (inner for path in dialect.envelope for inner in at(event, path) if isinstance(inner, dict))
    return next(found, {})


def fallout(dialect: Dialect, event: Mapping[str, Any]) -> Sign | None:
    """The sign by which this event shows that its order stopped; None when it shows none."""
    order = order_in(dialect, event)
    state = state_of(dialect, order)
    return next((sign for sign in dialect.fallout or STANDARD.fallout if _shows(sign, state, order, event)), None)


def at(data: Any, path: str) -> Iterator[Any]:
    """What is at a dotted path; a list on the way stands for each of its members."""
    head, _, rest = path.partition(".")
    if isinstance(data, list):
        for member in data:
            yield from at(member, path)
    elif isinstance(data, dict) and head in data:
        inner = data[head]
        yield from at(inner, rest) if rest else _members(inner)


def _members(value: Any) -> Iterable[Any]:
    return value if isinstance(value, list) else (value,)


def _shows(sign: Sign, state: str, order: Mapping[str, Any], event: Mapping[str, Any]) -> bool:
    if sign.state and sign.state != state:
        return False
    said = [*at(order, sign.field), *at(event, sign.field)] if sign.field else [""]
    return any(isinstance(text, str) and sign.contains in text for text in said)
