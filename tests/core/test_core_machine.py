"""State tables: how they are read, and every state x action pair of the four we have."""

import re
from enum import StrEnum
from inspect import getsource
from itertools import product

import pytest

import unstuck.fallout.lifecycle
import unstuck.order.lifecycle
from unstuck.fallout.lifecycle import CASE, CASE_IS_RESOLVED, CaseAction, CaseState
from unstuck.kernel.machine import Machine
from unstuck.kernel.refusal import IllegalTransition
from unstuck.order.lifecycle import ORDER, ORDER_IS_OVER, TASK, TASK_IS_OVER, OrderAction, OrderState
from unstuck.order.lifecycle import TaskAction as Do
from unstuck.order.lifecycle import TaskState as Task

MACHINES = [
    pytest.param(ORDER, OrderState, OrderAction, unstuck.order.lifecycle, id="order"),
    pytest.param(TASK, Task, Do, unstuck.order.lifecycle, id="task"),
    pytest.param(CASE, CaseState, CaseAction, unstuck.fallout.lifecycle, id="case"),
]


class Lamp(StrEnum):
    OFF = "OFF"
    ON = "ON"
    DIM = "DIM"


class Press(StrEnum):
    UP = "UP"
    DOWN = "DOWN"


HEAD = "| from | action | to |\n|---|---|---|\n"


def lamp(*rows):
    return Machine.parse("lamp", Lamp, Press, HEAD + "\n".join(rows))


def test_a_table_reads_as_it_is_written():
    machine = lamp("| OFF DIM | UP | ON |", "| ON | DOWN | OFF DIM |")
    assert list(machine.edges()) == [
        ("OFF", "UP", "ON"),
        ("ON", "DOWN", "DIM"),
        ("ON", "DOWN", "OFF"),
        ("DIM", "UP", "ON"),
    ]
    assert machine.step(Lamp.DIM, Press.UP) is Lamp.ON
    assert machine.step(Lamp.ON, Press.DOWN, Lamp.DIM) is Lamp.DIM
    assert machine.actions(Lamp.ON) == {Press.DOWN}
    assert machine.final() == frozenset()
    assert "    OFF --> ON: UP" in machine.mermaid()


def test_a_branch_must_be_chosen_and_only_where_the_table_has_it():
    machine = lamp("| OFF DIM | UP | ON |", "| ON | DOWN | OFF DIM |")
    for to in (None, Lamp.ON):
        with pytest.raises(IllegalTransition):
            machine.step(Lamp.ON, Press.DOWN, to)
    with pytest.raises(IllegalTransition):
        machine.step(Lamp.OFF, Press.UP, Lamp.DIM)


@pytest.mark.parametrize(
    ("rows", "because"),
    [
        (["| OFF DIM | UP | ON |", "| OFF | UP | DIM |"], "OFF UP is given twice"),
        (["| OFF | UP | ON |"], "no row mentions DIM"),
        (["| OFF DIM | UP | BROKEN |", "| ON | DOWN | OFF |"], "BROKEN"),
        (["| OFF DIM BLUE | UP | ON |", "| ON | DOWN | OFF |"], "BLUE"),
        (["| OFF DIM | SIDEWAYS | ON |", "| ON | DOWN | OFF |"], "SIDEWAYS"),
        (["| OFF DIM | UP | ON | twice |"], "unpack"),
    ],
)
def test_a_broken_table_never_runs(rows, because):
    with pytest.raises(ValueError, match=because):
        lamp(*rows)


def test_a_refusal_says_what_is_and_what_was_tried():
    with pytest.raises(IllegalTransition, match="a fallout case that is queued cannot close") as no:
        CASE.step(CaseState.QUEUED, CaseAction.CLOSE)
    assert (no.value.rule, no.value.state, no.value.action) == ("life-cycle", CaseState.QUEUED, CaseAction.CLOSE)


def written(module, machine):
    """The table as its source text has it, read by other means than the parser's."""
    name = machine.name
    text = re.search(rf'Machine\.parse\(\s*"{name}".*?"""(.*?)"""', getsource(module), re.DOTALL)[1]
    rows = [line.strip().strip("|").split("|") for line in text.strip().splitlines()[2:]]
    return {(s, action.strip()): set(to.split()) for source, action, to in rows for s in source.split()}


@pytest.mark.parametrize(("machine", "states", "actions", "module"), MACHINES)
def test_every_pair_leads_exactly_where_the_table_says(machine, states, actions, module):
    table = written(module, machine)
    for state, action, to in product(states, actions, states):
        targets = table.get((state, action), set())
        if to in targets:
            assert machine.step(state, action, to) is to
            if len(targets) == 1:
                assert machine.step(state, action) is to
        else:
            with pytest.raises(IllegalTransition):
                machine.step(state, action, to)
        if len(targets) != 1:
            with pytest.raises(IllegalTransition):
                machine.step(state, action)
    assert sum(map(len, table.values())) == len(list(machine.edges()))


@pytest.mark.parametrize(("machine", "states", "actions", "module"), MACHINES)
def test_every_word_is_used_and_every_state_can_be_reached(machine, states, actions, module):
    assert {action for _, action, _ in machine.edges()} == set(actions)
    reached, fresh = set(), {next(iter(states))}
    while fresh:
        reached |= fresh
        fresh = {to for at, _, to in machine.edges() if at in fresh} - reached
    assert reached == set(states)


def test_final_states_accept_nothing():
    assert {OrderState.COMPLETED, OrderState.CANCELLED, OrderState.ABORTED} == ORDER_IS_OVER
    assert {Task.COMPLETED, Task.CANCELLED} == TASK_IS_OVER
    assert CASE.final() == frozenset()  # a closed case can be reopened, and nothing else
    assert CASE.actions(CaseState.CLOSED) == {CaseAction.REOPEN}
    for machine in (ORDER, TASK):
        assert all(not machine.actions(state) for state in machine.final())


def test_a_failed_order_accepts_only_resolve_amend_cancel_and_abort():
    do = OrderAction
    assert ORDER.actions(OrderState.FAILED) == {do.RESOLVE, do.AMEND, do.CANCEL, do.ABORT}


def test_resolving_returns_to_the_state_it_failed_from():
    fails_from = {at for at, action, _ in ORDER.edges() if action is OrderAction.FAIL}
    s = OrderState
    assert fails_from == {s.NOT_STARTED, s.IN_PROGRESS, s.WAITING_FOR_REVISION, s.SUSPENDED}
    assert {to for _, action, to in ORDER.edges() if action is OrderAction.RESOLVE} == fails_from
    for state in fails_from:
        assert ORDER.step(ORDER.step(state, OrderAction.FAIL), OrderAction.RESOLVE, state) is state


def test_no_case_closes_without_a_resolution():
    closes_from = {at for at, _, to in CASE.edges() if to is CaseState.CLOSED}
    assert closes_from == CASE_IS_RESOLVED - {CaseState.CLOSED}
    assert {to for at, _, to in CASE.edges() if at in CASE_IS_RESOLVED} == {
        CaseState.CLOSED,
        CaseState.QUEUED,
        CaseState.IN_PROGRESS,
    }


def test_only_a_verified_repair_lets_the_order_go_on():
    ways = {(at, to) for at, action, to in CASE.edges() if action is CaseAction.RESOLVE and to != "RESOLVED_NONE"}
    assert {at for at, _ in ways} == {CaseState.VERIFYING}
    assert {to for _, to in ways} == {"RESOLVED_RESUME", "RESOLVED_CANCEL", "RESOLVED_COMPENSATE"}


def test_the_outside_can_settle_any_open_case():
    assert {at for at, action, _ in CASE.edges() if action is CaseAction.SETTLE} == set(CaseState) - CASE_IS_RESOLVED


def test_every_open_case_can_still_reach_closed():
    for state in CaseState:
        reached, fresh = set(), {state}
        while fresh:
            reached |= fresh
            fresh = {to for at, _, to in CASE.edges() if at in fresh} - reached
        assert CaseState.CLOSED in reached, state


def test_a_correction_is_applied_only_after_it_was_proposed():
    assert {at for at, _, to in CASE.edges() if to is CaseState.CORRECTION_APPLIED} == {CaseState.CORRECTION_PROPOSED}
    into_proposed = {(at, action) for at, action, to in CASE.edges() if to is CaseState.CORRECTION_PROPOSED}
    assert (CaseState.APPROVAL_REQUIRED, CaseAction.APPROVE) in into_proposed


def test_a_task_that_is_unknown_is_never_simply_sent_again():
    assert Do.RETRY not in TASK.actions(Task.UNKNOWN)
    back = {action for at, action, to in TASK.edges() if at is Task.UNKNOWN and to is Task.READY}
    assert back == {Do.PROVE_ABSENT, Do.RESUME}  # a proof, or a person


def test_what_a_target_works_on_cannot_be_cancelled_or_repaired():
    assert TASK.actions(Task.WAITING_CALLBACK) == {Do.CONFIRM, Do.REFUSE, Do.LOSE}
