"""Sensitive fields are hidden from everybody, by every way in, until somebody says why; and that is on record."""

import json
from pathlib import Path
from typing import Any

import pytest
from case_lab import Seat
from desk_lab import BAD_ADDRESS, Desk
from web_lab import CASES, LOST, PLAY, House, fiber, item, refused, reply

from unstuck.policy.masking import HIDDEN
from unstuck.repair.outcome import Result
from unstuck.store.checking.audit import verify
from unstuck.store.keys import KeyFiles
from unstuck.store.seal import seal
from unstuck.store.statements import sql

STREET, NEW_STREET, PHONE = "Jl. Rahasia 77", "Jl. Baru 12", "+62215550142"
SECRETS = (STREET, NEW_STREET, PHONE)
LINE = item("1", "phone-line", number=PHONE)
ROLES = (*PLAY, "admin")


def home() -> dict[str, Any]:
    return item("1", "fiber-internet", address=STREET, speed="100 Mbit/s")


def told(text: bytes | str) -> list[str]:
    """Which of the secrets this says."""
    said = text.decode() if isinstance(text, bytes) else text
    return [secret for secret in SECRETS if secret in said]


async def corrected(house: House) -> Desk:
    """A case whose request, reply, correction, read-back and evidence all hold the address."""
    body = json.dumps({"code": "ADDRESS_NOT_SERVICEABLE", "message": "no", "asked": {"Address": STREET}}).encode()
    bad = reply(Result.REFUSED, status=422, code="ADDRESS_NOT_SERVICEABLE", message="no", body=body)
    desk = await Desk.stopped(house, "activateFiber", bad, items=[home()])
    await desk.repair("correct_data", fields={"address": NEW_STREET})
    return desk


async def test_no_way_in_shows_what_is_sensitive(house: House) -> None:
    desk = await corrected(house)
    view = await desk.view()
    paths = [
        desk.at,
        f"{desk.at}/evidence",
        f"/api/v1/orders/{desk.order['id']}",
        f"/cases/{view['number']}",
        "/api/v1/fallout-cases",
    ]
    paths += [f"/cases/{view['number']}/do/{action}" for action in ("correct_data", "resolve", "evidence")]
    for role in ROLES:
        for path in paths:
            answer = await house.call("GET", path, who=role)
            assert answer.status in (200, 403, 409) and told(answer.raw) == [], (role, path, told(answer.raw))
    assert view["hidden"] == ["address"]
    sent = json.loads(view["attempts"][0]["request"])
    assert (sent["address"], sent["speed"]) == (HIDDEN, "100 Mbit/s")
    assert json.loads(view["attempts"][0]["reply"])["asked"] == {"Address": HIDDEN}
    assert view["corrections"][0]["given"] == {"fields": {"address": HIDDEN}}
    assert view["corrections"][0]["preview"]["changes"] == [{"what": "address", "before": HIDDEN, "after": HIDDEN}]
    assert json.loads(view["raw"]["body"])["asked"] == {"Address": HIDDEN}


async def test_previews_and_answers_to_commands_hide_it_too(house: House) -> None:
    desk = await Desk.stopped(house, "activateFiber", BAD_ADDRESS, items=[home()])
    body = {"action": "retry", "reason_code": "cause_fixed", "reason": "r", "input": {}}
    seen = await desk.do("corrections/preview", body)
    assert seen.json["sends"][0]["body"]["address"] == HIDDEN and told(seen.raw) == []
    key = {"Idempotency-Key": "mask-1"}
    version = (await desk.view())["version"]
    proposed = [await desk.do("corrections", body, version=version, headers=key) for _ in range(2)]
    assert [answer.status for answer in proposed] == [201, 201] and told(proposed[0].raw + proposed[1].raw) == []


async def test_a_reveal_shows_it_once_and_is_on_record(house: House) -> None:
    desk = await corrected(house)
    before = await desk.view()
    shown = await desk.do("reveal", {"reason": "the customer asks which street"}, version=None)
    assert shown.status == 200 and told(shown.raw) == [STREET, NEW_STREET] and shown.json["hidden"] == []
    after = await desk.view()
    assert told(json.dumps(after)) == [] and after["version"] == before["version"]  # nobody's decision becomes stale
    event = after["timeline"][-1]
    assert (event["type"], event["by"]) == ("unstuck.fallout-case.revealed", "the engineer")
    assert event["data"] == {"fields": ["address"], "why": "the customer asks which street"}
    kept = await house.owner.fetch("SELECT body FROM idempotency")
    assert told(b"".join(row["body"] for row in kept)) == []


async def test_only_who_may_is_shown_it_and_only_with_a_reason(house: House) -> None:
    desk = await corrected(house)
    for role in set(ROLES) - {"repair-agent", "fallout-manager", "engineer"}:
        answer = await desk.do("reveal", {"reason": "curious"}, who=role)
        assert (answer.status, answer.rule) == (403, "role") and "Repair agent" in answer.json["detail"]
    for body in ({}, {"reason": ""}, {"reason": "x", "fields": ["address"]}):
        assert (await desk.do("reveal", body)).status == 422
    assert "revealed" not in json.dumps((await desk.view())["timeline"])


async def test_where_nothing_is_hidden_nothing_is_revealed(house: House) -> None:
    desk = await Desk.stopped(
        house, "reserve", refused("SKU_OUT_OF_STOCK"), items=[item("1", "wifi-router", model="AX")]
    )
    answer = await desk.do("reveal", {"reason": "r"})
    assert (answer.status, answer.rule) == (409, "nothing-hidden")
    page = await (await Seat.of(desk)).look()
    assert "/do/reveal" not in page.html


async def test_somebody_reveals_so_often_an_hour_and_not_more(house: House) -> None:
    desk = await corrected(house)
    most = house.ports.book.current.document.sensitive.reveals_per_hour
    answers = [await desk.do("reveal", {"reason": "r"}, who="repair-agent") for _ in range(most + 1)]
    assert [answer.status for answer in answers] == [200] * most + [429]
    assert answers[-1].rule == "reveal-limit" and answers[-1].headers["Retry-After"] == "3600"
    assert told(answers[-1].raw) == []
    assert (await desk.do("reveal", {"reason": "r"}, who="fallout-manager")).status == 200  # it is one person's limit
    house.clock.jump(3601)
    assert (await desk.do("reveal", {"reason": "r"}, who="repair-agent")).status == 200


async def test_a_file_that_holds_it_is_given_after_it_was_revealed_and_not_for_ever(house: House) -> None:
    desk = await corrected(house)
    (diff,) = (await desk.view())["evidence"]
    seat = await Seat.of(desk)
    for path in (f"{desk.at}/evidence/{diff['id']}", f"{seat.at}/evidence/{diff['id']}"):
        answer = await house.call("GET", path, who="fallout-manager")
        assert answer.status == 403 and b"sensitive-file" in answer.raw and told(answer.raw) == []
    await desk.do("reveal", {"reason": "for the regulator"}, who="fallout-manager")
    file = await desk.file(diff["id"], "fallout-manager")
    assert told(file.raw) == [STREET, NEW_STREET] and file.headers["Content-Type"] == "application/octet-stream"
    assert (await desk.file(diff["id"], "auditor")).status == 403  # who had it revealed, nobody else
    house.clock.jump(601)
    assert (await desk.file(diff["id"], "fallout-manager")).status == 403


async def test_an_answer_that_is_no_json_is_hidden_whole(house: House) -> None:
    page = f"<html>Bad gateway for {STREET}</html>".encode()
    bad = reply(Result.REFUSED, status=502, code="HTTP_502", message="Bad gateway", body=page)
    desk = await Desk.stopped(house, "activateFiber", bad, items=[fiber()])
    view = await desk.view()
    assert (view["attempts"][0]["reply"], view["raw"]["body"]) == (HIDDEN, HIDDEN)
    assert view["raw"]["message"] == "Bad gateway" and "text" in view["hidden"]
    shown = await desk.done("reveal", {"reason": "to read the error page"})
    assert shown["attempts"][0]["reply"] == page.decode()


async def test_a_callback_hides_it(house: House) -> None:
    desk = await Desk.stopped(house, "activateVoice", refused("TERMINAL"), items=[LINE])
    case = await desk.view()
    body = {
        "key": case["attempts"][0]["key"],
        "id": "e-1",
        "status": "done",
        "reference": "R",
        "subscriber": {"number": PHONE},
    }
    assert (await house.callback(body)).status == 200
    order = await house.get(f"/api/v1/orders/{desk.order['id']}")
    assert json.loads(order["callbacks"][0]["body"])["subscriber"] == {"number": HIDDEN}
    assert told(json.dumps(order)) == [] and order["hidden"] == ["number"]
    page = await (await Seat.of(desk)).look()
    assert told(page.html) == [] and page.html.count(HIDDEN) > 1


async def test_a_read_back_hides_it(house: House) -> None:
    found = json.dumps(
        {"count": 1, "effects": [{"reference": "R-7", "installed": [{"name": "address", "value": STREET}]}]}
    )
    there = reply(Result.FOUND, status=200, reference="R-7", effects=1, body=found.encode())
    desk = await Desk.stopped(house, "activateFiber", LOST, there, items=[home()])
    await desk.repair("query_by_key")
    page = await (await Seat.of(desk)).look()
    assert "R-7" in page.part("case-evidence") and told(page.html) == []


async def test_the_page_shows_it_once_to_who_says_why(house: House) -> None:
    desk = await corrected(house)
    seat = await Seat.of(desk)
    form = await seat.opened("reveal")
    shown = await seat.send(form, "/do/reveal", {"reason": "the customer is on the line"})
    assert shown.status == 200 and told(shown.raw) == [STREET, NEW_STREET]
    assert b"/live/cases/" not in shown.raw  # what is shown once stands still
    assert told((await seat.look()).html) == []
    without = await seat.send(form, "/do/reveal", {"reason": ""})
    assert without.status == 422 and told(without.raw) == [] and b'aria-invalid="true"' in without.raw


@pytest.mark.parametrize("who", ["support", "auditor"])
async def test_who_may_not_is_not_offered_it(house: House, who: str) -> None:
    desk = await corrected(house)
    seat = await Seat.of(desk, who)
    assert "/do/reveal" not in (await seat.look()).html
    answer = await house.call("GET", f"{seat.at}/do/reveal", who=who)
    assert answer.status == 403 and b"Repair agent" in answer.raw
    posted = await seat.post(f"{seat.at}/do/reveal", {"reason": "curious", "version": "1", "key": "k"})
    assert posted.status == 403 and told(posted.raw) == []


async def test_lists_and_what_goes_out_never_had_it(house: House) -> None:
    desk = await corrected(house)
    rows = await house.call("GET", f"{CASES}?order_id={desk.order['id']}")
    assert told(rows.raw) == []


async def test_the_audit_still_adds_up_after_somebody_looked(house: House, tmp_path: Path) -> None:
    desk = await corrected(house)
    await desk.done("reveal", {"reason": "the customer asks"})
    keys = KeyFiles("masked", tmp_path / "signing.key")
    while await seal(house.ports.store.pool, keys, house.clock(), None):
        pass
    report = await verify(
        house.ports.store.pool,
        house.ports.blobs,
        verifier_keys=keys.verifiers(),
        checkpoints_elsewhere=(),
        progress=lambda *_: None,
    )
    assert report.ok and report.events > 0, report.findings[:5]


async def test_who_looked_lately_is_found_without_reading_the_history(house: House) -> None:
    async with house.owner.transaction():
        await house.owner.execute("SET LOCAL enable_seqscan = off")
        for name, given in (
            ("look_reveals", ("x", house.clock())),
            ("look_revealed", (house.ports.new_id(), "x", house.clock())),
        ):
            lines = await house.owner.fetch(f"EXPLAIN {sql(name)}", *given)
            assert any("event_revealed" in line[0] or "event_pkey" in line[0] for line in lines), lines
