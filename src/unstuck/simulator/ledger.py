"""What really happened downstream: append-only files, and the questions asked of them.

A line is handed to the operating system before anyone is told of it, so killing the simulator loses no
effect that a client saw. It is not synced to the disk: the simulator need not survive a power cut.
"""

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from unstuck.simulator.call import Call, label, text
from unstuck.simulator.config import Fault, Mode


def now() -> str:
    """The time as the simulator writes it everywhere: RFC 3339, UTC."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


class Journal:
    """One append-only NDJSON file."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        self._drop_torn_tail()

    def _drop_torn_tail(self) -> None:
        """A kill in the middle of a write leaves half a line; nobody was told of it."""
        written = self.path.read_bytes()
        os.ftruncate(self._file, written.rfind(b"\n") + 1)

    def append(self, line: object) -> None:
        """Write one line, whole, before returning."""
        left = memoryview(msgspec.json.encode(line) + b"\n")
        while left:
            left = left[os.write(self._file, left) :]

    def lines(self) -> list[bytes]:
        """Every line ever written, also before a restart."""
        return self.path.read_bytes().splitlines()

    def as_json(self) -> bytes:
        """The lines as one JSON array."""
        return b"[" + b",".join(self.lines()) + b"]"

    def close(self) -> None:
        os.close(self._file)


class Effect(msgspec.Struct, frozen=True):
    """Something a system did. `mode` says how it was answered, so that kind A can say the same again."""

    n: int
    at: str
    system: str
    operation: str
    group: dict[str, Any]
    key: str | None
    payload: msgspec.Raw
    reference: str
    fault: Fault | None
    mode: Mode


class Ledger:
    """The effects of one system, reloaded from its file, findable by key and by field."""

    def __init__(self, system: str, group_by: Iterable[str], journal: Journal) -> None:
        self.system = system
        self.journal = journal
        self.effects: list[Effect] = []
        self.counts: Counter[str] = Counter()
        self._by_key: dict[str, Effect] = {}
        self._by_field: defaultdict[tuple[str, str], list[Effect]] = defaultdict(list)
        # Only what every effect is grouped by: `group_by` may have changed since the last start.
        self._indexed = set(group_by)
        for line in journal.lines():
            self._remember(msgspec.json.decode(line, type=Effect))

    def _remember(self, effect: Effect) -> None:
        self.effects.append(effect)
        self.counts[label(effect.group)] += 1
        if effect.key is not None:
            self._by_key.setdefault(effect.key, effect)
        self._indexed &= effect.group.keys()
        for field, value in effect.group.items():
            self._by_field[field, text(value)].append(effect)

    def add(self, call: Call, *, fault: Fault | None, mode: Mode) -> Effect:
        """Commit one effect: on file first, then in memory."""
        n = len(self.effects) + 1
        effect = Effect(
            n=n,
            at=now(),
            system=self.system,
            operation=call.operation,
            group=call.group,
            key=call.key,
            payload=msgspec.Raw(msgspec.json.encode(call.payload)),
            reference=f"{self.system.upper()}-{n}",
            fault=fault,
            mode=mode,
        )
        self.journal.append(effect)
        self._remember(effect)
        return effect

    def by_key(self, key: str | None) -> Effect | None:
        """The first effect committed under an idempotency key."""
        return None if key is None else self._by_key.get(key)

    def find(self, operation: str | None, wanted: Mapping[str, str]) -> Iterator[Effect]:
        """Effects whose payload says all that is wanted, oldest first."""
        for effect in self._candidates(wanted):
            if operation in (None, effect.operation) and _says(effect, wanted):
                yield effect

    def _candidates(self, wanted: Mapping[str, str]) -> Iterable[Effect]:
        """The shortest list that must hold every answer: asking stays cheap with many effects."""
        indexed = [self._by_field.get(item, []) for item in wanted.items() if item[0] in self._indexed]
        return min(indexed, key=len, default=self.effects)


def _says(effect: Effect, wanted: Mapping[str, str]) -> bool:
    if any(text(effect.group[field]) != wanted[field] for field in wanted.keys() & effect.group.keys()):
        return False
    others = wanted.keys() - effect.group.keys()
    payload = msgspec.json.decode(effect.payload) if others else {}
    return all(field in payload and text(payload[field]) == wanted[field] for field in others)
