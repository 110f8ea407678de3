"""What people come for: a stopped order is understood, repaired under control, and goes on. With JavaScript and without."""

import re
from typing import Any

import pytest
from browser_lab import PASSWORD, Stage, Visits
from desk_lab import BAD_ADDRESS
from hands_lab import CaseHands, order_shows, tab_to, type_into
from playwright.async_api import expect
from web_lab import FOUND, LOST, fiber
from world_lab import bundle

JS = pytest.mark.parametrize("js", [True, False], ids=["", "without JavaScript"])


@JS
async def test_an_unknown_outcome_is_asked_about_and_the_order_goes_on(stage: Stage, visits: Visits, js: bool) -> None:
    customer = f"C-ask-{js}"
    case = await stage.stopped("activateFiber", LOST, items=bundle(), customer=customer)
    stage.house.targets.will(customer, "activateFiber", FOUND)
    visitor = await visits("ana", js=js)
    page, hands = visitor.page, CaseHands(visitor.page, case["number"])
    await page.goto("/queue?view=unknown")
    await expect(page.locator(f"#case-{case['number']}")).to_contain_text("Outcome unknown")
    await page.click(f"#open-{case['number']}")
    await expect(page.locator("#case-head [data-task-state=UNKNOWN]")).to_be_visible()
    for forbidden in ("retry", "resend_same_key"):
        assert await page.locator(f"#case-next a[href$='/do/{forbidden}']").count() == 0
    await hands.take()
    await hands.begin("query_by_key", reason_code="outcome_unknown", reason="nobody answered")
    await expect(page.locator("#case-preview")).to_contain_text("is asked about activateFiber")
    await hands.send()
    await hands.confirmed()
    await hands.stands("VERIFYING")
    await hands.resolve()
    await hands.stands("RESOLVED_RESUME")
    await stage.order_is(case["order_id"], "COMPLETED")
    await order_shows(page, case["order_id"], "COMPLETED")
    assert len(stage.house.targets.of(customer, "activateFiber")) == 2  # one send and one question


@JS
async def test_corrected_data_is_seen_before_it_is_sent(stage: Stage, visits: Visits, js: bool) -> None:
    customer = f"C-correct-{js}"
    case = await stage.stopped("activateFiber", BAD_ADDRESS, items=[fiber()], customer=customer)
    visitor = await visits("ana", js=js)
    hands = CaseHands(visitor.page, case["number"])
    await hands.look()
    await hands.take()
    await hands.begin("correct_data", fields__address="Jl. Sudirman 9", reason_code="typing_error", reason="misread")
    await hands.send()
    preview = visitor.page.locator("#case-preview")
    await expect(preview.locator("tbody tr")).to_have_count(1)
    assert len(stage.house.targets.of(customer, "activateFiber")) == 1  # a look sends nothing
    await hands.send()
    await hands.confirmed()
    await hands.stands("VERIFYING")
    await hands.resolve()
    await stage.order_is(case["order_id"], "COMPLETED")
    await order_shows(visitor.page, case["order_id"], "COMPLETED")
    old, new = stage.house.targets.of(customer, "activateFiber")
    assert old.key != new.key and b"Jl. Sudirman 9" in new.body


@JS
async def test_a_form_about_what_has_changed_says_who_changed_what_and_keeps_the_words(
    stage: Stage, visits: Visits, js: bool
) -> None:
    case = await stage.stopped("activateFiber", BAD_ADDRESS, items=[fiber()], customer=f"C-stale-{js}")
    ana, budi = await visits("ana", js=js), await visits("budi")
    mine, theirs = CaseHands(ana.page, case["number"]), CaseHands(budi.page, case["number"])
    await mine.look()
    await mine.begin("assign", to="ana")
    await theirs.look()
    await theirs.take()
    ana.watch.expect("412")
    await mine.send()
    message = ana.page.locator("#message")
    await expect(message).to_contain_text("budi")
    await expect(message).to_contain_text("Assigned")
    await expect(mine.form.locator("[name=to]")).to_have_value("ana")
    await mine.send()
    await mine.confirmed()
    await expect(ana.page.locator("#case-facts")).to_contain_text("ana")


async def test_what_was_typed_wrong_is_told_at_the_field(stage: Stage, visits: Visits) -> None:
    case = await stage.stopped("activateFiber", BAD_ADDRESS, items=[fiber()], customer="C-wrong")
    visitor = await visits("ana")
    hands = CaseHands(visitor.page, case["number"])
    await hands.look()
    await hands.take()
    await hands.begin("correct_data", fields__speed="fast", reason_code="typing_error", reason="as she said")
    visitor.watch.expect("422")
    await hands.send()
    field = hands.form.locator("[name='fields.speed']")
    await expect(field).to_have_attribute("aria-invalid", "true")
    await expect(field).to_have_value("fast")
    said = await field.get_attribute("aria-describedby") or ""
    await expect(visitor.page.locator(f"[id='{said.split()[-1]}']")).to_contain_text(re.compile(r"\w"))
    await expect(hands.form.locator("[name=reason]")).to_have_value("as she said")


async def test_a_case_is_resolved_by_keys_alone(stage: Stage, visits: Visits) -> None:
    """No mouse, from the door to the end."""
    case = await stage.stopped("activateFiber", LOST, items=[fiber()], customer="C-keys")
    stage.house.targets.will("C-keys", "activateFiber", FOUND)
    page = (await visits()).page
    await page.goto("/sign-in")
    await type_into(page, "input[name=name]", "ana")
    await type_into(page, "input[name=password]", PASSWORD)
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/queue*")
    await page.keyboard.press("/")
    await page.keyboard.type("C-keys")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/search*")
    await page.keyboard.press("g")
    await page.keyboard.press("q")
    await page.wait_for_url("**/queue*")
    await walk_to(page, case["number"])
    await page.keyboard.press("m")
    await expect(page.locator(f"#case-{case['number']}")).to_contain_text("Assigned")
    await walk_to(page, case["number"])
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/cases/*")
    await by_keys(page, "start")
    await by_keys(page, "query_by_key", reason="to see what is there")
    await by_keys(page, "resolve")
    await stage.order_is(case["order_id"], "COMPLETED")


async def walk_to(page: Any, number: str) -> None:
    """Down the rows, until the one that is looked for has the focus."""
    for _ in range(60):
        await page.keyboard.press("j")
        if await page.evaluate("() => document.activeElement?.id") == f"open-{number}":
            return
    raise AssertionError(f"{number} cannot be reached by j")


async def by_keys(page: Any, action: str, **typed: str) -> None:
    """An action of a case, by Tab, letters and Enter."""
    await tab_to(page, f"#case-next a[href$='/do/{action}']")
    await page.keyboard.press("Enter")
    await expect(page.locator("#case-form")).to_have_attribute("data-form-of", action)
    if typed:
        await tab_to(page, "#case-form select[name=reason_code]")
        await page.keyboard.press("ArrowDown")
    for name, text in typed.items():
        await type_into(page, f"#case-form [name={name}]", text)
    await tab_to(page, "#case-form .actions button.button-main")
    await page.keyboard.press("Enter")
    await expect(page.locator("#done")).to_have_text(re.compile(r"\S"))
