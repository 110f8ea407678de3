"""How much there is of what a person may see: the numbers beside the names of pages and views, exact up to a limit."""

import asyncio
from collections.abc import Mapping

import msgspec

from unstuck.kernel.actor import Actor
from unstuck.service.looks.queue_views import VIEWS, View, narrowed
from unstuck.service.ports import Ports
from unstuck.store.listing import queue
from unstuck.store.listing.case_list import Wanted
from unstuck.store.listing.queue import Counted
from unstuck.store.unit import Unit

LIMIT = 1000
FRESH_S = 1.0


class Tally(msgspec.Struct, frozen=True):
    """The numbers of the queue: by view, and by queue."""

    views: Mapping[str, Counted]
    queues: Mapping[str, Counted]


async def for_navigation(ports: Ports, who: Actor) -> dict[str, str]:
    """The count beside each place of the navigation, in words."""
    async with ports.store.reading(ports.now()) as unit:
        return {"queue": said(await queue.open_cases(unit, LIMIT))}


async def of_queue(unit: Unit, who: Actor) -> Tally:
    """The number of every view and every queue, as `who` would see them. Views that show the same are counted once."""
    wanted = {name: _shown(view, who) for name, view in VIEWS.items()}
    different = _different(list(wanted.values()))
    found = await queue.counts(unit, different, LIMIT)
    counted = {name: found[different.index(one)] for name, one in wanted.items()}
    return Tally(counted, await queue.queues(unit, LIMIT))


async def of_mine(unit: Unit, who: Actor) -> Counted:
    """How many open cases `who` owns."""
    return (await queue.counts(unit, [_shown(VIEWS["mine"], who)], LIMIT))[0]


class Board:
    """The numbers for everybody who listens in this process: read once for all, at most once a second."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._tally: Tally | None = None
        self._read_at = 0.0
        self._one_reader = asyncio.Lock()

    async def tally(self, who: Actor) -> tuple[Tally, float]:
        """The numbers as `who` would see them, and since when they stand: the loop's time when they were read."""
        async with self._one_reader:
            shared, at = await self._shared(who)
        async with self._ports.store.reading(self._ports.now()) as unit:
            mine = await of_mine(unit, who)
        return Tally({**shared.views, "mine": mine}, shared.queues), at

    async def _shared(self, who: Actor) -> tuple[Tally, float]:
        began = asyncio.get_running_loop().time()
        if self._tally is None or began - self._read_at >= FRESH_S:
            async with self._ports.store.reading(self._ports.now()) as unit:
                self._tally, self._read_at = await of_queue(unit, who), began
        return self._tally, self._read_at


def said(counted: Counted) -> str:
    """A number in words: exact, or the least there are."""
    return f"{counted.many:,}+" if counted.more else f"{counted.many:,}"


def _shown(view: View, who: Actor) -> Wanted:
    found = narrowed(view, Wanted(), who)
    assert found is not None  # a view by itself excludes nothing of its own
    return found


def _different(wanted: list[Wanted]) -> list[Wanted]:
    out: list[Wanted] = []
    for one in wanted:
        if one not in out:
            out.append(one)
    return out
