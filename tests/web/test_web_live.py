"""A page's stream: what it tells arrives as it was said, beats come whatever happens, and nobody listens who may not."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

import pytest
from foreign_lab import sealed
from hypothesis import example, given
from hypothesis import strategies as st
from web_lab import House, fiber

from unstuck.fallout.published import Leaf
from unstuck.service.events_out.stream import Feed, first_leaf
from unstuck.web.auth import NOBODY
from unstuck.web.pages import live

BEAT_S = 0.05


class Page:
    """An open page that shows nothing of what happens, until somebody ends its session."""

    def __init__(self, told: str = "") -> None:
        self.leaves: list[Leaf] = []
        self.allowed, self._told = True, told

    async def told(self, leaves: Sequence[Leaf]) -> str:
        self.leaves += leaves
        return self._told

    async def may_go_on(self) -> bool:
        return self.allowed


async def still() -> bool:
    """The session of who listens: it counts."""
    return True


@pytest.fixture
async def feed(house: House) -> AsyncIterator[Feed]:
    made = Feed(house.ports, BEAT_S)
    yield made
    made.close()


def read(message: bytes) -> str:
    """The data of one message, as the standard for server-sent events has it read."""
    lines = re.split(r"\r\n|\r|\n", message.decode())
    return "\n".join(line.removeprefix("data:").removeprefix(" ") for line in lines if line.startswith("data:"))


@example("a\n\nb")
@example("a\r\n\r\nb\u2028\x85c")
@given(st.text(st.sampled_from("ab \t\r\n\x0b\x85\u2028:<") | st.characters(exclude_categories=["Cs"])))
def test_what_is_told_arrives_with_its_blank_lines(text: str) -> None:
    message = live._message(7, f"<p>{text}</p>")
    assert read(message) == f"<p>{text}</p>".replace("\r", "\n")
    assert message.startswith(b"id: 7\n") and message.endswith(b"\n\n")
    assert len(re.findall(rb"\n\n", message)) == 1  # one message, whatever is in it


async def test_a_page_hears_at_once_where_it_would_go_on_from(house: House, feed: Feed) -> None:
    await house.place(fiber())
    await sealed(house)
    first = await first_leaf(house.ports, None)
    async with aclosing(live._messages(feed, NOBODY, first, Page(), still)) as messages:
        assert f"id: {first - 1}\n" in (await anext(messages)).decode()


async def test_beats_come_while_nothing_happens_and_while_much_does(house: House, feed: Feed) -> None:
    page = Page()
    async with aclosing(live._messages(feed, NOBODY, await first_leaf(house.ports, None), page, still)) as messages:
        assert b"event: beat" in await anext(messages)
        assert b"event: beat" in await anext(messages)
        for _ in range(3):
            await house.place(fiber())
            await sealed(house)
            assert b"event: beat" in await anext(messages)
        while not page.leaves:
            assert b"event: beat" in await anext(messages)


class Busy(Feed):
    """There is always something more to hear."""

    async def after(self, first: int) -> Sequence[Leaf]:
        return [*await super().after(0)][:1]


async def test_beats_come_even_when_there_is_no_silence_at_all(house: House) -> None:
    await house.place(fiber())
    await sealed(house)
    feed = Busy(house.ports, BEAT_S)
    async with aclosing(live._messages(feed, NOBODY, 0, Page(), still)) as messages, asyncio.timeout(10):
        for _ in range(3):
            assert b"event: beat" in await anext(messages)
    feed.close()


async def test_the_stream_of_who_may_no_longer_hear_ends_within_a_beat_however_much_happens(
    house: House, feed: Feed
) -> None:
    page = Page("<hx-partial></hx-partial>")
    async with aclosing(live._messages(feed, NOBODY, await first_leaf(house.ports, None), page, still)) as messages:
        await anext(messages)
        page.allowed = False
        with pytest.raises(StopAsyncIteration):
            while True:
                await house.place(fiber())
                await sealed(house)
                await anext(messages)
