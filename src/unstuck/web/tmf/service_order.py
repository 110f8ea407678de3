"""TMF641 v4.1 `serviceOrder`: intake and the projection of orders and their fallout (mission H1, tmf.md §2-3)."""

from typing import Any

from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath

from unstuck.order.lifecycle import ORDER_IS_OVER, ItemState, OrderState
from unstuck.order.plan import OrderDraft, OrderItem
from unstuck.order.tmf import ITEM_STATE, order_state
from unstuck.service import intake, views
from unstuck.service.ports import Ports
from unstuck.web.protocol import actor, as_json, read
from unstuck.web.tmf.error import error
from unstuck.web.tmf.reader import NotAnOrder, read_order

BASE = "/tmf-api/serviceOrdering/v4"


@get("/serviceOrder/{order_id:str}", opt={"permission": "order.read"})
async def get_service_order(ports: NamedDependency[Ports], order_id: FromPath[str]) -> Response[bytes]:
    """One service order."""
    return as_json(_projected(*await views.service_order(ports, await views.find_order(ports, order_id))))


def router(ports: Ports, body_limit: int) -> Router:
    """The routes of TMF641."""

    @post("/serviceOrder", opt={"permission": "order.submit"}, status_code=201)
    async def create_service_order(request: Request[Any, Any, Any]) -> Response[bytes]:
        """Take an order: what can be planned starts, what cannot becomes a case; what cannot be read is kept too."""
        sent = await read(request, body_limit, "tmf641")
        refusal = _unreadable(sent, body_limit)
        if refusal is None:
            try:
                draft = read_order(sent.body, actor(request).id)
                received = await intake.submit(ports, draft, sent)
            except NotAnOrder as wrong:
                refusal = (400, str(wrong))
        if refusal is not None:
            await intake.refuse(ports, sent, *refusal)
            return error(*refusal)
        shown = _projected(*await views.service_order(ports, received.order_id))
        return as_json(shown, status=201, Location=shown["href"])

    return Router(
        BASE,
        route_handlers=[get_service_order, create_service_order],
        dependencies={"ports": Provide(lambda: ports, sync_to_thread=False)},
        request_max_body_size=None,
    )


def _unreadable(sent: intake.Sent, body_limit: int) -> tuple[int, str] | None:
    if sent.size > body_limit:
        return 413, f"an order is at most {body_limit} bytes; this one has {sent.size}, its beginning was kept"
    if sent.media_type.split(";")[0].strip().lower() not in ("application/json", ""):
        return 415, f"send application/json, not {sent.media_type[:100]}"
    return None


def _projected(order: dict[str, Any], draft: OrderDraft, cases: list[dict[str, Any]]) -> dict[str, Any]:
    states = [ItemState(state) for state in order["item_states"]]
    live = [case for case in cases if case["state"] not in views.CLOSED]
    shown: dict[str, Any] = {
        "id": order["id"],
        "href": f"{BASE}/serviceOrder/{order['id']}",
        "externalId": order["external_id"],
        "state": order_state(OrderState(order["state"]), states),
        "orderDate": order["received_at"],
        "completionDate": order["finished_at"],
        "requestedCompletionDate": order["promised_at"],
        "relatedParty": _parties(draft),
        "serviceOrderItem": [_item(order, draft.items[n], n, states, live) for n in range(len(draft.items))],
        "errorMessage": [_error_message(case) for case in live if case["reason"] != "unknown"],
        "jeopardyAlert": _jeopardies(order, draft, live),
        "milestone": _milestones(order),
        "@type": "ServiceOrder",
    }
    return {name: value for name, value in shown.items() if value not in (None, [])}


def _parties(draft: OrderDraft) -> list[dict[str, Any]]:
    customer = {"id": draft.customer, "role": "customer", "@referredType": "Customer", "@type": "RelatedParty"}
    return [customer] if draft.customer else []


def _item(
    order: dict[str, Any], item: OrderItem, number: int, states: list[ItemState], live: list[dict[str, Any]]
) -> dict[str, Any]:
    own = [case for case in live if case["item"] == item.id and case["reason"] != "unknown"]
    characteristics = [{"name": name, "value": value} for name, value in item.characteristics.items()]
    specification = {"id": item.offer, "name": item.offer}
    shown = {
        "id": item.id,
        "action": item.action,
        "state": ITEM_STATE[states[number]] if states else _unplanned(order, own),
        "service": {"serviceSpecification": specification, "serviceCharacteristic": characteristics},
        "errorMessage": [_error_message(case) for case in own],
        "@type": "ServiceOrderItem",
    }
    return {name: value for name, value in shown.items() if value != []}


def _unplanned(order: dict[str, Any], own: list[dict[str, Any]]) -> str:
    """The state of an item whose order has no plan: held only for an error of its own."""
    if OrderState(order["state"]) in ORDER_IS_OVER:
        return "cancelled"
    return "held" if own else "acknowledged"


def _error_message(case: dict[str, Any]) -> dict[str, Any]:
    return {
        "code": case["code"] or "DETECTED",
        "reason": case["reason"],
        "message": case["raw_message"],
        "status": case["raw_code"],
        "referenceError": f"/api/v1/fallout-cases/{case['id']}",
        "timestamp": case["detected_at"],
        "serviceOrderItem": [{"itemId": case["item"]}] if case["item"] else [],
    }


def _jeopardies(order: dict[str, Any], draft: OrderDraft, live: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What nobody can say: the cases of it, and what the engine still asks about by itself."""
    cases = [case for case in live if case["reason"] == "unknown"]
    known = [(case["step"], case["item"], case["id"], case["detected_at"], case["system"]) for case in cases]
    being_asked = [
        (task["key"], task["item"], task["key"], task["since"], task["target"])
        for task in order["graph"]["tasks"]
        if task["state"] == "UNKNOWN" and task["key"] not in {case["step"] for case in cases}
    ]
    items = {item.id: item for item in draft.items}
    return [
        {
            "id": id,
            "alertDate": since,
            "exception": "UNKNOWN_OUTCOME",
            "jeopardyType": "Critical",
            "name": step,
            "message": f"{system} did not say whether it did {step}",
            "serviceOrderItem": [{"itemId": item, "id": item, "action": items[item].action, "service": {}}],
        }
        for step, item, id, since, system in known + being_asked
    ]


def _milestones(order: dict[str, Any]) -> list[dict[str, Any]]:
    done = [task for task in order["graph"]["tasks"] if task["state"] == "COMPLETED"]
    return [{"id": task["key"], "name": task["type"], "status": "completed"} for task in done]
