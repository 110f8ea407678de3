"""A `cancelServiceOrder` as it is asked for, and as it is shown."""

from typing import Any

import msgspec

from unstuck.kernel.ids import rfc3339
from unstuck.kernel.refusal import Invalid
from unstuck.kernel.strict import NOT_JSON, not_json
from unstuck.service.looks.service_orders import Cancellation
from unstuck.web.tmf.projection import BASE

STATE = {"cancelled": "done", "kept": "done", "impossible": "terminatedWithError"}


class OrderRef(msgspec.Struct):
    """The order to cancel, by its id."""

    id: str


class NewCancellation(msgspec.Struct, rename="camel"):
    """A request to cancel; fields we do not know are kept in the bytes."""

    service_order: OrderRef
    cancellation_reason: str | None = None
    requested_cancellation_date: str | None = None


def resource(row: Cancellation, state: str = "") -> dict[str, Any]:
    """The task as TM Forum has it; `state` when it is shown on its way."""
    asked = read_request(row.body)
    shown = {
        "id": str(row.id),
        "href": f"{BASE}/cancelServiceOrder/{row.id}",
        "cancellationReason": asked.cancellation_reason,
        "requestedCancellationDate": asked.requested_cancellation_date,
        "effectiveCancellationDate": rfc3339(row.at) if row.outcome == "cancelled" and not state else None,
        "completionMessage": row.because if not state and row.outcome != "impossible" else None,
        "errorMessage": {"code": "409", "reason": row.because} if not state and row.outcome == "impossible" else None,
        "serviceOrder": {"id": str(row.order_id), "href": f"{BASE}/serviceOrder/{row.order_id}"},
        "state": state or STATE[row.outcome],
        "@type": "CancelServiceOrder",
    }
    return {name: value for name, value in shown.items() if value is not None}


def read_request(body: bytes) -> NewCancellation:
    """The request in these bytes; Invalid says what is missing."""
    try:
        return msgspec.json.decode(body, type=NewCancellation)
    except msgspec.ValidationError as error:
        raise Invalid(f"a cancelServiceOrder names its serviceOrder by id: {error}") from error
    except NOT_JSON as error:
        raise not_json(error) from error
