"""The order of what stands in each column of a drawn plan: boxes, and the edges that pass between them."""

from bisect import bisect_right, insort
from collections import Counter
from collections.abc import Iterator, Sequence


class Slots:
    """Every task and every passing edge with its column, its lane and, once given, its row; tasks come first, under their numbers.

    All edges of one task pass through a column in one slot, so a task that many wait for takes the room of one edge.
    """

    def __init__(self, columns: Sequence[int], waits_for: Sequence[Sequence[int]], lanes: Sequence[int]) -> None:
        self.tasks = len(columns)
        self.column, self.lane = list(columns), list(lanes)
        self.before: list[list[int]] = [[] for _ in columns]
        self.after: list[list[int]] = [[] for _ in columns]
        self._passing: dict[tuple[int, int], int] = {}
        for end, starts in enumerate(waits_for):
            for start in starts:
                self._link(start, end)
        self.order = self._first_order()
        self.row = [0] * len(self)
        self.heights: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self.column)

    def path(self, start: int, end: int) -> list[int]:
        """The slots of an edge, both its tasks too."""
        between = range(self.column[start] + 1, self.column[end])
        return [start, *(self._passing[start, column] for column in between), end]

    def give_rows(self) -> None:
        """Rows within each lane, as straight as the order in the columns allows."""
        self.heights = _heights(self.order, self.lane)
        for groups in map(self._by_lane, self.order):
            for group in groups.values():
                for row, slot in enumerate(group):
                    self.row[slot] = row
        for columns, sides in (
            (self.order, [self.before]),
            (self.order[::-1], [self.after]),
            (self.order, [self.before, self.after]),
        ):
            for slots in columns:
                for lane, group in self._by_lane(slots).items():
                    wished = [self._wished(slot, sides) for slot in group]
                    for slot, row in zip(group, fitted(wished, self.heights[lane]), strict=True):
                        self.row[slot] = row

    def _wished(self, slot: int, sides: Sequence[Sequence[Sequence[int]]]) -> float:
        rows = [self.row[other] for side in sides for other in side[slot] if self.lane[other] == self.lane[slot]]
        return sum(rows) / len(rows) if rows else self.row[slot]

    def _by_lane(self, slots: Sequence[int]) -> dict[int, list[int]]:
        groups: dict[int, list[int]] = {}
        for slot in slots:
            groups.setdefault(self.lane[slot], []).append(slot)
        return groups

    def _link(self, start: int, end: int) -> None:
        last = start
        for column in range(self.column[start] + 1, self.column[end]):
            if (start, column) not in self._passing:
                self._passing[start, column] = self._passes(last, column, self.lane[start])
            last = self._passing[start, column]
        self._join(last, end)

    def _passes(self, last: int, column: int, lane: int) -> int:
        slot = len(self)
        self.column.append(column)
        self.lane.append(lane)
        self.before.append([])
        self.after.append([])
        self._join(last, slot)
        return slot

    def _join(self, left: int, right: int) -> None:
        self.after[left].append(right)
        self.before[right].append(left)

    def _first_order(self) -> list[list[int]]:
        order: list[list[int]] = [[] for _ in range(max(self.column) + 1)]
        for slot in sorted(range(len(self)), key=lambda slot: (self.lane[slot], slot)):
            order[self.column[slot]].append(slot)
        return order


def untangle(slots: Slots, sweeps: int) -> int:
    """Take crossings out by barycentre, lanes kept together; how many are left."""
    best, kept = crossings(slots, slots.order), [list(column) for column in slots.order]
    for order in _swept(slots, sweeps):
        if best == 0:
            break
        if (found := crossings(slots, order)) < best:
            best, kept = found, [list(column) for column in order]
    slots.order = kept
    return best


def crossings(slots: Slots, order: Sequence[Sequence[int]]) -> int:
    """How often two edges cross between neighbouring columns."""
    place = _places(order)
    return sum(
        _inversions([end for slot in column for end in sorted(place[s] for s in slots.after[slot])]) for column in order
    )


def fitted(wished: Sequence[float], height: int) -> list[int]:
    """Different rows below `height`, in this order, as near to what is wished as can be (pool adjacent violators)."""
    pools: list[tuple[float, int]] = []
    for place, wish in enumerate(wished):
        pools.append((wish - place, 1))
        while len(pools) > 1 and pools[-2][0] >= pools[-1][0]:
            (a, n), (b, m) = pools[-2:]
            pools[-2:] = [((a * n + b * m) / (n + m), n + m)]
    most = height - len(wished)
    starts = [min(max(round(mean), 0), most) for mean, size in pools for _ in range(size)]
    return [start + place for place, start in enumerate(starts)]


def _swept(slots: Slots, sweeps: int) -> Iterator[list[list[int]]]:
    order = [list(column) for column in slots.order]
    place = _places(order)
    for sweep in range(sweeps):
        forward = sweep % 2 == 0
        beside = slots.before if forward else slots.after
        for column in order if forward else reversed(order):
            middles = {slot: _middle(beside[slot], place, place[slot]) for slot in column}
            column.sort(key=lambda slot: (slots.lane[slot], middles[slot], place[slot]))
            place.update((slot, n) for n, slot in enumerate(column))
        yield order


def _middle(others: Sequence[int], place: dict[int, int], otherwise: int) -> float:
    return sum(place[other] for other in others) / len(others) if others else otherwise


def _places(order: Sequence[Sequence[int]]) -> dict[int, int]:
    return {slot: n for column in order for n, slot in enumerate(column)}


def _inversions(ends: Sequence[int]) -> int:
    found, met = 0, list[int]()
    for end in ends:
        found += len(met) - bisect_right(met, end)
        insort(met, end)
    return found


def _heights(order: Sequence[Sequence[int]], lane: Sequence[int]) -> dict[int, int]:
    heights: dict[int, int] = {}
    for column in order:
        for name, many in Counter(lane[slot] for slot in column).items():
            heights[name] = max(many, heights.get(name, 0))
    return heights
