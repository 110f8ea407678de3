"""A page hears what changes: the sealed leaves, as the parts of the page that they change."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from math import inf
from time import monotonic
from typing import Any, Protocol, runtime_checkable

from litestar import Request
from litestar.response import Stream

from unstuck.fallout.published import Leaf
from unstuck.kernel.actor import Actor
from unstuck.service.events_out.stream import Feed, MayGoOn, first_leaf
from unstuck.service.ports import Ports
from unstuck.web.auth import still_may
from unstuck.web.protocol import actor

EVENTS = "text/event-stream"


class Watch(Protocol):
    """What one open page shows of what happens."""

    async def told(self, leaves: Sequence[Leaf]) -> str:
        """The `<hx-partial>` elements these leaves make necessary, on lines; empty when the page stays as it is."""
        ...

    async def may_go_on(self) -> bool:
        """Whether there is still something to show; that who listens still may is asked beside it, at every beat."""
        ...


@runtime_checkable
class Counting(Watch, Protocol):
    """A watch that has something to say later, about what it heard before: what it counts, not more often than it may."""

    def owes_in(self) -> float | None:
        """In how many seconds it wants to be told nothing (no leaves), so that it can say it; None when it owes nothing."""
        ...


async def answer(request: Request[Any, Any, Any], ports: Ports, feed: Feed, watch: Watch) -> Stream:
    """The stream of one open page, from behind the leaf that it saw last: heard, or as `from` when it was made.

    It ends at the next beat of the feed once the session or token it was opened with counts no more.
    """
    who = actor(request)
    feed.require_room(who)
    seen = request.headers.get("last-event-id") or request.query_params.get("from")
    first = await first_leaf(ports, seen)
    return Stream(_messages(feed, who, first, watch, still_may(request, ports)), media_type=EVENTS)


async def _messages(feed: Feed, who: Actor, first: int, watch: Watch, still: MayGoOn) -> AsyncIterator[bytes]:
    await feed.join(who)
    try:
        yield b"retry: 1000\n" + _beat(first)
        due = monotonic() + feed.beat_s
        while not feed.closed:
            news = feed.news
            if leaves := await feed.after(first):
                first = leaves[-1].n + 1
                if told := await watch.told(leaves):
                    yield _message(leaves[-1].n, told)
            else:
                await _heard(news, min(due - monotonic(), _owed_in(watch)))
            if _owed_in(watch) <= 0 and (told := await watch.told(())):
                yield _message(first - 1, told)
            if monotonic() >= due:  # also while there is much to hear that this page does not show
                if not (await still() and await watch.may_go_on()):
                    return
                yield _beat(first)
                due = monotonic() + feed.beat_s
    finally:
        feed.leave(who)


def _owed_in(watch: Watch) -> float:
    owed = watch.owes_in() if isinstance(watch, Counting) else None
    return inf if owed is None else owed


def _message(leaf: int, text: str) -> bytes:
    # Blank lines stay: they may be inside a stranger's words.
    lines = "".join(f"data: {line}\n" for line in text.strip().replace("\r", "\n").split("\n"))
    return f"id: {leaf}\n{lines}\n".encode()


def _beat(first: int) -> bytes:
    """That we are here, as an event that pages see, and where to go on from when the connection is cut."""
    return b"event: beat\ndata:\n" + (b"id: %d\n\n" % (first - 1) if first else b"\n")


async def _heard(news: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await news.wait()
