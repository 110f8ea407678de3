"""The frame in a browser: keys, the palette, times that stay true, themes, and a first connection that is tried again."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

from axe_lab import looks
from browser_lab import Stage, Visitor
from playwright.async_api import Locator, Page, Route, expect
from web_lab import fiber, refused

Visits = Callable[..., Awaitable[Visitor]]
LOST = ("503", "/live/")


def chosen(page: Page) -> Locator:
    """What Enter would do in the palette."""
    return page.locator("#palette [aria-selected=true]")


async def focused(page: Page) -> str:
    """The id of what has the focus."""
    return str(await page.evaluate("() => document.activeElement.id"))


async def test_letters_go_to_pages_and_to_the_search_but_not_while_typing(stage: Stage, visits: Visits) -> None:
    page = (await visits("ana")).page
    await page.goto("/parts")
    await page.keyboard.press("g")
    await page.keyboard.press("o")
    await page.wait_for_url("**/orders")
    await page.keyboard.press("/")
    assert await focused(page) == "search"
    await page.keyboard.type("go?")
    assert await page.input_value("#search") == "go?"
    await expect(page.locator("#keys")).not_to_be_visible()
    await page.keyboard.press("Escape")
    await page.keyboard.press("?")
    await expect(page.locator("#keys")).to_be_visible()


async def test_single_keys_can_be_switched_off_and_stay_off(stage: Stage, visits: Visits) -> None:
    page = (await visits("ana")).page
    await page.goto("/parts")
    await page.keyboard.press("?")
    await page.uncheck("#single-keys")
    await page.keyboard.press("Escape")
    await page.goto("/orders")
    await page.keyboard.press("/")
    assert await focused(page) != "search"
    await page.click("[data-open=keys]")
    await expect(page.locator("#single-keys")).not_to_be_checked()


async def test_the_palette_goes_to_pages_and_to_cases_by_number(stage: Stage, visits: Visits) -> None:
    case = await stage.stopped("activateFiber", refused("INVALID_ADDRESS"), items=[fiber()], customer="C-palette")
    page = (await visits("ana")).page
    await page.goto("/parts")
    await page.keyboard.press("Control+k")
    await page.keyboard.type("orders")
    await expect(chosen(page)).to_have_text("Orders")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/orders")
    await page.keyboard.press("Control+k")
    await page.keyboard.type(case["number"])
    await page.keyboard.press("Enter")
    await page.wait_for_url(f"**/cases/{case['number']}")


async def test_the_palette_does_what_the_page_offers_and_shows_strange_words_as_text(
    stage: Stage, visits: Visits
) -> None:
    page = (await visits("ana")).page
    await page.goto("/parts")
    await page.keyboard.press("Control+k")
    await page.keyboard.type("<b>no")
    await expect(chosen(page)).to_contain_text("<b>no")
    await page.keyboard.press("Control+a")
    await page.keyboard.type("sign out")
    await expect(page.locator("#palette [role=option]")).to_have_count(2)
    await page.keyboard.press("ArrowUp")
    await expect(chosen(page)).to_contain_text("Search for")
    await page.keyboard.press("Escape")
    await expect(page.locator("#palette")).not_to_be_visible()


async def test_the_palette_shows_what_is_found_and_says_how_much(stage: Stage, visits: Visits) -> None:
    words = "the <b>splice</b> is wet"
    case = await stage.stopped("activateFiber", refused("WET", words), items=[fiber()], customer="C-wet")
    page = (await visits("ana")).page
    await page.goto("/parts")
    await page.keyboard.press("Control+k")
    await page.keyboard.type("splice</b> is")
    found = page.locator("#palette [role=option]", has_text=case["number"])
    await expect(found).to_contain_text(words)
    await expect(found.locator("mark")).to_have_text("splice</b> is")
    await expect(page.locator("#palette [role=status]")).to_have_text("Found: 1")
    await expect(chosen(page)).to_contain_text("Search for")  # as it was before: nothing moves under who presses Enter
    await page.keyboard.press("ArrowDown")
    await expect(chosen(page)).to_contain_text(case["number"])
    active = await page.locator("#palette [role=combobox]").get_attribute("aria-activedescendant")
    assert active == await chosen(page).get_attribute("id") is not None
    assert await page.locator("#palette [role=combobox]").get_attribute("aria-expanded") == "true"
    assert [said async for said in looks(page)] == []
    await page.keyboard.press("Enter")
    await page.wait_for_url(f"**/cases/{case['number']}")


async def test_the_palette_goes_to_lists_by_their_name(stage: Stage, visits: Visits) -> None:
    page = (await visits("ana")).page
    await page.goto("/parts")
    for typed, text, place in (
        ("mine", "Mine", "view=mine"),
        ("billing rev", "Billing and revenue", "queue=BILLING_RA"),
    ):
        await page.keyboard.press("Control+k")
        await page.keyboard.type(typed)
        await expect(page.locator("#palette [role=option]")).to_have_count(2)
        await page.keyboard.press("ArrowDown")
        await expect(chosen(page)).to_contain_text(text)
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"**/queue?*{place}")


async def test_an_older_answer_never_comes_into_the_palette(stage: Stage, visits: Visits) -> None:
    """The first question is answered only when the second one has been: by then it was given up."""
    await stage.stopped("activateFiber", refused("SLOW"), items=[fiber()], customer="C-slow")
    page, second = (await visits("ana")).page, asyncio.Event()

    async def slow(route: Route) -> None:
        await second.wait()
        await route.continue_()  # to nobody

    await page.route("**/search.json?q=C-slow", slow)
    await page.goto("/parts")
    await page.keyboard.press("Control+k")
    async with page.expect_event("requestfailed", lambda request: request.url.endswith("q=C-slow")):
        async with page.expect_request("**/search.json?q=C-slow"):
            await page.keyboard.type("C-slow")
        await page.keyboard.type("er")
    await expect(page.locator("#palette [role=status]")).to_contain_text("Nothing is called so")
    second.set()
    await page.unroute_all(behavior="wait")
    await expect(page.locator("#palette [role=option]")).to_have_count(1)


async def test_a_search_that_does_not_answer_is_said_in_the_palette(stage: Stage, visits: Visits) -> None:
    visitor = await visits("ana")
    visitor.watch.expect("503")
    await visitor.page.route("**/search.json*", lambda route: route.fulfill(status=503, body=""))
    await visitor.page.goto("/parts")
    await visitor.page.keyboard.press("Control+k")
    await visitor.page.keyboard.type("sign out")
    await expect(visitor.page.locator("#palette [role=status]")).to_contain_text("does not answer")
    await expect(chosen(visitor.page)).to_have_text("Sign out")


async def test_times_stay_true_and_say_exactly_when_in_the_zone_of_who_looks(stage: Stage, visits: Visits) -> None:
    page = (await visits("ana")).page
    await page.clock.install()
    await page.goto("/parts")
    time = page.locator("main time.when").first
    await expect(time).to_have_text("just now")
    await page.clock.fast_forward(125_000)
    await expect(time).to_have_text("2 min ago")
    await time.hover()
    await expect(time).to_have_attribute("title", re.compile(r"(GMT\+7|WIB)\n\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"))


async def test_the_system_s_theme_counts_until_one_is_chosen(stage: Stage, visits: Visits) -> None:
    page = (await visits("ana", theme="dark")).page
    await page.goto("/parts")
    dark = await ground(page)
    await page.click(".person summary")
    await page.click("button[name=theme][value=light]")
    await page.wait_for_url("**/parts")
    light = await ground(page)
    assert dark != light
    assert await ground(page, "[data-theme=dark]") == dark


async def ground(page: Page, where: str = "body") -> Any:
    """The colour behind everything."""
    return await page.evaluate("where => getComputedStyle(document.querySelector(where)).backgroundColor", where)


async def test_a_first_connection_that_fails_is_tried_again(stage: Stage, visits: Visits) -> None:
    visitor = await visits("ana")
    visitor.watch.expect(*LOST)
    refusals = 1

    async def refuse_once(route: Any) -> None:
        nonlocal refusals
        refusals -= 1
        await (route.fulfill(status=503, body="") if refusals >= 0 else route.continue_())

    await visitor.page.route("**/live/**", refuse_once)
    await visitor.page.goto("/queue")
    await expect(visitor.page.locator("#live-badge")).to_have_attribute("data-state", "reconnecting")
    await visitor.live()


async def test_what_was_done_is_read_out_once_and_not_again_after_a_reload(stage: Stage, visits: Visits) -> None:
    page = (await visits("ana")).page
    await page.goto("/parts?done=other")
    await expect(page.locator("#done")).to_have_text("Done.")
    await page.wait_for_url("**/parts")
    await page.reload()
    await expect(page.locator("#done")).to_have_count(0)
