"""One suggestion: what the queue says is next for a case is what the page of the case suggests, in the same words."""

from typing import Any

import pytest
from desk_lab import BAD_ADDRESS, Desk
from queue_lab import queue
from web_lab import ABSENT, FOUND, LOST, House, fiber, refused

from unstuck.kernel.actor import Actor
from unstuck.service.looks import queue_page, views
from unstuck.store.listing.case_list import Wanted
from unstuck.web.pages.texts import text, word

WHO = Actor("ana", frozenset({"engineer"}))


async def compared(desk: Desk) -> str:
    """What is next for the case of this desk, as its page says it; and that the queue says the same."""
    view = await desk.view()
    found = await views.case_view(desk.house.ports, await views.find_case(desk.house.ports, view["number"]), WHO)
    (row,) = await queue_page.rows_of(desk.house.ports, [found.id], Wanted(), WHO)
    suggested = found.suggestion
    said = (suggested.action, suggested.then) if suggested else (None, "")
    assert (row.next, row.then) == said, (found.state, found.task_state, said)
    if suggested:
        words = word("case.action", suggested.action) if suggested.action else text("case.wait")
        wide = await queue(desk.house, view="auditor", q=found.number, columns="wide")
        assert wide.cell(found.number, "Next").startswith(words)
    return said[0] or ""


@pytest.mark.parametrize(
    ("operation", "reply", "first"),
    [
        ("activateFiber", LOST, "query_by_key"),
        ("activateFiber", BAD_ADDRESS, "correct_data"),
        ("activateFiber", refused("TERMINAL"), "cancel_item"),
        ("createAccount", refused("ACCOUNT_NOT_FOUND"), "retry"),
    ],
)
async def test_the_queue_and_the_case_suggest_the_same_along_a_whole_repair(
    house: House, operation: str, reply: Any, first: str
) -> None:
    order = await house.place(fiber())
    desk = Desk(house, order, order["relatedParty"][0]["id"])
    house.targets.will(desk.customer, operation, reply)
    await house.work()
    desk.at = f"/api/v1/fallout-cases/{(await house.case_of(order['id']))['id']}"
    met = [await compared(desk)]
    for command, body in (
        ("assign", {"to": "me"}), ("start", {}), ("wait", {"on": "customer", "note": "n"}), ("continue", {"note": "n"}),
        ("escalate", {"note": "n"}),
    ):  # fmt: skip
        await desk.do(command, body)
        met.append(await compared(desk))
    assert met[:3] == ["assign", "start", first] and "continue" in met


@pytest.mark.parametrize(
    ("answer", "after"), [(FOUND, "resolve"), (ABSENT, "resend_same_key"), (None, "query_by_key")]
)  # fmt: skip
async def test_they_suggest_the_same_after_a_read_back_however_it_is_answered(
    house: House, answer: Any, after: str
) -> None:
    desk = await Desk.stopped(house, "activateFiber", LOST, *((answer,) if answer else ()))
    assert await compared(desk) == "query_by_key"
    assert (await desk.propose("query_by_key")).status == 201
    assert await compared(desk) == "apply"
    await desk.done(f"corrections/{(await desk.view())['corrections'][-1]['id']}/apply")
    assert await compared(desk) == after
    if answer is FOUND:
        assert (await desk.resolve("resume", "SKIP_STEP_ALREADY_DONE")).status == 200
        assert await compared(desk) == "close"
        await desk.done("close")
        assert await compared(desk) == ""


async def test_they_suggest_the_same_for_what_was_marked_as_done_outside(house: House) -> None:
    desk = await Desk.stopped(house, "bookAppointment", LOST)
    assert await compared(desk) == "evidence"
    await desk.repair("mark_done_outside", evidence=[await desk.proof()])
    assert await compared(desk) == "resolve"


async def test_they_suggest_the_same_for_a_repair_that_is_on_its_way(house: House) -> None:
    desk = await Desk.stopped(house, "createAccount", refused("ACCOUNT_NOT_FOUND"))
    await desk.repair("retry")
    assert await compared(desk) == ""
