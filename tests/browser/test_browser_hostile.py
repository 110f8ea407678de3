"""What strangers write is text on every page, whatever they write, and breaks no layout at any width."""

import re
from urllib.parse import quote

import pytest
from browser_lab import DESKTOP, PHONE, WIDER, Stage, Visits
from playwright.async_api import Page, expect
from world_lab import BIDI, HOSTILE, HOSTILE_NAME, World, at_work

# What the strange words would have made, had they been more than words; and whether they turn what stands around them.
MADE = "() => document.querySelectorAll('img, [onerror], [onclick], script:not([src]), main b, iframe, [style]').length"
TURNED = """() => [...document.querySelectorAll('main *')].filter(one =>
  [...one.childNodes].some(node => node.nodeType === 3 && /[\\u202a-\\u202e\\u2066-\\u2069]/.test(node.data))
  && !/isolate|plaintext/.test(getComputedStyle(one).unicodeBidi)).map(one => one.outerHTML.slice(0, 120))"""
PLACES = {
    "queue": "/queue?view=open",
    "queue with all columns": "/queue?view=open&columns=wide",
    "case": "/cases/{hostile[number]}",
    "form": "/cases/{hostile[number]}/do/correct_data",
    "orders": "/orders",
    "order": "/orders/{hostile[order_id]}",
    "search": "/search?q=" + quote(HOSTILE_NAME),
}


@pytest.fixture(scope="module", autouse=True)
async def hostile(stage: Stage, world: World) -> None:
    """Strange words also in what people and browsers send."""
    desk = await at_work(stage, world.hostile)
    await desk.done("notes", {"note": HOSTILE.replace(BIDI, "")[:4000]})
    said = {"type": "vendor_request", "source": HOSTILE_NAME, "content": HOSTILE, "proves_resolution": True}
    await desk.done("evidence", said)


@pytest.mark.parametrize("place", PLACES)
async def test_strange_words_are_words_on_the(place: str, world: World, visits: Visits) -> None:
    visitor = await visits("ana")
    page = visitor.page
    await page.goto(PLACES[place].format(hostile=world.hostile))
    await expect(page.locator("main")).to_contain_text("onclick=alert(1)")
    assert "owned" not in await page.title()
    await page.evaluate("() => document.querySelectorAll('details').forEach(one => { one.open = true; })")
    assert (await page.evaluate(MADE), await page.evaluate(TURNED)) == (0, [])
    for width, height in (DESKTOP, PHONE):
        await page.set_viewport_size({"width": width, "height": height})
        assert await page.evaluate(WIDER) <= 0, f"wider than {width} px"


async def test_the_words_are_shown_as_they_came(world: World, visits: Visits) -> None:
    page = (await visits("ana")).page
    await page.goto(f"/cases/{world.hostile['number']}")
    shown = page.locator("#case-problem pre").first
    for part in ("<script>", "=HYPERLINK(", "{{ 7*7 }}", "W" * 200):
        await expect(shown).to_contain_text(part)
    assert not re.search("[\u202a-\u202e]", await shown.inner_text())  # what would turn the words around is not kept
    await in_its_box(page, "#case-problem pre")


async def in_its_box(page: Page, where: str) -> None:
    """What is shown there is not cut off at its side."""
    assert await page.locator(where).first.evaluate("box => box.scrollWidth <= box.clientWidth")


async def test_what_is_asked_for_in_an_address_is_text_too(world: World, visits: Visits) -> None:
    visitor = await visits("ana")
    visitor.watch.expect("400", "404", "422")
    for path in ("/queue?view={}", "/queue?q={}", "/orders?customer={}", "/search?q={}", "/cases/{}", "/queue?done={}"):
        answer = await visitor.page.goto(path.format("%22%3E%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E"))
        assert answer and answer.status < 500
        assert await visitor.page.evaluate(MADE) == 0, path
        assert not re.search("undefined|Traceback", await visitor.page.inner_text("body"))
