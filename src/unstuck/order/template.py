"""The pack sections this room needs: offers with their tasks, and what a task type sends to whom."""

import msgspec


class TaskTemplate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One task of an offer. `after` names tasks of the same offer, or `other-offer/task` if ordered along."""

    type: str
    after: tuple[str, ...] = ()


class Offer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What must be done when this offer (TM Forum: service specification) is ordered."""

    title: str
    tasks: dict[str, TaskTemplate]
    needs: tuple[str, ...] = ()


class Timeouts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Seconds. `reply`: one call; `warning` and `breach`: from acceptance to the callback (mission B2)."""

    reply: float
    expected: float
    warning: float
    breach: float


class TaskType(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A kind of downstream command: where it goes, what it is called there, what it carries.

    `send` maps a field to where its value comes from: `order.…`, `item.…`, `char.NAME` or `=literal`.
    `business_key` names the sent fields by which the target can be asked about this one effect.
    """

    target: str
    operation: str
    title: str
    owner: str
    send: dict[str, str]
    business_key: tuple[str, ...]
    timeouts: Timeouts


class Templates(msgspec.Struct, frozen=True):
    """Both tables together, as decomposition reads them."""

    offers: dict[str, Offer]
    task_types: dict[str, TaskType]
