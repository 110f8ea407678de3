"""`follow`: what one learned fact leads to. Laws over random plans and random sequences of outcomes."""

from copy import deepcopy

import pytest
from core_lab import NOW, fresh, later, law, plan_of
from hypothesis import given
from hypothesis import strategies as st

from unstuck.kernel.refusal import IllegalTransition
from unstuck.order.advance import Learned, fold_tasks, follow, item_state, start
from unstuck.order.lifecycle import TASK, TASK_IS_OVER, ItemState, OrderState
from unstuck.order.lifecycle import TaskAction as Do
from unstuck.order.lifecycle import TaskState as Is
from unstuck.order.state import Task

DONE, GONE = ItemState.COMPLETED, ItemState.CANCELLED
OUTSIDE = set(Do) - {Do.RELEASE, Do.REPLAN}  # what can be learned; release is follow's own, replan is resume's


@st.composite
def plans(draw):
    size = draw(st.integers(1, 7))
    after = [sorted(draw(st.sets(st.integers(0, n - 1), max_size=3))) if n else [] for n in range(size)]
    return plan_of(after, [draw(st.integers(0, 2)) if n > 2 else n for n in range(size)])


def moves(tasks):
    """Everything that could be learned next, by the task table alone."""
    return [
        (t.no, a, to)
        for t in tasks
        for a in sorted(TASK.actions(t.state) & OUTSIDE)
        for to in sorted(TASK.rows[t.state][a])
    ]


def play(plan, choices, check=lambda *_: None):
    """Start an order and let `choices` pick what is learned, one fact after the other."""
    shape, order, tasks = fresh(plan)
    facts = [(start(shape, order, tasks, NOW), NOW)]
    check(shape, order, tasks, deepcopy(tasks))
    for step, choice in enumerate(choices, 1):
        possible = moves(tasks)
        if not possible:
            break
        no, action, to = possible[choice % len(possible)]
        before, now = deepcopy(tasks), later(step)
        told = {"identity": step} if choice % 5 == 0 else {}
        facts.append((follow(shape, order, tasks, [Learned(no, action, to, facts=told)], now), now))
        for fact in facts[-1][0]["tasks"]:
            tasks[fact["no"]].identity = fact.get("identity", tasks[fact["no"]].identity)
        check(shape, order, tasks, before)
    return order, tasks, facts


CHOICES = st.lists(st.integers(0, 999), max_size=40)


@law
@given(plans(), CHOICES)
def test_a_task_is_ready_only_when_all_it_waits_for_is_completed(plan, choices):
    def check(shape, _order, tasks, before):
        for t in tasks:
            done = all(tasks[n].state is Is.COMPLETED for n in shape.after[t.no])
            if t.state not in (Is.PENDING, Is.CANCELLED):
                assert done
            if t.state is Is.PENDING and before[t.no].state is Is.PENDING:
                assert not done, "nobody would ever start it"

    play(plan, choices, check)


@law
@given(plans(), CHOICES)
def test_what_is_over_stays_over(plan, choices):
    def check(_shape, _order, tasks, before):
        for was, now in zip(before, tasks, strict=True):
            assert was.state not in TASK_IS_OVER or now == was

    play(plan, choices, check)


@law
@given(plans(), CHOICES)
def test_an_item_stands_where_its_tasks_stand(plan, choices):
    def check(shape, order, tasks, _before):
        assert order.item_states == tuple(item_state(tasks[n].state for n in own) for own in shape.of_item)

    play(plan, choices, check)


@law
@given(plans(), CHOICES)
def test_an_order_is_complete_exactly_when_every_item_is_over(plan, choices):
    def check(_shape, order, _tasks, _before):
        over = all(s in (DONE, GONE) for s in order.item_states)
        assert order.state is (OrderState.COMPLETED if over else OrderState.IN_PROGRESS)
        assert (order.finished_at is not None) is over

    play(plan, choices, check)


@law
@given(plans(), CHOICES)
def test_folding_the_facts_gives_the_same_tasks(plan, choices):
    order, tasks, facts = play(plan, choices)
    folded = [Task(n) for n in range(len(tasks))]
    state, items = None, ()
    for data, at in facts:
        fold_tasks(folded, data, at)
        state, items = data.get("order", state), data.get("items", items)
    recorded = [(t.no, t.state, t.identity, t.since) for t in tasks]
    assert [(t.no, t.state, t.identity, t.since) for t in folded] == recorded
    assert state == order.state and tuple(items) == order.item_states


@law
@given(plans(), st.lists(st.sampled_from([Do.CONFIRM, Do.CONFIRM, Do.CONFIRM, Do.REFUSE, Do.LOSE]), min_size=7, max_size=7),
       st.randoms(use_true_random=False), st.randoms(use_true_random=False))  # fmt: skip
def test_the_order_of_independent_outcomes_does_not_matter(plan, fate, one, other):
    def run(chance):
        shape, order, tasks = fresh(plan)
        start(shape, order, tasks, NOW)
        while ready := [t.no for t in tasks if t.state is Is.READY]:
            some = chance.sample(ready, chance.randint(1, len(ready)))  # one batch, in any order
            learned = [Learned(n, fate[n], next(iter(TASK.rows[Is.READY][fate[n]]))) for n in some]
            follow(shape, order, tasks, learned, NOW)
        return [t.state for t in tasks], order.state, order.item_states

    assert run(one) == run(other)


@law
@given(plans())
def test_an_order_that_nothing_disturbs_completes(plan):
    shape, order, tasks = fresh(plan)
    start(shape, order, tasks, NOW)
    for _ in tasks:
        no = next(t.no for t in tasks if t.state is Is.READY)
        follow(shape, order, tasks, [Learned(no, Do.CONFIRM, Is.COMPLETED)], NOW)
    assert order.state is OrderState.COMPLETED and set(order.item_states) == {DONE}


def test_starting_releases_what_waits_for_nothing():
    shape, order, tasks = fresh(plan_of([(), (0,), ()], [0, 0, 1]))
    assert start(shape, order, tasks, NOW) == {
        "tasks": [{"no": 0, "to": "READY"}, {"no": 2, "to": "READY"}],
        "order": "IN_PROGRESS",
        "items": ["IN_PROGRESS", "IN_PROGRESS"],
    }
    assert [t.due for t in tasks] == [NOW, None, NOW]


def test_one_blocked_item_leaves_the_others_running():
    shape, order, tasks = fresh(plan_of([(), (), (1,)], [0, 1, 1]))
    start(shape, order, tasks, NOW)
    follow(shape, order, tasks, [Learned(0, Do.REFUSE, Is.FAILED), Learned(1, Do.CONFIRM, Is.COMPLETED)], NOW)
    assert order.item_states == (ItemState.BLOCKED, ItemState.IN_PROGRESS)
    assert tasks[2].state is Is.READY and order.state is OrderState.IN_PROGRESS


def test_what_waits_for_a_cancelled_task_never_starts():
    shape, order, tasks = fresh(plan_of([(), (0,)]))
    start(shape, order, tasks, NOW)
    follow(shape, order, tasks, [Learned(0, Do.CANCEL, Is.CANCELLED)], NOW)
    assert tasks[1].state is Is.PENDING


def test_a_learned_fact_ends_the_call_and_says_when_to_go_on():
    shape, order, tasks = fresh(plan_of([()]))
    start(shape, order, tasks, NOW)
    tasks[0].lease, tasks[0].owner = later(30), "w1"
    data = follow(shape, order, tasks, [Learned(0, Do.RETRY, Is.READY, later(5), {"attempt": 1})], later(1))
    assert (tasks[0].lease, tasks[0].owner, tasks[0].due, tasks[0].since) == (None, None, later(5), later(1))
    assert data["tasks"] == [{"no": 0, "to": "READY", "attempt": 1}]


def test_an_illegal_fact_changes_nothing():
    shape, order, tasks = fresh(plan_of([(), (0,)]))
    start(shape, order, tasks, NOW)
    for no, action, to in [(1, Do.CONFIRM, Is.COMPLETED), (0, Do.ASK, Is.UNKNOWN)]:
        before = deepcopy((order, tasks))
        with pytest.raises(IllegalTransition):
            follow(shape, order, tasks, [Learned(no, action, to)], later(1))
        assert (order, tasks) == before


@pytest.mark.parametrize(
    ("states", "item"),
    [
        ([Is.PENDING, Is.PENDING], ItemState.NOT_STARTED),
        ([Is.READY, Is.PENDING], ItemState.IN_PROGRESS),
        ([Is.COMPLETED, Is.PENDING], ItemState.IN_PROGRESS),
        ([Is.WAITING_CALLBACK], ItemState.IN_PROGRESS),
        ([Is.FAILED, Is.COMPLETED], ItemState.BLOCKED),
        ([Is.UNKNOWN, Is.READY], ItemState.BLOCKED),
        ([Is.FAILED, Is.CANCELLED], ItemState.BLOCKED),
        ([Is.COMPLETED, Is.COMPLETED], ItemState.COMPLETED),
        ([Is.COMPLETED, Is.CANCELLED], ItemState.CANCELLED),
        ([Is.CANCELLED, Is.PENDING], ItemState.IN_PROGRESS),
    ],
)
def test_where_an_item_stands(states, item):
    assert item_state(states) is item


def test_a_suspended_order_does_not_complete_by_itself():
    shape, order, tasks = fresh(plan_of([()]))
    start(shape, order, tasks, NOW)
    order.state = OrderState.SUSPENDED
    follow(shape, order, tasks, [Learned(0, Do.CONFIRM, Is.COMPLETED)], NOW)
    assert order.state is OrderState.SUSPENDED and order.item_states == (DONE,)
    order.state = OrderState.IN_PROGRESS  # resumed
    assert follow(shape, order, tasks, [], NOW)["order"] == "COMPLETED"
