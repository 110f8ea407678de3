"""What axe and a look at the width find wrong with a page."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from browser_lab import DESKTOP, PHONE, WIDER
from playwright.async_api import Page

AXE = Path(__file__).resolve().parents[2] / "node_modules" / "axe-core" / "axe.min.js"
GRAVE = ("serious", "critical")
LOOK = "async () => (await axe.run(document, {resultTypes: ['violations']})).violations"


async def looks(page: Page) -> AsyncIterator[str]:
    """What is wrong with the page in each theme and at each width."""
    await page.evaluate(AXE.read_text())
    for size in (DESKTOP, PHONE):
        await page.set_viewport_size({"width": size[0], "height": size[1]})
        if (beside := await page.evaluate(WIDER)) > 0:
            yield f"{size[0]} px: the page is {beside} px wider than the screen"
        for theme in ("light", "dark"):
            await page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
            for said in findings(await page.evaluate(LOOK)):
                yield f"{size[0]} px, {theme}: {said}"


def findings(violations: list[Any]) -> list[str]:
    """The grave ones, each with its place and what to do."""
    return [
        f"{one['impact']} {one['id']}: {node['html'][:200]} {node['failureSummary']}"
        for one in violations
        if one["impact"] in GRAVE
        for node in one["nodes"]
    ]
