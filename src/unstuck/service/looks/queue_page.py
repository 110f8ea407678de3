"""One page of the triage queue: its rows, or what the list holds in groups, with numbers and signs of life."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from unstuck.fallout.case import Case, evolve
from unstuck.fallout.events import LINKED
from unstuck.fallout.lifecycle import CaseState
from unstuck.kernel.actor import Actor
from unstuck.service.looks import counts, lists
from unstuck.service.looks.counts import Tally
from unstuck.service.looks.lists import Shape
from unstuck.service.looks.queue_rows import QueueRow, case_in, read_rows
from unstuck.service.looks.queue_views import DECIDED, met
from unstuck.service.messages import found_openly
from unstuck.service.ports import Ports
from unstuck.store.listing import case_list, queue
from unstuck.store.listing.case_list import Wanted
from unstuck.store.listing.queue import Counted, Pulse
from unstuck.store.listing.walk import WALKED, Sort
from unstuck.store.unit import Unit

PAGE = 100
GROUPS, SAMPLE = 30, 5


class Group(msgspec.Struct, kw_only=True):
    """The cases of a list that have one thing in common: its name, or operation and system.

    `filters` find exactly them; empty when there are no such filters.
    """

    names: tuple[str, ...]
    filters: dict[str, str]
    counted: Counted
    oldest: datetime
    ids: list[UUID]
    rows: list[QueueRow] = []


class QueuePage(msgspec.Struct, kw_only=True):
    """One page of the queue. `older` and `newer` are cursors; without `complete` it ended after `looked_at`.

    `groups` are there instead of rows; `further` counts those that are not shown.
    """

    tally: Tally
    pulse: Pulse
    rows: list[QueueRow] = []
    groups: list[Group] = []
    further: int = 0
    counted: Counted = Counted(0)
    older: str = ""
    newer: str = ""
    complete: bool = True
    looked_at: int = WALKED


class Place(msgspec.Struct, frozen=True):
    """Which page: `after` a cursor onwards, or `before` one backwards; `group` asks what the list holds instead."""

    sort: str
    after: str = ""
    before: str = ""
    group: str = ""


async def shown(ports: Ports, wanted: Wanted | None, place: Place, who: Actor) -> QueuePage:
    """The page at `place` of what is wanted; None is nothing at all."""
    async with ports.store.reading(ports.now()) as unit:
        page = QueuePage(pulse=await queue.pulse(unit), tally=await counts.of_queue(unit, who))
        if wanted is not None and place.group:
            await _group(ports, unit, wanted, place, who, page)
        elif wanted is not None:
            await _list(ports, unit, wanted, place, who, page)
    return page


async def rows_of(ports: Ports, ids: Sequence[UUID], wanted: Wanted | None, who: Actor) -> list[QueueRow]:
    """These cases as they are now, and whether each is (still) what is wanted."""
    async with ports.store.reading(ports.now()) as unit:
        fitting = await case_list.conditions(unit, wanted) if wanted is not None else ()
        return await read_rows(ports, unit, await queue.rows(unit, ids, fitting), who)


async def were_in(ports: Ports, ids: Collection[UUID], wanted: Wanted, leaf: int) -> set[UUID]:
    """Those of these cases of a list that were in it already before what is sealed from `leaf` on happened."""
    async with ports.store.reading(ports.now()) as unit:
        told = await queue.history(unit, list(ids), leaf)
        now = {row["id"]: case_in(row) for row in await queue.rows(unit, list(ids))}
    return {id for id, case in now.items() if _was_in(case, [one for one in told if one["stream"] == id], wanted)}


def _was_in(case: Case, told: Sequence[Any], wanted: Wanted) -> bool:
    seen = [one for one in told if one["seen"]]
    case.state = CaseState.DETECTED
    for name in DECIDED:
        setattr(case, name, "")
    for one in seen:
        evolve(case, one["type"], one["by"], one["at"], msgspec.json.decode(one["data"]))
    since = any(one["type"] == LINKED.name and not one["seen"] for one in told)
    return bool(seen) and met(wanted, case, linked=not since)


async def known_rows(ports: Ports, numbers: Sequence[int]) -> dict[UUID, UUID | None]:
    """The cases with these numbers, each with its order; numbers that no case has are left out."""
    async with ports.store.reading(ports.now()) as unit:
        return {row["id"]: row["order_id"] for row in await queue.numbered(unit, numbers)}


async def _list(ports: Ports, unit: Unit, wanted: Wanted, place: Place, who: Actor, page: QueuePage) -> None:
    shape = Shape(place.sort, place.after, PAGE, counted=True)
    if place.before:
        rows, told = await _backwards(unit, wanted, shape, place.before, page)
    else:
        rows, told = await lists.case_rows(unit, wanted, shape)
        page.older = told["next"] or ""
        if place.after and rows:
            page.newer = lists.cursor_at(wanted, lists.turned(shape), rows[0])
    open_ones = await found_openly(unit, ports, rows, wanted.text)
    page.rows = await _in_order(ports, unit, [row["id"] for row in open_ones], who)
    counted = told["count"] - (len(rows) - len(open_ones))
    page.counted, page.complete = Counted(counted, told["more_than"]), told["complete"]


async def _backwards(
    unit: Unit, wanted: Wanted, shape: Shape, before: str, page: QueuePage
) -> tuple[Sequence[Any], dict[str, Any]]:
    """The page that ends where another began. What is left at the beginning is shown as the first page, which is full."""
    rows, told = await lists.case_rows(unit, wanted, lists.turned(shape, before))
    if not told["more"] or not rows:
        rows, told = await lists.case_rows(unit, wanted, shape)
        page.older = told["next"] or ""
        return rows, told
    page.newer, page.older = told["next"] or "", lists.cursor_at(wanted, shape, rows[0])
    return rows[::-1], told


async def _group(ports: Ports, unit: Unit, wanted: Wanted, place: Place, who: Actor, page: QueuePage) -> None:
    sort = Sort(case_list.SORTS[place.sort.removeprefix("-")], place.sort.startswith("-"))
    walk = await case_list.walk_for(unit, wanted, sort)
    found = await queue.groups(unit, walk, sort, place.group, SAMPLE, WALKED)
    cut = walk.partial or any(row["further"] for row in found)
    groups = await _merged(ports, found, place.group, cut=cut)
    page.counted, page.complete = Counted(sum(row["many"] for row in found), cut), not cut
    page.groups, page.further = groups[:GROUPS], len(groups[GROUPS:])
    rows = await _in_order(ports, unit, [id for group in page.groups for id in group.ids], who)
    for group in page.groups:
        group.rows = [row for row in rows if row.id in group.ids]


async def _in_order(ports: Ports, unit: Unit, ids: Sequence[UUID], who: Actor) -> list[QueueRow]:
    found = {row.id: row for row in await read_rows(ports, unit, await queue.rows(unit, ids), who)}
    return [found[id] for id in ids]


async def _merged(ports: Ports, found: Sequence[Any], by: str, *, cut: bool) -> list[Group]:
    """What was counted, as groups; several plans have the same product."""
    out: dict[tuple[str, ...], Group] = {}
    for row in found:
        names, filters = await _named(ports, row, by)
        new = Group(names=names, filters=filters, counted=Counted(0, cut), oldest=row["oldest"], ids=[])
        group = out.setdefault((*names, *filters.values()), new)
        group.counted = Counted(group.counted.many + row["many"], cut)
        group.oldest = min(group.oldest, row["oldest"])
        group.ids = [*group.ids, *row["ids"]][:SAMPLE]
    return sorted(out.values(), key=lambda group: -group.counted.many)


async def _named(ports: Ports, row: Any, by: str) -> tuple[tuple[str, ...], dict[str, str]]:
    """The name of a group, and the filters that find it."""
    document = ports.book.current.document
    if by == "product":
        shape = await ports.book.shape(row["plan"]) if row["plan"] else None
        offer = dict(shape.plan.items).get(row["item"], "") if shape else ""
        return (document.offers[offer].title if offer in document.offers else offer,), _exactly(product=offer)
    if by == "boundary":
        return (row["operation"], row["system"]), _exactly(system=row["system"], operation=row["operation"])
    name = row[by]
    return (document.queues[name].title if by == "queue" and name in document.queues else name,), _exactly(**{by: name})


def _exactly(**filters: str) -> dict[str, str]:
    """Filters ask for values: for what has none there are no filters."""
    return filters if all(filters.values()) else {}
