"""What the template of the queue draws beside its rows: chips with their numbers, and the clock of a promise."""

from collections.abc import Mapping
from datetime import datetime

import msgspec

from unstuck.policy.pack import Pack
from unstuck.service.looks.counts import Tally, said
from unstuck.service.looks.queue_rows import QueueRow
from unstuck.service.looks.queue_views import VIEWS
from unstuck.web.pages.moments import ago
from unstuck.web.pages.texts import text, word
from unstuck.web.pages.triage.queue_query import Asked

NEAR = 0.75  # of the time that was promised


class Chip(msgspec.Struct, frozen=True):
    """One list to go to, with how much is in it."""

    text: str
    href: str
    count: str
    here: bool
    tone: str = ""


class Chips(msgspec.Struct, frozen=True):
    """The lists of work, the ways the roles look at it, and the queues."""

    work: list[Chip]
    roles: list[Chip]
    queues: list[Chip]
    open: str


class Promise(msgspec.Struct, frozen=True):
    """How much of the promised time is gone, and what is left of it in words."""

    share: float
    tone: str
    text: str


def chips_of(asked: Asked, tally: Tally, titles: Mapping[str, str]) -> Chips:
    """The chips as they stand. One is where we are when nothing but its own list is asked for."""
    views = {name: _of_view(name, asked, tally) for name in VIEWS}
    queues = [_of_queue(name, titles.get(name, name), asked, tally) for name in sorted(tally.queues)]
    work = [chip for name, chip in views.items() if not VIEWS[name].role]
    return Chips(work, [chip for name, chip in views.items() if VIEWS[name].role], queues, said(tally.views["open"]))


def titles(pack: Pack) -> dict[str, str]:
    """What the queues of a pack are called."""
    return {name: queue.title for name, queue in pack.fallout.queues.items()}


def promise(row: QueueRow, now: datetime) -> Promise | None:
    """The clock of an order's promise; None for what is over, or was never promised."""
    if row.promised_at is None or row.received_at is None or not row.is_open:
        return None
    whole = (row.promised_at - row.received_at).total_seconds()
    gone = (now - row.received_at).total_seconds()
    share = gone / whole if whole > 0 else 1.0
    if now >= row.promised_at:
        return Promise(share, "bad", text("queue.promise_broken", when=ago(row.promised_at, now)))
    return Promise(share, "warn" if share >= NEAR else "good", ago(row.promised_at, now))


def _of_view(name: str, asked: Asked, tally: Tally) -> Chip:
    counted = tally.views[name]
    here = asked.view.name == name and not asked.filters
    tone = "unknown" if name == "unknown" and counted.many and not here else ""
    return Chip(word("queue.view", name), f"/queue?view={name}", said(counted), here, tone)


def _of_queue(name: str, title: str, asked: Asked, tally: Tally) -> Chip:
    to = msgspec.structs.replace(asked, given={})
    here = asked.view.name == "open" and asked.filters == {"queue": name}
    return Chip(title, to.address(view="open", queue=name), said(tally.queues[name]), here)
