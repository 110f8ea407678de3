"""Going on (E6): the token's guards, the proof each mode needs, and what redeeming makes of the order."""

from copy import deepcopy
from itertools import product

import msgspec
import pytest
from core_lab import NOW, facts, fresh, later, plan_of, uid

from unstuck.kernel.refusal import IllegalTransition, Refused
from unstuck.order.advance import Learned, fold_tasks, follow, start
from unstuck.order.lifecycle import OrderState, TaskAction
from unstuck.order.lifecycle import TaskState as Is
from unstuck.repair.resume import cancelled_with, redeem, require_proof
from unstuck.repair.token import ResumeMode, ResumeToken, require_redeemable

GO = ResumeMode
TOKEN = ResumeToken(
    id=uid(2), audience="engine", case_id=uid(9), order_id=uid(1), item="0", failed_step="0.t1",
    mode=GO.RETRY_FAILED_STEP, correction=None, evidence=(uid(5),), plan_revision=0, task=1, attempt=4,
    issued_at=NOW, expires_at=later(60),
)  # fmt: skip
FITS = {"audience": "engine", "order_id": uid(1), "guard": (0, 1, 4), "now": later(59.999)}


def test_a_token_is_redeemed_by_its_audience_while_the_step_stands_where_it_stood():
    require_redeemable(TOKEN, **FITS)


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        ({"audience": "oms"}, "token-audience"),
        ({"order_id": uid(7)}, "token-order"),
        ({"now": later(60)}, "token-expired"),
        ({"now": later(86400)}, "token-expired"),
        ({"guard": (1, 1, 4)}, "token-version"),
        ({"guard": (0, 2, 4)}, "token-version"),
        ({"guard": (0, 1, 5)}, "token-version"),
        ({"guard": (0, 1, 3)}, "token-version"),
    ],
)
def test_any_other_redemption_is_refused(changed, rule):
    with pytest.raises(Refused) as no:
        require_redeemable(TOKEN, **{**FITS, **changed})
    assert no.value.rule == rule and no.value.because


def proof(mode, done_outside=False, **changes):
    try:
        require_proof(mode, facts(**changes), done_outside)
    except Refused as no:
        return no.rule
    return "yes"


def expected(mode, state, proven, kind, marked):
    """The seed's rule in other words: done needs a proof of the effect, again needs a proof of none."""
    there = proven == "found" or marked
    dead = not there and (proven == "absent" or state is Is.FAILED)
    match mode:
        case GO.SKIP_STEP_ALREADY_DONE:
            return "yes" if there else "skip-needs-proof"
        case GO.RETRY_FAILED_STEP if there:
            return "already-done-outside"
        case GO.RETRY_FAILED_STEP:
            return "yes" if dead or kind == "A" else "unknown-locks-retry"
        case GO.REPLAN_FROM_STEP:
            return "yes" if dead else "unknown-locks-replan"


@pytest.mark.parametrize("mode", [GO.SKIP_STEP_ALREADY_DONE, GO.RETRY_FAILED_STEP, GO.REPLAN_FROM_STEP])
def test_each_way_on_needs_its_proof(mode):
    cells = product([Is.FAILED, Is.UNKNOWN], ["", "found", "absent"], "ABC", [False, True])
    for state, proven, kind, marked in cells:
        got = proof(mode, marked, task_state=state, proven=proven, kind=kind)
        assert got == expected(mode, state, proven, kind, marked), (state, proven, kind, marked)


@pytest.mark.parametrize("mode", GO)
def test_no_way_on_while_the_step_is_being_called(mode):
    assert proof(mode, True, task_state=Is.FAILED, running=True) == "one-call-at-a-time"


def test_cancelling_needs_that_nothing_is_unknown_and_compensating_that_nothing_is_done():
    alone = (("1.activate", "FAILED"),)
    failed = {"task_state": Is.FAILED}
    assert proof(GO.CANCEL_ITEM, **failed) == "yes"
    assert proof(GO.CANCEL_ITEM) == "unknown-locks-cancel"
    assert proof(GO.COMPENSATE_AND_CLOSE, **failed) == "compensation-unknown"
    assert proof(GO.COMPENSATE_AND_CLOSE) == "unknown-locks-cancel"
    assert proof(GO.COMPENSATE_AND_CLOSE, **failed, item_tasks=alone) == "yes"
    assert proof(GO.COMPENSATE_AND_CLOSE, **failed, item_tasks=alone, proven="found") == "compensation-unknown"
    assert proof(GO.COMPENSATE_AND_CLOSE, True, **failed, item_tasks=alone) == "compensation-unknown"


def stopped(action=TaskAction.REFUSE, to=Is.FAILED):
    """Three tasks in a row and one of another item that waits for the second; the second has stopped."""
    shape, order, tasks = fresh(plan_of([(), (0,), (1,), (1,), ()], [0, 0, 0, 1, 2]))
    start(shape, order, tasks, NOW)
    follow(shape, order, tasks, [Learned(0, TaskAction.CONFIRM, Is.COMPLETED)], NOW)
    follow(shape, order, tasks, [Learned(1, action, to)], NOW)
    tasks[1].tries, tasks[1].asks, tasks[1].attempt = 3, 2, 4
    return shape, order, tasks


def redeemed(mode, shape, order, tasks):
    """Redeem, and check that the facts of the event say all that changed."""
    before = deepcopy(tasks)
    data = redeem(msgspec.structs.replace(TOKEN, mode=mode), shape, order, tasks, later(5))
    fold_tasks(before, data, later(5))
    assert [(t.state, t.since) for t in before] == [(t.state, t.since) for t in tasks]
    return [t.state.value for t in tasks]


@pytest.mark.parametrize("stop", [(TaskAction.REFUSE, Is.FAILED), (TaskAction.LOSE, Is.UNKNOWN)])
@pytest.mark.parametrize("mode", [GO.RETRY_FAILED_STEP, GO.REPLAN_FROM_STEP])
def test_the_failed_step_goes_on_with_a_fresh_budget_and_the_same_fence(mode, stop):
    shape, order, tasks = stopped(*stop)
    assert redeemed(mode, shape, order, tasks) == ["COMPLETED", "READY", "PENDING", "PENDING", "READY"]
    step = tasks[1]
    assert (step.tries, step.asks, step.attempt, step.identity, step.due) == (0, 0, 4, 0, later(5))


@pytest.mark.parametrize("stop", [(TaskAction.REFUSE, Is.FAILED), (TaskAction.LOSE, Is.UNKNOWN)])
def test_a_step_that_is_already_done_is_skipped_and_the_next_starts(stop):
    shape, order, tasks = stopped(*stop)
    states = redeemed(GO.SKIP_STEP_ALREADY_DONE, shape, order, tasks)
    assert states == ["COMPLETED", "COMPLETED", "READY", "READY", "READY"]


@pytest.mark.parametrize("mode", [GO.CANCEL_ITEM, GO.COMPENSATE_AND_CLOSE])
def test_an_item_goes_with_everything_that_waits_for_it_and_no_more(mode):
    shape, order, tasks = stopped()
    assert cancelled_with(shape, 1) == [0, 1, 2, 3]
    assert redeemed(mode, shape, order, tasks) == ["COMPLETED", "CANCELLED", "CANCELLED", "CANCELLED", "READY"]
    assert [s.value for s in order.item_states] == ["CANCELLED", "CANCELLED", "IN_PROGRESS"]
    assert order.state is OrderState.IN_PROGRESS
    follow(shape, order, tasks, [Learned(4, TaskAction.CONFIRM, Is.COMPLETED)], NOW)
    assert order.state is OrderState.COMPLETED


@pytest.mark.parametrize(("mode", "state"), [*product(GO, [Is.WAITING_CALLBACK, Is.COMPLETED, Is.CANCELLED])])
def test_a_step_that_did_not_stop_cannot_be_resumed(mode, state):
    shape, order, tasks = stopped()
    tasks[1].state = state
    over = state in (Is.COMPLETED, Is.CANCELLED)
    if over and mode in (GO.CANCEL_ITEM, GO.COMPENSATE_AND_CLOSE):
        assert redeemed(mode, shape, order, tasks)[1] == state  # what is over stays; the rest goes
        return
    with pytest.raises(IllegalTransition):
        redeem(msgspec.structs.replace(TOKEN, mode=mode), shape, order, tasks, NOW)
