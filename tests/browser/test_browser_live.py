"""A page that is open tells the truth: others' changes arrive, a pause holds them, a lost server is said and made up for."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from browser_lab import Door, Stage, Visits
from desk_lab import BAD_ADDRESS, Desk
from hands_lab import CaseHands
from playwright.async_api import Route, expect
from web_lab import CASES, fiber

DOOR = re.compile(r"/sign-in\b")
LOST = (
    "ERR_CONNECTION_REFUSED",
    "ERR_INCOMPLETE_CHUNKED_ENCODING",
    "ERR_CONNECTION_RESET",
    "ERR_EMPTY_RESPONSE",
    "Failed to fetch",
    "/live/",
)


async def waiting_case(stage: Stage, customer: str) -> Any:
    return await stage.stopped("activateFiber", BAD_ADDRESS, items=[fiber()], customer=customer)


def desk(stage: Stage, case: Any) -> Desk:
    """The engineer, who works through the API."""
    made = Desk(stage.house, {"id": case["order_id"]}, case["customer"])
    made.at = f"{CASES}/{case['id']}"
    return made


@asynccontextmanager
async def server_away(stage: Stage) -> AsyncIterator[None]:
    """The server of the pages is gone; programs reach another one."""
    other = Door(stage.door.make)
    await other.open()
    here, stage.house.url = stage.house.url, other.url
    await stage.door.close()
    yield
    await stage.door.open()
    stage.house.url = here
    await other.close()


async def test_two_people_see_what_each_other_does(stage: Stage, visits: Visits) -> None:
    case = await waiting_case(stage, "C-two")
    ana, budi = await visits("ana"), await visits("budi")
    mine, theirs = CaseHands(ana.page, case["number"]), CaseHands(budi.page, case["number"])
    await mine.look()
    await theirs.look()
    await mine.begin("note", note="half a sent")
    await ana.live()
    await theirs.do("assign", to="me")
    await mine.stands("ASSIGNED")
    await expect(ana.page.locator("#case-news")).to_contain_text("budi")
    await expect(mine.form.locator("[name=note]")).to_have_value("half a sent")
    await ana.page.goto("/queue?view=open")
    await ana.live()
    await theirs.do("start")
    await expect(ana.page.locator(f"#case-{case['number']} .col-state [data-case-state=IN_PROGRESS]")).to_be_visible()


async def test_a_new_case_is_announced_and_moves_no_row(stage: Stage, visits: Visits) -> None:
    await waiting_case(stage, "C-before")
    visitor = await visits("ana")
    await visitor.page.goto("/queue?view=open")
    await visitor.live()
    rows = visitor.page.locator(".queue-list tbody tr")
    before = await rows.evaluate_all("rows => rows.map(row => row.id)")
    case = await waiting_case(stage, "C-new")
    await expect(visitor.page.locator("#queue-show-new")).to_contain_text("1 new")
    assert await rows.evaluate_all("rows => rows.map(row => row.id)") == before
    await visitor.page.keyboard.press("s")
    await expect(visitor.page.locator(f"#case-{case['number']}")).to_be_visible()


async def test_a_pause_holds_what_comes_and_lets_it_in_afterwards(stage: Stage, visits: Visits) -> None:
    case = await waiting_case(stage, "C-pause")
    visitor = await visits("ana")
    other = await visits("budi")
    row = f"#case-{case['number']} .col-state [data-case-state=%s]"
    for one in (visitor, other):
        await one.page.goto("/queue?view=open")
        await one.live()
    await visitor.page.keyboard.press("p")
    await expect(visitor.page.locator("#live-badge")).to_have_attribute("data-state", "paused")
    await desk(stage, case).done("assign", {"to": "me"})
    await expect(other.page.locator(row % "ASSIGNED")).to_be_visible()
    await expect(visitor.page.locator(row % "QUEUED")).to_be_visible()
    await visitor.page.keyboard.press("p")
    await expect(visitor.page.locator(row % "ASSIGNED")).to_be_visible()


async def test_what_happened_while_the_server_was_away_comes_without_a_reload(stage: Stage, visits: Visits) -> None:
    case = await waiting_case(stage, "C-away")
    visitor = await visits("ana")
    await visitor.page.goto("/queue?view=open")
    await visitor.live()
    await visitor.page.evaluate("() => { window.neverReloaded = true; }")
    visitor.watch.expect(*LOST)
    badge = visitor.page.locator("#live-badge")
    async with server_away(stage):
        await expect(badge).to_have_attribute("data-state", "reconnecting")
        await desk(stage, case).done("assign", {"to": "me"})
    await expect(badge).to_have_attribute("data-state", "live", timeout=15_000)
    await expect(visitor.page.locator(f"#case-{case['number']} .col-state [data-case-state=ASSIGNED]")).to_be_visible()
    assert await visitor.page.evaluate("() => window.neverReloaded")


async def test_a_silence_is_called_stale(stage: Stage, visits: Visits) -> None:
    visitor = await visits("ana")
    await visitor.page.clock.install()
    await visitor.page.goto("/queue?view=open")
    await visitor.live()
    badge = visitor.page.locator("#live-badge")
    visitor.watch.expect(*LOST)
    async with server_away(stage):
        await visitor.page.clock.fast_forward(41_000)
        await expect(badge).to_have_attribute("data-state", "stale")
        await expect(badge).to_contain_text(re.compile(r"Stale since \d\d:\d\d"))


async def test_who_signs_out_in_one_tab_is_out_in_all(stage: Stage, visits: Visits) -> None:
    visitor = await visits("dewi", own=True)
    await visitor.page.goto("/queue")
    other = await visitor.tab()
    await other.goto("/orders")
    visitor.watch.expect("401", *LOST)
    await visitor.page.click(".person summary")
    await visitor.page.click("form[action='/sign-out'] button")
    await visitor.page.wait_for_url(DOOR)
    await other.click("a[data-go=q]")
    await other.wait_for_url(DOOR)
    assert "next=" in other.url


async def test_an_open_page_of_somebody_who_signed_out_elsewhere_goes_to_the_door(stage: Stage, visits: Visits) -> None:
    visitor = await visits("dewi", own=True)
    await visitor.page.goto("/queue")
    other = await visitor.tab()
    await other.goto("/queue?view=open")
    visitor.watch.expect("401", *LOST)
    await visitor.page.click(".person summary")
    await visitor.page.click("form[action='/sign-out'] button")
    await other.wait_for_url(DOOR, timeout=15_000)


async def test_a_page_comes_alive_also_where_the_network_is_slow(stage: Stage, visits: Visits) -> None:
    """The part that listens may arrive long after the one it extends."""
    page = (await visits("ana")).page

    async def late(route: Route) -> None:
        await page.wait_for_function("() => window.htmx && document.readyState !== 'loading'")
        await route.continue_()

    await page.route("**/hx-sse.min.js", late)
    await page.goto("/queue?view=open")
    await expect(page.locator("#live-badge")).to_have_attribute("data-state", "live")
