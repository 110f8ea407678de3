"""A call as a system understands it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec


class Malformed(Exception):
    """A request that is not a call."""


@dataclass(frozen=True, slots=True)
class Call:
    """One well-formed request that reached a system."""

    system: str
    operation: str
    key: str | None
    payload: dict[str, Any]
    group: dict[str, Any]

    @property
    def business_key(self) -> tuple[str, str, str]:
        """What the caller wants done, whatever identity it gave to the attempt."""
        return (self.system, self.operation, label(self.group))


def read_call(system: str, operation: str, group_by: Sequence[str], key: str | None, body: bytes) -> Call:
    """Read a request, or raise `Malformed`."""
    if key and not key.isprintable():
        raise Malformed("the Idempotency-Key is not text")
    payload = _json_object(body)
    fields = {**payload, "operation": operation}
    return Call(system, operation, key or None, payload, {field: fields.get(field) for field in group_by})


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (ValueError, RecursionError) as error:
        raise Malformed("the body is not a JSON object") from error


def text(value: object) -> str:
    """A payload value as it is written in a query or a group label."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def label(group: Mapping[str, object]) -> str:
    """A group as one string: `customer=C1|service=S|item=1`."""
    return "|".join(f"{field}={text(value)}" for field, value in group.items())
