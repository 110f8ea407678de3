"""A database and an application of its own for each file of the door."""

from collections.abc import AsyncIterator

import pytest
from web_lab import House, opened

from unstuck.store.server import EmbeddedServer


@pytest.fixture(scope="module")
async def house(
    cluster: EmbeddedServer, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[House]:
    async with opened(cluster, template, tmp_path_factory.mktemp("house")) as one:
        yield one
