"""The protocol of the native API: what is read, what is refused and how, and what is not there yet."""

import asyncio
import json
from typing import Any

import pytest
from web_lab import CASES, TOKENS, House, fiber, refused

from unstuck.web.api.not_built import waiting
from unstuck.web.faults import faults
from unstuck.web.openapi import operations
from unstuck.web.protocol import WORDS

LATER = "018f0000-0000-7000-8000-000000000000"
PREVIEW = f"{CASES}/{LATER}/corrections/preview"
NEW = {"action": "retry", "reason_code": "cause_fixed", "reason": "r"}


async def a_case(house: House) -> Any:
    placed = await house.place(fiber())
    house.targets.will(placed["relatedParty"][0]["id"], "activateFiber", refused("TERMINAL"))
    await house.work()
    return await house.case_of(placed["id"])


@pytest.mark.parametrize(
    "given", ["text/plain", "application/x-www-form-urlencoded", "multipart/mixed; boundary=x", "application/jsonl", "", "json",
              "application/json; charset=latin-1", 'application/json;charset="utf-16"', "application/xml, application/json"]
)  # fmt: skip
async def test_another_content_type_is_another_language(house: House, given: str) -> None:
    for path in (f"{CASES}/{LATER}/notes", PREVIEW, f"{CASES}/{LATER}/evidence"):
        answer = await house.call("POST", path, data=b'{"note": "n"}', headers={"Content-Type": given}, version=1)
        assert (answer.status, answer.rule) == (415, "media-type"), answer.raw
        assert "application/json" in answer.json["detail"]


@pytest.mark.parametrize(
    "given", ["application/json; charset=utf-8", 'APPLICATION/JSON;charset="UTF-8"', "application/json ; v=1"]
)
async def test_json_is_json_however_it_is_written(house: House, given: str) -> None:
    answer = await house.call("POST", PREVIEW, data=json.dumps(NEW).encode(), headers={"Content-Type": given})
    assert (answer.status, answer.rule) == (404, "not-found")


NOT_JSON = [
    b"{", b"\xff", b"\xef\xbb\xbf{}", b'{"reason": "\xff"}', b'{"reason": "\\ud800"}', b'{"x": NaN}', b'{"x": Infinity}', b'{"x": 1e400}',
    b'{"input": {"x": 1e400}}', b"[" * 100_000, b'{"input":' * 5000 + b"1" + b"}" * 5000, b"{} {}", b"{'a': 1}", b'{"a": 01}',
    "{}".encode("utf-16"), b'{"reason": "a\nb"}', b"\x00", b'{"a": "\x00"}',
]  # fmt: skip


@pytest.mark.parametrize("data", NOT_JSON, ids=lambda data: repr(data[:24]))
async def test_what_is_no_json_is_unparsable(house: House, data: bytes) -> None:
    answer = await house.call("POST", PREVIEW, data=data)
    assert (answer.status, answer.rule) == (400, "not-json"), answer.raw


TWICE = [
    (b'{"action": "retry", "action": "read_back", "reason_code": "x", "reason": "r"}', "/action"),
    (b'{"action": "retry", "reason_code": "x", "reason": "r", "input": {"a/b": 1, "a/b": 1}}', "/a~1b"),
    (b'{"nobody": 1, "nobody": 1}', "/nobody"), (b'[{"a": 1, "\\u0061": 2}]', "/a"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "pointer"), TWICE, ids=lambda value: str(value)[:20])
async def test_a_name_given_twice_could_mean_either_and_is_refused(house: House, data: bytes, pointer: str) -> None:
    answer = await house.call("POST", PREVIEW, data=data)
    assert (answer.status, answer.rule) == (400, "one-name-once"), answer.raw
    assert answer.json["detail"].startswith(f"{pointer} is given twice")


async def test_everything_wrong_is_told_at_once(house: House) -> None:
    body = {"type": "rumour", "content": "", "corrects": "x", "proves_resolution": "yes", "captured_by": "me", "a/~": 1}
    answer = await house.call("POST", f"{CASES}/{LATER}/evidence", body, version=1)
    assert (answer.status, answer.rule) == (422, "valid-input")
    assert sorted(answer.pointers) == sorted(
        ["/type", "/source", "/content", "/corrects", "/proves_resolution", "/captured_by", "/a~1~0"]
    )
    told = {error["pointer"]: error["detail"] for error in answer.json["errors"]}
    assert told["/source"] == "is missing" and told["/type"].startswith("one of screenshot, vendor_request")
    assert told["/captured_by"].startswith("is not known here; there are type, source")


async def test_items_are_counted_from_zero(house: House) -> None:
    body = {"evidence": [LATER, "x", 7, LATER, None], "note": 1}
    answer = await house.call("POST", f"{CASES}/{LATER}/verify", body, version=1)
    assert answer.pointers == ["/evidence/1", "/evidence/2", "/evidence/4", "/note"]


def test_of_more_than_can_be_shown_the_first_are() -> None:
    assert len(list(faults(["x"] * 5000, list[int]))) == 5000


async def test_a_flood_of_faults_is_cut(house: House) -> None:
    answer = await house.call("POST", f"{CASES}/{LATER}/verify", {"evidence": ["x"] * 400}, version=1)
    assert answer.status == 422 and len(answer.pointers) == 100


async def test_5_and_5_point_0_are_the_same_number(house: House) -> None:
    data = b'{"heartbeat_s": 300.0}'
    answer = await house.call("PUT", "/api/v1/sources/pointless", data=data, who="admin")
    assert (answer.status, answer.json["heartbeat_s"]) == (201, 300), answer.raw
    assert (await house.call("PUT", "/api/v1/sources/pointed", {"heartbeat_s": 0.5}, who="admin")).status == 422


@pytest.mark.parametrize("text", ["  \n\t ", "a\x1bb", "\u202eevil", "a\u2028b", "x" * 4001, ""])
async def test_words_are_words(house: House, text: str) -> None:
    answer = await house.call("POST", f"{CASES}/{LATER}/notes", {"note": text}, version=1)
    assert (answer.status, answer.pointers) == (422, ["/note"])
    assert answer.json["errors"][0]["detail"] == "1 to 4000 printable characters"


@pytest.mark.parametrize(
    "text", ["früh", "two\nlines\n", " \tindented", "漢字", "🏳️‍🌈", "नमस्ते", "'; DROP TABLE", "a\u00a0b", "x" * 4000]
)
async def test_words_of_any_people_are_words(house: House, text: str) -> None:
    case = await a_case(house)
    answer = await house.call("POST", f"{CASES}/{case['id']}/notes", {"note": text}, version=case["version"])
    assert answer.status == 200, answer.raw
    shown = await house.get(f"{CASES}/{case['id']}")
    assert shown["timeline"][-1]["data"]["text"] == text


def test_reading_words_takes_no_longer_for_being_hostile() -> None:
    """Against a pattern that walks back and forth this would take minutes."""
    assert "(" not in WORDS.replace("(?", "") and WORDS.count("*") == 2


async def test_too_large_is_said_while_it_is_being_sent(house: House) -> None:
    """The answer comes long before the end of what was announced."""
    host, port = house.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = (
        f"POST {PREVIEW} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKENS['engineer']}\r\n"
        "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    writer.write(head.encode())
    chunk = b"%x\r\n" % 1_000_000 + b" " * 1_000_000 + b"\r\n"
    sent = 0
    answer = asyncio.create_task(reader.readuntil(b"\r\n"))
    while not answer.done() and sent < 100:
        writer.write(chunk)
        sent += 1
        await asyncio.sleep(0)
        await asyncio.wait_for(writer.drain(), 10)
    assert (await asyncio.wait_for(answer, 10)).startswith(b"HTTP/1.1 413"), await answer
    assert sent < 100
    writer.close()


async def test_what_is_there_but_not_yours_says_so_and_what_is_not_there_does_not(house: House) -> None:
    case = await a_case(house)
    for who, status in (("support", 403), ("repair-agent", 200)):
        answer = await house.call(
            "POST", f"{CASES}/{case['id']}/notes", {"note": "n"}, who=who, version=case["version"]
        )
        assert answer.status == status
    assert (await house.call("GET", f"{CASES}/{LATER}", who="support")).status == 404


@pytest.mark.parametrize("line", list(waiting()), ids=lambda line: line[1])
async def test_what_is_not_built_says_what_it_waits_for(house: House, line: Any) -> None:
    methods, path, row, why = line
    filled = "/api/v1" + path.replace("{id}", LATER).replace("{name}", LATER).replace("{cid}", LATER).replace(
        "{rest}", "a/b"
    )
    for method in methods:
        assert (await house.call(method, filled, who=None)).status == 401
        answer = await house.call(method, filled, who="finance", data=b"{}" if method == "POST" else None)
        assert (answer.status, answer.rule) == (501, "not-built")
        assert row in answer.json["detail"] and why in answer.json["detail"]
        assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_row_that_is_built_has_left_the_table(house: House) -> None:
    built = {(one.method, one.path) for one in operations(house.app._app) if not one.says("hidden")}
    waits = {(method, "/api/v1" + path) for methods, path, _, _ in waiting() for method in methods}
    assert not built & waits


@pytest.mark.parametrize("query", ["limit=x", "limit=0", "limit=", "limit=1.5"])
async def test_a_parameter_that_cannot_be_is_pointed_at(house: House, query: str) -> None:
    for path in (CASES, "/api/v1/orders"):
        answer = await house.call("GET", f"{path}?{query}")
        assert (answer.status, answer.pointers) == (422, ["/limit"]), answer.raw
