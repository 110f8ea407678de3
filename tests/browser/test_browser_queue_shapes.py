"""The queue fits where it is looked at: nothing is cut off at any width, and on a phone a case is short."""

import pytest
from browser_lab import Visits
from playwright.async_api import expect
from world_lab import World

from unstuck.service.looks.queue_views import VIEWS

WIDTHS = (640, 900, 1100, 1280, 1920)
PHONE = {"width": 390, "height": 844}
SHORT_PX = 180
CUT = (
    "() => Math.max(...[...document.querySelectorAll('.list-box')].map((box) => box.scrollWidth - box.clientWidth), 0)"
)
TALLEST = """() => Math.max(...[...document.querySelectorAll('.queue-list tbody tr')].map((row) => row.offsetHeight))"""
# The words of an element, as lines of the screen: a code is broken only behind what joins its words.
LINES = """(where) => [...document.querySelectorAll(where)].flatMap((element) => {
  const lines = new Map(), range = document.createRange();
  const walk = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
  for (let node = walk.nextNode(); node; node = walk.nextNode())
    for (let at = 0; at < node.length; at += 1) {
      range.setStart(node, at); range.setEnd(node, at + 1);
      const top = Math.round(range.getBoundingClientRect().top);
      lines.set(top, (lines.get(top) ?? "") + node.data[at]);
    }
  return [...lines.values()].slice(0, -1).map((line) => line.trim());
})"""


@pytest.mark.parametrize("view", VIEWS)
async def test_no_view_is_cut_off_at_any_width(view: str, world: World, visits: Visits) -> None:
    page = (await visits("ana")).page
    await page.goto(f"/queue?view={view}&group=none")
    for width in WIDTHS:
        await page.set_viewport_size({"width": width, "height": 900})
        assert await page.evaluate(CUT) <= 0, f"cut off at {width} px"


async def test_all_columns_have_a_place_at_every_width(world: World, visits: Visits) -> None:
    page = (await visits("ana")).page
    await page.goto("/queue?view=open&columns=wide")
    for width in WIDTHS:
        await page.set_viewport_size({"width": width, "height": 900})
        assert await page.evaluate(CUT) <= 0, f"cut off at {width} px"


async def test_a_case_is_short_on_a_phone_and_more_of_it_comes_when_asked(world: World, visits: Visits) -> None:
    page = (await visits("ana")).page
    await page.set_viewport_size(PHONE)
    await page.goto("/queue?view=engineering")
    await page.goto("/queue?view=open")
    assert 0 < await page.evaluate(TALLEST) <= SHORT_PX
    row = page.locator(".queue-list tbody tr").first
    for part in ("a[href^='/cases/']", ".queue-title", "time", ".queue-more"):
        await expect(row.locator(f".queue-brief {part}").first).to_be_visible()
    await expect(row.locator("td.col-queue")).to_be_hidden()
    await row.locator(".queue-more summary").click()
    await expect(row.locator("td.col-queue")).to_be_visible()
    assert await page.evaluate(CUT) <= 0


@pytest.mark.parametrize("width", [1280, 1920])
async def test_a_code_breaks_only_where_its_words_join(width: int, world: World, visits: Visits) -> None:
    page = (await visits("ana")).page
    await page.set_viewport_size({"width": width, "height": 900})
    await page.goto("/queue?view=auditor&sort=detected_at&columns=wide")
    codes = await page.locator("td.col-code").count()
    assert codes and all(line[-1] in "_.-" for line in await page.evaluate(LINES, "td.col-code .mono"))
