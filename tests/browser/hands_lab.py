"""What people do with the pages, by mouse, by forms and by keys: the words of the journeys."""

import re
from typing import Any

from playwright.async_api import Locator, Page, expect

SOMETHING = re.compile(r"\S")
FOCUSED = "where => document.activeElement?.matches(where) ?? false"
BY_KEYS = 80  # Tabs until something must have been reached


class CaseHands:
    """Somebody at the page of one case."""

    def __init__(self, page: Page, number: str) -> None:
        self.page, self.number = page, number
        self.form = page.locator("#case-form")

    async def look(self) -> None:
        """Open the page of the case."""
        await self.page.goto(f"/cases/{self.number}")

    async def begin(self, action: str, **typed: Any) -> None:
        """Open the form of an action that the page offers, and fill it in."""
        await self.page.click(f"#case-next a[href$='/do/{action}']")
        await expect(self.form).to_have_attribute("data-form-of", action)
        await self.fill(**typed)

    async def fill(self, **typed: Any) -> None:
        """Fill in the open form; `fields__x` is the field `fields.x`."""
        for name, value in typed.items():
            await put(self.form.locator(f"[name='{name.replace('__', '.')}']"), value)

    async def send(self) -> None:
        """Press the button of the open form that is meant."""
        await self.form.locator(".actions button.button-main").click()

    async def do(self, action: str, **typed: Any) -> None:
        """An action from its link to its confirmation."""
        await self.begin(action, **typed)
        await self.send()
        await self.confirmed()

    async def confirmed(self) -> None:
        """The page says that it is done."""
        await expect(self.page.locator("#done")).to_have_text(SOMETHING)
        await expect(self.form).to_have_count(0)

    async def take(self) -> None:
        """Make the case one's own and begin."""
        await self.do("assign", to="me")
        await self.do("start")

    async def resolve(self) -> None:
        """Decide as the page suggests, with the evidence it has ticked."""
        await self.begin("resolve")
        if not await self.form.locator("[name=evidence]:checked").count():
            await self.form.locator("[name=evidence]").first.check()
        await self.send()
        await self.confirmed()

    async def stands(self, state: str) -> None:
        """Wait until the page shows this state."""
        await expect(self.page.locator("#case-head [data-case-state]")).to_have_attribute("data-case-state", state)


async def put(field: Locator, value: Any) -> None:
    """Give a field its value, whatever kind it is."""
    kind = await field.first.evaluate("field => field.tagName === 'SELECT' ? 'select' : field.type")
    if kind == "select":
        await field.select_option(value)
    elif kind == "checkbox":
        await field.set_checked(value)
    else:
        await field.fill(value)


async def order_shows(page: Page, order_id: str, state: str) -> None:
    """The page of an order comes to show this state, without being loaded again."""
    await page.goto(f"/orders/{order_id}")
    await expect(page.locator(f"[data-order-state={state}]").first).to_be_visible()


async def tab_to(page: Page, where: str) -> None:
    """Press Tab until what is looked for has the focus."""
    for _ in range(BY_KEYS):
        if await page.evaluate(FOCUSED, where):
            return
        await page.keyboard.press("Tab")
    raise AssertionError(f"{where} cannot be reached by Tab on {page.url}")


async def type_into(page: Page, where: str, text: str) -> None:
    """Reach a field by keys and type."""
    await tab_to(page, where)
    await page.keyboard.type(text)
