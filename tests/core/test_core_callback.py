"""Callbacks (A8): late, repeated, out of order, contradicting. They settle what is unknown and regress nothing."""

import math
from itertools import product

import pytest
from core_lab import NOW, fresh, later, long_law, plan_of
from hypothesis import given
from hypothesis import strategies as st

from unstuck.order.advance import follow, start
from unstuck.order.lifecycle import TASK_IS_OVER
from unstuck.order.lifecycle import TaskState as Is
from unstuck.order.state import Task
from unstuck.repair.judge import Rules, contradicts, judge_ask, judge_callback, judge_send, lose
from unstuck.repair.outcome import Outcome, Result
from unstuck.repair.policy import OnUnknown, Retry, SettleByAsking, Target

IN_FLIGHT = 20


def rules(kind="B", at_once=False, in_flight=IN_FLIGHT):
    way = OnUnknown(case_at_once=True) if at_once else OnUnknown(settle_by_asking=SettleByAsking(9, 1000))
    return Rules(Target("T", kind, max_in_flight_s=in_flight, recheck_s=(30,)), Retry(("BUSY",), 9), way, 60, 30)


def called_back(state, status, attempt=1, law=None, **counts):
    task = Task(0, state, attempt=attempt, **{"tries": attempt, **counts})
    outcome = Outcome(Result.DONE if status == "done" else Result.REFUSED, NOW, code="NO_PORT", message="none left")
    return judge_callback(task, status, outcome, law or rules(), NOW)


@pytest.mark.parametrize("state", [Is.READY, Is.WAITING_CALLBACK, Is.UNKNOWN])
def test_done_settles_whatever_is_open(state):
    made = called_back(state, "done")
    assert (made.learned.action, made.learned.to, made.stop) == ("CONFIRM", "COMPLETED", None)


@pytest.mark.parametrize("state", [Is.READY, Is.WAITING_CALLBACK, Is.UNKNOWN])
def test_failed_stops_whatever_is_open_and_keeps_the_targets_words(state):
    made = called_back(state, "failed")
    assert (made.learned.action, made.learned.to) == ("REFUSE", "FAILED")
    assert (made.stop.reason, made.stop.code, made.stop.message) == ("refused", "NO_PORT", "none left")


@pytest.mark.parametrize(
    ("state", "status"), [*product([Is.PENDING, Is.FAILED, Is.COMPLETED, Is.CANCELLED], ["done", "failed"])]
)
def test_what_is_settled_or_was_never_sent_stays(state, status):
    assert called_back(state, status) is None


@pytest.mark.parametrize("state", Is)
def test_accepted_changes_nothing(state):
    assert called_back(state, "accepted") is None


def test_nothing_settles_a_task_that_was_never_called():
    assert called_back(Is.READY, "done", attempt=0) is None


def test_a_late_done_after_a_second_send_is_looked_at_again():
    assert called_back(Is.UNKNOWN, "done", attempt=3, tries=2, asks=1).recheck == (30,)
    assert called_back(Is.UNKNOWN, "done", attempt=2, tries=1, asks=1).recheck == ()
    assert called_back(Is.READY, "done", attempt=2, law=rules("A")).recheck == ()
    assert called_back(Is.READY, "failed", attempt=2).recheck == ()


CONTRADICTIONS = {(Is.COMPLETED, "failed"), (Is.FAILED, "done"), (Is.CANCELLED, "done")}


@pytest.mark.parametrize(("state", "status"), [*product(Is, ["accepted", "done", "failed"])])
def test_a_contradiction_is_the_opposite_of_what_is_settled(state, status):
    task = Task(0, state, attempt=1)
    assert contradicts(task, status) is ((state, status) in CONTRADICTIONS)
    if contradicts(task, status):
        assert called_back(state, status) is None  # it becomes a case; the task does not move


class World:
    """One task against a target that keeps its promises: its kind, and how long a request can still land.

    The engine's rules: call only what is due, ask only what is unknown, drop what another attempt brought.
    """

    def __init__(self, kind, declared, at_once=False):
        self.rules = rules(kind, at_once, IN_FLIGHT if declared else None)
        self.shape, self.order, tasks = fresh(plan_of([()]))
        start(self.shape, self.order, tasks, NOW)
        self.tasks, self.task, self.seconds = tasks, tasks[0], 0
        self.flying = {}  # attempt -> (second at which it lands, or by which it is lost; whether it lands)
        self.landed = []
        self.sends_after_unknown, self.was_unknown, self.over, self.cases = 0, False, None, 0

    @property
    def now(self):
        return later(self.seconds)

    @property
    def effects(self):
        return min(len(self.landed), 1) if self.rules.target.kind == "A" else len(self.landed)

    def take(self, made):
        follow(self.shape, self.order, self.tasks, [made.learned], self.now)
        self.cases += made.stop is not None
        self.was_unknown |= self.task.state is Is.UNKNOWN

    def engine(self, n):
        """Wait for what is due, and send it or ask about it."""
        self.wait(max(0, math.ceil((self.task.due - self.now).total_seconds())))
        if self.task.state is Is.READY:
            self.send((0, 3, 19, 20)[n % 4], lost=n % 3 == 0)
        else:
            self.ask(answers=n % 4 > 0)

    def send(self, flies=0, lost=False):
        if self.was_unknown:
            self.sends_after_unknown += 1
            assert self.rules.target.kind == "A" or not self.flying, "sent again while the last can still land"
        self.task.attempt, self.task.tries = self.task.attempt + 1, self.task.tries + 1
        self.task.sent_at, self.task.lease, self.task.due = self.now, later(self.seconds + 10), None
        self.flying[self.task.attempt] = (self.seconds + flies, not lost)
        self.wait(0)

    def ask(self, answers=True):
        assert self.rules.target.kind != "C" and not self.rules.on_unknown.case_at_once
        self.task.attempt, self.task.asks = self.task.attempt + 1, self.task.asks + 1
        result = (Result.FOUND if self.effects else Result.ABSENT) if answers else Result.SILENT
        outcome = Outcome(result, self.now, effects=self.effects)
        self.take(judge_ask(self.task, outcome, self.rules, self.now, 0.0))

    def wait(self, seconds):
        self.seconds += seconds
        over = {a: lands for a, (by, lands) in self.flying.items() if by <= self.seconds}
        self.landed += [attempt for attempt, lands in over.items() if lands]
        self.flying = {a: fate for a, fate in self.flying.items() if a not in over}

    def wait_some(self, n):
        self.wait((1, 5, 20, 70)[n % 4])

    def reply(self, n):
        """An honest answer: what is refused does not land, what has landed is done, and any answer may get lost."""
        result = (Result.UNKNOWN, Result.UNKNOWN, Result.UNKNOWN, Result.BUSY, Result.ACCEPTED, Result.REFUSED)[n % 6]
        attempt = self.task.attempt
        if result is not Result.UNKNOWN and attempt in self.landed:
            result = Result.DONE
        elif result in (Result.BUSY, Result.REFUSED):
            self.flying.pop(attempt, None)
        self.was_unknown |= result is Result.UNKNOWN
        judge = lose if n % 2 and result is Result.UNKNOWN else judge_send
        self.take(judge(self.task, Outcome(result, self.now, code="BUSY"), self.rules, self.now, 0.0))

    def callback_never_came(self, _n):
        self.take(lose(self.task, Outcome(Result.UNKNOWN, self.now), self.rules, self.now, 0.0))

    def call_back_done(self, n):
        for _ in range(n % 3 + 1):
            made = judge_callback(self.task, "done", Outcome(Result.DONE, self.now), self.rules, self.now)
            if made:
                self.take(made)

    def call_back_in_vain(self, n):
        """What comes out of order, repeated or against what is settled."""
        status = "failed" if self.task.state in TASK_IS_OVER else "accepted"
        outcome = Outcome(Result.REFUSED, self.now)
        for _ in range(n % 3 + 1):
            assert judge_callback(self.task, status, outcome, self.rules, self.now) is None

    def possible(self):
        """What can happen now; the engine is as busy as all the others together."""
        task, can = self.task, [self.wait_some]
        if task.due and task.state in (Is.READY, Is.UNKNOWN):
            can += [self.engine] * 3
        if task.lease is not None and task.state is Is.READY:
            can += [self.reply] * 2
        if task.state is Is.WAITING_CALLBACK:
            can += [self.callback_never_came]
        if task.attempt:
            can += [self.call_back_in_vain]
        if self.effects:
            can += [self.call_back_done]
        return can

    def check(self):
        target, task = self.rules.target, self.task
        assert self.effects <= 1
        if target.kind == "C" or (target.kind == "B" and target.max_in_flight_s is None):
            assert self.sends_after_unknown == 0
        assert self.over is None or task.state is self.over, "what is over stays over"
        if task.state in TASK_IS_OVER:
            self.over = task.state
            assert self.effects == 1
        elif task.state is not Is.FAILED:
            assert task.due or task.lease or self.cases, "no time to look again, no call, no case"


HAPPENS = st.lists(st.tuples(st.integers(0, 99), st.integers(0, 99)), min_size=15, max_size=40)


@pytest.mark.parametrize(("kind", "declared"), [("A", False), ("B", True), ("B", False), ("C", True)])
@long_law
@given(HAPPENS, st.sampled_from([False, False, False, True]))
def test_whatever_comes_in_whatever_order_there_is_one_effect_and_no_way_back(kind, declared, happens, at_once):
    world = World(kind, declared, at_once)
    for which, n in happens:
        can = world.possible()
        can[which % len(can)](n)
        world.check()


def test_a_b_is_sent_again_once_its_absence_is_proven():
    """The story that the walk above must be able to tell, so that its laws are not empty."""
    world = World("B", True)
    world.send(lost=True)
    world.reply(0)
    world.wait(5)
    world.ask()  # absent, but too early to count
    assert world.task.state is Is.UNKNOWN
    world.wait(20)
    world.ask()
    assert world.task.state is Is.READY
    world.wait(70)
    world.send()
    world.reply(4)
    assert (world.task.state, world.sends_after_unknown, world.effects) == (Is.COMPLETED, 1, 1)
