"""Actions by forms: what is decided on, sent twice, stale, refused or half done; nothing typed is ever lost."""

import asyncio
import re
from typing import Any

import pytest
from case_lab import Page, Seat
from desk_lab import BAD_ADDRESS, Desk
from web_lab import FOUND, LOST, House, item, refused

from unstuck.policy.masking import HIDDEN
from unstuck.service.case_work import repair

WHY = {"reason_code": "cause_fixed", "reason": "the line is up"}


def field(page: Page, about: str, name: str) -> str:
    """What a form holds in a field."""
    return dict(page.form(about)["fields"])[name]


async def test_a_form_on_a_case_that_moved_on_says_who_did_what_and_keeps_what_was_typed(house: House) -> None:
    desk = await Desk.stopped(house, "activateFiber", BAD_ADDRESS)
    seat = await Seat.of(desk)
    form = await seat.opened("retry")
    await desk.done("assign", {"to": "budi"})
    answer = Page(await seat.send(form, "/do/retry", WHY))
    assert answer.status == 412
    message = answer.html[answer.html.index('id="message"') :][:2000]
    assert "the engineer" in message and "Assigned" in message
    assert "autofocus" in message and len(desk.sent("activateFiber")) == 1
    assert field(answer, "/do/retry", "reason") == "the line is up"
    assert field(answer, "/do/retry", "reason_code") == "cause_fixed"
    done = await seat.send(answer, "/do/retry")  # after a look: the very same, on the new version
    assert (done.status, done.headers["Location"]) == (303, f"{seat.at}?done=repair-readied")


async def test_only_what_happened_since_is_told(house: House) -> None:
    desk = await Desk.stopped(house, "activateFiber", BAD_ADDRESS)
    seat = await Seat.of(desk)
    form = await seat.opened("wait")
    await desk.done("assign", {"to": "budi"})
    answer = Page(await seat.send(form, "/do/wait", {"on": "FIELD", "note": "n"}))
    message = answer.html[answer.html.index('id="message"') : answer.html.index('id="case-form"')]
    assert message.count("<li>") == 1 and "Work started" not in message


@pytest.mark.parametrize("action", ["retry", "note"])
async def test_a_form_sent_twice_does_it_once_and_answers_the_same(house: House, action: str) -> None:
    desk = await Desk.stopped(house, "activateFiber", BAD_ADDRESS)
    seat = await Seat.of(desk)
    form = await seat.opened(action)
    typed = WHY if action == "retry" else {"note": "called twice"}
    first = await seat.send(form, f"/do/{action}", typed)
    second = await seat.send(form, f"/do/{action}", typed)
    assert (first.status, second.status) == (303, 303)
    assert first.headers["Location"] == second.headers["Location"]
    await house.work()
    view = await desk.view()
    assert len(view["corrections"]) == (action == "retry")
    assert sum(e["data"].get("text") == "called twice" for e in view["timeline"]) == (action == "note")
    assert len(desk.sent("activateFiber")) == (2 if action == "retry" else 1)


async def test_two_presses_at_the_same_moment_do_it_once(house: House) -> None:
    desk = await Desk.stopped(house, "activateFiber", BAD_ADDRESS)
    seat = await Seat.of(desk)
    form = await seat.opened("note")
    answers = await asyncio.gather(*(seat.send(form, "/do/note", {"note": "n"}) for _ in range(4)))
    assert {answer.status for answer in answers} <= {303, 409}
    assert sum(e["type"].endswith("noted") for e in (await desk.view())["timeline"]) == 1


async def test_a_press_that_was_cut_between_its_two_commands_ends_as_one(house: House) -> None:
    """The proposal was recorded and the answer lost: the same form carries it out, and proposes nothing again."""
    desk = await Desk.stopped(house, "activateFiber", LOST, FOUND)
    seat = await Seat.of(desk)
    form = await seat.opened("query_by_key")
    real, asked = house.targets.ask, 0

    async def dies(call: Any) -> Any:
        nonlocal asked
        asked += 1
        raise RuntimeError("the plug is pulled")

    house.targets.ask = dies  # type: ignore[method-assign]
    broken = await seat.send(form, "/do/query_by_key", {"reason": "r"})
    house.targets.ask = real  # type: ignore[method-assign]
    assert (broken.status, asked) == (500, 1)
    assert [c["state"] for c in (await desk.view())["corrections"]] == ["APPLYING"]
    house.clock.jump(200)
    again = await seat.send(form, "/do/query_by_key", {"reason": "r"})
    assert again.status == 303, Page(again).text[:1500]
    assert [(c["state"], c["result"]) for c in (await desk.view())["corrections"]] == [("APPLIED", "found")]


async def test_the_same_key_for_something_else_is_said_and_the_next_press_works(house: House) -> None:
    desk = await Desk.stopped(house, "activateFiber", BAD_ADDRESS)
    seat = await Seat.of(desk)
    form = await seat.opened("note")
    assert (await seat.send(form, "/do/note", {"note": "one"})).status == 303
    other = Page(await seat.send(form, "/do/note", {"note": "two"}))
    assert other.status == 422 and "stands for another command" in other.text
    assert field(other, "/do/note", "note") == "two"
    assert field(other, "/do/note", "key") != field(form, "/do/note", "key")
    assert (await seat.send(other, "/do/note")).status == 303


async def test_what_cannot_be_taken_is_said_at_its_field(house: House) -> None:
    desk = await Desk.stopped(house, "activateFiber", BAD_ADDRESS)
    seat = await Seat.of(desk)
    for action, typed, wrong in (
        ("correct_data", {"fields.speed": "fast", "reason_code": "typing_error", "reason": "r"}, "fields.speed"),
        ("correct_data", {"fields.address": "x" * 201, "reason_code": "typing_error", "reason": "r"}, "fields.address"),
        ("retry", {"reason_code": "cause_fixed", "reason": " "}, "reason"),
        ("retry", {"reason_code": "because", "reason": "r"}, "reason_code"),
        ("assign", {"to": "a\u202eb"}, "to"), ("wait", {"on": "GODOT", "note": "n"}, "on"),
        ("evidence", {"type": "rumour", "source": "s", "content": "c"}, "type"),
        ("evidence", {"type": "document", "source": "s"}, "content"),
    ):  # fmt: skip
        form = await seat.opened(action)
        fields = dict(form.form(f"/{action}")["fields"]) | typed
        answer = Page(await seat.post(f"{seat.at}/do/{action}", list(fields.items())))
        assert answer.status == 422, (action, answer.text[:800])
        at = answer.html.index(f'id="field-{wrong}"') if f'id="field-{wrong}"' in answer.html else -1
        assert at > 0 and 'aria-invalid="true"' in answer.html[at : at + 600], (action, wrong)
        held = [value for name, value in answer.form(f"/{action}")["fields"] if name == wrong]
        assert not held or wrong in ("on", "reason_code", "type") or held == [typed.get(wrong, "")]  # still there


async def test_nothing_that_would_change_is_said_and_not_proposed(house: House) -> None:
    desk = await Desk.stopped(house, "activateFiber", BAD_ADDRESS)
    seat = await Seat.of(desk)
    form = await seat.opened("correct_data")
    answer = Page(await seat.send(form, "/preview/correct_data", {"reason_code": "typing_error", "reason": "r"}))
    assert answer.status == 422 and "name the fields to correct" in answer.text


async def test_who_may_not_is_told_which_role_may(house: House) -> None:
    desk = await Desk.stopped(house, "activateFiber", BAD_ADDRESS)
    seat = await Seat.of(desk, "support")
    page = await seat.look()
    assert "/do/" not in page.html and "Repair agent" in page.part("case-refused")
    for action in ("assign", "retry", "evidence", "note", "cancel_item"):
        opened = await seat.opened(action)
        assert (opened.status == 403 and "Repair agent" in opened.text) or "fallout-manager" in opened.text
        sent = Page(await seat.post(f"{seat.at}/do/{action}", {"version": "1", "key": "k", "note": "n"}))
        assert sent.status in (403, 422), (action, sent.status)
    assert (await desk.view())["corrections"] == []


async def test_a_refused_action_opens_no_form_and_says_its_rule(house: House) -> None:
    desk = await Desk.stopped(house, "activateFiber", LOST)
    seat = await Seat.of(desk)
    view = await desk.view()
    assert len(view["refused_actions"]) > 5
    for one in view["refused_actions"]:
        page = await seat.opened(one["action"])
        assert page.status in (403, 409) and one["rule"] in page.text and one["because"] in page.text
        assert "case-form" not in page.ids


async def test_a_proposal_whose_second_half_was_refused_stands_and_says_so(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = await Desk.stopped(house, "activateFiber", BAD_ADDRESS)
    seat = await Seat.of(desk, "repair-agent")
    form = await seat.opened("retry")
    applied, hold = repair.apply, "UPDATE task SET lease = $2 WHERE order_id = $1 AND state = 'FAILED'"

    async def after_a_worker_took_it(*args: Any, **more: Any) -> Any:
        await house.owner.execute(hold, desk.order["id"], house.clock())
        return await applied(*args, **more)

    monkeypatch.setattr(repair, "apply", after_a_worker_took_it)  # the moment between the two commands
    page = Page(await seat.send(form, "/do/retry", WHY))
    monkeypatch.undo()
    assert page.status == 403
    assert "The correction is proposed and stands" in page.text and "being called right now" in page.text
    assert (await desk.view())["state"] == "CORRECTION_PROPOSED"
    await house.owner.execute(hold, desk.order["id"], None)
    assert "It is on its way again" in (await seat.does("apply")).text


async def test_a_proposed_correction_is_shown_applied_or_turned_down(house: House) -> None:
    desk = await Desk.stopped(house, "activateFiber", BAD_ADDRESS)
    seat = await Seat.of(desk)
    await desk.propose("correct_data", fields={"speed": "50 Mbit/s"})
    page = await seat.opened("apply")
    assert "100 Mbit/s" in page.part("case-preview") and "50 Mbit/s" in page.part("case-preview")
    assert "turned down" in (await seat.does("reject", {"reason": "not agreed"})).text
    await desk.propose("correct_data", fields={"speed": "50 Mbit/s"})
    assert "The data is corrected" in (await seat.does("apply")).text


async def test_the_life_of_a_case_by_forms(house: House) -> None:
    order = await house.place(item("1", "fiber-internet", address="Jl. 1", speed="100 Mbit/s"))
    desk = Desk(house, order, order["relatedParty"][0]["id"])
    house.targets.will(desk.customer, "activateFiber", refused("TERMINAL"))
    await house.work()
    case = await house.case_of(order["id"])
    desk.at = f"/api/v1/fallout-cases/{case['id']}"
    seat = Seat(house, case["number"], "fallout-manager")
    steps: list[tuple[str, dict[str, str], str]] = [
        ("assign", {}, "ASSIGNED"), ("start", {}, "IN_PROGRESS"), ("note", {"note": "two\r\nlines"}, "IN_PROGRESS"),
        ("wait", {"on": "CUSTOMER", "note": "asked"}, "WAITING_CUSTOMER"), ("continue", {"note": "answered"}, "IN_PROGRESS"),
        ("escalate", {"to": "the network", "reason": "hurry"}, "IN_PROGRESS"), ("release", {"note": "shift ends"}, "QUEUED"),
        ("assign", {"to": "me"}, "ASSIGNED"), ("start", {}, "IN_PROGRESS"),
        ("evidence", {"type": "document", "source": "portal", "content": "agreed", "proves_resolution": "true"}, "IN_PROGRESS"),
        ("verify", {}, "VERIFYING"), ("resolve", {"way": "cancel:CANCEL_ITEM"}, "RESOLVED_CANCEL"), ("close", {}, "CLOSED"),
        ("reopen", {"reason": "it came back"}, "QUEUED"),
    ]  # fmt: skip
    for action, typed, state in steps:
        page = await seat.does(action, typed)
        assert f'data-case-state="{state}"' in page.html, (action, state)
    notes = [e["data"]["text"] for e in (await desk.view())["timeline"] if e["type"].endswith("noted")]
    assert notes == ["two\nlines"]


async def test_a_file_is_attached_and_comes_back_as_it_was(house: House) -> None:
    desk = await Desk.stopped(house, "activateFiber", BAD_ADDRESS)
    seat = await Seat.of(desk)
    form = (await seat.opened("evidence")).form("/do/evidence")
    assert form["enctype"] == "multipart/form-data" and "file" in form["names"]
    held = dict(form["fields"]) | {"type": "screenshot", "source": "portal", "content": ""}
    data = b"\x89PNG\r\n\x1a\n<script>"
    parts = [f'--b\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n'.encode() for n, v in held.items()]
    parts.append(
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.html"\r\nContent-Type: text/html\r\n\r\n'
        + data
        + b"\r\n--b--\r\n"
    )
    sent = await seat.house.call(
        "POST",
        f"{seat.at}/do/evidence",
        who="engineer",
        data=b"".join(parts),
        headers={"Content-Type": "multipart/form-data; boundary=b"},
    )
    assert sent.status == 303, Page(sent).text[:1500]
    (piece,) = (await desk.view())["evidence"]
    await desk.done("reveal", {"reason": "to read the proof"})
    file = await house.call("GET", f"{seat.at}/evidence/{piece['id']}", who="engineer")
    assert (file.raw, file.headers["Content-Type"]) == (data, "application/octet-stream")
    assert file.headers["X-Content-Type-Options"] == "nosniff" and "attachment" in file.headers["Content-Disposition"]
    assert (await house.call("GET", f"{seat.at}/evidence/{desk.order['id']}", who="engineer")).status == 404


STRANGE = [
    ([("version", "x"), ("note", "n")], 428, "which version"), ([("note", "n"), ("key", "k")], 428, "which version"),
    ([("version", "1"), ("version", "2"), ("note", "n")], 422, "given twice"), ([("version", "1"), ("colour", "red")], 422, "not known"),
    ([("version", "999999"), ("note", "n")], 412, "changed while"), ([("version", "1"), ("note", "n"), ("key", "k k")], 422, "none of ours"),
    ([("version", "1"), ("note", "a\x00b")], 422, "printable"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "status", "says"), STRANGE)
async def test_what_is_no_form_of_ours_is_refused_in_words(house: House, fields: Any, status: int, says: str) -> None:
    desk = await Desk.stopped(house, "activateFiber", BAD_ADDRESS)
    seat = await Seat.of(desk)
    answer = Page(await seat.post(f"{seat.at}/do/note", fields))
    assert answer.status == status and says in answer.text, answer.text[:1500]
    assert not any(e["type"].endswith("noted") for e in (await desk.view())["timeline"])


@pytest.mark.parametrize("data", [b"\xff\xfe", b"%zz", b"a=%ff", b"&".join(b"a%d=1" % n for n in range(300))])
async def test_bytes_that_are_no_form(house: House, data: bytes) -> None:
    desk = await Desk.stopped(house, "activateFiber", BAD_ADDRESS)
    seat = await Seat.of(desk)
    for kind in ("application/x-www-form-urlencoded", "multipart/form-data; boundary=b", "text/plain", ""):
        answer = await house.call("POST", f"{seat.at}/do/note", data=data, headers={"Content-Type": kind})
        assert 400 <= answer.status < 500, (kind, answer.status)
        assert b"case-next" in answer.raw  # still the page of the case


async def test_an_action_or_a_case_that_is_not_there(house: House) -> None:
    desk = await Desk.stopped(house, "activateFiber", BAD_ADDRESS)
    seat = await Seat.of(desk)
    for path in (
        f"{seat.at}/do/patch",
        f"{seat.at}/preview/patch",
        "/cases/FC-999999/do/note",
        f"{seat.at}/do/%3Cscript%3E",
    ):
        answer = await seat.post(path, {"version": "1"})
        assert answer.status == 404 and b"<script>" not in answer.raw
    assert (await seat.look("/cases/FC-999999")).status == 404


async def test_what_was_typed_is_kept_but_what_is_hidden_is_not_put_into_it(house: House) -> None:
    desk = await Desk.stopped(house, "activateFiber", BAD_ADDRESS)
    seat = await Seat.of(desk)
    form = await seat.opened("correct_data")
    assert "Jl. Merdeka" not in form.html and f"Now: {HIDDEN}" in form.text and "Now: 100 Mbit/s" in form.text
    assert re.search(r'maxlength="200"', form.html)
