"""Evidence: kept by digest, never changed, never rendered, refused when it is no longer what it was."""

import base64
import os
from typing import Any

import pytest
from web_lab import CASES, Answer, House, digest, fiber, refused

LATER = "018f0000-0000-7000-8000-000000000000"
MAIL = {"type": "vendor_request", "source": "vendor portal", "content": "done by hand"}


@pytest.fixture(scope="module")
async def case(house: House) -> Any:
    return await a_case(house)


async def a_case(house: House) -> Any:
    placed = await house.place(fiber())
    house.targets.will(placed["relatedParty"][0]["id"], "activateFiber", refused("TERMINAL"))
    await house.work()
    return await house.case_of(placed["id"])


async def attach(house: House, case: Any, body: Any, **more: Any) -> Answer:
    """Attach to the case as it is now, unless a version is given."""
    version = (await house.get(f"{CASES}/{case['id']}"))["version"]
    return await house.call("POST", f"{CASES}/{case['id']}/evidence", body, **{"version": version, **more})


async def given(house: House, case: Any, kept: Any) -> Answer:
    """The file, given to somebody who has said why they must see it."""
    await house.call("POST", f"{CASES}/{case['id']}/reveal", {"reason": "to read the proof"})
    return await house.call("GET", f"{CASES}/{case['id']}/evidence/{kept['id']}")


async def test_what_was_attached_comes_back_byte_by_byte(house: House, case: Any) -> None:
    data = b"<script>alert(1)</script>\x00\xff" + os.urandom(1000)
    body = {
        "type": "screenshot",
        "source": "desk",
        "content_base64": base64.b64encode(data).decode(),
        "media_type": "text/html",
    }
    answer = await attach(house, case, {**body, "proves_resolution": True, "customer_visible": True})
    assert answer.status == 201
    kept = answer.json["evidence"]
    assert (kept["sha256"], kept["size"], kept["media_type"]) == (digest(data), len(data), "text/html")
    assert (kept["captured_by"], kept["proves_resolution"], kept["customer_visible"], kept["says"]) == (
        "the repair-agent",
        True,
        True,
        "",
    )
    shown = await given(house, case, kept)
    assert (shown.status, shown.raw) == (200, data)
    assert shown.headers["Content-Type"] == "application/octet-stream"
    assert shown.headers["Content-Disposition"] == f'attachment; filename="{kept["id"]}"'
    assert shown.headers["X-Content-Type-Options"] == "nosniff"
    assert kept in (await house.get(f"{CASES}/{case['id']}"))["evidence"]


async def test_text_is_kept_as_utf8(house: House, case: Any) -> None:
    kept = (await attach(house, case, {**MAIL, "content": "früh\x00\u202e"})).json["evidence"]
    shown = await given(house, case, kept)
    assert shown.raw == "früh\x00\u202e".encode()


async def test_a_person_cannot_say_what_a_read_back_says(house: House, case: Any) -> None:
    answer = await attach(house, case, {**MAIL, "type": "read_back", "says": "found", "proves_resolution": True})
    assert (answer.status, answer.pointers) == (422, ["/says"])
    told = (await attach(house, case, {**MAIL, "type": "read_back", "proves_resolution": True})).json["evidence"]
    assert told["says"] == ""
    assert (await house.get(f"{CASES}/{case['id']}"))["outcome_proven"] == ""


@pytest.mark.parametrize("change", ["edited", "cut", "grown", "emptied", "gone", "a folder"])
async def test_a_file_that_was_tampered_with_is_refused(house: House, case: Any, change: str) -> None:
    kept = (await attach(house, case, {**MAIL, "content": f"to be {change}"})).json["evidence"]
    at = f"{CASES}/{case['id']}/evidence/{kept['id']}"
    path = house.ports.blobs.path(kept["sha256"])
    data = path.read_bytes()
    if change in ("gone", "a folder"):
        path.unlink()
        if change == "a folder":
            path.mkdir()
    else:
        path.write_bytes(
            {"edited": data.replace(b"to", b"TO"), "cut": data[:-1], "grown": data + b" ", "emptied": b""}[change]
        )
    answer = await house.call("GET", at)
    assert answer.status == (503 if change == "a folder" else 404)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert b"to be" not in answer.raw.lower()


async def test_the_rows_of_evidence_cannot_be_changed_either(house: House, case: Any) -> None:
    await attach(house, case, MAIL)
    for statement in ("UPDATE evidence SET sha256 = 'x'", "DELETE FROM evidence"):
        with pytest.raises(Exception, match="append-only"):
            await house.owner.execute(statement)


async def test_evidence_is_read_through_its_own_case_only(house: House, case: Any) -> None:
    other = await a_case(house)
    kept = (await attach(house, case, MAIL)).json["evidence"]
    assert (await house.call("GET", f"{CASES}/{other['id']}/evidence/{kept['id']}")).status == 404
    assert (await house.call("GET", f"{CASES}/{case['id']}/evidence/{LATER}")).status == 404
    assert (await house.call("GET", f"{CASES}/{LATER}/evidence/{kept['id']}")).status == 404


async def test_a_correction_of_evidence_is_of_the_same_case(house: House, case: Any) -> None:
    other = await a_case(house)
    first = (await attach(house, case, MAIL)).json["evidence"]
    second = await attach(house, case, {**MAIL, "content": "better", "corrects": first["id"]})
    assert (second.status, second.json["evidence"]["corrects"]) == (201, first["id"])
    for case_id, corrects in ((other["id"], first["id"]), (case["id"], LATER)):
        answer = await attach(house, {"id": case_id}, {**MAIL, "corrects": corrects})
        assert (answer.status, answer.pointers) == (422, ["/corrects"])


WRONG = [
    ({"type": "rumour"}, "/type"), ({"content": ""}, "/content"), ({"content": None}, "/content"),
    ({"content_base64": "eA=="}, "/content"), ({"content_base64": "not base64!"}, "/content_base64"), ({"source": ""}, "/source"),
    ({"source": "a\x00b"}, "/source"), ({"source": "two\nlines"}, "/source"), ({"source": "x" * 201}, "/source"),
    ({"media_type": "text/\x00"}, "/media_type"), ({"media_type": "a\r\nX: y"}, "/media_type"), ({"media_type": ""}, "/media_type"),
    ({"corrects": "x"}, "/corrects"), ({"proves_resolution": "yes"}, "/proves_resolution"), ({"captured_by": "boss"}, "/captured_by"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "pointer"), WRONG, ids=str)
async def test_wrong_evidence_is_pointed_at(house: House, case: Any, change: dict[str, Any], pointer: str) -> None:
    before = len((await house.get(f"{CASES}/{case['id']}"))["evidence"])
    answer = await attach(house, case, {**MAIL, **change})
    assert (answer.status, answer.rule, answer.pointers) == (422, "valid-input", [pointer])
    assert len((await house.get(f"{CASES}/{case['id']}"))["evidence"]) == before


async def test_evidence_says_which_version_it_is_for(house: House, case: Any) -> None:
    silent = await attach(house, case, MAIL, version=None)
    assert (silent.status, silent.rule) == (428, "if-match-missing")
    assert (await attach(house, case, MAIL, version=1)).status == 412
    now = (await house.get(f"{CASES}/{case['id']}"))["version"]
    answer = await attach(house, case, MAIL, version=now)
    assert (answer.status, answer.json["version"], answer.headers["ETag"]) == (201, now + 1, f'"{now + 1}"')


async def test_all_evidence_of_a_case_is_listed(house: House, case: Any) -> None:
    kept = (await attach(house, case, MAIL)).json["evidence"]
    listed = await house.get(f"{CASES}/{case['id']}/evidence", "support")
    assert (
        listed["evidence"][-1] == kept and listed["evidence"] == (await house.get(f"{CASES}/{case['id']}"))["evidence"]
    )
    assert (await house.call("GET", f"{CASES}/{LATER}/evidence")).status == 404


async def test_too_much_evidence_is_refused(house: House, case: Any) -> None:
    answer = await attach(house, case, {**MAIL, "content": "x" * 10_000_000})
    assert answer.status == 413
