"""The pack sections this room needs: targets, retry, what to do with an unknown outcome, repair actions."""

from typing import Annotated, Literal

import msgspec


class Target(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A downstream system. Kind A honours our key, B can be asked, C neither (proof.md).

    `room`: calls in flight a worker may have there. `max_in_flight_s`: how long a request of ours can still
    land after we gave up on it; not declared means that a machine never sends again to a B.
    `recheck_s`: when, after a second send, to look whether the effect is there twice.
    """

    title: str
    kind: Literal["A", "B", "C"]
    room: int = 32
    max_in_flight_s: float | None = None
    recheck_s: tuple[float, ...] = ()


class Retry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a machine may send again (mission A9). Seconds; the wait grows by `factor`, plus up to `jitter`."""

    codes: tuple[str, ...] = ()
    attempts: int = 3
    backoff_s: float = 1.0
    factor: float = 2.0
    jitter: float = 0.2
    window_s: float = 3600.0


class SettleByAsking(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Ask the target what is true, at most `tries` times within `within_s`; then it is a case."""

    tries: int
    within_s: float


class OnUnknown(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a machine does when nobody knows whether the target acted: one of the two."""

    settle_by_asking: SettleByAsking | None = None
    case_at_once: bool = False


class FieldRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One field that a person may correct: text of a length and pattern, or an integer in a range."""

    type: Literal["string", "integer"] = "string"
    title: str = ""
    pattern: str = ""
    max_length: int = 200
    minimum: int | None = None
    maximum: int | None = None


class RepairAction(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One typed correction (mission E1). Nothing that patches at will exists.

    `needs` lists evidence types of which one must be attached; `reasons` are the codes a person chooses from.
    """

    title: str
    roles: tuple[str, ...]
    risk: Literal["none", "low", "high"]
    mode: Literal["automatic", "manual", "hybrid"]
    reasons: tuple[str, ...]
    needs: tuple[str, ...] = ()
    audit: str = ""


class ResumeTokens(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long leave to resume lasts (seconds); a source may have it shorter or longer."""

    life_s: Annotated[float, msgspec.Meta(gt=0, le=30 * 86_400)] = 86_400


class RepairPolicy(msgspec.Struct, frozen=True):
    """The sections together. Tables by task type but for targets and actions."""

    targets: dict[str, Target]
    retry: dict[str, Retry]
    on_unknown: dict[str, OnUnknown]
    correctable: dict[str, dict[str, FieldRule]]
    actions: dict[str, RepairAction]
