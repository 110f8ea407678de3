"""The failure events of the benches: about 600 bytes each, and every tenth is sent a second time, byte for byte."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

TEMPLATE = (
    '{"sourceSystem":"bench","sourceEventId":"%(id)s","reasonCode":"ADDRESS_NOT_SERVICEABLE",'
    '"message":"No free port within reach of the cabinet for this address.",'
    '"correlationId":"0190a5b2-7c3d-7e4f-8a5b-%(no)012d","customerId":"C-%(no)d","serviceOrderId":"SO-%(id)s",'
    '"serviceOrderItemId":"1","failedStepKey":"1.activate","downstreamSystem":"provisioning","operation":"activate",'
    '"rawErrorCode":"ADDRESS_NOT_SERVICEABLE","rawPayload":{"fault":{"code":"ADDRESS_NOT_SERVICEABLE",'
    '"cabinet":"KBY-%(no)05d","attempts":3}},"retryable":false,"occurredAt":"2026-03-01T10:00:00.123456Z"}'
)
EVERY, BACK = 10, 5


def failures(prefix: str) -> Iterator[bytes]:
    """Events without end; the last of every ten is the one five before it again."""
    for number in count():
        no = number - BACK if number % EVERY == EVERY - 1 else number
        yield (TEMPLATE % {"id": f"{prefix}-{no}", "no": no}).encode()
