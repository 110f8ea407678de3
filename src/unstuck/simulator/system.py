"""One downstream system: when it acts, how often, and what it says afterwards."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from unstuck.simulator.background import Background
from unstuck.simulator.call import Call
from unstuck.simulator.callbacks import Caller, script
from unstuck.simulator.config import CALLBACK_FAULTS, Span, SystemConfig
from unstuck.simulator.ledger import Effect, Ledger
from unstuck.simulator.plan import Plan, Strike, draw


@dataclass(slots=True)
class System:
    """A system under the fault plan. `config` and `down` may change while it runs."""

    name: str
    config: SystemConfig
    ledger: Ledger
    plan: Plan
    caller: Caller
    background: Background
    down: bool = False
    calls: Counter[str] = field(default_factory=Counter)

    def choose(self, call: Call) -> Strike | None:
        """The fault this call suffers, if any."""
        return self.plan.choose(call, calls_back=self.config.mode == "callback" and not self.knows(call))

    def knows(self, call: Call) -> Effect | None:
        """The effect this call already had. Only kind A looks; B and C act again on every landing."""
        return self.ledger.by_key(call.key) if self.config.kind == "A" else None

    async def think(self, call: Call) -> None:
        """Take as long as this system takes."""
        await asyncio.sleep(self._within(self.config.latency_ms, "latency", call) / 1000)

    def commit(self, call: Call, strike: Strike | None) -> Effect:
        """Act, unless kind A already did. There is no await in here: two at once cannot both act."""
        known = self.knows(call)
        if known is not None:
            return known
        rule = strike.rule if strike is not None and self._befalls(strike) else None
        effect = self.ledger.add(call, fault=None if rule is None else rule.fault, mode=self.config.mode)
        if effect.mode == "callback":
            after_ms = self._within(self.config.callback_after_ms, "callback", call)
            self.background.spawn(self.caller.report(effect, script(rule, after_ms)))
        return effect

    def _befalls(self, strike: Strike) -> bool:
        """A callback fault is injected here, where it is certain that a callback goes out."""
        if strike.rule.fault not in CALLBACK_FAULTS:
            return True
        return self.config.mode == "callback" and self.plan.inject(strike)

    def _within(self, span: Span, what: str, call: Call) -> float:
        low, high = span
        return low if low == high else low + (high - low) * draw(self.plan.seed, what, call.key, call.group)
