"""Where the tasks of a plan are drawn: columns in the order of work, a lane for each item, edges around the boxes.

The layered drawing of Sugiyama, Tagawa and Toda: a task stands one column right of the last task it waits for; an edge
over several columns holds a slot in each, so that nothing else is put there; sweeps by barycentre take out crossings.
Pure, and the same for the same plan.
"""

from collections.abc import Iterator, Sequence
from graphlib import TopologicalSorter

import msgspec

from unstuck.order.slots import Slots, untangle

SWEEPS = 8
MANY_SLOTS = 2000  # beyond that fewer sweeps: the picture is a poster anyway, and nobody waits for it
WIDER_BY, WIDEST = 7, 140  # a gap grows with what turns in it
Point = tuple[float, float]


class Node(msgspec.Struct, frozen=True):
    """A task to be drawn: the tasks it waits for, by their place in the sequence, and the item it belongs to."""

    after: tuple[int, ...]
    item: int


class Sizes(msgspec.Struct, frozen=True):
    """How large things are; `passing` is the height of a row in which edges pass and no box stands."""

    width: float = 190
    height: float = 64
    column_gap: float = 44
    row_gap: float = 14
    passing: float = 10
    lane_head: float = 26
    lane_gap: float = 18


class Box(msgspec.Struct, frozen=True):
    """Where a task stands: its upper left corner, and its place in the grid."""

    no: int
    x: float
    y: float
    column: int
    lane: int


class Edge(msgspec.Struct, frozen=True):
    """From a task to one that waits for it. From an even point to the next it turns in a gap, else it runs straight."""

    start: int
    end: int
    points: tuple[Point, ...]


class Lane(msgspec.Struct, frozen=True):
    """The band of one item, over the whole width."""

    item: int
    y: float
    height: float


class Layout(msgspec.Struct, frozen=True):
    """A drawing. Without `lanes` the tasks of all items stand together, because bands would tangle the edges."""

    width: float
    height: float
    boxes: tuple[Box, ...]
    edges: tuple[Edge, ...]
    lanes: tuple[Lane, ...]


def arrange(tasks: Sequence[Node], sizes: Sizes | None = None) -> Layout:
    """The drawing of these tasks; ValueError when they wait for each other in a circle."""
    sizes = sizes or Sizes()
    if not tasks:
        return Layout(0, 0, (), (), ())
    after = needed(tasks)
    slots, in_lanes = _untangled(after, [task.item for task in tasks])
    slots.give_rows()
    return _drawn(slots, after, sizes, in_lanes)


def columns(tasks: Sequence[Node]) -> int:
    """How many columns the drawing of these tasks has."""
    return max(_columns([task.after for task in tasks]), default=-1) + 1


def _untangled(after: Sequence[Sequence[int]], items: Sequence[int]) -> tuple[Slots, bool]:
    """In lanes, unless that tangles: whose step it is can be read off a lane, which is worth a crossing or two."""
    columns = _columns(after)
    banded = Slots(columns, after, items)
    sweeps = SWEEPS if len(banded) < MANY_SLOTS else 1
    worth = max(2, sum(map(len, after)) // 3)
    crossed = untangle(banded, sweeps)
    if crossed <= worth:
        return banded, True
    together = Slots(columns, after, [0] * len(items))
    if crossed <= untangle(together, sweeps) + worth:
        return banded, True
    return together, False


def needed(tasks: Sequence[Node]) -> list[list[int]]:
    """What each task waits for, without what follows from the rest: who waits for b waits for all b waits for."""
    reach = [0] * len(tasks)  # bit n: waits for n, however far
    kept: list[list[int]] = [[] for _ in tasks]
    for no in _in_order(tasks):
        behind = 0
        for before in tasks[no].after:
            behind |= reach[before]
        kept[no] = [before for before in dict.fromkeys(tasks[no].after) if not behind >> before & 1]
        reach[no] = behind | sum(1 << before for before in kept[no])
    return kept


def _in_order(tasks: Sequence[Node]) -> Iterator[int]:
    yield from TopologicalSorter({no: task.after for no, task in enumerate(tasks)}).static_order()


def _columns(after: Sequence[Sequence[int]]) -> list[int]:
    columns = [0] * len(after)
    for no in TopologicalSorter(dict(enumerate(after))).static_order():
        columns[no] = max((columns[before] + 1 for before in after[no]), default=0)
    return columns


def _drawn(slots: Slots, after: Sequence[Sequence[int]], sizes: Sizes, in_lanes: bool) -> Layout:
    tops, lanes, height = _heights(slots, sizes, in_lanes)
    lefts, width = _lefts(slots, tops, sizes)
    boxes = tuple(
        Box(no, lefts[slots.column[no]], tops[slots.lane[no]][slots.row[no]][0], slots.column[no], slots.lane[no])
        for no in range(len(after))
    )
    middles = [sum(tops[slots.lane[s]][slots.row[s]]) / 2 for s in range(len(slots))]
    edges = tuple(
        Edge(start, end, tuple(_points(slots, slots.path(start, end), lefts, middles, sizes.width)))
        for end, starts in enumerate(after)
        for start in starts
    )
    return Layout(width, height, boxes, edges, lanes)


Rows = dict[int, list[Point]]  # by lane: upper and lower end of each row


def _heights(slots: Slots, sizes: Sizes, in_lanes: bool) -> tuple[Rows, tuple[Lane, ...], float]:
    standing = {(slots.lane[no], slots.row[no]) for no in range(slots.tasks)}
    tops: Rows = {}
    lanes, y = [], 0.0
    for lane, rows in sorted(slots.heights.items()):
        top, ends = y, []
        y += sizes.lane_head if in_lanes else 0
        for row in range(rows):
            high = sizes.height if (lane, row) in standing else sizes.passing
            ends.append((y, y + high))
            y += high + sizes.row_gap
        tops[lane] = ends
        lanes.append(Lane(lane, top, y - top))
        y += sizes.lane_gap
    return tops, tuple(lanes) if in_lanes else (), y - sizes.lane_gap


def _lefts(slots: Slots, tops: Rows, sizes: Sizes) -> tuple[list[float], float]:
    """The left side of each column, and where the last one ends."""
    lefts = [0.0]
    for column in range(len(slots.order) - 1):
        turning = sum(
            any(_at(slots, tops, slot) != _at(slots, tops, next) for next in slots.after[slot])
            for slot in slots.order[column]
        )
        lefts.append(lefts[-1] + sizes.width + min(sizes.column_gap + WIDER_BY * turning, WIDEST))
    return lefts, lefts[-1] + sizes.width


def _at(slots: Slots, tops: Rows, slot: int) -> float:
    return tops[slots.lane[slot]][slots.row[slot]][0]


def _points(
    slots: Slots, path: Sequence[int], lefts: Sequence[float], middles: Sequence[float], width: float
) -> Iterator[Point]:
    for place, slot in enumerate(path):
        left = lefts[slots.column[slot]]
        if place > 0:
            yield left, middles[slot]
        if place < len(path) - 1:
            yield left + width, middles[slot]
