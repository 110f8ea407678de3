"""What an open page of the queue hears: its rows as they change, how many came beside them, and the numbers."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

from unstuck.fallout.published import Leaf
from unstuck.kernel.actor import Actor
from unstuck.policy.grant import may
from unstuck.service.looks.counts import FRESH_S, Board
from unstuck.service.looks.queue_page import known_rows, rows_of, were_in
from unstuck.service.looks.queue_rows import QueueRow
from unstuck.service.looks.queue_views import may_bring_in
from unstuck.service.ports import Ports
from unstuck.web.pages import render
from unstuck.web.pages.triage.queue_parts import chips_of, promise, titles
from unstuck.web.pages.triage.queue_query import Asked

WORK = "case.work"
MOST = 500  # rows that one page may watch


def numbers(text: str) -> tuple[int, ...]:
    """The numbers of the cases that a page shows, as its address has them; anything else in it is no number of ours."""
    found = [part for part in text.split(",") if part.isascii() and part.isdecimal() and len(part) < 19]
    return tuple(dict.fromkeys(map(int, found[:MOST])))


def unseen(text: str) -> int | None:
    """The first leaf that a page had not seen when it was made, as its address has the last that it had."""
    return int(text) + 1 if text.isascii() and text.isdecimal() and len(text) < 19 else None


class QueueWatch:
    """One open page of the queue. Rows it shows are told as they are; others that came since `first` are only counted.

    One that hears again after its connection was cut has not heard of all that came: it says "at least".
    """

    def __init__(
        self, ports: Ports, board: Board, who: Actor, asked: Asked, on: Sequence[int], first: int | None = None
    ) -> None:  # fmt: skip
        self._ports, self._board, self._who, self._asked, self._on = ports, board, who, asked, on
        self._first = first
        self._missed: bool | None = None  # unknown before the first leaf
        self._orders: dict[UUID, UUID | None] | None = None  # the order of each case that is shown
        self._came: set[UUID] = set()
        self._owes = False
        self._counted_at = self._heard_at = 0.0

    async def told(self, leaves: Sequence[Leaf]) -> str:
        """The rows that changed, at once; the numbers at most once a second."""
        if leaves and self._missed is None:
            self._first = leaves[0].n if self._first is None else self._first
            self._missed = leaves[0].n > self._first
        parts = await self._changed(leaves) if leaves else ""
        if any(leaf.about.case_id for leaf in leaves):
            self._owes, self._heard_at = True, asyncio.get_running_loop().time()
        if self._owes and (self.owes_in() or 0) <= 0:
            parts += await self._counted()
        return parts

    def owes_in(self) -> float | None:
        """When the numbers may be told again, if they changed."""
        if not self._owes:
            return None
        return max(0.0, self._counted_at + FRESH_S - asyncio.get_running_loop().time())

    async def may_go_on(self) -> bool:
        """There is always a queue to show."""
        return True

    async def _changed(self, leaves: Sequence[Leaf]) -> str:
        shown = await self._shown()
        ids = [id for id, order in shown.items() if any(leaf.stream in (id, order) for leaf in leaves)]
        ids += list(dict.fromkeys(self._candidates(leaves, shown)))
        if not ids:
            return ""
        rows = await rows_of(self._ports, ids, self._asked.wanted, self._who)
        before = len(self._came)
        self._came -= {row.id for row in rows if not row.fits}
        self._came |= await self._new([row.id for row in rows if row.fits and row.id not in {*shown, *self._came}])
        return self._drawn([row for row in rows if row.id in shown], news=len(self._came) != before)

    async def _new(self, ids: Sequence[UUID]) -> set[UUID]:
        """Those that are in the list now and were not in it, on no page of it, when this page was made."""
        wanted = self._asked.wanted
        if not ids or wanted is None or self._first is None:
            return set()
        return set(ids) - await were_in(self._ports, ids, wanted, self._first)

    def _candidates(self, leaves: Sequence[Leaf], shown: dict[UUID, UUID | None]) -> list[UUID]:
        """Cases that are not shown and may belong into the list now, or no longer."""
        wanted = self._asked.wanted
        if wanted is None:
            return []
        about = [(leaf.about.case_id, leaf) for leaf in leaves]
        return [
            id for id, leaf in about if id and id not in shown and (id in self._came or may_bring_in(wanted, leaf))
        ]  # fmt: skip

    def _drawn(self, rows: Sequence[QueueRow], *, news: bool) -> str:
        return render.part(
            "queue/live_rows.html", rows=rows, columns=self._asked.columns, now=self._ports.now(), promise=promise,
            works=may(self._who, WORK, self._ports.book.current), picked=frozenset(), came=len(self._came) if news else None,
            missed=self._missed, first=self._asked.address(),
        )  # fmt: skip

    async def _counted(self) -> str:
        self._counted_at = asyncio.get_running_loop().time()
        tally, read_at = await self._board.tally(self._who)
        self._owes = read_at < self._heard_at  # what all share may have been read before
        chips = chips_of(self._asked, tally, titles(self._ports.book.current))
        return render.part("queue/live_counts.html", chips=chips)

    async def _shown(self) -> dict[UUID, UUID | None]:
        if self._orders is None:
            self._orders = await known_rows(self._ports, self._on)
        return self._orders
