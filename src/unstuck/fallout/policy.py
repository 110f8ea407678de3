"""The pack sections this room needs: the mapping table, dedup keys, queues."""

from typing import Literal

import msgspec

Domain = Literal[
    "data",
    "configuration",
    "catalog",
    "pricing",
    "eligibility",
    "inventory",
    "provisioning",
    "billing",
    "partner",
    "manual_ops",
    "platform",
]
Recoverability = Literal["transient", "repairable", "compensatable", "terminal", "unknown_outcome", "policy_exception"]
REASONS = (
    "reported",
    "refused",
    "exhausted",
    "unknown",
    "duplicate",
    "contradiction",
    "overdue",
    "unplannable",
    "failed_by_hand",
)


class Mapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One row of the mapping table (mission C2). Empty `downstream`, `raw` or `reason` match anything.

    Rows are read in order, the first that matches counts; `when` is a CEL condition over the raw facts.
    """

    code: str
    domain: Domain
    recoverability: Recoverability
    queue: str
    title: str
    downstream: str = ""
    raw: str = ""
    reason: str = ""
    when: str = ""


class Dedup(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What makes two failures the same (mission B7): fields of the failure, joined; and what a later one then does.

    An open case takes it as one more repeat. When the case is over, `after_close` says whether it is reopened.
    """

    key: tuple[
        Literal["source", "order", "item", "task", "reason", "system", "code", "resource", "service", "event"], ...
    ]
    repeat: Literal["append"] = "append"
    after_close: Literal["new", "reopen"] = "new"


class Queue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A queue by name and owner; its clocks, skills and calendar come with the desk."""

    title: str
    owner: str


class FalloutPolicy(msgspec.Struct, frozen=True):
    """The sections together."""

    mappings: tuple[Mapping, ...]
    dedup: dict[str, Dedup]
    queues: dict[str, Queue]
