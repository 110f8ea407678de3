"""The `lab` fixture: a downstream world, its client and a receiver, closed after each test."""

import aiohttp
import pytest
from downstream_lab import Lab, Receiver


@pytest.fixture
async def lab(tmp_path):
    receiver = Receiver()
    await receiver.start()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as client:
        lab = Lab(tmp_path, receiver, client)
        yield lab
        if lab.world is not None:
            await lab.world.stop()
    await receiver.runner.cleanup()
