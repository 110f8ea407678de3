"""The downstream world: every system on its own port, one admin port, all in this process."""

from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

from aiohttp import web

from unstuck.simulator.admin import Admin
from unstuck.simulator.background import Background
from unstuck.simulator.callbacks import Caller
from unstuck.simulator.config import WorldConfig
from unstuck.simulator.door import serve
from unstuck.simulator.ledger import Journal, Ledger
from unstuck.simulator.order_manager import OrderManager
from unstuck.simulator.order_manager_door import OrderManagerDoor
from unstuck.simulator.plan import Plan
from unstuck.simulator.system import System

HOST = "127.0.0.1"
# Calls under way get this long when the world ends; a killed world would not give them any.
LAST_WORDS_S = 0.5


class World:
    """Starts and stops as a whole; started again over the same ledger folder, it remembers."""

    def __init__(self, config: WorldConfig) -> None:
        self.config = config
        self.admin_url = ""
        self.order_manager_url = ""
        self._open = AsyncExitStack()

    async def start(self) -> dict[str, str]:
        """Open every port; return the base URL of each system."""
        async with AsyncExitStack() as opening:
            urls = await self._build(opening)
            self._open = opening.pop_all()
        return urls

    async def stop(self) -> None:
        """Close every port and file. Effects and callbacks still due are dropped."""
        await self._open.aclose()

    async def _build(self, opening: AsyncExitStack) -> dict[str, str]:
        faults = self._journal("faults", opening)
        plan = Plan(self.config.seed, self.config.faults, faults)
        caller = Caller(self.config, self._journal("callbacks", opening))
        opening.push_async_callback(caller.close)
        background = Background()
        urls, systems = {}, {}
        for name, config in self.config.systems.items():
            ledger = Ledger(name, config.group_by, self._journal(f"effects-{name}", opening))
            systems[name] = System(name, config, ledger, plan, caller, background)
            urls[name] = await _listen(opening, _server(systems[name]), config.port)
        admin = web.AppRunner(
            Admin(self.config, systems, plan, faults).application(),
            access_log=None,
            shutdown_timeout=LAST_WORDS_S,
        )
        self.admin_url = await _listen(opening, admin, self.config.admin_port)
        await self._order_manager(opening, background)
        opening.push_async_callback(background.close)
        return urls

    async def _order_manager(self, opening: AsyncExitStack, background: Background) -> None:
        """The order manager of another make, when one was asked for."""
        if self.config.order_manager is None:
            return
        manager = OrderManager(self.config.order_manager, self._journal("order-manager", opening), background.spawn)
        opening.push_async_callback(manager.close)
        runner = web.AppRunner(
            OrderManagerDoor(manager).application(), access_log=None, shutdown_timeout=LAST_WORDS_S
        )  # fmt: skip
        self.order_manager_url = await _listen(opening, runner, self.config.order_manager.port)

    def _journal(self, name: str, opening: AsyncExitStack) -> Journal:
        journal = Journal(Path(self.config.ledger_dir) / f"{name}.ndjson")
        opening.callback(journal.close)
        return journal


def _server(system: System) -> web.ServerRunner:
    """A bare server: routing and middleware of an application would cost more than the system's work."""
    return web.ServerRunner(web.Server(partial(serve, system), access_log=None), shutdown_timeout=LAST_WORDS_S)


async def _listen(opening: AsyncExitStack, runner: web.ServerRunner | web.AppRunner, port: int) -> str:
    await runner.setup()
    opening.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, HOST, port).start()
    return f"http://{HOST}:{runner.addresses[0][1]}"
