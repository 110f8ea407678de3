"""One browser, one database, one server with its engine and one small world for all; a visit of its own for each test."""

import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from browser_lab import CHROMIUM, FLAGS, NO_CHROMIUM, SHOTS, Stage, Visitor, Visits, staged, visit
from playwright.async_api import Browser, async_playwright
from world_lab import World, populated

from unstuck.store.server import EmbeddedServer

FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report = yield
    item.stash[FAILED] = item.stash.get(FAILED, False) or report.failed
    return report


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """The one Chromium; who visits gets a fresh context of it."""
    if not CHROMIUM.exists():
        pytest.skip(NO_CHROMIUM)
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        await started.close()


@pytest.fixture(scope="session")
async def stage(
    cluster: EmbeddedServer, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stage]:
    """The product at work."""
    async with staged(cluster, template, tmp_path_factory.mktemp("stage")) as one:
        yield one


@pytest.fixture(scope="session")
async def world(stage: Stage) -> World:
    """Something of every kind."""
    return await populated(stage)


@pytest.fixture
async def visits(browser: Browser, stage: Stage, request: pytest.FixtureRequest) -> AsyncIterator[Visits]:
    """Browsers of people: `await visits("ana", theme="dark")`. What goes wrong in any of them fails the test.

    Of a test that fails the pictures and the log of every page are kept in `shots/failed`.
    """
    opened: list[Visitor] = []

    async def one(who: str = "", **how: Any) -> Visitor:
        opened.append(await visit(browser, stage, who, **how))
        return opened[-1]

    yield one
    trouble = [said for visitor in opened for said in visitor.watch.trouble]
    if trouble or request.node.stash.get(FAILED, False):
        await kept(request.node.name, opened)
    for visitor in opened:
        await visitor.context.close()
    assert not trouble, "\n".join(trouble)


async def kept(test: str, opened: list[Visitor]) -> None:
    """What each page of a failed test looked like, and what its browser said."""
    folder = SHOTS / "failed"
    folder.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^\w-]+", "-", test)
    for no, visitor in enumerate(opened):
        (folder / f"{name}-{no}.log").write_text("\n".join(visitor.watch.log) + "\n")
        for tab, page in enumerate(visitor.context.pages):
            await page.screenshot(path=folder / f"{name}-{no}-{tab}.png", full_page=True)
