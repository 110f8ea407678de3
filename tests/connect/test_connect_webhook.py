"""Webhooks go out signed, and never to an address inside."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web

from unstuck.connect.address import Allowed, allowed, leads_outside, may_call, parsed, require_outside
from unstuck.connect.signature import sign, verify
from unstuck.connect.webhook import HttpWebhooks
from unstuck.kernel.refusal import Invalid, Refused

NOW = datetime(2026, 6, 29, 12, tzinfo=UTC)
LOOPBACK = allowed("127.0.0.0/8")
INSIDE = (
    "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.254", "192.168.1.1", "169.254.169.254",
    "100.64.0.1", "100.100.100.200", "192.0.2.1", "198.18.0.1", "224.0.0.1", "239.255.255.250", "240.0.0.1",
    "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "ff02::1", "fec0::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2002:a9fe:a9fe::1", "2001:0:7f00:1::1", "2001:db8::1",
)  # fmt: skip
OUTSIDE = ("93.184.216.34", "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808")


@asynccontextmanager
async def door(answer: Callable[[web.Request], Any]) -> AsyncIterator[int]:
    """A server on loopback: its port."""

    async def handle(request: web.Request) -> web.StreamResponse:
        said = answer(request)
        return await said if asyncio.iscoroutine(said) else said

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@asynccontextmanager
async def hooks(allow: Allowed = LOOPBACK, **more: Any) -> AsyncIterator[HttpWebhooks]:
    made = HttpWebhooks(allow, lambda: NOW, **more)
    try:
        yield made
    finally:
        await made.close()


def test_the_published_example_of_standard_webhooks() -> None:
    secret, id = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek"
    body, at = b'{"test": 2432232314}', datetime.fromtimestamp(1614265330, UTC)
    assert sign(secret, id, at, body) == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    headers = {"webhook-id": id, "webhook-timestamp": "1614265330", "webhook-signature": sign(secret, id, at, body)}
    verify(secret, headers, body, at)
    for wrong in ({"webhook-id": "msg_other"}, {"webhook-timestamp": "1614265331"}):
        with pytest.raises(Refused, match="does not fit"):
            verify(secret, headers | wrong, body, at)


@pytest.mark.parametrize("address", INSIDE)
def test_addresses_inside_are_known_as_such(address: str) -> None:
    assert not leads_outside(parsed(address))
    assert not may_call(parsed(address), Allowed(), plain=False)


@pytest.mark.parametrize("address", OUTSIDE)
def test_addresses_outside_may_be_called_but_only_encrypted(address: str) -> None:
    assert may_call(parsed(address), Allowed(), plain=False)
    assert not may_call(parsed(address), Allowed(), plain=True)


@pytest.mark.parametrize("address", INSIDE)
async def test_a_url_with_an_address_inside_is_refused_before_it_is_kept(address: str) -> None:
    host = f"[{address}]" if ":" in address else address
    with pytest.raises(Invalid) as refusal:
        await require_outside(f"https://{host}/hook", Allowed())
    assert refusal.value.errors[0][0] == "/url"


@pytest.mark.parametrize(
    "url",
    [
        "https://2130706433/", "https://0x7f000001/", "https://0177.0.0.1/", "https://127.1/", "https://0/",
        "https://0x7f.1/", "https://127.0.0.1./", "https://１２７.0.0.1/", "https://localhost/", "https://localhost./",
        "https://user:secret@example.com/", "https://example.com/#part", "ftp://example.com/", "https:///path",
        "https://", "example.com", "", "javascript:alert(1)", "https://example.com:99999/", "https://exa mple.com/",
        "https://[::1", "https://" + "a" * 2000, "https://no-such-host.invalid/", "http://93.184.216.34/",
        "file:///etc/passwd", "https://ex\u202eample.com/",
    ],
)  # fmt: skip
async def test_tricks_with_urls_are_refused(url: str) -> None:
    with pytest.raises(Invalid) as refusal:
        await require_outside(url, Allowed())
    assert refusal.value.errors


async def test_an_operator_may_allow_what_leads_inside() -> None:
    for setting in ("127.0.0.0/8", "localhost 127.0.0.1", "10.1.0.0/16,127.0.0.1/32"):
        await require_outside("http://127.0.0.1:9/hook", allowed(setting))
    await require_outside("http://localhost:9/hook", allowed("LOCALHOST."))
    with pytest.raises(Invalid, match="cannot be called"):
        await require_outside("http://127.0.0.1:9/hook", allowed("localhost"))


async def test_a_message_arrives_as_it_was_given() -> None:
    seen: list[Any] = []

    async def take(request: web.Request) -> web.Response:
        seen.append((request.method, request.path_qs, request.headers["webhook-id"], await request.read()))
        return web.Response(status=202, text="thanks")

    async with door(take) as port, hooks() as out:
        reply = await out.post(f"http://127.0.0.1:{port}/a?b=c", {"webhook-id": "m-1"}, b"body")
    assert (reply.status, reply.because) == (202, "thanks")
    assert seen == [("POST", "/a?b=c", "m-1", b"body")]


async def test_what_counts_is_the_address_the_socket_goes_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that was harmless when it was checked may lead inside when it is called."""
    async with door(lambda _: web.Response()) as port:
        real = socket.getaddrinfo
        asked: list[Any] = []

        def rebound(host: Any, *more: Any, **named: Any) -> Any:
            asked.append(host)
            return real("127.0.0.1" if host == "harmless.example" else host, *more, **named)

        monkeypatch.setattr(socket, "getaddrinfo", rebound)
        async with hooks(Allowed()) as out:
            for scheme in ("https", "http"):
                reply = await out.post(f"{scheme}://harmless.example:{port}/", {}, b"")
                assert reply.status == 0 and "127.0.0.1 may not be called" in reply.because
        async with hooks() as out:
            assert (await out.post(f"http://harmless.example:{port}/", {}, b"")).status == 200
        assert "harmless.example" in asked


@pytest.mark.parametrize("host", ["127.0.0.1", "[::ffff:127.0.0.1]", "[::1]", "2130706433", "localhost"])
async def test_an_address_inside_is_not_called_even_when_nobody_checked_the_url(host: str) -> None:
    called: list[str] = []
    async with door(lambda request: called.append(request.path) or web.Response()) as port, hooks(Allowed()) as out:
        reply = await out.post(f"http://{host}:{port}/", {}, b"")
    assert reply.status == 0 and reply.because
    assert called == []


async def test_redirects_are_not_followed() -> None:
    called: list[str] = []

    def move(request: web.Request) -> web.Response:
        called.append(request.path)
        return web.Response(status=307, headers={"Location": "/elsewhere"})

    async with door(move) as port, hooks() as out:
        assert (await out.post(f"http://127.0.0.1:{port}/here", {}, b"x")).status == 307
    assert called == ["/here"]


async def test_nobody_is_waited_for_and_nothing_long_is_read() -> None:
    async def slow(_: web.Request) -> web.Response:
        await asyncio.sleep(30)
        return web.Response()

    async def endless(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        try:
            while True:
                await answer.write(b"\x00\x1b[31m" * 10_000)
        except ConnectionError:
            return answer

    async with door(slow) as port, hooks(timeout_s=0.2) as out:
        reply = await out.post(f"http://127.0.0.1:{port}/", {}, b"")
        assert reply.status == 0 and reply.because
    async with door(endless) as port, hooks(timeout_s=5) as out:
        reply = await out.post(f"http://127.0.0.1:{port}/", {}, b"")
        assert reply.status == 200 and len(reply.because) <= 300 and reply.because.isprintable()


async def test_a_receiver_says_how_long_to_wait() -> None:
    answers = iter(["7", "Mon, 29 Jun 2026 12:00:30 GMT", "soon", ""])
    async with door(lambda _: web.Response(status=503, headers={"Retry-After": next(answers)})) as port:
        async with hooks() as out:
            waits = [(await out.post(f"http://127.0.0.1:{port}/", {}, b"")).wait_s for _ in range(4)]
    assert waits == [7, 30, 0, 0]


async def test_a_kept_connection_that_was_closed_is_no_failure_of_the_receiver() -> None:
    """It answers the first message of each connection and hangs up on the second."""
    taken = []

    async def one_each(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        taken.append(await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])))
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await reader.read(1)  # the next message has come: now it hangs up
        writer.close()

    server = await asyncio.start_server(one_each, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    async with server, hooks() as out:
        for n in range(3):
            assert (await out.post(url, {}, b"%d" % n)).status == 204
            await asyncio.sleep(0)
        once = await out.exchange("PATCH", url, {}, b"3", 100)  # what changes something is never sent twice unasked
        assert (once.status, once.hung_up) == (0, True)
    assert taken == [b"0", b"1", b"2"]
