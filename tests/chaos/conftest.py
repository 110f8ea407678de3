"""The proofs of all tests that were chosen begin with the first test of the run, whichever that is."""

from collections.abc import Iterator
from typing import Any

import pytest
from proofs_lab import Proofs

PROOFS = pytest.StashKey[Proofs]()


def pytest_runtestloop(session: pytest.Session) -> None:
    """Begin what will be asked for."""
    chosen = [mark.args for item in session.items if (mark := item.get_closest_marker("proof"))]
    if chosen and not session.config.option.collectonly:
        session.config.stash[PROOFS] = proofs = Proofs()
        for promises in chosen:
            proofs.ask(promises)


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session) -> Iterator[None]:
    """Leave nothing behind, also of a run that was given up."""
    if (proofs := session.config.stash.get(PROOFS, None)) is not None:
        proofs.close()
    return (yield)


@pytest.fixture
def proved(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What the promises kept that the test is marked with, by name."""
    return request.config.stash[PROOFS].ask(request.node.get_closest_marker("proof").args).result()
