"""From an outcome to what a task becomes: retry, read-back or case. Pure; the seed's retry rule, line by line."""

from datetime import datetime, timedelta
from typing import Literal

import msgspec

from unstuck.order.advance import Learned
from unstuck.order.lifecycle import TaskAction, TaskState
from unstuck.order.state import Task
from unstuck.repair.outcome import Outcome, Result
from unstuck.repair.policy import OnUnknown, Retry, Target


class Rules(msgspec.Struct, frozen=True):
    """What the pack says about one task type and its target."""

    target: Target
    retry: Retry
    on_unknown: OnUnknown
    breach_s: float
    warning_s: float


class Stop(msgspec.Struct, frozen=True):
    """The task cannot go on by itself: what a case is opened with."""

    reason: Literal[
        "refused", "exhausted", "unknown", "duplicate", "contradiction", "overdue", "unplannable", "failed_by_hand"
    ]
    code: str
    message: str


class Judgement(msgspec.Struct):
    """What an outcome makes of its task; `stop` opens a case, `recheck` looks later for a second effect."""

    learned: Learned
    stop: Stop | None = None
    recheck: tuple[float, ...] = ()


def judge_send(task: Task, outcome: Outcome, rules: Rules, now: datetime, chance: float) -> Judgement:
    """What the reply to a command makes of its task. `chance` in [0, 1) spreads the retries."""
    match outcome.result:
        case Result.DONE:
            done = _learn(task, TaskAction.CONFIRM, TaskState.COMPLETED, outcome)
            return Judgement(done, recheck=_recheck(task, rules.target))
        case Result.ACCEPTED:
            due = now + timedelta(seconds=rules.breach_s)
            return Judgement(_learn(task, TaskAction.ACCEPT, TaskState.WAITING_CALLBACK, outcome, due))
        case Result.BUSY | Result.UNSENT:
            return _try_again(task, outcome, rules, now, chance)
        case Result.REFUSED:
            stop = Stop("refused", outcome.code, outcome.message)
            return Judgement(_learn(task, TaskAction.REFUSE, TaskState.FAILED, outcome), stop)
        case _:
            return lose(task, outcome, rules, now, chance)


def lose(task: Task, outcome: Outcome, rules: Rules, now: datetime, chance: float) -> Judgement:
    """Nobody knows whether the target acted: ask, send the same key again where that is safe, or stop."""
    learned = _learn(task, TaskAction.LOSE, TaskState.UNKNOWN, outcome)
    accepted = task.state is TaskState.WAITING_CALLBACK  # what was accepted may still be done, however late
    if accepted or rules.on_unknown.case_at_once or rules.target.kind == "C":
        return Judgement(learned, Stop("unknown", outcome.code, outcome.message))
    if rules.target.kind == "A" and task.state is TaskState.READY:
        if not _budget_left(task, rules.retry, now):
            return Judgement(learned, Stop("unknown", outcome.code, outcome.message))
        learned = _learn(task, TaskAction.RETRY, TaskState.READY, outcome, now + _wait(task, rules.retry, chance))
        return Judgement(learned)
    learned.due = now + _wait(task, rules.retry, chance)
    return Judgement(learned)


def judge_ask(task: Task, outcome: Outcome, rules: Rules, now: datetime, chance: float) -> Judgement:
    """What a read-back makes of a task whose outcome is unknown.

    Absent counts only once nothing of ours can still land (`max_in_flight_s` after the last send).
    """
    if outcome.result is Result.FOUND:
        stop = _duplicate(outcome) if outcome.effects > 1 else None
        again = () if stop else _recheck(task, rules.target)
        return Judgement(_learn(task, TaskAction.CONFIRM, TaskState.COMPLETED, outcome), stop, again)
    landed_by = _landed_by(task, rules.target)
    if outcome.result is Result.ABSENT and landed_by is not None and now >= landed_by:
        if _budget_left(task, rules.retry, now):
            due = now + _wait(task, rules.retry, chance)
            return Judgement(_learn(task, TaskAction.PROVE_ABSENT, TaskState.READY, outcome, due))
        stop = Stop("exhausted", "ABSENT_AFTER_RETRIES", "the target has no such effect and the retry budget is spent")
        return Judgement(_learn(task, TaskAction.PROVE_ABSENT, TaskState.FAILED, outcome), stop)
    return _ask_again(task, outcome, rules, now, chance, landed_by)


def judge_callback(task: Task, status: str, outcome: Outcome, rules: Rules, now: datetime) -> Judgement | None:
    """What a callback makes of its task; None when it changes nothing (repeated, late, out of order).

    A contradiction of what is settled never regresses the task; it becomes a case of its own.
    """
    open_states = (TaskState.READY, TaskState.WAITING_CALLBACK, TaskState.UNKNOWN)
    if status == "accepted":
        return None
    if task.state in open_states and task.attempt > 0:
        action, to = {
            "done": (TaskAction.CONFIRM, TaskState.COMPLETED),
            "failed": (TaskAction.REFUSE, TaskState.FAILED),
        }[status]
        stop = Stop("refused", outcome.code, outcome.message) if status == "failed" else None
        again = () if stop else _recheck(task, rules.target)
        return Judgement(_learn(task, action, to, outcome), stop, again)
    return None


def contradicts(task: Task, status: str) -> bool:
    """Whether a callback says the opposite of what is settled."""
    return (task.state is TaskState.COMPLETED and status == "failed") or (
        task.state in (TaskState.FAILED, TaskState.CANCELLED) and status == "done"
    )


def judge_recheck(outcome: Outcome) -> Stop | None:
    """After a second send: is the effect there more than once?"""
    return _duplicate(outcome) if outcome.result is Result.FOUND and outcome.effects > 1 else None


def _try_again(task: Task, outcome: Outcome, rules: Rules, now: datetime, chance: float) -> Judgement:
    named = outcome.result is Result.UNSENT or outcome.code in rules.retry.codes
    if named and _budget_left(task, rules.retry, now):
        wait = max(_wait(task, rules.retry, chance), timedelta(seconds=outcome.retry_after_s))
        return Judgement(_learn(task, TaskAction.RETRY, TaskState.READY, outcome, now + wait))
    stop = Stop("exhausted" if named else "refused", outcome.code, outcome.message)
    return Judgement(_learn(task, TaskAction.REFUSE, TaskState.FAILED, outcome), stop)


def _ask_again(
    task: Task, outcome: Outcome, rules: Rules, now: datetime, chance: float, landed_by: datetime | None
) -> Judgement:
    settle = rules.on_unknown.settle_by_asking
    learned = _learn(task, TaskAction.ASK, TaskState.UNKNOWN, outcome)
    asked_for = now - (task.sent_at or now)
    if settle is None or task.asks >= settle.tries or asked_for > timedelta(seconds=settle.within_s):
        return Judgement(learned, Stop("unknown", outcome.code, outcome.message or "asked and still not known"))
    learned.due = max(now + _wait(task, rules.retry, chance), landed_by or now)
    return Judgement(learned)


def _recheck(task: Task, target: Target) -> tuple[float, ...]:
    # `tries` starts again when a person resumes; calls that were not asks of this round are all sends or older.
    return target.recheck_s if target.kind == "B" and task.attempt - task.asks > 1 else ()


def _duplicate(outcome: Outcome) -> Stop:
    return Stop("duplicate", "DUPLICATE_SIDE_EFFECT", f"the target shows {outcome.effects} effects of one intent")


def _landed_by(task: Task, target: Target) -> datetime | None:
    if target.kind == "A" or task.sent_at is None:
        return task.sent_at  # a request that lands later finds its key taken
    if target.kind == "C" or target.max_in_flight_s is None:
        return None
    return task.sent_at + timedelta(seconds=target.max_in_flight_s)


def _budget_left(task: Task, retry: Retry, now: datetime) -> bool:
    in_window = task.sent_at is None or now - task.sent_at <= timedelta(seconds=retry.window_s)
    return task.tries < retry.attempts and in_window


def _wait(task: Task, retry: Retry, chance: float) -> timedelta:
    tries = max(task.tries + task.asks - 1, 0)
    return timedelta(seconds=retry.backoff_s * retry.factor ** min(tries, 16) * (1 + retry.jitter * chance))


def _learn(task: Task, action: TaskAction, to: TaskState, outcome: Outcome, due: datetime | None = None) -> Learned:
    return Learned(task.no, action, to, due, {"attempt": task.attempt, "result": outcome.result.value})
