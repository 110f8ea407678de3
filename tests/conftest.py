"""One PostgreSQL for the tests of the door, of the pages and of plans; which tests come last; and where nothing may be
skipped (TESTS_NO_SKIP, set by CI) a skipped test fails the run."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from unstuck.store.migrate import migrate
from unstuck.store.server import EmbeddedServer


@pytest.fixture(scope="session")
def cluster() -> Iterator[EmbeddedServer]:
    """The server, in a directory that its unprivileged account can reach."""
    directory = Path(tempfile.mkdtemp(prefix="unstuck-tests-"))
    directory.chmod(0o755)
    with EmbeddedServer.start(directory / "data", settings={"shared_buffers": "64MB"}) as started:
        yield started
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
async def template(cluster: EmbeddedServer) -> str:
    """A migrated database to copy: copying is four times quicker than migrating."""
    await migrate(cluster.create_database("tests_template").owner)
    return "tests_template"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Proofs run beside the first tests, so what looks at milliseconds comes late, and who waits for a proof last.

    The browsers also come behind the test that takes the database away: a worker of theirs would not survive it.
    """
    items.sort(key=lambda item: 2 if item.get_closest_marker("proof") else int("browser" in item.path.parts))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):  # type: ignore[no-untyped-def]
    report = yield
    if report.skipped and os.environ.get("TESTS_NO_SKIP") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, and nothing may be skipped here: {report.longrepr}"
    return report
