"""A failure as a source system reports it (seed 003 §8, contract §3): read tolerantly, kept exactly. Pure."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

import msgspec

from unstuck.fallout import events as facts
from unstuck.fallout.case import Case, from_detected
from unstuck.fallout.classify import dedup_key
from unstuck.fallout.policy import Dedup
from unstuck.kernel.canonical import digest, printable
from unstuck.kernel.event import Event
from unstuck.kernel.refusal import Invalid

REPORTED = "reported"
PERSON = "person"
# Names stand in lines of a terminal: nothing that ends a line, commands the terminal or turns the direction of a text.
NAME = r"^[^\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]*$(?!\n)"
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=NAME)]
MaybeName = Annotated[str, msgspec.Meta(max_length=200, pattern=NAME)]
Text = Annotated[str, msgspec.Meta(max_length=4000)]
Code = Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern=NAME)]
Time = Annotated[datetime, msgspec.Meta(tz=True)]


class Money(msgspec.Struct, frozen=True):
    """An amount and its ISO 4217 currency."""

    amount: Decimal
    currency: Annotated[str, msgspec.Meta(pattern="^[A-Z]{3}$")]


class Failure(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """What a source says of a failure. Fields we do not know stay in the bytes it came in.

    `service_order_id` and the like are in the source's own words; `order_version` is opaque and only ever compared.
    """

    source_system: Name
    source_event_id: Name
    reason_code: Code
    message: Text
    correlation_id: MaybeName = ""
    customer_id: MaybeName = ""
    product_order_id: MaybeName = ""
    service_order_id: MaybeName = ""
    service_order_item_id: MaybeName = ""
    service_id: MaybeName = ""
    resource_id: MaybeName = ""
    category_hint: MaybeName = ""
    severity_hint: MaybeName = ""
    resume_point: MaybeName = ""
    downstream_system: MaybeName = ""
    operation: MaybeName = ""
    raw_error_code: MaybeName = ""
    raw_payload: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)
    retryable: bool | None = None
    failed_step_key: MaybeName = ""
    order_version: MaybeName = ""
    catalog_version: MaybeName = ""
    offer_id: MaybeName = ""
    quote_id: MaybeName = ""
    revenue_at_risk: Money | None = None
    occurred_at: Time | None = None

    @property
    def order_ref(self) -> str:
        """The order it is about, in the source's words."""
        return self.service_order_id or self.product_order_id

    @property
    def item(self) -> str:
        """The order item it is about, in the source's words."""
        return self.service_order_item_id

    @property
    def step(self) -> str:
        """The step that failed: its key, else the operation that was tried."""
        return self.failed_step_key or self.operation

    @property
    def system(self) -> str:
        """Where it failed: the system behind the source when it names one."""
        return self.downstream_system or self.source_system

    @property
    def raw_code(self) -> str:
        """The code of the system that failed, else the reason of the source."""
        return self.raw_error_code or self.reason_code


MOST_AT_RISK = 10**15
ABOUT = ("productOrderId", "serviceOrderId", "serviceOrderItemId", "serviceId", "resourceId", "customerId")


def require_sense(failure: Failure) -> None:
    """Refuse what typing cannot see: an amount that is none, and a failure about nothing, which nobody could repair."""
    if (risk := failure.revenue_at_risk) and not (risk.amount.is_finite() and 0 <= risk.amount < MOST_AT_RISK):
        raise Invalid("that is no amount", (("/revenueAtRisk/amount", f"a number from 0 to {MOST_AT_RISK:,}"),))
    subjects = (failure.order_ref, failure.item, failure.service_id, failure.resource_id, failure.customer_id)
    if not any(subjects):
        raise Invalid("say what it is about", (("/serviceOrderId", f"give one of {', '.join(ABOUT)}"),))


class Place(msgspec.Struct, frozen=True):
    """What of ours a failure is about: nothing yet, an order, or a step of its plan with the fence it stands at."""

    order_id: UUID | None = None
    task: int | None = None
    attempt: int = 0
    step: str = ""
    item: str = ""


NOWHERE = Place()


def key_of(failure: Failure, rules: Mapping[str, Dedup]) -> str:
    """What makes it the same failure as another (B7)."""
    return dedup_key(
        dict(rules),
        REPORTED,
        source=failure.source_system,
        order=failure.order_ref,
        item=failure.item,
        task=failure.step,
        system=failure.system,
        code=failure.reason_code,
        resource=failure.resource_id,
        service=failure.service_id,
        event=failure.source_event_id,
    )


def case_of_failure(
    failure: Failure, body: bytes, key: str, place: Place, *, id: UUID, at: datetime, pack: str, by: str
) -> tuple[Case, Event, bytes]:
    """The case that a reported failure opens, its first event, and the raw payload of the failing system."""
    raw, message, code = bytes(failure.raw_payload), printable(failure.message), printable(failure.raw_code, 100)
    data = {
        "order": str(place.order_id) if place.order_id else None,
        "item": place.item or failure.item,
        "step": place.step or failure.step,
        "task": place.task,
        "attempt": place.attempt,
        "reason": REPORTED,
        "system": failure.system,
        "operation": failure.operation,
        "raw_code": code,
        "sha256": digest(raw),
        "message_sha256": digest(message.encode()),
        "dedup_key": key,
        "pack": pack,
        "source": failure.source_system,
        "event": failure.source_event_id,
        "report_sha256": digest(body),
        "to": "DETECTED",
    }
    case = from_detected(data, id=id, number=0, at=at, raw_message=message)
    for name, value in told(failure).items():
        setattr(case, name, value)
    return case, Event(facts.DETECTED, at, by, data), raw


def told(failure: Failure) -> dict[str, Any]:
    """What a case knows from the body of its report alone, and no event repeats: the words of strangers, people."""
    return {
        "order_ref": failure.order_ref,
        "order_version": failure.order_version,
        "customer": failure.customer_id,
        "correlation_id": failure.correlation_id,
        "category_hint": failure.category_hint,
        "severity_hint": failure.severity_hint,
    }
