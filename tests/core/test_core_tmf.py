"""What TM Forum sees (H1): tmf.md section 1.1 and 3.3 as tables, and no illegal jump over any transition."""

from itertools import combinations_with_replacement, pairwise, product

import pytest
from core_lab import law
from hypothesis import given
from hypothesis import strategies as st

from unstuck.order.lifecycle import ORDER, ItemState, OrderAction, OrderState
from unstuck.order.tmf import ITEM_STATE, LEGAL, order_state, path

S, I = OrderState, ItemState  # noqa: E741
ALL = [
    "acknowledged",
    "rejected",
    "pending",
    "held",
    "inProgress",
    "cancelled",
    "completed",
    "failed",
    "partial",
    "assessingCancellation",
    "pendingCancellation",
]
FINAL = {"completed", "failed", "partial", "cancelled", "rejected"}
# tmf.md section 1.1, word for word; a denied assessment leads back and is not something an order of ours does.
DRAWN = {
    "acknowledged": {"inProgress", "rejected", "cancelled", "assessingCancellation"},
    "inProgress": {"pending", "held", "completed", "failed", "partial", "cancelled", "assessingCancellation"},
    "pending": {"inProgress", "cancelled", "assessingCancellation"},
    "held": {"inProgress", "cancelled", "assessingCancellation"},
    "assessingCancellation": {"pendingCancellation", "acknowledged", "inProgress", "pending", "held"},
    "pendingCancellation": {"cancelled"},
}


def test_the_legal_steps_are_those_of_the_diagram():
    assert set(LEGAL) == set(ALL)
    for state in ALL:
        assert set(LEGAL[state]) <= DRAWN.get(state, set())
        if state != "assessingCancellation":
            assert set(LEGAL[state]) == DRAWN.get(state, set())
    assert {s for s in ALL if not LEGAL[s]} == FINAL


def reachable(was):
    seen, fresh = set(), {was}
    while fresh:
        seen |= fresh
        fresh = {to for at in fresh for to in LEGAL[at]} - seen
    return seen


@pytest.mark.parametrize(("was", "to"), [*product(ALL, ALL)])
def test_a_path_takes_only_legal_steps_and_exists_where_one_can(was, to):
    if to not in reachable(was):
        with pytest.raises(ValueError, match=f"no way from {was} to {to}"):
            path(was, to)
        return
    steps = (was, *path(was, to))
    assert steps[-1] == to and len(set(steps)) == len(steps)
    for at, after in pairwise(steps):
        assert after in LEGAL[at]
    if "ancel" not in to:
        assert "assessingCancellation" not in steps, "nobody asked to cancel"


@pytest.mark.parametrize(
    ("was", "to", "steps"),
    [
        ("acknowledged", "held", ("inProgress", "held")),
        ("pending", "held", ("inProgress", "held")),
        ("held", "pending", ("inProgress", "pending")),
        ("held", "completed", ("inProgress", "completed")),
        ("held", "failed", ("inProgress", "failed")),
        ("inProgress", "cancelled", ("cancelled",)),
        ("inProgress", "pendingCancellation", ("assessingCancellation", "pendingCancellation")),
        ("inProgress", "inProgress", ()),
    ],
)
def test_missing_steps_are_shown_as_events_of_their_own(was, to, steps):
    assert path(was, to) == steps


# tmf.md section 3.3: A2 state, items -> TM Forum. What an order is asked while cancelling is shown on the way (`path`).
ROWS = [
    (S.NOT_STARTED, [I.NOT_STARTED], "acknowledged"),
    (S.IN_PROGRESS, [I.NOT_STARTED, I.IN_PROGRESS], "inProgress"),
    (S.IN_PROGRESS, [I.BLOCKED, I.BLOCKED], "inProgress"),
    (S.IN_PROGRESS, [I.COMPLETED, I.BLOCKED], "inProgress"),
    (S.WAITING_FOR_REVISION, [I.BLOCKED], "pending"),
    (S.SUSPENDED, [I.IN_PROGRESS], "held"),
    (S.FAILED, [I.BLOCKED], "held"),
    (S.FAILED, [], "held"),
    (S.AMENDING, [I.IN_PROGRESS], "held"),
    (S.CANCELLING, [I.IN_PROGRESS], "pendingCancellation"),
    (S.CANCELLED, [I.CANCELLED], "cancelled"),
    (S.ABORTED, [I.IN_PROGRESS], "cancelled"),
    (S.COMPLETED, [I.COMPLETED, I.COMPLETED], "completed"),
    (S.COMPLETED, [I.COMPLETED, I.CANCELLED], "partial"),
    (S.COMPLETED, [I.CANCELLED, I.CANCELLED], "cancelled"),
]


@pytest.mark.parametrize(("state", "items", "shown"), ROWS)
def test_the_published_mapping(state, items, shown):
    assert order_state(state, items) == shown
    assert shown in ALL


def test_every_order_and_item_state_is_mapped():
    assert {row[0] for row in ROWS} == set(S)
    assert ITEM_STATE == {
        I.NOT_STARTED: "acknowledged",
        I.IN_PROGRESS: "inProgress",
        I.BLOCKED: "held",
        I.COMPLETED: "completed",
        I.CANCELLED: "cancelled",
    }


def test_final_there_means_final_here():
    for state, shown in product(S, ALL):
        items = [[I.COMPLETED], [I.CANCELLED], [I.COMPLETED, I.CANCELLED]]
        if any(order_state(state, ends, shown) in FINAL for ends in items):
            assert state in ORDER.final()


def ends(state):
    """The items an order can have in this state."""
    if state is S.COMPLETED:
        return [c for n in (1, 2, 3) for c in combinations_with_replacement([I.COMPLETED, I.CANCELLED], n)]
    return [c for n in (0, 1, 2) for c in combinations_with_replacement(list(I), n)]


@pytest.mark.parametrize(("at", "action", "to"), [*ORDER.edges()])
def test_no_transition_shows_an_illegal_jump(at, action, to):
    befores = {order_state(at, items, was) for items in ends(at) for was in ALL if was not in FINAL}
    for shown, items in product(befores, ends(to)):
        steps = (shown, *path(shown, order_state(to, items, shown)))
        assert all(b in LEGAL[a] for a, b in pairwise(steps))
        assert not set(steps[:-1]) & FINAL


@law
@given(st.lists(st.integers(0, 99), max_size=15))
def test_no_life_of_an_order_shows_an_illegal_jump(choices):
    state, failed_from, shown = S.NOT_STARTED, None, "acknowledged"
    for choice in choices:
        ways = [
            (a, to)
            for at, a, to in ORDER.edges()
            if at is state and (a is not OrderAction.RESOLVE or to is failed_from)
        ]
        if not ways:
            break
        action, to = ways[choice % len(ways)]
        failed_from = state if action is OrderAction.FAIL else failed_from
        state, goal = to, order_state(to, [I.COMPLETED], shown)
        for step in path(shown, goal):
            assert step in LEGAL[shown]
            shown = step
        assert shown == goal
    if shown in FINAL:
        assert state in ORDER.final()
