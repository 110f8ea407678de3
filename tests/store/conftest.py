"""The tamper lab: one finished small world for all tests of the audit; each deed in it is undone."""

from collections.abc import AsyncIterator

import pytest
from proof.p7 import Lab, tamper_lab


@pytest.fixture(scope="session")
async def lab() -> AsyncIterator[Lab]:
    async with tamper_lab(seed=1) as made:
        yield made
