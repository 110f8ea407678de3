"""Reports of failures as bytes: read item by item, what cannot be read is kept with the reason (B6)."""

import json
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from uuid import UUID

import msgspec

from unstuck.fallout.failure import PERSON, Failure, require_sense
from unstuck.fallout.source import RESERVED, is_ours
from unstuck.kernel.actor import Actor
from unstuck.kernel.refusal import Invalid, Refused
from unstuck.kernel.strict import DEPTH_LIMIT, NOT_JSON, distinct, not_json, require_shallow
from unstuck.service.failures_in.failures import TRIES, Filed, Report, file
from unstuck.service.once import answered, command
from unstuck.service.order_work.intake import Sent, keep
from unstuck.service.ports import Ports
from unstuck.store.unit import Conflict

MANY = 10_000
CHANNEL = "failure-event"
DISTINCT = json.JSONDecoder(object_pairs_hook=distinct, parse_int=str, parse_float=str)
PutAll = Callable[[Sequence[Report]], Awaitable[list[Filed | Refused]]]


class Taken(msgspec.Struct, omit_defaults=True):
    """What became of one report: 201 new, 200 joined, reopened or known, 403 or 422 refused (and kept)."""

    status: int
    was: str = ""
    case: UUID | None = None
    number: str = ""
    body_differs: bool = False
    rule: str = ""
    detail: str = ""
    pointer: str = ""


class TakenAll(msgspec.Struct):
    """The answers to many reports, in their order, and how many of each."""

    results: list[Taken]
    counts: dict[str, int]


class Opened(msgspec.Struct, frozen=True):
    """A person's report: what it is about, why they think it stands still, and what they saw."""

    order: str
    item: str
    step: str
    reason_code: str
    seen: str
    customer: str = ""


def taken_as(answer: Filed | Refused) -> Taken:
    """What the sender is told of one report."""
    if isinstance(answer, Filed):
        status = 201 if answer.was == "new" else 200
        return Taken(status, answer.was, answer.case_id, f"FC-{answer.number}", answer.body_differs)
    pointer = answer.errors[0][0] if isinstance(answer, Invalid) and answer.errors else ""
    status = 403 if answer.rule == "source-key" else 422
    return Taken(status, rule=answer.rule, detail=answer.because, pointer=pointer)


async def open_by_person(ports: Ports, report: Report) -> Taken:
    """Open a case for a person, or add what they saw to the open one; sent again under its key it is answered again."""
    for _ in range(TRIES):
        with suppress(Conflict):
            async with command(ports) as unit:
                (filed,) = await file(ports, unit, [report])
                if isinstance(filed, Refused):
                    raise filed
                taken = taken_as(filed)
                once = ports.once and msgspec.structs.replace(ports.once, status=taken.status)
                return await answered(msgspec.structs.replace(ports, once=once), unit, taken)
    raise Refused("busy", "the same is being reported by many at once; send the very same again")


async def take(
    ports: Ports, put_all: PutAll, items: Sequence[bytes], sent: Sent, actor: Actor
) -> list[Filed | Refused]:
    """File each of `items`, in their order; the refusal of one costs the others nothing. Refused ones are kept."""
    read = [_read(item, actor) for item in items]
    reports = [one for one in read if isinstance(one, Report)]
    filed = iter(await put_all(reports) if reports else ())
    answers = [next(filed) if isinstance(one, Report) else one for one in read]
    lost = [(item, said) for item, said in zip(items, answers, strict=True) if isinstance(said, Refused)]
    if lost:
        async with ports.store.unit(ports.now()) as unit:
            for item, said in lost:
                one = Sent(CHANNEL, actor.source or sent.source, sent.media_type, item, len(item))
                await keep(ports, unit, one, 422, f"{said.rule}: {said.because}{_where(said)}", None)
    return answers


def split(body: bytes, media_type: str) -> tuple[list[bytes], bool]:
    """The items of a body and whether they were many: one object, an array, or one object a line (NDJSON)."""
    if media_type == "application/x-ndjson":
        return _no_more_than_many([line for line in body.split(b"\n") if line.strip()]), True
    if body.lstrip()[:1] != b"[":
        return [body], False
    try:
        return _no_more_than_many([bytes(item) for item in msgspec.json.decode(body, type=list[msgspec.Raw])]), True
    except NOT_JSON as error:
        raise not_json(error) from error


def opened_by(person: Actor, opened: Opened, event_id: str) -> Report:
    """The report that a person's words are: the same rules as for every source, under the source `person`."""
    said = {
        "sourceSystem": PERSON,
        "sourceEventId": event_id,
        "reasonCode": opened.reason_code,
        "message": opened.seen,
        "serviceOrderId": opened.order,
        "serviceOrderItemId": opened.item,
        "failedStepKey": opened.step,
        "customerId": opened.customer,
    }
    body = msgspec.json.encode(said)
    return Report(msgspec.json.decode(body, type=Failure), body, person)


def _no_more_than_many(items: list[bytes]) -> list[bytes]:
    if len(items) > MANY:
        raise Invalid(f"{len(items)} items are too many for one call", (("/", f"at most {MANY}; send several calls"),))
    return items


def _read(item: bytes, actor: Actor) -> Report | Refused:
    try:
        failure = msgspec.json.decode(item, type=Failure)
        _require_once(item)
        require_sense(failure)
        if is_ours(failure.source_system):
            taken = f"not one of {', '.join(RESERVED)}, nor a name that begins with unstuck:"
            raise Invalid("that is no source", (("/sourceSystem", taken),))
        return Report(failure, item, actor)
    except msgspec.ValidationError as error:
        because, _, path = str(error).partition(" - at `$")
        pointer = path.rstrip("`").replace(".", "/").replace("[", "/").replace("]", "")
        named = because.partition("required field `")[2].rstrip("`")
        pointer += f"/{named}" if named else ""
        return Invalid(because, ((pointer or "/", because),))
    except NOT_JSON as error:
        return not_json(error, "this")
    except Refused as refusal:
        return refusal


def _require_once(item: bytes) -> None:
    """A name that is given twice means something else to every reader; and so deep nobody has to read."""
    value = DISTINCT.decode(item.decode())
    if item.count(b"[") + item.count(b"{") > DEPTH_LIMIT:
        require_shallow(value)


def _where(said: Refused) -> str:
    return f" at {said.errors[0][0]}" if isinstance(said, Invalid) and said.errors else ""
