"""What a system says in a sentence is masked like its fields, wherever the sentence is shown; so are TM Forum's answers."""

import asyncio
import json
import sys
from typing import Any
from urllib.parse import quote

import pytest
from case_lab import Seat
from desk_lab import Desk
from web_lab import CASES, PLAY, TMF, TOKENS, House, item, refused

from unstuck.policy.masking import HIDDEN

STREET = "Jl. Rahasia 77"
SAID = "refused: no fiber at jl rahasia, 77 (OLT 4)"
SHOWN = f"refused: no fiber at {HIDDEN} (OLT 4)"
ROLES = (*PLAY, "admin")


async def stopped(house: House) -> Desk:
    """A case whose target repeats the customer's address in its message, in its own spelling."""
    bad = refused("ADDRESS_NOT_SERVICEABLE", SAID)
    home = item("1", "fiber-internet", address=STREET, speed="100 Mbit/s")
    return await Desk.stopped(house, "activateFiber", bad, items=[home])


def secret(raw: bytes) -> bool:
    return "rahasia" in raw.decode().lower()


async def test_no_way_in_shows_a_hidden_value_inside_a_sentence(house: House) -> None:
    desk = await stopped(house)
    view = await desk.view()
    assert (view["raw"]["message"], view["raw_message"], view["hidden"]) == (SHOWN, SHOWN, ["address"])
    order, number = desk.order["id"], view["number"]
    paths = (
        desk.at, f"{CASES}?order_id={order}", f"{CASES}?order_id={order}&fields=raw_message", f"/api/v1/orders/{order}",
        f"/cases/{number}", f"/orders/{order}", "/queue", f"/search.json?q={quote('OLT 4')}",
        f"/search?q={quote('OLT 4')}", f"{TMF}/{order}", f"{TMF}?id={order}", f"/live/cases/{number}",
    )  # fmt: skip
    for role in ROLES:
        for path in paths[:-1]:
            answer = await house.call("GET", path, who=role)
            assert answer.status in (200, 303, 403, 404) and not secret(answer.raw), (role, path)
    assert SHOWN in (await (await Seat.of(desk)).look()).text
    (row,) = (await house.get(f"{CASES}?order_id={order}"))["cases"]
    assert row["raw_message"] == SHOWN


async def test_it_is_found_by_the_words_that_are_shown(house: House) -> None:
    desk = await stopped(house)
    number = (await desk.view())["number"]
    answer = await house.call("GET", f"/search.json?q={quote('no fiber at')}", who="engineer")
    (hits,) = [group["hits"] for group in answer.json["groups"] if group["name"] == "cases"]
    mine = next(hit for hit in hits if hit["name"] == number)
    assert "".join(mine["parts"]) == SHOWN and mine["why"] == "error"


async def test_the_sentence_is_revealed_with_the_rest(house: House) -> None:
    desk = await stopped(house)
    shown = await desk.done("reveal", {"reason": "the customer asks"})
    assert (shown["raw"]["message"], shown["raw_message"], shown["hidden"]) == (SAID, SAID, [])
    assert (await desk.view())["raw"]["message"] == SHOWN


async def test_tm_forum_shows_what_is_sensitive_to_who_sent_it_and_to_nobody_else(house: House) -> None:
    desk = await stopped(house)
    at = f"{TMF}/{desk.order['id']}"
    theirs = await house.call("GET", at, who="integration")
    assert STREET in theirs.raw.decode() and SAID in theirs.raw.decode()
    for role in ROLES:
        order = (await house.call("GET", at, who=role)).json
        told = {c["name"]: c["value"] for c in order["serviceOrderItem"][0]["service"]["serviceCharacteristic"]}
        assert told == {"address": HIDDEN, "speed": "100 Mbit/s"}, role
        assert order["errorMessage"][0]["message"] == SHOWN


async def test_nobody_finds_an_order_by_a_value_that_is_hidden_from_them(house: House) -> None:
    await stopped(house)
    asked = f"{TMF}?serviceOrderItem.service.serviceCharacteristic.value={quote(STREET)}"
    assert len((await house.call("GET", asked, who="integration")).json) >= 1
    assert (await house.call("GET", asked, who="support")).json == []


async def test_a_file_that_is_no_json_is_given_to_who_said_why_and_that_is_on_record(house: House) -> None:
    desk = await stopped(house)
    kept = await desk.proof()
    for role in ROLES:
        answer = await desk.file(kept, role)
        assert (answer.status, answer.rule) == (403, "sensitive-file"), role
        assert "may hold anything" in answer.json["detail"] and b"proof" not in answer.raw
    assert "files" in (await desk.view())["hidden"]
    assert (await desk.do("reveal", {"reason": "curious"}, who="support")).status == 403
    before = (await desk.view())["version"]
    await desk.done("reveal", {"reason": "to check the proof"})
    assert (await desk.file(kept)).raw == b"proof"
    assert (await desk.file(kept, "auditor")).status == 403
    view = await desk.view()
    event = view["timeline"][-1]
    assert (event["type"], event["by"]) == ("unstuck.fallout-case.file-given", "the engineer")
    assert event["data"] == {"evidence": kept} and view["version"] == before
    house.clock.jump(601)
    assert (await desk.file(kept)).status == 403


async def test_attached_files_alone_can_be_revealed(house: House) -> None:
    desk = await Desk.stopped(
        house, "reserve", refused("SKU_OUT_OF_STOCK"), items=[item("1", "wifi-router", model="AX")]
    )
    kept = await desk.proof()
    assert (await desk.view())["hidden"] == ["files"]
    await desk.done("reveal", {"reason": "to check the proof"})
    assert (await desk.file(kept)).raw == b"proof"


async def told(house: House, who: str, *arguments: str) -> tuple[int, str, str]:
    """What the command line says to this person."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "unstuck.cli.main", *arguments, "--url", house.url, "--token", TOKENS[who],
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, out.decode(), err.decode()


async def test_the_command_line_masks_and_reveals_like_the_pages(house: House) -> None:
    desk = await stopped(house)
    number = (await desk.view())["number"]
    code, out, _ = await told(house, "engineer", "case", "show", number)
    assert code == 0 and SHOWN in out and not secret(out.encode())
    code, out, _ = await told(house, "engineer", "case", "reveal", number, "the customer asks")
    assert code == 0 and SAID in out and STREET in out
    event = (await desk.view())["timeline"][-1]
    assert (event["by"], event["data"]["why"]) == ("the engineer", "the customer asks")
    code, out, _ = await told(house, "engineer", "case", "reveal", number, "again", "--json")
    assert json.loads(out)["hidden"] == []


@pytest.mark.parametrize(("who", "why", "says"), [("support", "curious", "Repair agent"), ("engineer", "", "reason")])
async def test_the_command_line_reveals_nothing_to_who_may_not_or_says_no_reason(
    house: House, who: str, why: str, says: str
) -> None:
    desk = await stopped(house)
    number: Any = (await desk.view())["number"]
    code, out, err = await told(house, who, "case", "reveal", number, why)
    assert (code, out) == (1, "") and says in err and not secret(err.encode())
    assert "revealed" not in json.dumps((await desk.view())["timeline"])
