"""A stream goes out in its own order, whatever transactions wrote it: the one that waited has the lower id and comes later."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
import pytest
from proof.late import SENDER
from proof.stack import database

from unstuck.app import keyring, open_ports
from unstuck.config import Config
from unstuck.fallout.failure import Failure
from unstuck.service.failures_in.failures import Filed, Report, file, receive
from unstuck.service.ports import Ports
from unstuck.store import outbox
from unstuck.store.migrate import migrate
from unstuck.store.seal import seal


@pytest.fixture(scope="module")
async def ports(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Ports]:
    with database() as server:
        await migrate(server.owner_url)
        config = Config(data=str(tmp_path_factory.mktemp("keys")))
        async with open_ports(config, server.app_url, size=8) as one:
            yield one


def report(order: str, event: str) -> Report:
    failure = Failure(
        source_system="crm", source_event_id=event, service_order_id=order, reason_code="TIMEOUT", message="no"
    )
    return Report(failure, msgspec.json.encode(failure), SENDER)


async def sealed(ports: Ports, folder: Path, case: object) -> list[int]:
    """The events of a case in the order of their leaves, by their place in its stream."""
    await seal(ports.store.pool, keyring(Config(data=str(folder))), ports.now(), None)
    async with ports.store.reading(ports.now()) as unit:
        return [row["seq"] for row in await outbox.leaves(unit, 0, 1000) if row["stream"] == case]


@pytest.mark.parametrize("another_is_running", [False, True])
async def test_a_case_is_told_in_its_own_order(ports: Ports, tmp_path: Path, another_is_running: bool) -> None:
    order = f"SO-{another_is_running}"
    (filed,) = await receive(ports, [report(order, f"{order}-1")])
    assert isinstance(filed, Filed)
    async with AsyncExitStack() as stack:
        async with ports.store.unit(ports.now()) as waits:
            await waits.conn.fetchval("SELECT pg_current_xact_id()::text")
            if another_is_running:  # between the two: the seal may go up to here, and no further
                other = await stack.enter_async_context(ports.store.unit(ports.now()))
                await other.conn.fetchval("SELECT pg_current_xact_id()::text")
            await receive(ports, [report(order, f"{order}-2")])
            await file(ports, waits, [report(order, f"{order}-3")])
        assert await sealed(ports, tmp_path, filed.case_id) == ([1] if another_is_running else [1, 2, 3])
    assert await sealed(ports, tmp_path, filed.case_id) == [1, 2, 3]


async def test_many_at_once_are_told_in_their_own_order(ports: Ports, tmp_path: Path) -> None:
    cases = [await receive(ports, [report(f"SO-many-{n}", f"many-{n}")]) for n in range(4)]

    async def again(number: int) -> None:
        await receive(ports, [report(f"SO-many-{n}", f"many-{n}-{number}") for n in range(4)])

    await asyncio.gather(*(again(number) for number in range(20)))
    for (filed,) in cases:
        assert isinstance(filed, Filed)
        assert await sealed(ports, tmp_path, filed.case_id) == list(range(1, 22))


async def test_a_long_backlog_is_sealed_in_parts_that_split_no_transaction(
    ports: Ports, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unstuck.store.seal.EVENTS_A_BATCH", 3)
    await sealed(ports, tmp_path, None)
    for n in range(7):
        await receive(ports, [report(f"SO-long-{n}-{m}", f"long-{n}-{m}") for m in range(4 if n == 3 else 1)])
    parts = []
    while part := await seal(ports.store.pool, keyring(Config(data=str(tmp_path))), ports.now(), None):
        parts.append(part)
    assert parts == [3, 4, 3]


async def test_a_backlog_that_cannot_be_cut_goes_on_all_the_same(
    ports: Ports, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest transaction goes on with a stream that only a much younger one has begun."""
    monkeypatch.setattr("unstuck.store.seal.EVENTS_A_BATCH", 2)
    await sealed(ports, tmp_path, None)
    async with ports.store.unit(ports.now()) as waits:
        await waits.conn.fetchval("SELECT pg_current_xact_id()::text")
        for n in range(6):
            await receive(ports, [report(f"SO-knot-{n}", f"knot-{n}-1")])
        await file(ports, waits, [report("SO-knot-5", "knot-5-2")])
    assert await seal(ports.store.pool, keyring(Config(data=str(tmp_path))), ports.now(), None) == 7
