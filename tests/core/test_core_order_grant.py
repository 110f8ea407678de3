"""What may be done to a whole order is what its commands would do, and how it stands to its date is said without a guess."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest
from core_lab import PACK

from unstuck.kernel.actor import Actor
from unstuck.kernel.ids import uuid7
from unstuck.kernel.refusal import Refused
from unstuck.order import command
from unstuck.order.lifecycle import ORDER_IS_OVER, OrderState, TaskState
from unstuck.order.promise import SOON, Promise, promise
from unstuck.order.state import Order, Task
from unstuck.policy.order_grant import COMMANDS, commands_on

NOW = datetime(2026, 11, 3, 8, tzinfo=UTC)
ENGINEER, SUPPORT = Actor("mona", frozenset({"engineer"})), Actor("sam", frozenset({"support"}))
CARRIED_OUT: dict[str, Callable[..., Any]] = {
    "suspend": lambda order, tasks: command.suspend(order, "mona", "why", NOW),
    "resume": lambda order, tasks: command.resume(order, "mona", "why", NOW),
    "fail": lambda order, tasks: command.fail(order, "mona", "why", NOW),
    "resolve-failure": lambda order, tasks: command.resolve_failure(order, "mona", "why", NOW),
    "cancel": lambda order, tasks: command.cancel(order, tasks, None, "mona", "why", NOW),
    "abort": lambda order, tasks: command.abort(order, tasks, None, "mona", "why", NOW),
}
SENT, UNSENT = 1, 0


def an_order(state: OrderState, plan: str | None) -> Order:
    failed_from = OrderState.IN_PROGRESS if state is OrderState.FAILED else None
    return Order(uuid7(NOW, 1), 1001, state, 1, 1, "pack", plan, (), failed_from=failed_from)


@pytest.mark.parametrize(("state", "plan", "sent"), list(product(OrderState, ("p", None), (SENT, UNSENT))))
def test_what_is_allowed_is_what_the_command_would_do(state: OrderState, plan: str | None, sent: int) -> None:
    for name in COMMANDS:
        order = an_order(state, plan)
        tasks = [Task(no=0, state=TaskState.READY, attempt=sent)]
        verdict = commands_on(order, tasks, ENGINEER, PACK)[name]
        try:
            CARRIED_OUT[name](order, [])  # of no tasks: what follows for them is another test's
            if name == "cancel":
                command.require_cancellable(an_order(state, plan), tasks)
            said = ""
        except Refused as refusal:
            said = refusal.rule
        assert verdict.allowed == (not said), (name, verdict, said)
        assert plan is None or verdict.rule == said, (name, verdict, said)


def test_the_commands_are_those_of_the_table() -> None:
    assert set(COMMANDS) == set(CARRIED_OUT)


def test_who_may_not_is_told_the_roles_that_may() -> None:
    verdicts = commands_on(an_order(OrderState.IN_PROGRESS, "p"), [], SUPPORT, PACK)
    assert set(verdicts) == set(COMMANDS) and not any(verdict.allowed for verdict in verdicts.values())
    assert {verdict.because for verdict in verdicts.values()} == {
        "Commands on orders are for: Fallout manager, Operations manager, Engineer"
    }


DAY, RUNS = timedelta(days=1), OrderState.IN_PROGRESS


@pytest.mark.parametrize(
    ("state", "ahead", "finished", "still", "expected"),
    [
        (RUNS, None, None, True, Promise.NONE),
        (RUNS, 2 * DAY, None, False, Promise.AHEAD),
        (RUNS, 2 * DAY, None, True, Promise.AHEAD),
        (RUNS, SOON, None, False, Promise.SOON),
        (RUNS, SOON, None, True, Promise.AT_RISK),
        (RUNS, timedelta(), None, True, Promise.AT_RISK),
        (RUNS, -timedelta(seconds=1), None, False, Promise.OVERDUE),
        (OrderState.COMPLETED, -DAY, -2 * DAY, False, Promise.KEPT),
        (OrderState.COMPLETED, -2 * DAY, -DAY, False, Promise.BROKEN),
        (OrderState.ABORTED, -DAY, -2 * DAY, True, Promise.VOID),
        (OrderState.CANCELLED, DAY, -DAY, False, Promise.VOID),
    ],
)
def test_how_an_order_stands_to_its_date(
    state: OrderState, ahead: timedelta | None, finished: timedelta | None, still: bool, expected: Promise
) -> None:
    promised = None if ahead is None else NOW + ahead
    ended = None if finished is None else NOW + finished
    assert promise(state, promised, ended, still, NOW) is expected


def test_an_order_that_is_over_is_never_in_danger() -> None:
    for state, days in product(ORDER_IS_OVER, (-1, 0, 1)):
        assert promise(state, NOW + days * DAY, NOW, True, NOW) in (Promise.KEPT, Promise.BROKEN, Promise.VOID)
