"""Worlds for many tests: a finished small one for the audit, in which each deed is undone; a year of fallout to read."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
from plans_lab import CLOSED, OPEN, loaded
from proof.p7 import Lab, tamper_lab

from unstuck.store.server import EmbeddedServer


@pytest.fixture(scope="session")
async def lab() -> AsyncIterator[Lab]:
    async with tamper_lab(seed=1) as made:
        yield made


@pytest.fixture(scope="session")
async def year(cluster: EmbeddedServer, template: str) -> AsyncIterator[asyncpg.Connection]:
    """A year of fallout in small, its statistics fresh; of one case in fifty nobody knows what took effect."""
    owner = await asyncpg.connect(cluster.create_database("year", template=template).owner)
    await loaded(owner, CLOSED, OPEN)
    await owner.execute("UPDATE fallout_case SET recoverability = 'unknown_outcome' WHERE number % 50 = 0")
    await owner.execute("VACUUM (ANALYZE) fallout_case, orders, failure_event")
    yield owner
    await owner.close()
