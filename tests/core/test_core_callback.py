"""Callbacks (A8): late, repeated, out of order, contradicting. They settle what is unknown and regress nothing."""

from itertools import product

import pytest
from core_lab import NOW, fresh, later, long_law, plan_of
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

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


class OneTask(RuleBasedStateMachine):
    """One task against a target that keeps its promises: kind, and how long a request can still land.

    The engine's rules: call only what is due, ask only what is unknown, drop what another attempt brought.
    """

    kind, declared = "B", True

    @initialize(at_once=st.sampled_from([False, False, False, True]))
    def begin(self, at_once):
        self.rules = rules(self.kind, at_once, IN_FLIGHT if self.declared else None)
        self.shape, self.order, tasks = fresh(plan_of([()]))
        start(self.shape, self.order, tasks, NOW)
        self.tasks, self.task, self.seconds = tasks, tasks[0], 0
        self.flying = {}  # attempt -> second by which it has landed or is lost
        self.landed, self.said = [], []
        self.sends_after_unknown, self.was_unknown, self.proven_absent, self.over, self.cases = 0, False, True, None, 0

    @property
    def now(self):
        return later(self.seconds)

    def take(self, made):
        follow(self.shape, self.order, self.tasks, [made.learned], self.now)
        self.cases += made.stop is not None
        self.was_unknown |= self.task.state is Is.UNKNOWN

    @precondition(lambda self: self.task.state is Is.READY and not self.task.lease and self.task.due <= self.now)
    @rule()
    def send(self):
        if self.was_unknown:
            self.sends_after_unknown += 1
            assert self.rules.target.kind == "A" or not self.flying, "sent again while the last can still land"
        self.task.attempt, self.task.tries = self.task.attempt + 1, self.task.tries + 1
        self.task.sent_at, self.task.lease, self.task.due = self.now, later(self.seconds + 10), None
        self.flying[self.task.attempt] = self.seconds + IN_FLIGHT

    @precondition(lambda self: self.task.state is Is.UNKNOWN and self.task.due and self.task.due <= self.now)
    @rule(answers=st.booleans())
    def ask(self, answers):
        assert self.rules.target.kind != "C" and not self.rules.on_unknown.case_at_once
        self.task.attempt, self.task.asks = self.task.attempt + 1, self.task.asks + 1
        result = (Result.FOUND if self.effects else Result.ABSENT) if answers else Result.SILENT
        outcome = Outcome(result, self.now, effects=self.effects)
        self.take(judge_ask(self.task, outcome, self.rules, self.now, 0.0))

    @precondition(lambda self: self.flying)
    @rule()
    def land(self):
        attempt = min(self.flying)
        del self.flying[attempt]
        self.landed.append(attempt)

    @precondition(lambda self: self.flying)
    @rule()
    def vanish(self):
        del self.flying[max(self.flying)]

    @property
    def waits_for_a_reply(self):
        return self.task.lease is not None and self.task.state is Is.READY

    @precondition(lambda self: self.waits_for_a_reply)
    @rule(result=st.sampled_from([Result.BUSY, Result.UNSENT, Result.REFUSED, Result.ACCEPTED]))
    def reply_proven(self, result):
        if self.task.attempt not in self.flying:
            return
        if result is not Result.ACCEPTED:
            del self.flying[self.task.attempt]
        self.take(judge_send(self.task, Outcome(result, self.now, code="BUSY"), self.rules, self.now, 0.0))

    @precondition(lambda self: self.waits_for_a_reply and self.task.attempt in self.landed)
    @rule()
    def reply_done(self):
        self.take(judge_send(self.task, Outcome(Result.DONE, self.now), self.rules, self.now, 0.0))

    @precondition(lambda self: self.waits_for_a_reply)
    @rule(lapsed=st.booleans())
    def reply_lost(self, lapsed):
        self.was_unknown = True
        outcome = Outcome(Result.UNKNOWN, self.now, code="TIMEOUT")
        judge = lose if lapsed else judge_send
        self.take(judge(self.task, outcome, self.rules, self.now, 0.0))

    @precondition(lambda self: self.task.state is Is.WAITING_CALLBACK)
    @rule()
    def callback_never_came(self):
        self.take(lose(self.task, Outcome(Result.UNKNOWN, self.now), self.rules, self.now, 0.0))

    @precondition(lambda self: self.effects)
    @rule(times=st.integers(1, 3))
    def call_back_done(self, times):
        for _ in range(times):
            made = judge_callback(self.task, "done", Outcome(Result.DONE, self.now), self.rules, self.now)
            if made:
                self.take(made)

    @precondition(lambda self: self.task.attempt)
    @rule(status=st.sampled_from(["accepted", "failed"]))
    def call_back_nonsense(self, status):
        """Contradicting and late ones only: a true 'failed' before the effect is `reply_proven`."""
        if status == "failed" and self.task.state not in TASK_IS_OVER:
            return
        assert judge_callback(self.task, status, Outcome(Result.REFUSED, self.now), self.rules, self.now) is None

    @rule(seconds=st.sampled_from([1, 5, 21, 70]))
    def wait(self, seconds):
        self.seconds += seconds
        self.flying = {a: by for a, by in self.flying.items() if by > self.seconds}  # the others were lost on the way

    @property
    def effects(self):
        return min(len(self.landed), 1) if self.rules.target.kind == "A" else len(self.landed)

    @invariant()
    def one_effect_at_most(self):
        assert self.effects <= 1

    @invariant()
    def a_c_is_never_sent_again_after_unknown(self):
        assert self.rules.target.kind != "C" or self.sends_after_unknown == 0

    @invariant()
    def a_b_without_declaration_is_never_sent_again_after_unknown(self):
        target = self.rules.target
        assert target.kind != "B" or target.max_in_flight_s is not None or self.sends_after_unknown == 0

    @invariant()
    def what_is_over_stays_over(self):
        assert self.over is None or self.task.state is self.over
        if self.task.state in TASK_IS_OVER:
            self.over = self.task.state
            assert self.effects == 1

    @invariant()
    def nobody_waits_for_nothing(self):
        if self.task.state in (Is.UNKNOWN, Is.READY, Is.WAITING_CALLBACK):
            assert self.task.due or self.task.lease or self.cases, "no time to look again, no call, no case"


class AtA(OneTask):
    kind = "A"


class AtBUndeclared(OneTask):
    declared = False


class AtC(OneTask):
    kind = "C"


TestAtA, TestAtB, TestAtBUndeclared, TestAtC = (w.TestCase for w in (AtA, OneTask, AtBUndeclared, AtC))
for walk in (TestAtA, TestAtB, TestAtBUndeclared, TestAtC):
    walk.settings = long_law


def test_a_b_is_sent_again_once_its_absence_is_proven():
    """The story the random walk must be able to tell, so that its laws are not empty."""
    world = OneTask()
    world.begin(False)
    world.send()
    world.reply_lost(False)
    world.wait(5)
    world.ask(True)  # absent, but too early to count
    assert world.task.state is Is.UNKNOWN
    world.wait(21)
    world.ask(True)
    assert world.task.state is Is.READY
    world.wait(70)
    world.send()
    world.land()
    world.reply_done()
    assert (world.task.state, world.sends_after_unknown, world.effects) == (Is.COMPLETED, 1, 1)
