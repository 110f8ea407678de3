"""No transition of an order, whatever its items and cases are, shows TM Forum an illegal jump (tmf.md §1.1, §3.3)."""

from itertools import combinations_with_replacement, pairwise, product

import pytest

from unstuck.order.lifecycle import ORDER, ItemState, OrderState, TaskState
from unstuck.order.tmf import CALLED_OFF, LEGAL, REJECTED, all_waits, item_state, order_state, path

S, I, T = OrderState, ItemState, TaskState  # noqa: E741
FINAL = {state for state, ways in LEGAL.items() if not ways}
ENDS = [ends for n in (1, 2, 3) for ends in combinations_with_replacement((I.COMPLETED, I.CANCELLED), n)]


@pytest.mark.parametrize(
    ("items", "failed", "shown"),
    [
        ([I.COMPLETED, I.COMPLETED], (), "completed"),
        ([I.CANCELLED, I.CANCELLED], (0, 1), "failed"),
        ([I.CANCELLED, I.CANCELLED], (0,), "failed"),
        ([I.CANCELLED, I.CANCELLED], (), "cancelled"),
        ([I.COMPLETED, I.CANCELLED], (1,), "partial"),
        ([I.COMPLETED, I.CANCELLED], (), "partial"),
        ([I.COMPLETED, I.COMPLETED], (0,), "completed"),  # what was done in the end has not failed
    ],
)
def test_how_an_order_ends_is_how_its_items_ended(items, failed, shown):
    assert order_state(S.COMPLETED, items, failed=failed) == shown


def test_an_item_shows_its_own_stop_and_what_that_waits_for():
    assert item_state(I.BLOCKED) == "held"
    assert item_state(I.BLOCKED, waits=True) == "pending"
    assert item_state(I.CANCELLED, failed=True) == "failed"
    assert item_state(I.IN_PROGRESS, failed=True, waits=True) == "inProgress"


@pytest.mark.parametrize(
    ("tasks", "waiting", "waits"),
    [
        ([("a", T.FAILED)], {"a"}, True),
        ([("a", T.FAILED), ("b", T.PENDING), ("c", T.COMPLETED)], {"a"}, True),
        ([("a", T.FAILED), ("b", T.UNKNOWN)], {"a", "b"}, True),
        ([("a", T.FAILED), ("b", T.FAILED)], {"a"}, False),
        ([("a", T.FAILED), ("b", T.READY)], {"a"}, False),
        ([("a", T.FAILED), ("b", T.WAITING_CALLBACK)], {"a"}, False),
        ([("a", T.READY)], {"a"}, False),
        ([("a", T.FAILED)], set(), False),
        ([("a", T.COMPLETED)], {"a"}, False),
        ([], {"a"}, False),
    ],
)
def test_an_order_is_pending_only_when_all_that_remains_waits_for_others(tasks, waiting, waits):
    assert all_waits(tasks, waiting) is waits


def test_only_an_order_in_progress_is_pending_for_its_cases():
    for state in S:
        with_cases, without = (order_state(state, [I.BLOCKED], waits=waits) for waits in (True, False))
        assert with_cases == ("pending" if state is S.IN_PROGRESS else without)


def test_no_order_of_ours_is_ever_rejected():
    """What was refused at the door is; an order was acknowledged, and from there it ends otherwise."""
    assert REJECTED in FINAL
    for state, was, waits in product(S, LEGAL, (True, False)):
        assert order_state(state, [I.COMPLETED], was, waits=waits) != REJECTED


def situations(state):
    """Every way an order in this state can stand: its items, which of them failed for good, whether it waits."""
    if state is S.COMPLETED:
        for items in ENDS:
            for failed in ((), tuple(range(len(items)))):
                yield items, failed, False
        return
    for n, waits in product((1, 2), (True, False)):
        for items in combinations_with_replacement(list(I), n):
            yield items, (), waits


@pytest.mark.parametrize(("at", "action", "to"), [*ORDER.edges()])
def test_every_transition_is_shown_by_legal_steps_whatever_stands_around_it(at, action, to):
    befores = {
        order_state(at, items, was, failed=failed, waits=waits)
        for items, failed, waits in situations(at)
        for was in LEGAL
        if was not in FINAL
    }
    for before, (items, failed, waits) in product(befores, situations(to)):
        goal = order_state(to, items, before, failed=failed, waits=waits)
        steps = (before, *path(before, goal))
        assert steps[-1] == goal
        assert all(b in LEGAL[a] for a, b in pairwise(steps)), steps
        assert not set(steps[:-1]) & FINAL


def test_waiting_begins_and_ends_by_legal_steps():
    for before, after in (("inProgress", "pending"), ("pending", "inProgress")):
        assert path(before, after) == (after,)


def test_an_order_that_is_called_off_on_request_shows_the_assessment():
    for before in ("acknowledged", "inProgress", "pending", "held"):
        assert all(b in LEGAL[a] for a, b in pairwise((before, *CALLED_OFF)))
