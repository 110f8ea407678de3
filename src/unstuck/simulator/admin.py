"""The admin port: what really happened, and the switches of the world while it runs."""

from collections.abc import Callable, Mapping, Sequence

import msgspec
from aiohttp import web
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from unstuck.simulator.answers import answer, no, raw
from unstuck.simulator.config import Mode, Rule, Span, WorldConfig, known_systems_only
from unstuck.simulator.ledger import Journal
from unstuck.simulator.plan import Plan
from unstuck.simulator.system import System


class NewPlan(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `PUT /faults` and `POST /faults`."""

    rules: tuple[Rule, ...]


class Change(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `PUT /systems/{system}`; what is left out stays as it is."""

    latency_ms: Span | UnsetType = UNSET
    mode: Mode | UnsetType = UNSET
    down: bool | UnsetType = UNSET


class Admin:
    """Reads ledgers from their files, so that they also tell of the time before a restart."""

    def __init__(self, config: WorldConfig, systems: Mapping[str, System], plan: Plan, faults: Journal) -> None:
        self.config = config
        self.systems = systems
        self.plan = plan
        self.faults = faults

    def application(self) -> web.Application:
        """The routes of the admin port."""
        app = web.Application()
        app.add_routes(
            [
                web.get("/ledger", self.ledger),
                web.get("/ledger/{system}", self.ledger_of),
                web.get("/faults", self.fault_lines),
                web.get("/calls", self.calls),
                web.put("/faults", self.new_plan),
                web.post("/faults", self.more),
                web.put("/systems/{system}", self.change),
                web.post("/quiet", self.quiet),
            ]
        )
        return app

    async def ledger(self, request: web.Request) -> web.Response:
        """Effects per system and group: the oracle of duplicate side effects."""
        return answer(200, {"effects": {name: system.ledger.counts for name, system in self.systems.items()}})

    async def ledger_of(self, request: web.Request) -> web.Response:
        """Every effect of one system."""
        system = self.systems.get(request.match_info["system"])
        return _unknown(request) if system is None else raw(200, system.ledger.journal.as_json())

    async def fault_lines(self, request: web.Request) -> web.Response:
        """Every injection so far."""
        return raw(200, self.faults.as_json())

    async def calls(self, request: web.Request) -> web.Response:
        """Calls that arrived since the start, per system and operation, whatever became of them."""
        return answer(200, {name: system.calls for name, system in self.systems.items()})

    async def new_plan(self, request: web.Request) -> web.Response:
        """Replace the fault plan."""
        return await self._planned(request, self.plan.replace)

    async def more(self, request: web.Request) -> web.Response:
        """Add to the fault plan; the rules in force stay, and come first."""
        return await self._planned(request, self.plan.add)

    async def _planned(self, request: web.Request, carry_out: Callable[[Sequence[Rule]], None]) -> web.Response:
        try:
            rules = msgspec.json.decode(await request.read(), type=NewPlan).rules
            known_systems_only(rules, self.config.systems)
        except ValueError as problem:
            return no(400, "INVALID", str(problem))
        carry_out(rules)
        return answer(200, {"rules": len(self.plan.rules)})

    async def quiet(self, request: web.Request) -> web.Response:
        """End all faults. What was already set going, such as a late landing, still comes."""
        self.plan.replace(())
        return answer(200, {"rules": 0})

    async def change(self, request: web.Request) -> web.Response:
        """Change one system while it runs."""
        system = self.systems.get(request.match_info["system"])
        if system is None:
            return _unknown(request)
        try:
            self._apply(system, msgspec.json.decode(await request.read(), type=Change))
        except ValueError as problem:
            return no(400, "INVALID", str(problem))
        settings = {"latency_ms": system.config.latency_ms, "mode": system.config.mode}
        return answer(200, {**settings, "down": system.down})

    def _apply(self, system: System, change: Change) -> None:
        if change.mode == "callback":
            self.config.require_callbacks()
        if change.latency_ms is not UNSET:
            system.config = replace(system.config, latency_ms=change.latency_ms)
        if change.mode is not UNSET:
            system.config = replace(system.config, mode=change.mode)
        if change.down is not UNSET:
            system.down = change.down


def _unknown(request: web.Request) -> web.Response:
    return no(404, "UNKNOWN_SYSTEM", f"there is no system {request.match_info['system']}")
