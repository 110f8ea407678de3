"""`/api/v1/fallout-events`: failures from anywhere; and a person who opens a case. Parses, files, answers item by item."""

from typing import Annotated, Any

import msgspec
from litestar import Request, Response, Router, post
from litestar.di import NamedDependency

from unstuck.engine.gather import Gather
from unstuck.fallout.failure import Code, Failure, MaybeName, Name, Text
from unstuck.kernel.refusal import Invalid, Refused
from unstuck.service.failures_in.failures import Filed, Report, receive
from unstuck.service.failures_in.reports import (
    CHANNEL,
    Opened,
    Taken,
    TakenAll,
    open_by_person,
    opened_by,
    split,
    take,
    taken_as,
)
from unstuck.service.ports import Ports
from unstuck.store.unit import is_away
from unstuck.web.protocol import actor, as_json, media_type, parsed, read

Reports = Gather[Report, Filed | Refused]
A_BATCH = 500
MEDIA = ("application/json", "application/x-ndjson")


class NewCase(msgspec.Struct, forbid_unknown_fields=True):
    """A case that a person opens: on an order (id, number or its source's words), an item or a step of it."""

    order: Name
    reason_code: Code
    seen: Annotated[Text, msgspec.Meta(min_length=1)]
    item: MaybeName = ""
    step: MaybeName = ""
    customer: MaybeName = ""


OPEN = {
    "permission": "case.open",
    "body": NewCase,
    "answer": Taken,
    "once": True,
    "also": {200: "a case was open for it already: what was seen is added there"},
}


def gather(ports: Ports) -> Reports:
    """The batcher of one process: what arrives while a batch commits is the next batch."""
    return Gather(lambda reports: receive(ports, reports), most=A_BATCH, away=is_away)


def router(reports: Reports, body_limit: int) -> Router:
    """The routes of reported failures."""

    @post(
        "/fallout-events",
        status_code=200,
        opt={
            "permission": "failure.report",
            "body": Failure | list[Any],  # items are answered one by one, whatever they are
            "accepts": MEDIA,
            "answer": Taken | TakenAll,
            "also": {201: "a new case was opened for the one failure that was sent"},
        },
    )
    async def report_failures(request: Request[Any, Any, Any], ports: NamedDependency[Ports]) -> Response[bytes]:
        """Report failures: one object, an array, or one object a line (application/x-ndjson).

        Every event of a source counts once, whoever sends it how often. Many are answered item by item, always with
        200; what is refused is kept with the reason. An answer of 2xx means: on disk, and filed under a case.
        """
        sent = await read(request, body_limit, CHANNEL)
        if sent.size > body_limit:
            raise Refused("too-large", f"a call takes at most {body_limit} bytes; send several")
        items, many = split(sent.body, media_type(sent.media_type))
        answers = await take(ports, reports.put_all, items, sent, actor(request))
        if not many and isinstance(answers[0], Refused):
            raise answers[0]
        taken = [taken_as(answer) for answer in answers]
        if many:
            return as_json(TakenAll(taken, _counts(taken)))
        return as_json(taken[0], status=taken[0].status)

    @post("/fallout-cases", opt=OPEN, status_code=201, request_max_body_size=body_limit)
    async def open_case(request: Request[Any, Any, Any], ports: NamedDependency[Ports]) -> Response[bytes]:
        """Open a case on something that stands still, or add what was seen to the one that is open for it."""
        new = parsed(await request.body(), NewCase)
        if not new.seen.strip():
            raise Invalid("say what was seen", (("/seen", "what is wrong, in words"),))
        opened = Opened(new.order, new.item, new.step, new.reason_code, new.seen, new.customer)
        taken = await open_by_person(ports, opened_by(actor(request), opened, str(ports.new_id())))
        return as_json(taken, status=taken.status)

    return Router(
        "/api/v1",
        route_handlers=[report_failures, open_case],
        request_max_body_size=None,
    )


def _counts(taken: list[Taken]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for one in taken:
        name = one.was or "refused"
        counts[name] = counts.get(name, 0) + 1
    return counts
