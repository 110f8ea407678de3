"""The live stream: one look at the database for all who listen, sealed leaves in their order, nothing held for the slow."""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from itertools import islice

from unstuck.fallout.published import Leaf, cloud_events, wanted
from unstuck.kernel.actor import Actor
from unstuck.kernel.canonical import encode_trusted
from unstuck.kernel.refusal import Invalid, Refused
from unstuck.service.events_out.outbox import leaf_of
from unstuck.service.ports import Ports
from unstuck.store import outbox
from unstuck.store.unit import is_away

KEPT = 1000  # leaves that those who keep up share
PAGE = 200  # leaves read at once for one who does not
LISTENERS, OF_ONE = 500, 50  # streams of a process, and of one who listens
LOOK_S = 0.1
BEAT_S = 15.0
MayGoOn = Callable[[], Awaitable[bool]]


class Feed:
    """What is new, for everybody who listens in this process. Looks only while somebody does."""

    def __init__(self, ports: Ports, beat_s: float = BEAT_S) -> None:
        self._ports, self.beat_s = ports, beat_s
        self._recent: deque[Leaf] = deque(maxlen=KEPT)
        self._next = -1  # the leaf that comes next; unknown before the first look
        self._news = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None
        self._broken: BaseException | None = None
        self._of: Counter[str] = Counter()  # open streams, by who listens
        self.closed = False

    def close(self) -> None:
        """End every stream: the process is stopping."""
        self.closed = True
        self._news.set()

    @property
    def listeners(self) -> int:
        """How many streams are open."""
        return self._of.total()

    async def join(self, who: Actor) -> None:
        """Begin to listen; refused when too many do."""
        self.require_room(who)
        self._of[who.id] += 1
        if self._looking is None or self._looking.done():
            self._recent.clear()
            self._next, self._broken = -1, None
            self._looking = asyncio.create_task(self._look())

    def require_room(self, who: Actor) -> None:
        """Refuse when too many listen: to be asked before an answer begins, which can only break off later."""
        if self._of[who.id] >= OF_ONE:
            raise Refused("busy", f"{OF_ONE} streams of yours are open here already; close some")
        if self.listeners >= LISTENERS:
            raise Refused("busy", f"{LISTENERS} streams are open here already; try again later")

    def leave(self, who: Actor) -> None:
        """Listen no longer."""
        self._of[who.id] -= 1
        self._of += Counter()  # who has none left is forgotten

    @property
    def news(self) -> asyncio.Event:
        """Set when there is something new; take it before reading."""
        return self._news

    async def after(self, first: int) -> Sequence[Leaf]:
        """Leaves from `first` on, at most a page: from what is shared, or from the database for one who is behind."""
        if self._broken is not None:
            raise self._broken
        if first >= self._next >= 0:
            return ()
        if self._recent and first >= self._recent[0].n:
            start = first - self._recent[0].n
            return list(islice(self._recent, start, start + PAGE))
        return await self._read(first, PAGE)

    async def _look(self) -> None:
        try:
            while self.listeners and not self.closed:
                await self._take()
                await asyncio.sleep(LOOK_S)
        except Exception as error:
            self._broken = error
            self._wake()
            raise

    async def _take(self) -> None:
        try:
            size = await outbox.sealed(self._ports.store)
            if self._next < 0:
                self._next = size
            if size > self._next:
                for leaf in await self._read(self._next, KEPT):
                    self._recent.append(leaf)
                    self._next = leaf.n + 1
                self._wake()
        except Exception as error:
            if not is_away(error):
                raise

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        if self.closed:
            self._news.set()
        news.set()

    async def _read(self, first: int, limit: int) -> list[Leaf]:
        async with self._ports.store.reading(self._ports.now()) as unit:
            return [leaf_of(row) for row in await outbox.leaves(unit, first, limit)]


async def first_leaf(ports: Ports, last_seen: str | None) -> int:
    """Where a stream begins: behind the leaf its listener saw last, else at what comes next. Invalid for no such leaf."""
    size = await outbox.sealed(ports.store)
    if last_seen is None:
        return size
    if not (last_seen.isascii() and last_seen.isdigit() and len(last_seen) < 16 and int(last_seen) < size):
        because = f"the number of an event that was sent, below {size}; leave it out to begin with what comes next"
        raise Invalid("Last-Event-ID names no event", (("/Last-Event-ID", because),))
    return int(last_seen) + 1


class Patrol:
    """Asks once every `beat_s` whether a listener may still hear, however much there is to tell meanwhile."""

    def __init__(self, may_go_on: MayGoOn, beat_s: float) -> None:
        self._may_go_on, self._beat_s = may_go_on, beat_s
        self._clock = asyncio.get_running_loop().time
        self._next = self._clock() + beat_s

    async def passes(self) -> bool:
        """Whether the listener may go on."""
        if self._clock() < self._next:
            return True
        self._next = self._clock() + self._beat_s
        return await self._may_go_on()

    async def heard(self, news: asyncio.Event) -> bool:
        """Wait for news until it is time to ask again; whether there are any."""
        try:
            async with asyncio.timeout(max(0.0, self._next - self._clock())):
                await news.wait()
        except TimeoutError:
            return False
        return True


async def _always() -> bool:
    return True


async def listen(
    ports: Ports, feed: Feed, actor: Actor, first: int, globs: Sequence[str], beat_s: float = BEAT_S,
    may_go_on: MayGoOn = _always,
) -> AsyncIterator[bytes]:  # fmt: skip
    """Server-sent events from leaf `first` on, as long as somebody reads who may: a message a leaf's event, then beats.

    The id of a message is its leaf; of several events of one leaf the last carries it, so that none is lost when
    the connection is cut between them.
    """
    await feed.join(actor)
    patrol = Patrol(may_go_on, beat_s)
    try:
        yield b"retry: 1000\n\n"
        while not feed.closed and await patrol.passes():
            news = feed.news
            page = await feed.after(first)
            for leaf in page:
                first = leaf.n + 1
                if message := _message(ports, leaf, actor, globs):
                    yield message
            if not page and not await patrol.heard(news):
                yield b": beat\n" + (b"id: %d\n\n" % (first - 1) if first else b"\n")
    finally:
        feed.leave(actor)


def _message(ports: Ports, leaf: Leaf, actor: Actor, globs: Sequence[str]) -> bytes:
    if actor.source not in ("", leaf.about.source):
        return b""
    found = [e for e in cloud_events(leaf, ports.outside.origin) if wanted(globs, e["type"])]
    return b"".join(
        (b"id: %d\n" % leaf.n if event is found[-1] else b"") + b"data: " + encode_trusted(event) + b"\n\n"
        for event in found
    )
