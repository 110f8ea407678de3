"""The fault plan: which call suffers what, decided by a hash so that a run can be replayed."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import msgspec

from unstuck.simulator.call import Call
from unstuck.simulator.config import CALLBACK_FAULTS, Fault, Rule
from unstuck.simulator.ledger import Journal, now


@dataclass(frozen=True, slots=True)
class Strike:
    """A rule that chose a call."""

    place: int
    rule: Rule
    call: Call
    number: int


class FaultLine(msgspec.Struct, frozen=True):
    """One injection, as the plan records it."""

    at: str
    fault: Fault
    system: str
    operation: str
    group: dict[str, Any]
    key: str | None
    call: int


def draw(*parts: object) -> float:
    """A number in [0, 1) that depends on the parts only: never on which call came first."""
    digest = blake2b(msgspec.json.encode(parts), digest_size=7).digest()
    return int.from_bytes(digest) / 2**56


class Plan:
    """The rules in force, how often each struck, and how often each business key called."""

    def __init__(self, seed: int, rules: Sequence[Rule], journal: Journal) -> None:
        self.seed = seed
        self.journal = journal
        self.replace(rules)

    def replace(self, rules: Sequence[Rule]) -> None:
        """Start a new plan; it counts calls and injections from nothing."""
        self.rules = tuple(rules)
        self._calls: Counter[tuple[str, str, str]] = Counter()
        self._struck: Counter[int] = Counter()

    def add(self, rules: Sequence[Rule]) -> None:
        """Let these strike where none of the others does; what was counted so far stays counted."""
        self.rules += tuple(rules)

    def choose(self, call: Call, *, calls_back: bool) -> Strike | None:
        """The first rule that strikes this call. A callback fault is injected later, with the callback."""
        if not self.rules:
            return None
        self._calls[call.business_key] += 1
        number = self._calls[call.business_key]
        for place, rule in enumerate(self.rules):
            strike = Strike(place, rule, call, number)
            if self._strikes(strike, calls_back):
                return strike if rule.fault in CALLBACK_FAULTS or self.inject(strike) else None
        return None

    def _strikes(self, strike: Strike, calls_back: bool) -> bool:
        rule = strike.rule
        return (
            (calls_back or rule.fault not in CALLBACK_FAULTS)
            and concerns(rule, strike.call)
            and (rule.first is None or strike.number <= rule.first)
            and not self._spent(strike)
            and self._chance(strike) < rule.probability
        )

    def _chance(self, strike: Strike) -> float:
        return draw(self.seed, strike.place, strike.call.business_key, strike.number)

    def _spent(self, strike: Strike) -> bool:
        return strike.rule.count is not None and self._struck[strike.place] >= strike.rule.count

    def inject(self, strike: Strike) -> bool:
        """Record that the fault happens now; False when its rule was used up in the meantime."""
        if self._spent(strike):
            return False
        self._struck[strike.place] += 1
        call = strike.call
        self.journal.append(
            FaultLine(now(), strike.rule.fault, call.system, call.operation, call.group, call.key, strike.number)
        )
        return True


def concerns(rule: Rule, call: Call) -> bool:
    """Whether a rule speaks of this call at all."""
    return (
        rule.system in (None, call.system)
        and rule.operation in (None, call.operation)
        and all(field in call.payload and call.payload[field] == rule.match[field] for field in rule.match)
    )
