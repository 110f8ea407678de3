"""Events of other order managers about their own orders: kept as they came; one that shows a stop becomes a failure."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from unstuck.fallout.failure import Failure
from unstuck.kernel.actor import Actor
from unstuck.kernel.canonical import digest, printable
from unstuck.kernel.refusal import Missing, Refused
from unstuck.kernel.strict import NOT_JSON
from unstuck.order.dialect import STANDARD, Dialect, at, event_of, fallout, order_in, state_of, value
from unstuck.policy.pack import Pack
from unstuck.service.failures_in.failures import Filed, Report
from unstuck.service.order_work.intake import Sent, keep
from unstuck.service.ports import Ports
from unstuck.store.foreign_events import ForeignEvent, keep_foreign_event
from unstuck.store.sources import source_named
from unstuck.store.unit import Unit

CHANNEL = "tmf641-listener"
LONG = 200
STATES_TOLD = ("serviceOrderCreateEvent", "serviceOrderStateChangeEvent")
File = Callable[[Sequence[Report]], Awaitable[list[Filed | Refused]]]


class Heard(msgspec.Struct, frozen=True):
    """What became of an event: new or known; the case it led to, if it showed a stop."""

    event_id: str
    was: str
    state: str
    case: str | None = None


async def hear(ports: Ports, file: File, actor: Actor, said: str, sent: Sent) -> Heard:
    """Take one event; `said` is its name in the path.

    What is refused is kept with the reason: an event that the source's dialect does not have, what cannot be read.
    The failure is filed before the event is kept, so that telling it again after a crash loses nothing.
    """
    try:
        event, case = await _take(ports, file, actor, said, sent.body)
    except Refused as refusal:
        async with ports.store.unit(ports.now()) as unit:
            await keep(ports, unit, sent, 400, f"{refusal.rule}: {refusal.because}", None)
        raise
    async with ports.store.unit(ports.now()) as unit:
        new = await keep_foreign_event(unit, event)
    return Heard(event.event_id, "new" if new else "known", event.state, case)


async def _take(ports: Ports, file: File, actor: Actor, said: str, body: bytes) -> tuple[ForeignEvent, str | None]:
    source = actor.source or actor.id
    dialect = await dialect_of(ports, source)
    name, data = _named(dialect, said), _object(body)
    event = _kept(ports.now(), source, dialect, name, data, body)
    return event, await _file(file, actor, event, dialect, data)


async def dialect_of(ports: Ports, source: str) -> Dialect:
    """How this source speaks: as its settings say, else as the standard has it."""
    async with ports.store.reading(ports.now()) as unit:
        name = await _dialect_name(unit, source)
    return spoken(ports.book.current, name)


def spoken(pack: Pack, name: str) -> Dialect:
    """The dialect of that name; a name that the pack does not have is said, never guessed at."""
    if not name:
        return STANDARD
    known = pack.document.dialects.get(name)
    if known is None:
        there = ", ".join(pack.document.dialects) or "none"
        raise Refused("known-dialect", f"the policy pack has no dialect {name!r}; there are {there}")
    return known


async def _dialect_name(unit: Unit, source: str) -> str:
    try:
        return (await source_named(unit, source)).settings.dialect
    except Missing:
        return ""


def _named(dialect: Dialect, said: str) -> str:
    name = event_of(dialect, said)
    if not name:
        raise Missing(f"the event {said[:80]!r} of {dialect.title}")
    return name


def _object(body: bytes) -> dict[str, Any]:
    try:
        data = msgspec.json.decode(body)
    except NOT_JSON as error:
        raise Refused("not-json", f"the event is not JSON ({error}); it was kept") from error
    if not isinstance(data, dict):
        raise Refused("not-json", "an event is a JSON object; it was kept")
    return data


def _kept(
    now: datetime, source: str, dialect: Dialect, name: str, data: Mapping[str, Any], body: bytes
) -> ForeignEvent:
    """An event without an id of its own is known by its bytes."""
    order, said = order_in(dialect, data), _words(data.get("eventId"))
    sha256 = digest(body)
    return ForeignEvent(
        source, said or sha256, now, name, _reference(dialect, order), _words(state_of(dialect, order)), sha256, body
    )


async def _file(file: File, actor: Actor, event: ForeignEvent, dialect: Dialect, data: Mapping[str, Any]) -> str | None:
    sign = fallout(dialect, data) if event.event.startswith("serviceOrder") else None
    if sign is None or not event.order_ref:
        return None
    if not sign.field and event.event not in STATES_TOLD:
        return None  # a stopped order that tells of something else has told of its stop before
    (filed,) = await file([Report(_failure(event, dialect, data), event.body, actor)])
    if isinstance(filed, Refused):
        raise filed
    return f"FC-{filed.number}"


def _failure(event: ForeignEvent, dialect: Dialect, data: Mapping[str, Any]) -> Failure:
    """What the event says of the stop, in the words of a failure report."""
    order = order_in(dialect, data)
    error = next((e for e in at(order, "errorMessage") if isinstance(e, dict)), {})
    text = error.get("message") or error.get("reason") or _text(dialect, order, data)
    return Failure(
        source_system=event.source,
        source_event_id=event.event_id,
        reason_code=_code(error.get("code")) or "ORDER_STOPPED",
        message=printable(str(text or f"the order is {event.state or 'stopped'}"), 4000),
        correlation_id=_words(data.get("correlationId")),
        service_order_id=event.order_ref,
        service_order_item_id=_words(next(at(error, "serviceOrderItem.itemId"), "")),
        customer_id=_customer(order),
        raw_error_code=_code(error.get("status")),
        raw_payload=msgspec.Raw(event.body),
        order_version=_words(order.get("lastUpdate") or order.get("@version") or ""),
        occurred_at=_time(value(dialect, "timeOcurred", data)),
    )


def _text(dialect: Dialect, order: Mapping[str, Any], data: Mapping[str, Any]) -> Any:
    inner = data.get("event")
    said = (value(dialect, "errorText", part) for part in (order, inner, data) if isinstance(part, dict))
    return next((text for text in said if isinstance(text, str)), "")


def _reference(dialect: Dialect, order: Mapping[str, Any]) -> str:
    return _words(value(dialect, "id", order)) or _words(value(dialect, "externalId", order))


def _customer(order: Mapping[str, Any]) -> str:
    parties = (party for party in at(order, "relatedParty") if isinstance(party, dict))
    return next((_words(p.get("id")) for p in parties if str(p.get("role", "")).lower() == "customer"), "")


def _words(said: Any) -> str:
    """A name in the words of a stranger, made fit for one line; what is none is empty."""
    return printable(str(said), LONG).strip() if isinstance(said, str | int) and not isinstance(said, bool) else ""


def _code(said: Any) -> str:
    return printable(_words(said), 100)


def _time(said: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(said) if isinstance(said, str) else None
    except ValueError:
        return None
    return moment if moment and moment.tzinfo else None
