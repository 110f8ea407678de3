"""The page of a case: the two great journeys through forms alone, strangers' words, and what is heard live."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

from case_lab import Seat, words
from desk_lab import BAD_ADDRESS, Desk
from web_lab import FOUND, LOST, TOKENS, House, fiber, reply

from unstuck.repair.outcome import Result
from unstuck.store.keys import KeyFiles
from unstuck.store.seal import seal


async def test_an_unknown_outcome_is_asked_about_and_the_order_goes_on(house: House) -> None:
    desk = await Desk.stopped(house, "activateFiber", LOST, FOUND)
    seat = await Seat.of(desk)
    page = await seat.look()
    assert "Nobody knows whether Provisioning acted" in words(page.part("case-next"))
    assert 'data-task-state="UNKNOWN"' in page.html and "/do/retry" not in page.html
    page = await seat.does("query_by_key", {"reason": "it has been silent"})
    assert "it is there" in page.text and page.html.count('data-case-state="VERIFYING"') == 1
    form = await seat.opened("resolve")
    assert ("way", "resume:SKIP_STEP_ALREADY_DONE") in form.form("/do/resolve")["fields"]  # what is suggested is chosen
    page = await seat.does("resolve")
    assert "Resolved: goes on" in page.text
    assert (await desk.tmf())["state"] == "completed"
    assert len([call for call in desk.sent("activateFiber") if call.kind == "send"]) == 1
    assert "Closed" in (await seat.does("close")).text


async def test_refused_data_is_corrected_previewed_and_the_order_goes_on(house: House) -> None:
    desk = await Desk.stopped(house, "activateFiber", BAD_ADDRESS)
    seat = await Seat.of(desk)
    form = await seat.opened("correct_data")
    typed = {"fields.address": "Jl. Sudirman 9", "reason_code": "customer_corrected", "reason": "the customer called"}
    seen = await seat.send(form, "/preview/correct_data", typed)
    page = type(form)(seen)
    assert page.status == 200 and "address" in words(page.part("case-preview"))
    assert len(desk.sent("activateFiber")) == 1 and (await desk.view())["state"] == "IN_PROGRESS"
    done = await seat.send(page, "/do/correct_data")
    assert done.status == 303 and done.headers["Location"].endswith("?done=repair-corrected")
    page = await seat.does("resolve")
    assert "Resolved: goes on" in page.text
    assert (await desk.tmf())["state"] == "completed"
    old, new = desk.sent("activateFiber")
    assert json.loads(new.body) == {**json.loads(old.body), "address": "Jl. Sudirman 9"}


HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=y>{{7*7}}\u202egnp.exe" + "w" * 3000
NAME = '<b onclick="x">Ana</b>\'"{{7*7}}'


async def test_the_words_of_strangers_are_text_everywhere(house: House) -> None:
    body = json.dumps({"code": "<i>E</i>", "message": HOSTILE, "note": "</pre><script>x</script>"}).encode()
    bad = reply(Result.REFUSED, status=422, code="<i>E</i>", message=HOSTILE, body=body)
    order = await house.place(fiber(), customer=NAME)
    desk = Desk(house, order, NAME)
    house.targets.will(NAME, "activateFiber", bad)
    await house.work()
    await desk.take()
    await desk.done("notes", {"note": "<script>note</script>"})
    await desk.done("evidence", {"type": "document", "source": "<u>portal</u>", "content": "x"})
    await desk.propose("retry")
    seat = await Seat.of(desk)
    for path in ("", "/do/apply", "/do/note", "/do/verify", "/do/evidence", "/do/reject"):
        page = await seat.look(seat.at + path)
        assert page.status in (200, 409), path
        for bad_markup in ("<script>", "<img src", "<b onclick", "<i>E", "<u>portal", "onerror=y>", "49\u202e"):
            assert bad_markup not in page.html.replace('<script src="', "").replace('<script type="module"', ""), (
                path,
                bad_markup,
            )
    page = await seat.look()
    assert "&lt;script&gt;note" in page.html and "{{7*7}}" in page.html
    assert re.search(r"<bdi>&lt;b onclick", page.html)


async def test_a_case_is_found_by_its_id_and_shown_under_its_number(house: House) -> None:
    desk = await Desk.stopped(house, "activateFiber", BAD_ADDRESS)
    view = await desk.view()
    moved = await house.call("GET", f"/cases/{view['id']}", who="support")
    assert (moved.status, moved.headers["Location"]) == (303, f"/cases/{view['number']}")
    assert (await house.call("GET", f"/cases/{view['number']}", who="integration")).status == 403
    nobody = await house.call("GET", f"/cases/{view['number']}", who=None)
    assert (nobody.status, nobody.headers["Location"]) == (303, f"/sign-in?next=/cases/{view['number']}")


async def test_every_state_says_where_it_stands_and_what_is_next(house: House) -> None:
    desk = await Desk.stopped(house, "activateFiber", BAD_ADDRESS)
    seat = await Seat.of(desk)
    for command, body, here in (
        ("notes", {"note": "n"}, "Propose"), ("release", {"note": "n"}, "Understand"), ("assign", {"to": "me"}, "Understand"),
        ("start", {}, "Propose"), ("wait", {"on": "FIELD", "note": "n"}, "Propose"), ("continue", {"note": "n"}, "Propose"),
    ):  # fmt: skip
        await desk.done(command, body)
        head = (await seat.look()).html
        now = re.search(r'aria-current="step"><span>(\w+)', head)
        assert now is not None and now[1] == here, command
    await desk.repair("correct_data", fields={"address": "Jl. 9"})
    assert 'aria-current="step"><span>Resume' in (await seat.look()).html
    await desk.resolve("resume", "RETRY_FAILED_STEP")
    done = (await seat.look()).html
    assert done.count('data-step="done"') == 5 and 'aria-current="step"' not in done


async def test_a_case_of_another_order_manager_has_a_page_without_a_plan(house: House) -> None:
    failure = {
        "sourceSystem": "oms-7", "sourceEventId": "e-1", "reasonCode": "NO_PORT", "message": "no free port",
        "serviceOrderId": "SO-77", "customerId": "C-9", "failedStepKey": "port",
    }  # fmt: skip
    taken = await house.call("POST", "/api/v1/fallout-events", failure, who="integration")
    await house.work()
    seat = Seat(house, taken.json["number"])
    page = await seat.look()
    assert (
        page.status == 200 and "oms-7 holds it" in page.text and "SO-77" in page.text and "graph-svg" not in page.html
    )


async def test_what_changes_is_heard_and_an_open_form_is_left_alone(house: House, tmp_path: Path) -> None:
    desk = await Desk.stopped(house, "activateFiber", BAD_ADDRESS)
    seat = await Seat.of(desk)
    keys = KeyFiles("live", tmp_path / "signing.key")
    await sealed(house, keys)
    page = await seat.opened("note")
    live = re.search(r'hx-sse:connect="([^"]+)"', page.html)
    assert live is not None
    headers = {"Authorization": f"Bearer {TOKENS['support']}"}
    async with house.client.get(house.url + live[1].replace("&amp;", "&"), headers=headers) as stream:
        assert (stream.status, stream.headers["Content-Type"].partition(";")[0]) == (200, "text/event-stream")
        await desk.done("wait", {"on": "FIELD", "note": "asked"})
        await sealed(house, keys)
        told = await heard(stream, "Wait began")
    for id in ("head", "next", "plan", "context", "evidence", "timeline"):
        assert f'hx-target="#case-{id}"' in told
    assert "#case-form" not in told and "Waiting for the field" in told
    assert "the engineer: Wait began" in told  # who listens is somebody else


async def test_what_happened_between_the_page_and_its_stream_is_told_at_once(house: House, tmp_path: Path) -> None:
    desk = await Desk.stopped(house, "activateFiber", BAD_ADDRESS)
    seat = await Seat.of(desk)
    page = await seat.look()
    live = re.search(r'hx-sse:connect="([^"]+)"', page.html)
    assert live is not None
    await desk.done("wait", {"on": "FIELD", "note": "asked"})
    headers = {"Authorization": f"Bearer {TOKENS['engineer']}"}
    async with house.client.get(house.url + live[1], headers=headers) as stream:
        assert "Waiting for the field" in await heard(stream, "case-timeline")
    same = re.search(r'hx-sse:connect="([^"]+)"', (await seat.look()).html)
    assert same is not None and same[1] != live[1]
    async with house.client.get(house.url + same[1], headers=headers) as stream:
        first = await asyncio.wait_for(stream.content.readuntil(b"\n\n"), 5)
        assert b"hx-partial" not in first  # what is shown already is not sent again


async def sealed(house: House, keys: KeyFiles) -> None:
    """The sealer's round: what was committed gets its place in the history, and is heard."""
    while await seal(house.ports.store.pool, keys, house.clock(), None):
        pass


async def heard(stream: Any, what: str) -> str:
    """The first message that says this."""
    async with asyncio.timeout(10):
        while True:
            message = (await stream.content.readuntil(b"\n\n")).decode()
            if what in message:
                return "\n".join(line.removeprefix("data: ") for line in message.splitlines())
