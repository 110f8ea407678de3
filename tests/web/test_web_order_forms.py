"""Commands on an order by forms alone: what is offered, what each does, and what is said when it cannot be."""

import asyncio
from typing import Any

import pytest
from order_page_lab import failed, hidden, number_of, page, part, send, words
from web_lab import House, fiber

WHY = {"reason": "the customer asked"}


async def fill(house: House, number: str, command: str, **more: Any) -> dict[str, str]:
    """The fields of a form as it is opened, with the reason filled in."""
    return {**hidden(part(await page(house, f"/orders/{number}/do/{command}"), "order-form")), **WHY, **more}


async def submit(house: House, number: str, command: str, **more: Any) -> Any:
    return await send(house, f"/orders/{number}/do/{command}", await fill(house, number, command, **more))


async def state(house: House, number: str) -> str:
    return str((await house.get(f"/api/v1/orders/{number}"))["state"])


async def test_what_is_offered_is_what_is_possible_and_the_rest_says_why(house: House) -> None:
    order = await failed(house)
    number = await number_of(house, order)
    commands = part(await page(house, f"/orders/{number}"), "order-commands")
    offered = {
        name
        for name in ("suspend", "resume", "fail", "resolve-failure", "cancel", "abort")
        if f"/do/{name}" in commands
    }
    assert offered == {"suspend", "fail", "abort"}
    assert "an order that is in progress cannot resume (life-cycle)" in words(commands)
    assert "undoing it waits for compensation" in words(commands)


async def test_who_may_not_is_told_which_roles_may(house: House) -> None:
    number = await number_of(house, await house.place(fiber()))
    shown = part(await page(house, f"/orders/{number}", who="support"), "order-commands")
    assert "/do/" not in shown
    assert "Commands on orders are for: Fallout manager, Operations manager, Engineer" in words(shown)
    assert (await send(house, f"/orders/{number}/do/suspend", {"version": "1"} | WHY, who="support")).status == 403


async def test_an_order_is_suspended_and_resumed_by_forms(house: House) -> None:
    number = await number_of(house, await house.place(fiber()))
    answer = await submit(house, number, "suspend")
    assert answer.status == 303 and answer.headers["Location"] == f"/orders/{number}?done=order.suspend"
    assert "Suspended: nothing new of it is sent." in words(await page(house, answer.headers["Location"]))
    assert await state(house, number) == "SUSPENDED"
    assert (await submit(house, number, "resume")).status == 303
    assert await state(house, number) == "IN_PROGRESS"
    timeline = words(part(await page(house, f"/orders/{number}"), "order-timeline"))
    assert "the customer asked" in timeline and "the engineer" in timeline


async def test_a_failure_is_declared_and_resolved_by_forms(house: House) -> None:
    number = await number_of(house, await house.place(fiber()))
    assert (await submit(house, number, "fail")).status == 303
    assert await state(house, number) == "FAILED"
    assert "FC-" in words(part(await page(house, f"/orders/{number}"), "order-cases"))
    assert (await submit(house, number, "resolve-failure")).status == 303
    assert await state(house, number) == "IN_PROGRESS"


async def test_cancelling_says_that_nothing_is_undone(house: House) -> None:
    number = await number_of(house, await house.place(fiber()))
    form = await page(house, f"/orders/{number}/do/cancel")
    assert "there is nothing to undo. Its 4 steps are called off." in words(part(form, "order-form"))
    assert (await submit(house, number, "cancel")).status == 303
    assert await state(house, number) == "CANCELLED"


async def test_aborting_lists_what_stays_outside_before_and_after(house: House) -> None:
    order = await failed(house)
    number = await number_of(house, order)
    before = part(await page(house, f"/orders/{number}/do/abort"), "order-form")
    assert "3 effects stay outside, and somebody must undo them there" in words(before)
    assert (await submit(house, number, "abort")).status == 303
    after = part(await page(house, f"/orders/{number}"), "order-left")
    for task in ("1.account", "1.subscription", "1.installation"):
        assert f"{order['id']}.{task}.p0.c0" in before and f"{order['id']}.{task}.p0.c0" in after


async def test_a_form_that_is_sent_twice_acts_once(house: House) -> None:
    number = await number_of(house, await house.place(fiber()))
    form = await fill(house, number, "suspend")
    first = await send(house, f"/orders/{number}/do/suspend", form)
    second = await send(house, f"/orders/{number}/do/suspend", form)
    assert (first.status, second.status) == (303, 303)
    assert second.headers["Location"] == first.headers["Location"]
    timeline = (await house.get(f"/api/v1/orders/{number}"))["timeline"]
    assert sum(entry["type"] == "unstuck.order.suspended" for entry in timeline) == 1


async def test_a_form_that_is_sent_twice_at_once_acts_once(house: House) -> None:
    number = await number_of(house, await house.place(fiber()))
    form = await fill(house, number, "suspend")
    answers = await asyncio.gather(*(send(house, f"/orders/{number}/do/suspend", form) for _ in range(4)))
    assert {answer.status for answer in answers} <= {303, 409} and 303 in {answer.status for answer in answers}
    timeline = (await house.get(f"/api/v1/orders/{number}"))["timeline"]
    assert sum(entry["type"] == "unstuck.order.suspended" for entry in timeline) == 1


async def test_one_key_is_one_command(house: House) -> None:
    number = await number_of(house, await house.place(fiber()))
    form = await fill(house, number, "suspend")
    assert (await send(house, f"/orders/{number}/do/suspend", form)).status == 303
    other = await send(house, f"/orders/{number}/do/suspend", form | {"reason": "something else"})
    assert other.status == 422 and "another command" in words(other.raw.decode())


async def test_who_decided_on_an_older_order_is_shown_what_happened_and_keeps_what_was_typed(house: House) -> None:
    number = await number_of(house, await house.place(fiber()))
    form = await fill(house, number, "suspend", reason="a long and careful reason")
    assert (await submit(house, number, "fail")).status == 303
    answer = await send(house, f"/orders/{number}/do/suspend", form)
    shown = answer.raw.decode()
    assert answer.status == 412 and f"{number} has moved on" in words(shown)
    moved = words(part(shown, "order-form"))
    assert "While you were looking, this happened: Order failed · the engineer" in moved
    assert "a long and careful reason" in moved and "an order that is failed cannot suspend" in moved


async def test_after_a_look_the_same_form_can_be_sent_on_the_new_version(house: House) -> None:
    number = await number_of(house, await house.place(fiber()))
    form = await fill(house, number, "abort", reason="given up")
    assert (await submit(house, number, "suspend")).status == 303
    stale = await send(house, f"/orders/{number}/do/abort", form)
    shown = part(stale.raw.decode(), "order-form")
    assert stale.status == 412 and "given up" in shown
    again = await send(house, f"/orders/{number}/do/abort", hidden(shown) | {"reason": "given up"})
    assert again.status == 303 and await state(house, number) == "ABORTED"


async def test_what_is_wrong_is_said_at_its_field(house: House) -> None:
    number = await number_of(house, await house.place(fiber()))
    answer = await submit(house, number, "suspend", reason="  ")
    shown = part(answer.raw.decode(), "order-form")
    assert answer.status == 422 and 'aria-invalid="true"' in shown and 'id="field-reason-error"' in shown
    assert await state(house, number) == "IN_PROGRESS"


async def test_hostile_reasons_are_only_words(house: House) -> None:
    number = await number_of(house, await house.place(fiber()))
    evil = "</textarea><script>alert(1)</script>"
    form = await fill(house, number, "suspend", reason=evil)
    assert (await submit(house, number, "fail")).status == 303
    answer = await send(house, f"/orders/{number}/do/suspend", form)
    assert answer.status == 412 and "<script>alert" not in answer.raw.decode()
    assert (await submit(house, number, "resolve-failure", reason=evil)).status == 303
    assert "<script>alert" not in await page(house, f"/orders/{number}")


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"reason": "x"}, 428),
        ({"version": "1", "reason": "x", "colour": "red"}, 422),
        ({"version": "one", "reason": "x"}, 428),
        ({"version": "1", "key": "k" * 200, "reason": "x"}, 422),
    ],
)  # fmt: skip
async def test_a_form_that_is_none_of_ours_is_refused(house: House, fields: dict[str, str], status: int) -> None:
    number = await number_of(house, await house.place(fiber()))
    answer = await send(house, f"/orders/{number}/do/suspend", fields)
    assert answer.status == status, answer.raw
    assert await state(house, number) == "IN_PROGRESS"


async def test_a_command_that_does_not_exist_is_not_found(house: House) -> None:
    number = await number_of(house, await house.place(fiber()))
    assert "the command &#39;explode&#39; is not known here" in await page(
        house, f"/orders/{number}/do/explode", status=404
    )
