"""Trouble around us that must stay around us: a wire that goes silent, a log nobody can write, a database that stays dead."""

import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from proof.stack import database
from proof.wire import Wire

from unstuck.cli.up import Stack
from unstuck.config import Config
from unstuck.store.binaries import ServerError
from unstuck.store.migrate import migrate
from unstuck.store.server import EmbeddedServer
from unstuck.store.unit import AWAY, Store, connect, is_away

PATIENCE_S = 0.5
LOGS_AND_GOES_ON = """
import structlog
from unstuck.app import log_plainly
log_plainly()
structlog.get_logger().warning("nobody reads this")
print("alive")
"""


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[EmbeddedServer]:
    with database() as started:
        await migrate(started.owner_url)
        yield started


@pytest.fixture
async def wire(server: EmbeddedServer) -> AsyncIterator[Wire]:
    one = Wire(server._socket)
    await one.open()
    yield one
    await one.close()


async def refused(store: Store, how: str) -> float:
    """Ask over a wire that says nothing: how long until we know."""
    began = time.monotonic()
    with pytest.raises(AWAY) as told:  # which one depends on where it went silent
        if how == "statement":
            await store.pool.fetchval("SELECT 1")
        else:
            async with store.unit(None) as unit:  # type: ignore[arg-type]
                await unit.conn.fetchval("SELECT 1")
    assert is_away(told.value), told.value
    return time.monotonic() - began


@pytest.mark.parametrize("how", ["statement", "transaction"])
async def test_a_database_that_says_nothing_is_away_and_back_when_it_speaks(
    server: EmbeddedServer, wire: Wire, how: str
) -> None:
    store = await connect(wire.url(server.app_url), size=3, patience_s=PATIENCE_S)
    assert await store.pool.fetchval("SELECT 1") == 1
    wire.fall_silent()
    for _ in range(4):  # more often than there are connections: none of them is held for ever
        assert await refused(store, how) < 6 * PATIENCE_S
    wire.mend()
    until = time.monotonic() + 6 * PATIENCE_S
    while True:
        try:
            assert await store.pool.fetchval("SELECT 1") == 1
            break
        except AWAY:
            assert time.monotonic() < until
    await store.pool.close()


async def test_what_a_lost_client_had_locked_is_let_go(server: EmbeddedServer) -> None:
    store = await connect(server.app_url, size=1, patience_s=PATIENCE_S)
    shown = await store.pool.fetchval("SHOW idle_in_transaction_session_timeout")
    assert shown == "20s"
    await store.pool.close()


def test_a_log_on_a_full_disk_loses_its_lines_and_nothing_else() -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-c", LOGS_AND_GOES_ON], stdout=subprocess.PIPE, stderr=full, text=True, check=False
        )
    assert (done.returncode, done.stdout) == (0, "alive\n")


class Stubborn:
    """A database that cannot be started the first times."""

    def __init__(self, times: int) -> None:
        self.left, self.tries = times, 0

    def restart_if_dead(self) -> bool:
        self.tries += 1
        self.left -= 1
        if self.left >= 0:
            raise ServerError("no space left on device")
        return True


def test_a_database_that_cannot_be_started_is_tried_again_and_told_once(capsys: Any, tmp_path: Path) -> None:
    stack = Stack(Config(data=str(tmp_path)), demo=False, world=None)
    stack._server = stubborn = Stubborn(3)
    for _ in range(4):
        stack._mind_database()
    assert (stubborn.tries, stack._trouble) == (4, "")
    told = capsys.readouterr().err
    assert told == "unstuck: the database cannot be started, and is tried again: no space left on device\n"
