"""The live stream: nothing lost, nothing twice, over reconnects and restarts, and an end when the server stops."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec
import pytest
from web_lab import ROLES, SECRET, TOKENS, House, fiber, served

from unstuck.kernel.actor import Actor
from unstuck.service.events_out.stream import KEPT, PAGE, Feed, first_leaf, listen
from unstuck.store.keys import KeyFiles
from unstuck.store.seal import seal
from unstuck.web.server import build

STREAM = "/api/v1/stream"


class Heard(msgspec.Struct):
    """One message of a stream."""

    id: int | None
    event: Any

    @property
    def key(self) -> str:
        return str(self.event["id"])


async def messages(answer: aiohttp.ClientResponse) -> AsyncIterator[Heard]:
    """The messages of a stream as a browser reads them; a beat has an id and no data."""
    id, data = None, []
    async for raw in answer.content:
        line = raw.decode().rstrip("\n")
        if line.startswith("id: "):
            id = int(line[4:])
        elif line.startswith("data: "):
            data.append(line[6:])
        elif not line and data:
            yield Heard(id, json.loads("\n".join(data)))
            id, data = None, []


@asynccontextmanager
async def stream(url: str, *, who: str = "support", last: int | None = None, **query: str) -> AsyncIterator[Any]:
    """An open stream: its answer, to read from."""
    headers = {"Authorization": f"Bearer {TOKENS[who]}"}
    if last is not None:
        headers["Last-Event-ID"] = str(last)
    async with aiohttp.ClientSession() as session:
        async with session.get(url + STREAM, headers=headers, params=query) as answer:
            assert answer.status == 200, await answer.read()
            yield answer


async def take(answer: aiohttp.ClientResponse, count: int) -> list[Heard]:
    """The next messages."""
    out: list[Heard] = []
    async with asyncio.timeout(10):
        async for one in messages(answer):
            out.append(one)
            if len(out) == count:
                break
    return out


@pytest.fixture
def sealing(house: House, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Seal what has happened; how many leaves there are then."""
    keys = KeyFiles("test", tmp_path_factory.mktemp("keys") / "signing.key")

    async def sealed() -> int:
        async with asyncio.timeout(20):
            while await house.ports.store.pool.fetchval(
                "SELECT (SELECT count(*) FROM event) > (SELECT size FROM seal)"
            ):
                await seal(house.ports.store.pool, keys, house.clock(), None)
        return int(await house.ports.store.pool.fetchval("SELECT size FROM seal"))

    return sealed


async def test_what_happens_is_heard_as_it_happens(house: House, sealing: Any) -> None:
    await sealing()
    async with stream(house.url) as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        order = await house.place(fiber())
        await sealing()
        began = time.monotonic()
        heard = await take(answer, 3)
        assert time.monotonic() - began < 1
    kinds = [one.event["type"] for one in heard]
    assert kinds == ["unstuck.order.received", "unstuck.order.decomposed", "unstuck.order.started"]
    assert [one.event["subject"] for one in heard] == [order["id"]] * 3


async def test_a_listener_that_comes_back_goes_on_where_it_was(house: House, sealing: Any) -> None:
    first = await sealing()
    for _ in range(6):
        await house.place(fiber())
    end = await sealing()
    heard: list[Heard] = []
    last = first - 1
    while last < end - 1:
        async with stream(house.url, last=last) as answer:
            part = await take(answer, min(4, end - 1 - last))
        heard += part
        last = max(one.id for one in part if one.id is not None)
    assert [one.id for one in heard] == list(range(first, end))
    assert len({one.key for one in heard}) == len(heard) == 18


async def test_a_listener_hears_only_what_it_asked_for_and_still_keeps_its_place(house: House, sealing: Any) -> None:
    first = await sealing()
    for _ in range(3):
        await house.place(fiber())
    await sealing()
    async with stream(house.url, last=first - 1, types="unstuck.order.started,unstuck.fallout-case.*") as answer:
        heard = await take(answer, 3)
    assert [one.event["type"] for one in heard] == ["unstuck.order.started"] * 3


@pytest.mark.parametrize(
    ("query", "headers", "pointer"),
    [
        ("?types=unstuck.invented.thing", {}, "/types/0"),
        ("?types=", {}, "/types/0"),
        ("", {"Last-Event-ID": "x"}, "/Last-Event-ID"),
        ("", {"Last-Event-ID": "-1"}, "/Last-Event-ID"),
        ("", {"Last-Event-ID": "99999999"}, "/Last-Event-ID"),
        ("", {"Last-Event-ID": "9" * 40}, "/Last-Event-ID"),
    ],
)
async def test_a_wrong_question_is_told(house: House, query: str, headers: dict[str, str], pointer: str) -> None:
    answer = await house.call("GET", STREAM + query, who="support", headers=headers)
    assert answer.status == 422, answer.raw
    assert answer.pointers == [pointer]


async def test_only_those_who_may_read_cases_listen(house: House) -> None:
    let_in = set()
    for role in ROLES:
        headers = {"Authorization": f"Bearer {TOKENS[role]}"}
        async with house.client.get(house.url + STREAM, headers=headers) as answer:
            assert answer.status in (200, 403)
            let_in |= {role} if answer.status == 200 else set()
    assert let_in == set(ROLES) - {"integration"}
    assert (await house.call("GET", STREAM, who=None)).status == 401


class Running:
    """A server in a task of its own, to be stopped while others talk to it."""

    def __init__(self, app: Any) -> None:
        self.stopping = asyncio.Event()
        self.url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.task = asyncio.create_task(self._serve(app))

    async def _serve(self, app: Any) -> None:
        async with served(app) as url:
            self.url.set_result(url)
            await self.stopping.wait()


async def test_open_streams_end_at_once_when_the_server_stops(house: House, sealing: Any) -> None:
    """And whoever comes back to the next server misses nothing."""
    first = await sealing()
    heard: list[Heard] = []
    for round in range(3):
        app = build(house.ports, callback_secret=SECRET, body_limit=1_000_000)
        running = Running(app)
        url = await running.url
        last = heard[-1].id if heard else first - 1
        async with stream(url, last=last) as answer, stream(url), stream(url):
            await house.place(fiber())
            await sealing()
            heard += await take(answer, 3)
            await house.place(fiber())  # while it stops
            began = time.monotonic()
            running.stopping.set()
            rest = [one async for one in messages(answer)]
            await running.task
            assert time.monotonic() - began < 1, round
            heard += rest
    end = await sealing()
    async with stream(house.url, last=heard[-1].id) as answer:
        heard += await take(answer, end - 1 - int(heard[-1].id or 0))
    assert [one.id for one in heard] == list(range(first, end))


async def test_all_who_keep_up_share_one_look_at_the_database(
    house: House, sealing: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = Feed(house.ports)
    size = await sealing()
    who = Actor("x")
    many = [listen(house.ports, feed, who, size, ("*",), beat_s=5) for _ in range(50)]
    for one in many:
        assert await anext(one) == b"retry: 1000\n\n"
    first = [asyncio.ensure_future(anext(one)) for one in many]
    reads: list[int] = []
    read = feed._read

    async def counted(first: int, limit: int) -> Any:
        reads.append(first)
        return await read(first, limit)

    monkeypatch.setattr(feed, "_read", counted)
    async with asyncio.timeout(5):
        while feed._next < 0:
            await asyncio.sleep(0.01)
    before = reads.count(size)
    await house.place(fiber())
    await sealing()
    async with asyncio.timeout(5):
        heard = await asyncio.gather(*first)
    assert len(set(heard)) == 1
    assert reads.count(size) - before == 1
    for one in many:
        await one.aclose()
    assert feed.listeners == 0
    feed.close()


async def test_a_slow_listener_is_read_to_from_the_database_a_page_at_a_time(house: House, sealing: Any) -> None:
    """What waits for it is kept nowhere: neither the feed nor its stream holds more than a page or the shared part."""
    feed = Feed(house.ports)
    first = await sealing()
    slow = listen(house.ports, feed, Actor("x"), first, ("*",))
    assert await anext(slow) == b"retry: 1000\n\n"
    stream_id = house.ports.new_id()
    rows = [(stream_id, seq, house.clock(), house.clock(), "order.started", 1, "x", b"{}") for seq in range(1, 2501)]
    columns = ("stream", "seq", "at", "recorded_at", "type", "v", "by", "data")
    await house.owner.copy_records_to_table("event", records=rows, columns=columns)
    end = await sealing()
    assert end - first > 2 * KEPT
    async with asyncio.timeout(10):
        while feed._next < end:
            await asyncio.sleep(0.01)
    assert len(feed._recent) <= KEPT
    assert len(await feed.after(first)) == PAGE
    heard = [await anext(slow) for _ in range(end - first)]
    ids = [int(part.split(b"\n")[0].removeprefix(b"id: ")) for part in heard]
    assert ids == list(range(first, end))
    await slow.aclose()
    feed.close()


async def test_a_beat_tells_that_somebody_is_there_and_moves_the_place(house: House, sealing: Any) -> None:
    feed = Feed(house.ports)
    size = await sealing()
    quiet = listen(house.ports, feed, Actor("x"), size, ("unstuck.order.completed",), beat_s=0.3)
    assert await anext(quiet) == b"retry: 1000\n\n"
    await house.place(fiber())
    end = await sealing()
    async with asyncio.timeout(5):
        while (beat := await anext(quiet)) != b": beat\nid: %d\n\n" % (end - 1):
            assert beat.startswith(b": beat\n")
    assert await first_leaf(house.ports, str(end - 1)) == end
    await quiet.aclose()
    feed.close()


async def test_a_source_hears_of_its_own_cases_only(house: House, sealing: Any) -> None:
    feed = Feed(house.ports)
    first = await sealing()
    await house.place(fiber())
    await sealing()
    own = listen(house.ports, feed, Actor("x", source="oms"), first, ("*",), beat_s=0.1)
    assert await anext(own) == b"retry: 1000\n\n"
    assert (await anext(own)).startswith(b": beat")
    await own.aclose()
    feed.close()
