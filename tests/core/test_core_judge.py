"""From an outcome to what a task becomes (A9, A11): the table of kinds A, B and C."""

from datetime import timedelta

import pytest
from core_lab import NOW, PACK, later, law
from hypothesis import given
from hypothesis import strategies as st

from unstuck.order.lifecycle import TASK, TaskState
from unstuck.order.lifecycle import TaskState as Is
from unstuck.order.state import Task
from unstuck.repair.judge import Rules, judge_ask, judge_recheck, judge_send, lose
from unstuck.repair.outcome import Outcome, Result
from unstuck.repair.policy import OnUnknown, Retry, SettleByAsking, Target

ASKING = OnUnknown(settle_by_asking=SettleByAsking(tries=3, within_s=300))
AT_ONCE = OnUnknown(case_at_once=True)
RETRY = Retry(codes=("BUSY", "HTTP_503"), attempts=3, backoff_s=2, factor=2, jitter=0.5, window_s=600)


def rules(kind="A", in_flight=20.0, on_unknown=ASKING, retry=RETRY, recheck=(30.0, 120.0)):
    return Rules(Target("T", kind, max_in_flight_s=in_flight, recheck_s=recheck), retry, on_unknown, 900.0, 300.0)


def ready(tries=1, **changes):
    """A task whose call number `tries` has just come back."""
    return Task(**{"no": 0, "state": Is.READY, "attempt": tries, "tries": tries, "sent_at": later(-1), **changes})


def unknown(tries=1, asks=1, sent=-60, **changes):
    facts = {"state": Is.UNKNOWN, "asks": asks, "attempt": tries + asks, "sent_at": later(sent)}
    return ready(tries, **{**facts, **changes})


def came(result, **more):
    return Outcome(result, NOW, **more)


def send(task, result, law, chance=0.0, **more):
    return judge_send(task, came(result, **more), law, NOW, chance)


def ask(task, result, law, **more):
    return judge_ask(task, came(result, **more), law, NOW, 0.0)


def seen(judgement):
    return judgement.learned.action.value, judgement.learned.to.value, judgement.stop and judgement.stop.reason


BUSY = {"code": "BUSY"}
SENT = [
    # kind, result, what came with it, tries so far -> action, state, case
    ("ABC", Result.DONE, {}, 1, ("CONFIRM", "COMPLETED", None)),
    ("ABC", Result.ACCEPTED, {}, 1, ("ACCEPT", "WAITING_CALLBACK", None)),
    ("ABC", Result.REFUSED, {"code": "BUSY"}, 1, ("REFUSE", "FAILED", "refused")),
    ("ABC", Result.REFUSED, {"code": "BAD"}, 1, ("REFUSE", "FAILED", "refused")),
    ("ABC", Result.BUSY, BUSY, 1, ("RETRY", "READY", None)),
    ("ABC", Result.BUSY, BUSY, 2, ("RETRY", "READY", None)),
    ("ABC", Result.BUSY, BUSY, 3, ("REFUSE", "FAILED", "exhausted")),
    ("ABC", Result.BUSY, {"code": "HTTP_429"}, 1, ("REFUSE", "FAILED", "refused")),
    ("ABC", Result.UNSENT, {"code": "NOT_CONNECTED"}, 1, ("RETRY", "READY", None)),
    ("ABC", Result.UNSENT, {"code": "NOT_CONNECTED"}, 3, ("REFUSE", "FAILED", "exhausted")),
    ("A", Result.UNKNOWN, {"code": "TIMEOUT"}, 1, ("RETRY", "READY", None)),
    ("A", Result.UNKNOWN, {"code": "TIMEOUT"}, 3, ("LOSE", "UNKNOWN", "unknown")),
    ("B", Result.UNKNOWN, {"code": "TIMEOUT"}, 1, ("LOSE", "UNKNOWN", None)),
    ("B", Result.UNKNOWN, {"code": "TIMEOUT"}, 3, ("LOSE", "UNKNOWN", None)),
    ("C", Result.UNKNOWN, {"code": "TIMEOUT"}, 1, ("LOSE", "UNKNOWN", "unknown")),
]  # fmt: skip


@pytest.mark.parametrize(("kinds", "result", "more", "tries", "becomes"), SENT)
def test_what_a_reply_makes_of_a_task(kinds, result, more, tries, becomes):
    for kind in kinds:
        assert seen(send(ready(tries), result, rules(kind), **more)) == becomes, kind


ASKED = [
    # kind, answer, in flight, seconds since sent, tries, asks -> action, state, case
    ("AB", Result.FOUND, 20, 5, 1, 1, ("CONFIRM", "COMPLETED", None)),
    ("A", Result.ABSENT, 20, 5, 1, 1, ("PROVE_ABSENT", "READY", None)),
    ("A", Result.ABSENT, None, 5, 1, 1, ("PROVE_ABSENT", "READY", None)),
    ("B", Result.ABSENT, 20, 19.999, 1, 1, ("ASK", "UNKNOWN", None)),
    ("B", Result.ABSENT, 20, 20, 1, 1, ("PROVE_ABSENT", "READY", None)),
    ("B", Result.ABSENT, None, 299, 1, 1, ("ASK", "UNKNOWN", None)),
    ("B", Result.ABSENT, None, 299, 1, 3, ("ASK", "UNKNOWN", "unknown")),
    ("AB", Result.ABSENT, 20, 60, 3, 1, ("PROVE_ABSENT", "FAILED", "exhausted")),
    ("AB", Result.ABSENT, 20, 601, 1, 1, ("PROVE_ABSENT", "FAILED", "exhausted")),
    ("AB", Result.ABSENT, 20, 600, 1, 3, ("PROVE_ABSENT", "READY", None)),
    ("AB", Result.SILENT, 20, 5, 1, 1, ("ASK", "UNKNOWN", None)),
    ("AB", Result.SILENT, 20, 5, 1, 3, ("ASK", "UNKNOWN", "unknown")),
    ("AB", Result.SILENT, 20, 300, 1, 1, ("ASK", "UNKNOWN", None)),
    ("AB", Result.SILENT, 20, 300.001, 1, 1, ("ASK", "UNKNOWN", "unknown")),
    ("C", Result.ABSENT, 20, 299, 1, 1, ("ASK", "UNKNOWN", None)),  # a C cannot be asked: an answer proves nothing
]  # fmt: skip


@pytest.mark.parametrize(("kinds", "answer", "in_flight", "ago", "tries", "asks", "becomes"), ASKED)
def test_what_a_read_back_makes_of_an_unknown_outcome(kinds, answer, in_flight, ago, tries, asks, becomes):
    for kind in kinds:
        assert seen(ask(unknown(tries, asks, -ago), answer, rules(kind, in_flight))) == becomes, kind


@pytest.mark.parametrize("kind", "ABC")
def test_case_at_once_asks_nobody(kind):
    judged = send(ready(), Result.UNKNOWN, rules(kind, on_unknown=AT_ONCE), code="TIMEOUT")
    assert seen(judged) == ("LOSE", "UNKNOWN", "unknown") and judged.learned.due is None


@pytest.mark.parametrize("kind", "AB")
def test_an_accepted_command_without_its_callback_is_a_case_and_never_sent_again_by_a_machine(kind):
    judged = lose(ready(state=Is.WAITING_CALLBACK), came(Result.UNKNOWN), rules(kind), NOW, 0.0)
    assert seen(judged) == ("LOSE", "UNKNOWN", "unknown") and judged.learned.due is None


def test_a_callback_that_never_came_of_a_c_is_a_case():
    judged = lose(ready(state=Is.WAITING_CALLBACK), came(Result.UNKNOWN), rules("C"), NOW, 0.0)
    assert seen(judged) == ("LOSE", "UNKNOWN", "unknown") and judged.learned.due is None


def test_the_wait_doubles_and_is_spread_by_chance():
    waits = [send(ready(n), Result.BUSY, rules(), **BUSY).learned.due - NOW for n in (1, 2)]
    assert waits == [timedelta(seconds=2), timedelta(seconds=4)]
    assert send(ready(1), Result.BUSY, rules(), 0.5, **BUSY).learned.due == later(2 * 1.25)


@pytest.mark.parametrize(("wish", "due"), [(0, 2), (1, 2), (2.5, 2.5), (120, 120)])
def test_retry_after_is_respected_and_never_shortens_the_wait(wish, due):
    assert send(ready(), Result.BUSY, rules(), retry_after_s=wish, **BUSY).learned.due == later(due)


def test_an_absence_that_is_too_early_is_asked_again_when_it_can_count():
    judged = ask(unknown(sent=-5), Result.ABSENT, rules("B", 20))
    assert judged.learned.due == later(15)
    late = ask(unknown(sent=-19), Result.ABSENT, rules("B", 20))
    assert late.learned.due == later(4)  # the wait between questions, when that is longer


def test_an_effect_that_is_there_twice_is_a_case_and_stays_done():
    judged = ask(unknown(), Result.FOUND, rules("B"), effects=2)
    assert seen(judged) == ("CONFIRM", "COMPLETED", "duplicate")
    assert judged.stop.code == "DUPLICATE_SIDE_EFFECT" and judged.recheck == ()


@pytest.mark.parametrize(
    ("outcome", "is_case"),
    [(came(Result.FOUND, effects=1), False), (came(Result.FOUND, effects=2), True),
     (came(Result.ABSENT, effects=2), False), (came(Result.SILENT), False)],
)  # fmt: skip
def test_a_recheck_opens_a_case_only_for_a_second_effect(outcome, is_case):
    stop = judge_recheck(outcome)
    assert (stop is not None and stop.reason == "duplicate") is is_case


RECHECKS = [
    # kind, attempt, tries, asks -> looked at again?
    ("B", 1, 1, 0, False),
    ("B", 2, 1, 1, False),  # sent once, asked once
    ("B", 2, 2, 0, True),
    ("B", 3, 2, 1, True),
    ("B", 3, 1, 0, True),  # a person resumed: tries count from there, the first send is still out there
    ("A", 2, 2, 0, False),
    ("C", 2, 2, 0, False),  # cannot be asked
]


@pytest.mark.parametrize(("kind", "attempt", "tries", "asks", "again"), RECHECKS)
def test_after_a_second_send_the_target_is_looked_at_again(kind, attempt, tries, asks, again):
    expected = (30.0, 120.0) if again else ()
    counts = {"attempt": attempt, "asks": asks}
    assert send(ready(tries, **counts), Result.DONE, rules(kind)).recheck == expected
    assert ask(unknown(tries, **counts), Result.FOUND, rules(kind), effects=1).recheck == expected


tasks = st.builds(
    lambda state, tries, asks, older, sent: Task(
        0, state, attempt=tries + asks + older, tries=tries, asks=asks, sent_at=later(-sent)
    ),
    st.sampled_from([Is.READY, Is.UNKNOWN]), st.integers(1, 5), st.integers(0, 5), st.integers(0, 3), st.floats(0, 900),
)  # fmt: skip
all_rules = st.builds(
    rules, st.sampled_from("ABC"), st.sampled_from([None, 20.0, 120.0]), st.sampled_from([ASKING, AT_ONCE])
)
outcomes = st.builds(
    Outcome, st.sampled_from(Result), st.just(NOW), code=st.sampled_from(["BUSY", "X", ""]),
    effects=st.integers(0, 2), retry_after_s=st.floats(0, 50),
)  # fmt: skip


def judged(task, outcome, law, chance):
    judge = judge_ask if task.state is Is.UNKNOWN else judge_send
    return judge(task, outcome, law, NOW, chance)


@law
@given(tasks, outcomes, all_rules, st.floats(0, 0.999))
def test_every_judgement_is_legal_and_leaves_nothing_forgotten(task, outcome, law, chance):
    made = judged(task, outcome, law, chance)
    assert TASK.step(task.state, made.learned.action, made.learned.to) is made.learned.to
    settled = made.learned.to is TaskState.COMPLETED
    assert settled or made.stop is not None or made.learned.due is not None, "nobody would look at it again"
    assert made.learned.due is None or made.learned.due > NOW
    assert made.learned.facts == {"attempt": task.attempt, "result": outcome.result.value}


@law
@given(tasks, outcomes, all_rules, st.floats(0, 0.999))
def test_a_machine_sends_again_only_what_is_safe_and_within_budget(task, outcome, law, chance):
    made = judged(task, outcome, law, chance)
    if made.learned.to is not TaskState.READY:
        return
    assert task.tries < law.retry.attempts
    assert NOW - task.sent_at <= timedelta(seconds=law.retry.window_s)
    not_done = task.state is Is.READY and outcome.result in (Result.BUSY, Result.UNSENT)
    landed = (
        law.target.max_in_flight_s is not None and task.sent_at + timedelta(seconds=law.target.max_in_flight_s) <= NOW
    )
    absent = task.state is Is.UNKNOWN and outcome.result is Result.ABSENT
    assert not_done or law.target.kind == "A" or (law.target.kind == "B" and absent and landed)


@law
@given(tasks, outcomes, all_rules)
def test_judging_changes_nothing(task, outcome, law):
    before = repr((task, outcome))
    judged(task, outcome, law, 0.0)
    assert repr((task, outcome)) == before


def test_the_shipped_pack_never_waits_for_a_c_and_asks_the_others():
    for name, told in PACK.rules.items():
        judged = send(ready(), Result.UNKNOWN, told, code="TIMEOUT")
        if told.target.kind == "C" or told.on_unknown.case_at_once:
            assert judged.stop.reason == "unknown", name
        elif told.target.kind == "A":
            assert seen(judged) == ("RETRY", "READY", None), name
        else:
            assert seen(judged) == ("LOSE", "UNKNOWN", None), name
