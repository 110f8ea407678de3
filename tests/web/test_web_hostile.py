"""The door under systems and pages that mean no good: heads without end, times beyond the calendar, texts that explode."""

import asyncio
import json
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import quote

import pytest
from desk_lab import Desk
from pages_lab import browser, person, sign_in
from test_web_sessions import beats, ended
from test_web_sign_in import DEMO, WRONG
from web_lab import CASES, SECRET, TMF, TOKENS, House, fiber, item, opened, order, refused, served

from unstuck.kernel.person import TRIES_OF_AN_ADDRESS, network
from unstuck.service.access import people
from unstuck.service.events_out import stream
from unstuck.web import wire
from unstuck.web.pages.case_file.case_parts import SPACED, pretty
from unstuck.web.server import build
from unstuck.web.site import Site

FIRST, LAST = "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"
BEYOND = (FIRST, LAST, "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59")


async def _said(house: House, data: bytes) -> bytes:
    """What comes back on a connection that says this and then nothing, until it is closed."""
    host, port = house.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(data)
    try:
        async with asyncio.timeout(5):
            return await reader.read()
    finally:
        writer.close()


async def test_a_head_without_end_is_given_up(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "HEAD_LIMIT", 1000)
    host, port = house.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /healthz HTTP/1.1\r\nX: ")
    with pytest.raises(ConnectionError):
        for _ in range(1000):
            writer.write(b"a" * 1000)
            await writer.drain()
            await asyncio.sleep(0)
    writer.close()
    assert (await house.call("GET", "/healthz", who=None, headers={"X-Long": "a" * 5000})).status == 200
    del reader


HALF = b"GET /healthz HTTP/1.1\r\nX: a"
WHOLE = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize(("sent", "answers"), [(b"", 0), (b"\r\n", 0), (HALF, 1), (WHOLE + HALF, 2)])
async def test_who_sends_no_whole_head_is_not_waited_for(
    house: House, monkeypatch: pytest.MonkeyPatch, sent: bytes, answers: int
) -> None:
    monkeypatch.setattr(wire, "HEAD_S", 0.2)
    said = await _said(house, sent)
    assert (said.count(b"HTTP/1.1 "), b"did not come in time" in said) == (answers, HALF in sent)


async def test_a_stream_outlives_the_time_of_its_head(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "HEAD_S", 0.1)
    app = build(house.ports, callback_secret=SECRET, body_limit=1_000_000, beat_s=0.3)
    headers = {"Authorization": f"Bearer {TOKENS['engineer']}"}
    async with served(app) as url, house.client.get(url + "/live/queue", headers=headers) as heard:
        await beats(heard)
        await beats(heard)


@pytest.mark.parametrize("host", ["a:99999", "localhost:abc", "[", "[::1"])
@pytest.mark.parametrize("path", ["/sign-in", "/no-such-page", "/api/v1/orders"])
async def test_a_host_that_is_none_breaks_no_answer(house: House, path: str, host: str) -> None:
    head = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    answer = await _said(house, head.encode())
    assert int(answer.split()[1]) in (200, 401, 404)
    assert b"content-security-policy" in answer and b"x-trace-id" in answer


@pytest.mark.parametrize("at", BEYOND)
@pytest.mark.parametrize(
    "path", [f"{CASES}?detected_after=", "/api/v1/orders?received_before=", "/queue?since=", "/orders?received_after="]
)
async def test_a_list_is_not_asked_for_times_that_cannot_be_kept(house: House, path: str, at: str) -> None:
    answer = await house.call("GET", path + at.replace("+", "%2B"), who="engineer")
    assert (answer.status, b"between the years 1 and 9999" in answer.raw) == (422, True)


@pytest.mark.parametrize("at", BEYOND)
async def test_no_order_makes_the_list_of_orders_unreadable(house: House, at: str) -> None:
    sent = json.dumps(order(fiber(), requestedCompletionDate=at)).encode()
    answer = await house.submit(sent)
    assert (answer.status, "requestedCompletionDate" in answer.json["message"]) == (400, True)
    assert len(await house.kept(sent)) == 1
    for path in ("/orders", "/api/v1/orders", f"{TMF}?serviceOrderItem.id=1"):
        assert (await house.call("GET", path, who="engineer")).status == 200


@pytest.mark.parametrize("charset", ["none-of-these", "zip", "punycode", "utf-7"])
async def test_the_charset_of_a_part_is_not_its_senders_to_choose(house: House, charset: str) -> None:
    parts = (
        f'Content-Disposition: form-data; name="type"\r\nContent-Type: text/plain; charset={charset}\r\n\r\ndocument',
        'Content-Disposition: form-data; name="source"\r\n\r\n+ADw-b+AD4-',
        'Content-Disposition: form-data; name="file"; filename="a"\r\nContent-Type: text/plain\r\n\r\nwhat was seen',
    )
    body = ("".join(f"--XX\r\n{part}\r\n" for part in parts) + "--XX--\r\n").encode()
    desk = await Desk.stopped(house, "activateFiber", refused("NO"), items=[fiber()])
    headers = {"Content-Type": "multipart/form-data; boundary=XX"}
    answer = await house.call(
        "POST",
        f"{desk.at}/evidence",
        data=body,
        who="engineer",
        headers=headers,
        version=(await desk.view())["version"],
    )
    assert (answer.status, answer.json["evidence"]["source"]) == (201, "+ADw-b+AD4-")
    async with browser(house) as who, who.post("/sign-in", data=body, headers=headers) as page:
        assert page.status == 422  # a form of other fields; it was read


async def test_one_who_opens_many_streams_leaves_room_for_others(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "OF_ONE", 2)
    async with AsyncExitStack() as open_ones:
        for path in ("/live/queue", "/api/v1/stream"):
            heard = house.client.get(house.url + path, headers={"Authorization": f"Bearer {TOKENS['auditor']}"})
            assert (await open_ones.enter_async_context(heard)).status == 200
        async with asyncio.timeout(5):  # a stream that is not refused has no end
            for path in ("/live/queue", "/api/v1/stream"):
                assert (await house.call("GET", path, who="auditor")).rule == "busy"
        other = house.client.get(f"{house.url}/live/queue", headers={"Authorization": f"Bearer {TOKENS['support']}"})
        assert (await open_ones.enter_async_context(other)).status == 200


async def test_a_stream_ends_with_the_roles_it_was_opened_with(house: House) -> None:
    app = build(house.ports, callback_secret=SECRET, body_limit=1_000_000, beat_s=0.3)
    await person(house, "Demoted", "engineer", "support")
    async with served(app) as url, browser(house, url) as who:
        assert (await sign_in(who, "Demoted")).status == 303
        async with who.get("/live/queue") as heard:
            await beats(heard)
            await people.change_roles(house.ports, "Demoted", ("support",), "the tests")
            assert await ended(heard) < 1
        async with who.get("/live/queue") as again:
            assert again.status == 200  # who may read cases all the same listens on, as who they are now


@pytest.mark.parametrize("text", ["[" * 100_000, "[" * 900 + "1," * 4000 + "1" + "]" * 900, '{"a":' * 3000])
def test_json_of_a_stranger_is_spaced_only_where_that_helps(text: str) -> None:
    assert len(pretty(text)) <= 10 * SPACED


def test_json_of_a_decent_size_is_spaced() -> None:
    assert pretty('{"a":[1]}') == '{\n  "a": [\n    1\n  ]\n}'


async def test_megabytes_of_a_partner_do_not_come_with_every_page(house: House) -> None:
    desk = await Desk.stopped(house, "activateFiber", refused("NO"), items=[fiber()])
    key = (await desk.view())["attempts"][0]["key"]
    for n in range(3):
        body = {"id": f"big-{n}-{key}", "key": key, "status": "done", "address": "Jl. Rahasia", "x": "y" * 5_000_000}
        assert (await house.callback(body)).status == 200
    order = await house.call("GET", f"/api/v1/orders/{desk.order['id']}", who="engineer")
    assert [len(told["body"]) for told in order.json["callbacks"]] == [3, 3, 3]  # hidden: nobody can read what is cut
    shown = await desk.do("reveal", {"reason": "to read what they sent"}, version=None)
    assert shown.status == 200
    page = await house.call("GET", f"/cases/{(await desk.view())['number']}", who="engineer")
    assert (page.status, len(page.raw) < 200_000) == (200, True)


@pytest.mark.parametrize("reason", ["\u200b", "\ufeff \u2060", "\u3164", "\u00ad\u200d"])
async def test_a_reason_that_nobody_can_read_is_none(house: House, reason: str) -> None:
    desk = await Desk.stopped(house, "activateFiber", refused("NO"), items=[fiber()])
    refusal = await desk.do("reveal", {"reason": reason}, version=None)
    assert (refusal.status, refusal.pointers) == (422, ["/reason"])


async def test_a_demo_behind_a_proxy_lets_nobody_in_without_a_password(
    cluster: Any, template: str, tmp_path: Any
) -> None:
    async with opened(cluster, template, tmp_path) as fresh:
        assert await people.make_demo(fresh.ports, DEMO)
        app = build(fresh.ports, callback_secret=SECRET, body_limit=1_000_000, site=Site(demo=True))
        async with served(app) as url, browser(fresh, url, **{"X-Forwarded-For": "198.51.100.7"}) as led:
            async with led.get("/sign-in") as page:
                assert 'value="ana"' not in await page.text()
            async with led.post("/sign-in/demo", data={"demo": "ana"}) as answer:
                assert answer.status == 403


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("198.51.100.7", "198.51.100.7"),
        ("2001:db8:1:2:aaaa::1", "2001:db8:1:2::/64"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
        ("", ""),
        ("no address", "no address"),
    ],
)
def test_tries_are_counted_by_what_one_line_has(address: str, counted: str) -> None:
    assert network(address) == counted


async def test_who_has_all_addresses_of_a_line_guesses_no_more_often(house: House) -> None:
    answers = []
    for n in range(TRIES_OF_AN_ADDRESS + 1):
        async with browser(house, **{"X-Forwarded-For": f"2001:db8:7:7::{n:x}"}) as who:
            answers.append((await sign_in(who, f"nobody {n}", WRONG)).status)
    assert answers == [401] * TRIES_OF_AN_ADDRESS + [429]


async def test_a_search_is_no_way_to_feel_for_what_is_hidden(house: House) -> None:
    street = "Jl. Tertutup 9"
    home = item("1", "fiber-internet", address=street, speed="100 Mbit/s")
    desk = await Desk.stopped(house, "activateFiber", refused("NO_FIBER", f"nothing at {street} today"), items=[home])
    number = (await desk.view())["number"].encode()
    for wanted, finds in (("tertutup", False), ("Jl. Ter", False), (" today", True), ("NO_FIBER", True)):
        asked = quote(wanted.strip())
        for path in (f"/search.json?q={asked}", f"{CASES}?q={asked}&count=true", f"/queue?view=open&q={asked}"):
            answer = await house.call("GET", path, who="support")
            assert (answer.status, number in answer.raw) == (200, finds), (path, answer.raw)
    counted = await house.get(f"{CASES}?q=tertutup&count=true", "support")
    assert (counted["count"], counted["more"]) == (0, False)
