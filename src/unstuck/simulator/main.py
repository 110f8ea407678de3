"""The simulator as a process: start, say where it listens, run until told to stop."""

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path

import msgspec

from unstuck.simulator.config import WorldConfig, load
from unstuck.simulator.world import World


def run(
    config_path: Path | None = None,
    *,
    seed: int | None = None,
    ledger_dir: Path | None = None,
    callback_url: str | None = None,
    callback_secret: str | None = None,
    admin_port: int | None = None,
) -> None:
    """Run a world until SIGTERM or SIGINT; without a file, five systems on free ports."""
    overrides = {
        "seed": seed,
        "ledger_dir": None if ledger_dir is None else str(ledger_dir),
        "callback_url": callback_url,
        "callback_secret": callback_secret,
        "admin_port": admin_port,
    }
    config = load(config_path, {name: value for name, value in overrides.items() if value is not None})
    with asyncio.Runner(loop_factory=_fast_loop()) as runner:
        runner.run(_until_told(config))


def _fast_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The faster event loop where there is one."""
    try:
        from uvloop import new_event_loop
    except ImportError:
        return None
    return new_event_loop


async def _until_told(config: WorldConfig) -> None:
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    world = World(config)
    systems = await world.start()
    try:
        others = {"order_manager": world.order_manager_url} if world.order_manager_url else {}
        line = msgspec.json.encode({"systems": systems, "admin": world.admin_url} | others)
        print(line.decode(), flush=True)
        await told.wait()
    finally:
        await world.stop()
