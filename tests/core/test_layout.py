"""Laws of the drawn plan: nothing overlaps, work goes to the right, edges run around the boxes, and it is quick."""

from itertools import combinations
from time import process_time

import pytest
from core_lab import law
from hypothesis import given, settings
from hypothesis import strategies as st

from unstuck.order.layout import Box, Edge, Layout, Node, Sizes, arrange, needed
from unstuck.order.lifecycle import TaskState
from unstuck.order.slots import Slots, crossings, fitted, untangle
from unstuck.order.standing import blocked

SIZES = Sizes()
FIBER = [Node((), 0), Node((0,), 0), Node((), 0), Node((0, 2), 0), Node((3,), 1), Node((), 2)]


@st.composite
def plans(draw: st.DrawFn, most: int = 24) -> list[Node]:
    """Any plan without a circle: each task waits for some of the earlier ones, under shuffled numbers."""
    size = draw(st.integers(1, most))
    names = draw(st.permutations(range(size)))
    nodes: dict[int, Node] = {}
    for place, no in enumerate(names):
        before = draw(st.lists(st.sampled_from(names[:place]), max_size=4, unique=True)) if place else []
        nodes[no] = Node(tuple(before), draw(st.integers(0, 4)))
    return [nodes[no] for no in range(size)]


def reached(tasks: list[Node], no: int) -> set[int]:
    found = set(tasks[no].after)
    for before in tasks[no].after:
        found |= reached(tasks, before)
    return found


def apart(one: Box, other: Box) -> bool:
    return abs(one.x - other.x) >= SIZES.width or abs(one.y - other.y) >= SIZES.height


def through(edge: Edge, box: Box) -> bool:
    """Whether an edge touches a box that is not at its end. A curve stays within the rectangle of its ends."""
    for (x, y), (to_x, to_y) in zip(edge.points, edge.points[1:], strict=False):
        beside = to_x <= box.x or x >= box.x + SIZES.width
        above = max(y, to_y) < box.y or min(y, to_y) > box.y + SIZES.height
        if not beside and not above and box.no not in (edge.start, edge.end):
            return True
    return False


@law
@given(plans())
def test_no_two_boxes_overlap_and_all_are_on_the_sheet(tasks: list[Node]) -> None:
    made = arrange(tasks)
    assert [box.no for box in made.boxes] == list(range(len(tasks)))
    assert all(apart(one, other) for one, other in combinations(made.boxes, 2))
    for box in made.boxes:
        assert 0 <= box.x <= made.width - SIZES.width and 0 <= box.y <= made.height - SIZES.height


@law
@given(plans())
def test_every_task_stands_right_of_all_it_waits_for(tasks: list[Node]) -> None:
    boxes = arrange(tasks).boxes
    for no, task in enumerate(tasks):
        assert all(boxes[before].x + SIZES.width < boxes[no].x for before in task.after)


@law
@given(plans())
def test_edges_join_their_boxes_and_run_around_all_others(tasks: list[Node]) -> None:
    made = arrange(tasks)
    for edge in made.edges:
        start, end = made.boxes[edge.start], made.boxes[edge.end]
        assert edge.points[0] == (start.x + SIZES.width, start.y + SIZES.height / 2)
        assert edge.points[-1] == (end.x, end.y + SIZES.height / 2)
        assert len(edge.points) == 2 * (end.column - start.column)
        assert not [box.no for box in made.boxes if through(edge, box)]


@law
@given(plans(most=12))
def test_what_is_drawn_says_neither_more_nor_less_than_the_plan(tasks: list[Node]) -> None:
    made = arrange(tasks)
    drawn = [Node(tuple(edge.start for edge in made.edges if edge.end == no), 0) for no in range(len(tasks))]
    for no in range(len(tasks)):
        assert reached(drawn, no) == reached(tasks, no)
        assert set(drawn[no].after) <= set(tasks[no].after)
        for before in drawn[no].after:  # what follows from another edge is not drawn
            assert not any(before in reached(tasks, other) for other in drawn[no].after)


@law
@given(plans())
def test_lanes_hold_the_boxes_of_their_item_and_no_others(tasks: list[Node]) -> None:
    made = arrange(tasks)
    for above, below in zip(made.lanes, made.lanes[1:], strict=False):
        assert above.item < below.item and above.y + above.height <= below.y
    bands = {lane.item: lane for lane in made.lanes}
    for box in made.boxes if bands else ():
        band = bands[tasks[box.no].item]
        assert band.y + SIZES.lane_head <= box.y <= band.y + band.height - SIZES.height


@law
@given(plans())
def test_the_same_plan_is_always_drawn_the_same(tasks: list[Node]) -> None:
    assert arrange(tasks) == arrange(list(tasks))


@law
@given(plans(), st.integers(0, 8))
def test_sweeps_never_add_a_crossing(tasks: list[Node], sweeps: int) -> None:
    after = needed(tasks)
    columns = [box.column for box in arrange(tasks).boxes]
    slots = Slots(columns, after, [task.item for task in tasks])
    before = crossings(slots, slots.order)
    assert untangle(slots, sweeps) == crossings(slots, slots.order) <= before


@law
@given(st.lists(st.floats(-5, 30), min_size=1, max_size=12), st.integers(0, 5))
def test_rows_are_different_in_order_and_inside(wished: list[float], room: int) -> None:
    height = len(wished) + room
    rows = fitted(wished, height)
    assert rows == sorted(set(rows)) and len(rows) == len(wished)
    assert rows[0] >= 0 and rows[-1] < height


def test_rows_are_what_was_wished_where_that_is_possible() -> None:
    assert fitted([0, 2, 5], 6) == [0, 2, 5]
    assert fitted([2, 2], 5) in ([1, 2], [2, 3])


def test_the_fiber_order_reads_as_its_lines_do() -> None:
    made = arrange(FIBER)
    assert [box.column for box in made.boxes] == [0, 1, 0, 1, 2, 0]
    assert [box.lane for box in made.boxes] == [0, 0, 0, 0, 1, 2]
    assert [lane.item for lane in made.lanes] == [0, 1, 2]


def test_lines_that_hang_together_too_closely_stand_in_no_lanes() -> None:
    """Six items whose steps alternate: bands would cross every edge with every other."""
    first = [Node((), item) for item in range(6)]
    then = [Node((item,), 5 - item) for item in range(6)]
    made = arrange([*first, *then])
    assert made.lanes == ()
    straight = [edge for edge in made.edges if edge.points[0][1] == edge.points[1][1]]
    assert len(straight) == len(made.edges) == 6


def test_an_empty_plan_is_an_empty_sheet() -> None:
    assert arrange([]) == Layout(0, 0, (), (), ())


def test_a_circle_is_refused() -> None:
    with pytest.raises(ValueError, match="cycle"):
        arrange([Node((1,), 0), Node((0,), 0)])


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_forty_tasks_cross_little(data: st.DataObject) -> None:
    """Eight lines of five steps, tied to each other here and there, as orders of a branch office are."""
    ties = data.draw(st.lists(st.tuples(st.integers(1, 7), st.integers(1, 4)), max_size=6, unique=True))
    tasks = [
        Node((*((5 * line + step - 1,) if step else ()), *((5 * line - 5 + step - 1,) if (line, step) in ties else ())), line)
        for line in range(8)
        for step in range(5)
    ]  # fmt: skip
    made = arrange(tasks)
    assert len(made.lanes) == 8 and made.width < 1300 and made.height < 1100
    slots = Slots([box.column for box in made.boxes], needed(tasks), [task.item for task in tasks])
    assert untangle(slots, 8) <= len(ties)


def test_two_hundred_tasks_are_arranged_in_a_blink() -> None:
    """Forty lines of five steps, each tied to its neighbours: the best of three, on a machine that does other things."""
    tasks = [
        Node(tuple(n for n in (5 * line + step - 1, 5 * line - 6 + step, 5 * line - 11 + step) if n >= 0 and step), line)
        for line in range(40)
        for step in range(5)
    ]  # fmt: skip
    spent = []
    for _ in range(3):
        began = process_time()
        made = arrange(tasks)
        spent.append(process_time() - began)
    assert len(made.boxes) == 200 and min(spent) < 0.05, spent


@law
@given(plans(), st.data())
def test_a_waiting_task_is_blocked_just_when_a_stopped_one_is_behind_it(tasks: list[Node], data: st.DataObject) -> None:
    stopped = data.draw(st.sets(st.sampled_from(range(len(tasks))), max_size=2))
    states = [TaskState.FAILED if no in stopped else TaskState.PENDING for no in range(len(tasks))]
    expected = {no for no in range(len(tasks)) if no not in stopped and reached(tasks, no) & stopped}
    assert blocked(states, [task.after for task in tasks]) == expected
