"""Service-order events as TMF641 tells them: made of sealed leaves, path-legal, each with the whole resource.

An order that jumps here is shown walking there: every state on the way is an event of its own. The resource in an
event is as it is when it is sent, but for the state, which is the one the event tells. Nothing is ever deleted and no
cancellation waits for information, so serviceOrderDeleteEvent and cancelServiceOrderInformationRequiredEvent are
never sent.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID

import msgspec

from unstuck.fallout.published import Leaf
from unstuck.kernel.ids import rfc3339
from unstuck.order.dialect import STANDARD, event_of
from unstuck.service.events_out.outbox import Message, Subscription
from unstuck.service.looks import service_orders
from unstuck.service.looks.service_orders import Told
from unstuck.service.looks.tmf_history import Step, steps_of
from unstuck.service.ports import Ports
from unstuck.web.tmf import cancellation
from unstuck.web.tmf.filters import Condition, conditions, fits
from unstuck.web.tmf.projection import projected

DOMAIN = "ServiceOrdering"


async def messages(ports: Ports, subscription: Subscription, leaves: Sequence[Leaf]) -> list[list[Message]]:
    """What a listener is POSTed for each leaf; nothing for what TM Forum does not see or its query leaves out."""
    wanted = filter_of(str(subscription.settings.get("query", "")))
    by_order: dict[UUID, list[Leaf]] = defaultdict(list)
    for leaf in leaves:
        if leaf.about.order_id is not None:
            by_order[leaf.about.order_id].append(leaf)
    made: dict[int, list[Message]] = {}
    for order_id, of_order in by_order.items():
        steps = await steps_of(ports, order_id, [leaf.n for leaf in of_order])
        order = await service_orders.told(ports, order_id, subscription.owner)
        for leaf in of_order:
            made[leaf.n] = [m async for m in _messages(ports, order, leaf, steps[leaf.n], wanted)]
    return [made.get(leaf.n, []) for leaf in leaves]


async def _messages(
    ports: Ports, order: Told, leaf: Leaf, steps: Sequence[Step], wanted: tuple[Condition, ...]
) -> AsyncIterator[Message]:
    for number, step in enumerate(steps):
        resource = await _resource(ports, order, step)
        event = _envelope(f"{leaf.stream}-{leaf.seq}-{number}", leaf, order, step, resource)
        if fits(event, wanted):
            path = f"/listener/{step.event[:1].lower()}{step.event[1:]}"
            yield Message(event["eventId"], msgspec.json.encode(event), "application/json", path=path)


async def _resource(ports: Ports, order: Told, step: Step) -> dict[str, Any]:
    if step.request is None:
        return {"serviceOrder": projected(order, step.state)}
    asked = await service_orders.cancellation(ports, step.request)
    over = step.state in ("done", "terminatedWithError")
    return {"cancelServiceOrder": cancellation.resource(asked, "" if over else step.state)}


def _envelope(id: str, leaf: Leaf, order: Told, step: Step, resource: dict[str, Any]) -> dict[str, Any]:
    return {
        "eventId": id,
        "eventTime": rfc3339(leaf.at),
        "eventType": step.event,
        "correlationId": order.external_id,
        "domain": DOMAIN,
        "title": step.event,
        "description": f"order ORD-{order.number}: {step.says}",
        "timeOcurred": rfc3339(leaf.at),
        "event": resource,
    }


def filter_of(query: str) -> tuple[Condition, ...]:
    """The conditions of a hub's query; an event's name may be given in any of its spellings."""
    pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=100, errors="replace")
    return conditions((name, _spelt(value) if name == "eventType" else value) for name, value in pairs)


def _spelt(names: str) -> str:
    return ",".join(_name(name.strip().strip("\"'")) for name in names.split(","))


def _name(said: str) -> str:
    known = event_of(STANDARD, said)
    return f"{known[:1].upper()}{known[1:]}" if known else said
