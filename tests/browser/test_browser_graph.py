"""The plan in a browser: as wide as the screen allows, never too small to read, and a list on a phone."""

import pytest
from browser_lab import PHONE, Stage, Visits
from desk_lab import BAD_ADDRESS
from playwright.async_api import expect
from world_lab import World, bundle

LETTERS = """() => Math.min(...[...document.querySelectorAll('.graph-svg text')].map(
  text => parseFloat(getComputedStyle(text).fontSize) * text.ownerSVGElement.getScreenCTM().a))"""
OUTSIDE = """() => [...document.querySelectorAll('.graph-step')].flatMap(step => {
  const box = step.querySelector('.graph-box').getBoundingClientRect();
  return [...step.querySelectorAll('text')].filter(text => text.getBoundingClientRect().right > box.right)
    .map(text => text.textContent);
})"""
HIDDEN = "box => box.scrollWidth - box.clientWidth"


@pytest.mark.parametrize("width", [1280, 1920])
async def test_a_plan_fits_the_screen_or_is_scrolled_but_can_be_read(width: int, world: World, visits: Visits) -> None:
    page = (await visits("ana", size=(width, 800))).page
    await page.goto(f"/orders/{world.refused['order_id']}")
    picture = page.locator("#graph-picture")
    assert await picture.evaluate(HIDDEN) <= 0
    assert await page.evaluate(OUTSIDE) == []
    for room in (width, 640, 300):
        await picture.evaluate("(box, room) => { box.style.width = `${room}px`; }", room)
        assert await page.evaluate(LETTERS) >= 11
    assert await picture.evaluate(HIDDEN) > 0


async def test_on_a_phone_a_plan_is_a_list(world: World, visits: Visits) -> None:
    page = (await visits("ana", size=PHONE)).page
    await page.goto(f"/orders/{world.refused['order_id']}")
    await expect(page.locator("#graph-picture")).to_be_hidden()
    steps = page.locator(".graph-list .graph-item")
    assert await steps.count() == await page.locator(".graph-step").count()
    await expect(page.locator(".graph-item.is-root")).to_contain_text("Failed")


async def test_a_plan_with_one_step_is_not_blown_up(stage: Stage, visits: Visits) -> None:
    case = await stage.stopped("reserve", BAD_ADDRESS, items=bundle()[2:], customer="C-one-step")
    page = (await visits("ana")).page
    await page.goto(f"/orders/{case['order_id']}")
    assert await page.evaluate("() => document.querySelector('.graph-svg').getScreenCTM().a") <= 1
