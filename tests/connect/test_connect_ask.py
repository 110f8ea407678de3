"""What a target can say when it is asked: found, absent, or no answer; doubt is never an absence."""

import socket

import pytest
from aiohttp import web
from target_lab import NOW, call, connector, raw, target

from unstuck.connect.http import BODY_LIMIT
from unstuck.repair.outcome import CallKind, Outcome, Result


async def asked(status: int, body: bytes, **changes: object) -> Outcome:
    async with target(web.Response(status=status, body=body)) as there, connector(there.url) as us:
        return await us.ask(call(kind=CallKind.ASK, **changes))


async def test_one_effect_is_found_with_its_reference() -> None:
    body = b'{"count": 1, "effects": [{"reference": "R-9", "x": 1.5}]}'
    outcome = await asked(200, body)
    assert (outcome.result, outcome.effects, outcome.reference, outcome.body) == (Result.FOUND, 1, "R-9", body)
    assert outcome.at == NOW


async def test_two_effects_are_counted() -> None:
    outcome = await asked(200, b'{"count": 2, "effects": [{"reference": "R-9"}, {}]}')
    assert (outcome.result, outcome.effects) == (Result.FOUND, 2)


async def test_none_is_absent() -> None:
    outcome = await asked(200, b'{"count": 0, "effects": []}')
    assert (outcome.result, outcome.effects, outcome.reference) == (Result.ABSENT, 0, "")


NO_ANSWER = [
    b"", b"{}", b"[]", b"null", b"<html>", b'{"count":', b'{"count": "0"}', b'{"count": null}', b'{"count": 0.5}',
    b'{"count": -1}', b'{"count": 0, "effects": [{"reference": "R-1"}]}', b'{"effects": []}', b"\xff", b"[" * 100_000,
    b'{"count": 1, "effects": {"reference": "R"}}', b'{"count": 0, "effects": [null]}', b'{"count": ' + b"9" * 5000 + b"}",
]  # fmt: skip


@pytest.mark.parametrize("body", NO_ANSWER, ids=lambda body: repr(body[:40]))
async def test_what_cannot_be_understood_is_no_answer_and_kept(body: bytes) -> None:
    outcome = await asked(200, body)
    assert (outcome.result, outcome.code, outcome.body) == (Result.SILENT, "UNREADABLE_REPLY", body)


@pytest.mark.parametrize("status", [201, 204, 302, 400, 401, 404, 410, 429, 500, 503])
async def test_only_a_200_is_an_answer(status: int) -> None:
    outcome = await asked(status, b"" if status == 204 else b'{"count": 0, "effects": []}')
    assert (outcome.result, outcome.status, outcome.code) == (Result.SILENT, status, f"HTTP_{status}")


@pytest.mark.parametrize(
    "reference", [b'"a\\u0000b"', b'{"x": 1}', b"7", b"null", b'"' + b"y" * 5000 + b'"'], ids=lambda b: repr(b[:20])
)
async def test_a_hostile_reference_is_made_harmless(reference: bytes) -> None:
    outcome = await asked(200, b'{"count": 1, "effects": [{"reference": ' + reference + b"}]}")
    assert outcome.result is Result.FOUND
    assert outcome.reference.isprintable() and len(outcome.reference) <= 200
    assert reference != b"null" or outcome.reference == ""


async def test_a_huge_answer_is_no_answer() -> None:
    outcome = await asked(200, b'{"count": 0, "effects": [' + b" " * (2 * BODY_LIMIT) + b"]}")
    assert (outcome.result, len(outcome.body)) == (Result.SILENT, BODY_LIMIT)


@pytest.mark.parametrize("says", [b"", b"\x00\x00", b'HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{"count": 0,'])
async def test_a_broken_answer_is_no_answer(says: bytes) -> None:
    async with raw(says) as there, connector(there.url) as us:
        outcome = await us.ask(call())
    assert (outcome.result, outcome.code) == (Result.SILENT, "NO_ANSWER")


async def test_a_slow_answer_is_no_answer() -> None:
    async with raw(b"", then_waits=True) as there, connector(there.url) as us:
        outcome = await us.ask(call(reply_s=0.2))
    assert (outcome.result, outcome.code, outcome.message) == (Result.SILENT, "NO_ANSWER", "TimeoutError")


async def test_nobody_there_is_no_answer() -> None:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        async with connector(f"http://127.0.0.1:{door.getsockname()[1]}") as us:
            assert (await us.ask(call())).result is Result.SILENT


async def test_a_target_that_keeps_our_key_is_asked_by_it() -> None:
    async with target(web.Response(body=b'{"count":0}')) as there, connector(there.url) as us:
        await us.ask(call(key="ö/1&x=2"))
    assert there.seen[0].method == "GET"
    assert there.seen[0].path == "/effects?operation=activateFiber&key=%C3%B6/1%26x%3D2"


async def test_any_other_is_asked_by_what_the_command_was_about() -> None:
    async with target(web.Response(body=b'{"count":0}')) as there, connector(there.url) as us:
        await us.ask(call(may_query_key=False))
    assert there.seen[0].path == "/effects?operation=activateFiber&customer=C-1&service=fiber&item=1"


@pytest.mark.parametrize("body", [b"{}", b'{"customer":"C-1","item":"1"}', b""])
async def test_a_command_that_cannot_be_told_from_others_is_not_asked_about(body: bytes) -> None:
    async with target(web.Response(body=b'{"count":5}')) as there, connector(there.url) as us:
        outcome = await us.ask(call(may_query_key=False, body=body))
    assert (outcome.result, outcome.code) == (Result.SILENT, "NOTHING_TO_ASK_BY")
    assert there.seen == []
