"""What the downstream world is made of: one frozen value, read from JSON or YAML."""

from base64 import b64decode
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

Kind = Literal["A", "B", "C"]
Mode = Literal["sync", "callback"]
Fault = Literal["F1", "F2", "F3", "F4", "F5", "F6", "F7", "F8", "F9", "REFUSE", "RAW"]

# These four spoil only the callback; a call that sends none cannot suffer them.
CALLBACK_FAULTS: frozenset[Fault] = frozenset({"F5", "F6", "F7", "F8"})

Milliseconds = Annotated[float, Meta(ge=0)]
Span = tuple[Milliseconds, Milliseconds]
Port = Annotated[int, Meta(ge=0, le=65535)]
SystemName = Annotated[str, Meta(pattern="^[a-z][a-z0-9_-]{0,40}$")]


class Params(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a fault is played; each fault reads the few of these that concern it."""

    status: Annotated[int, Meta(ge=200, le=599)] | None = None
    retry_after_s: Annotated[int, Meta(ge=0)] = 1
    delay_ms: Milliseconds = 3000
    gap_ms: Milliseconds = 100
    times: Annotated[int, Meta(ge=2, le=5)] = 3
    new_ids: bool = False
    hang: bool = False
    commit: bool = False
    body: dict[str, Any] | None = None
    body_base64: bytes = b""


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of the fault plan: which calls suffer which fault, how often."""

    fault: Fault
    system: str | None = None
    operation: str | None = None
    match: dict[str, Any] = {}
    probability: Annotated[float, Meta(ge=0, le=1)] = 1.0
    first: Annotated[int, Meta(ge=0)] | None = None
    count: Annotated[int, Meta(ge=0)] | None = None
    params: Params = Params()

    def __post_init__(self) -> None:
        if self.fault == "F3" and self.params.status not in (None, 429, 503):
            raise ValueError("F3 answers 503 or 429")


class SystemConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One downstream system. `group_by` may name `operation`, which is then read from the URL."""

    group_by: Annotated[tuple[str, ...], Meta(min_length=1)]
    port: Port = 0
    kind: Kind = "A"
    mode: Mode = "sync"
    latency_ms: Span = (2, 10)
    callback_after_ms: Span = (20, 80)

    def __post_init__(self) -> None:
        for low, high in (self.latency_ms, self.callback_after_ms):
            if low > high:
                raise ValueError(f"a span of milliseconds runs upwards, not from {low} to {high}")


def five_systems() -> dict[SystemName, SystemConfig]:
    """The world when nobody describes one."""
    kinds: dict[SystemName, Kind] = {
        "provisioning": "A",
        "inventory": "A",
        "billing": "B",
        "warehouse": "B",
        "field": "C",
    }
    return {name: SystemConfig(group_by=("customer", "service", "item"), kind=kind) for name, kind in kinds.items()}


class OrderManagerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The other order manager: where it listens, and how long an order that goes on takes until it is done."""

    port: Port = 0
    runs_ms: Milliseconds = 50


class WorldConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole world. Port 0 means any free port."""

    seed: int = 1
    ledger_dir: str = "simulator-ledger"
    callback_url: str | None = None
    callback_secret: str | None = None
    callback_give_up_s: Annotated[float, Meta(ge=0)] = 120
    admin_port: Port = 0
    systems: dict[SystemName, SystemConfig] = msgspec.field(default_factory=five_systems)
    faults: tuple[Rule, ...] = ()
    order_manager: OrderManagerConfig | None = None

    def __post_init__(self) -> None:
        known_systems_only(self.faults, self.systems)
        if self.callback_secret is not None:
            secret_bytes(self.callback_secret)
        if any(system.mode == "callback" for system in self.systems.values()):
            self.require_callbacks()

    def require_callbacks(self) -> None:
        """Refuse callback mode where nobody could be called back."""
        if not (self.callback_url and self.callback_secret):
            raise ValueError("callback mode needs callback_url and callback_secret")


def secret_bytes(secret: str) -> bytes:
    """The key inside a Standard Webhooks secret."""
    prefix, _, encoded = secret.partition("_")
    if prefix != "whsec" or not encoded:
        raise ValueError("callback_secret must be whsec_ and base64")
    return b64decode(encoded, validate=True)


def known_systems_only(rules: tuple[Rule, ...], systems: dict[str, SystemConfig]) -> None:
    """Refuse a plan that names a system which is not there: it would silently never strike."""
    for rule in rules:
        if rule.system is not None and rule.system not in systems:
            raise ValueError(f"fault rule names an unknown system: {rule.system}")


def load(path: Path | None, overrides: Mapping[str, object]) -> WorldConfig:
    """Read a world from JSON or YAML, replace some values, check the whole; no file, five systems."""
    # YAML 1.2 contains JSON, but the YAML reader is slow and knows only 1.1.
    decode = msgspec.json.decode if path is not None and path.suffix == ".json" else msgspec.yaml.decode
    fields = {} if path is None else decode(path.read_bytes())
    return msgspec.convert({**fields, **overrides}, WorldConfig)
