"""What a target can say to a command, and what we make of it: proven done, proven not, or nobody knows."""

import asyncio
import gzip
import json
import socket
import tracemalloc

import pytest
from aiohttp import web
from target_lab import NOW, call, connector, raw, target

from unstuck.connect.http import BODY_LIMIT
from unstuck.repair.outcome import Outcome, Result


def yes() -> bool:
    return True


async def sent(answer: web.Response, **changes: object) -> Outcome:
    """The outcome of one command to a target that answers so."""
    async with target(answer) as there, connector(there.url) as us:
        return await us.send(call(**changes), yes)


def says(status: int, body: bytes = b"{}", **headers: str) -> web.Response:
    return web.Response(status=status, body=body, headers={k.replace("_", "-"): v for k, v in headers.items()})


BY_STATUS = [
    (200, Result.DONE, ""), (201, Result.DONE, ""), (202, Result.ACCEPTED, ""),
    (204, Result.UNKNOWN, "HTTP_204"), (206, Result.UNKNOWN, "HTTP_206"),
    (400, Result.REFUSED, "HTTP_400"), (401, Result.REFUSED, "HTTP_401"), (404, Result.REFUSED, "HTTP_404"),
    (409, Result.REFUSED, "HTTP_409"), (422, Result.REFUSED, "HTTP_422"),
    (408, Result.UNKNOWN, "HTTP_408"), (429, Result.BUSY, "HTTP_429"), (503, Result.BUSY, "HTTP_503"),
    (500, Result.UNKNOWN, "HTTP_500"), (502, Result.UNKNOWN, "HTTP_502"), (504, Result.UNKNOWN, "HTTP_504"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "result", "code"), BY_STATUS)
@pytest.mark.parametrize("body", [b"", b"{}"], ids=["no body", "object"])
async def test_the_status_says_what_is_proven(status: int, result: Result, code: str, body: bytes) -> None:
    outcome = await sent(says(status, b"" if status == 204 else body))
    assert (outcome.result, outcome.status, outcome.code, outcome.at) == (result, status, code, NOW)


PAGES = [b"<html>busy</html>", b"\xff\xfe\x00", b'{"code":', b"[1]", b'"words"', b'{"message":["list"]}']


@pytest.mark.parametrize("body", PAGES, ids=repr)
@pytest.mark.parametrize(("status", "result", "code"), BY_STATUS)
async def test_a_page_instead_of_json_loses_the_words_not_the_status(
    status: int, result: Result, code: str, body: bytes
) -> None:
    if status == 204:
        return
    outcome = await sent(says(status, body))
    unread = status in (200, 201, 202)
    assert outcome.result is (Result.UNKNOWN if unread else result)
    assert outcome.code == ("UNREADABLE_REPLY" if unread else code)
    assert outcome.body == body
    assert outcome.message.isprintable()


async def test_the_targets_words_are_kept_and_the_bytes_as_they_came() -> None:
    body = b'{"reference": "R-1", "code": "OK", "message": "done", "more": [1, {"x": null}]}'
    outcome = await sent(says(201, body))
    assert (outcome.reference, outcome.code, outcome.message, outcome.body) == ("R-1", "OK", "done", body)


@pytest.mark.parametrize("missing", ["reference", "status", "code", "message"])
async def test_a_word_that_is_null_is_a_word_that_is_missing(missing: str) -> None:
    said = {"reference": "R-1", "status": "x", "code": "NOPE", "message": "m", missing: None}
    outcome = await sent(says(422, json.dumps(said).encode()))
    assert outcome.result is Result.REFUSED
    assert outcome.code == ("HTTP_422" if missing == "code" else "NOPE")


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("a\x00b", "a�b"), ("two\r\nlines", "two��lines"), ("\x1b[31mred", "�[31mred"), ("\u202eevil", "�evil"),
        ("x" * 5000, "x" * 499 + "…"),
    ],
    ids=repr,
)  # fmt: skip
async def test_hostile_words_are_made_harmless_and_their_bytes_kept(said: str, shown: str) -> None:
    body = json.dumps({"code": said, "message": said, "reference": said}).encode()
    outcome = await sent(says(422, body))
    assert outcome.message == shown and outcome.body == body
    assert outcome.code[:50] == shown[:50] and len(outcome.code) <= 100 and len(outcome.reference) <= 200
    assert all(text.isprintable() for text in (outcome.code, outcome.message, outcome.reference))


@pytest.mark.parametrize(
    "surrogate", [rb'{"message":"\ud800"}', rb'{"message":"\udc00\ud800"}', b'{"message":"\xed\xa0\x80"}']
)
async def test_a_lone_surrogate_cannot_be_read_and_is_kept(surrogate: bytes) -> None:
    done, no = await sent(says(200, surrogate)), await sent(says(422, surrogate))
    assert (done.result, done.code, done.body) == (Result.UNKNOWN, "UNREADABLE_REPLY", surrogate)
    assert (no.result, no.code, no.body) == (Result.REFUSED, "HTTP_422", surrogate)
    done.message.encode()


@pytest.mark.parametrize(
    "body", [b"[" * 100_000, b'{"a":' * 5_000 + b"1" + b"}" * 5_000, b'{"code":1e999}', b'{"code":' + b"9" * 5000 + b"}"],
    ids=["100,000 deep", "5,000 objects", "1e999", "5,000 digits"],
)  # fmt: skip
async def test_json_that_breaks_readers_is_only_unreadable(body: bytes) -> None:
    outcome = await sent(says(200, body))
    assert (outcome.result, outcome.body) == (Result.UNKNOWN, body)


async def test_a_huge_reply_is_read_to_the_limit_and_no_further() -> None:
    async def pouring(request: web.Request) -> web.StreamResponse:
        reply = web.StreamResponse(status=200)
        await reply.prepare(request)
        try:
            for _ in range(4000):
                await reply.write(b"x" * 65_536)
        except ConnectionError:
            poured.set()
        return reply

    poured = asyncio.Event()
    async with target(pouring) as there, connector(there.url) as us:
        tracemalloc.start()
        outcome = await us.send(call(reply_s=30.0), yes)
        _now, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        await asyncio.wait_for(poured.wait(), 10)  # we hung up: it could not pour all of it
    assert (outcome.result, outcome.status, len(outcome.body)) == (Result.UNKNOWN, 200, BODY_LIMIT)
    assert peak < 16 * BODY_LIMIT


async def test_a_compressed_bomb_is_bounded_too() -> None:
    bomb = gzip.compress(b"x" * 200_000_000, compresslevel=9)
    async with target(says(200, bomb, Content_Encoding="gzip")) as there, connector(there.url) as us:
        tracemalloc.start()
        outcome = await us.send(call(), yes)
        _now, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert outcome.result is Result.UNKNOWN and len(outcome.body) <= BODY_LIMIT
    assert peak < 16 * BODY_LIMIT
    assert there.seen[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    "half",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"reference\":",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        b"HTTP/1.1 422 No\r\nContent-Length: 100\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"",
    ],
    ids=["half body", "half chunk", "half refusal", "half header", "nothing"],
)  # fmt: skip
async def test_half_a_reply_proves_nothing(half: bytes) -> None:
    async with raw(half) as there, connector(there.url) as us:
        outcome = await us.send(call(), yes)
    assert (outcome.result, outcome.code) == (Result.UNKNOWN, "CONNECTION_LOST")


@pytest.mark.parametrize(
    "garbage",
    [b"SSH-2.0-OpenSSH_9.6\r\n", b"\x16\x03\x01\x02\x00\x01", b"HTTP/9.9 abc\r\n\r\n", b"HTTP/1.1 200 OK\r\nA: \x00\r\n\r\n",
     b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n"],
    ids=["ssh", "tls", "version", "NUL in header", "negative length", "huge header"],
)  # fmt: skip
async def test_what_is_no_http_proves_nothing(garbage: bytes) -> None:
    async with raw(garbage) as there, connector(there.url) as us:
        outcome = await us.send(call(), yes)
    assert (outcome.result, outcome.code) == (Result.UNKNOWN, "CONNECTION_LOST")
    assert outcome.message and outcome.message.isprintable()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(status: int) -> None:
    async with target(says(200)) as elsewhere:
        async with target(says(status, Location=f"{elsewhere.url}/effects")) as there, connector(there.url) as us:
            outcome = await us.send(call(), yes)
            asked = await us.ask(call())
    assert (outcome.result, outcome.code) == (Result.UNKNOWN, f"HTTP_{status}")
    assert (asked.result, asked.code) == (Result.SILENT, f"HTTP_{status}")
    assert elsewhere.seen == []


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7.0), ("0", 0.0), ("99999999", 3600.0), ("9" * 500, 3600.0), ("", 0.0), ("soon", 0.0), ("-5", 0.0), ("1.5", 0.0),
     ("²", 0.0), ("٣", 0.0), ("Sat, 14 Mar 2026 09:02:00 GMT", 120.0), ("Sat, 14 Mar 2026 08:00:00 GMT", 0.0),
     ("Sat, 14 Mar 9999 08:00:00 GMT", 3600.0), ("Sat, 99 Mar 2026 08:00:00 GMT", 0.0)],
    ids=lambda value: str(value)[:20],
)  # fmt: skip
@pytest.mark.parametrize("status", [503, 429])
async def test_a_busy_target_says_when_to_come_back(status: int, header: str, seconds: float) -> None:
    outcome = await sent(says(status, b'{"code":"BUSY"}', Retry_After=header))
    assert (outcome.result, outcome.code, outcome.retry_after_s) == (Result.BUSY, "BUSY", seconds)


async def test_a_slow_target_may_have_acted() -> None:
    async with raw(b"", then_waits=True) as there, connector(there.url) as us:
        outcome = await us.send(call(reply_s=0.2), yes)
        await asyncio.wait_for(there.closed.wait(), 5)
    assert (outcome.result, outcome.code) == (Result.UNKNOWN, "TIMEOUT")
    assert b"idempotency-key: o.1.activate.p0.c0" in bytes(there.received).lower()


async def test_a_reply_that_drips_past_its_time_is_a_timeout() -> None:
    async with raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", then_waits=True) as there:
        async with connector(there.url) as us:
            outcome = await us.send(call(reply_s=0.2), yes)
    assert (outcome.result, outcome.code) == (Result.UNKNOWN, "TIMEOUT")


async def test_nobody_there_means_nothing_was_sent() -> None:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        async with connector(f"http://127.0.0.1:{door.getsockname()[1]}") as us:
            outcome = await us.send(call(), yes)
    assert (outcome.result, outcome.code) == (Result.UNSENT, "NOT_CONNECTED")


async def test_a_name_nobody_knows_means_nothing_was_sent() -> None:
    async with connector("http://no-such-target.invalid") as us:
        outcome = await us.send(call(), yes)
    assert (outcome.result, outcome.code) == (Result.UNSENT, "NOT_CONNECTED")


async def test_a_worker_past_its_lease_sends_nothing_and_hangs_up() -> None:
    async with raw(b"", then_waits=True, holds_back=True) as there, connector(there.url) as us:
        outcome = await us.send(call(), lambda: False)
        assert (outcome.result, outcome.code) == (Result.UNSENT, "LEASE_GONE")
        await asyncio.wait_for(there.closed.wait(), 5)  # no connection is left behind
    assert there.received == b""


async def test_a_lease_that_goes_on_a_kept_connection_sends_nothing_and_frees_it() -> None:
    async with target(says(200)) as there, connector(there.url, connections=1) as us:
        assert (await us.send(call(), yes)).result is Result.DONE
        for _ in range(3):
            assert (await us.send(call(), lambda: False)).result is Result.UNSENT
        assert (await us.send(call(reply_s=5.0), yes)).result is Result.DONE
    assert len(there.seen) == 2


async def test_a_command_on_a_kept_connection_that_dies_is_not_written_again() -> None:
    async def once(request: web.Request) -> web.StreamResponse:
        if len(there.seen) > 1 and request.transport is not None:
            request.transport.abort()
        return web.Response(body=b"{}")

    async with target(once) as there, connector(there.url, connections=1) as us:
        assert (await us.send(call(), yes)).result is Result.DONE
        outcome = await us.send(call(), yes)
    assert (outcome.result, outcome.code) == (Result.UNKNOWN, "CONNECTION_LOST")
    assert len(there.seen) == 2


async def test_waiting_for_a_free_connection_is_not_sending() -> None:
    async with raw(b"", then_waits=True) as there, connector(there.url, connections=1) as us:
        first = asyncio.create_task(us.send(call(reply_s=1.0), yes))
        await asyncio.wait_for(there.came.wait(), 5)
        second = await us.send(call(reply_s=0.1), yes)
        assert (second.result, second.code) == (Result.UNSENT, "NOT_CONNECTED")
        assert (await first).result is Result.UNKNOWN
    assert there.connections == 1


async def test_a_command_is_the_same_bytes_under_the_same_key() -> None:
    async with target(says(200)) as there, connector(there.url + "/") as us:
        await us.send(call(), yes)
    (seen,) = there.seen
    assert (seen.method, seen.path, seen.body) == ("POST", "/activateFiber", call().body)
    assert seen.headers["idempotency-key"] == "o.1.activate.p0.c0"
    assert seen.headers["content-type"] == "application/json"
    assert "cookie" not in seen.headers and "authorization" not in seen.headers


async def test_a_cookie_of_a_target_is_not_kept() -> None:
    async with target(says(200, Set_Cookie="a=b")) as there, connector(there.url) as us:
        await us.send(call(), yes)
        await us.send(call(), yes)
    assert [seen.headers.get("cookie") for seen in there.seen] == [None, None]
