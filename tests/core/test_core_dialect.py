"""Dialects as data (tmf.md §3.5): one test for each row of the matrix, in the words that each order manager uses."""

from typing import Any

import pytest

from unstuck.app import read_pack
from unstuck.order.dialect import (
    EVENTS,
    STANDARD,
    Dialect,
    Sign,
    event_of,
    fallout,
    order_in,
    state_of,
    value,
)
from unstuck.order.tmf import LEGAL
from unstuck.policy.check import load
from unstuck.policy.pack import BadPack

FILES = read_pack("minimal")
SHIPPED = load(FILES).document.dialects
SPOKEN = {"standard": STANDARD, **SHIPPED}


def event(**order: Any) -> dict[str, Any]:
    return {"eventId": "e-1", "event": {"serviceOrder": {"id": "so-1", **order}}}


def test_the_shipped_ones_are_the_three_that_are_known():
    assert set(SHIPPED) == {"osl", "nokia-flowone", "tmf-mock"}


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("standard", "serviceOrderItem"),
        ("osl", "orderItem"),
        ("nokia-flowone", "serviceOrderItem"),
        ("tmf-mock", "orderItem"),
    ],
)
def test_items_are_found_under_their_name(name, theirs):
    assert value(SPOKEN[name], "serviceOrderItem", {theirs: [{"id": "1"}]}) == [{"id": "1"}]


def test_each_says_its_items_under_its_own_name_first():
    both = {"orderItem": "theirs", "serviceOrderItem": "ours"}
    found = {name: value(dialect, "serviceOrderItem", both) for name, dialect in SPOKEN.items()}
    assert found == {"standard": "ours", "osl": "theirs", "nokia-flowone": "ours", "tmf-mock": "theirs"}


@pytest.mark.parametrize(
    ("name", "theirs", "state"),
    [
        ("standard", "inProgress", "inProgress"),
        ("osl", "INPROGRESS", "inProgress"),
        ("osl", "INITIAL", "acknowledged"),
        ("osl", "HELD", "held"),
        ("nokia-flowone", "ServiceOrderStateType.INPROGRESS", "inProgress"),
        ("nokia-flowone", "inProgress", "inProgress"),
        ("tmf-mock", "inProgress", "inProgress"),
        ("osl", "SOMETHING_NEW", "SOMETHING_NEW"),
        ("osl", 7, ""),
        ("osl", None, ""),
    ],
)
def test_states_are_those_of_tm_forum(name, theirs, state):
    assert state_of(SPOKEN[name], {"state": theirs}) == state


@pytest.mark.parametrize("name", ["osl", "nokia-flowone"])
def test_every_state_of_tm_forum_that_they_have_is_reached_once(name):
    reached = list(SHIPPED[name].states.values())
    assert set(reached) <= set(LEGAL)


STOPPED = [
    ("standard", event(state="held", errorMessage=[{"code": "X"}]), True),
    ("standard", event(state="failed"), True),
    ("standard", event(state="inProgress"), False),
    ("osl", event(state="HELD"), True),
    ("osl", event(state="FAILED"), True),
    ("osl", event(state="INPROGRESS"), False),
    ("nokia-flowone", event(state="inProgress", phaseNote="Order 7 has entered in fallout"), True),
    ("nokia-flowone", event(state="inProgress", phaseNote="Order 7 goes on"), False),
    ("nokia-flowone", event(state="inProgress"), False),
    (
        "nokia-flowone",
        {"event": {"id": "so-1", "state": "inProgress", "stateMessage": "it has entered in fallout"}},
        True,
    ),
    (
        "nokia-flowone",
        {"event": {"serviceOrder": {"id": "1", "state": "inProgress"}, "stateMessage": "has entered in fallout"}},
        True,
    ),
    ("nokia-flowone", event(state="held"), False),
    ("tmf-mock", event(state="held"), False),  # it has no way to held
    ("tmf-mock", event(state="failed"), True),
]


@pytest.mark.parametrize(("name", "said", "stopped"), STOPPED)
def test_a_fallout_is_recognised_as_each_shows_it(name, said, stopped):
    assert (fallout(SPOKEN[name], said) is not None) is stopped


@pytest.mark.parametrize(
    ("name", "said", "is_called"),
    [
        ("standard", "serviceOrderStateChangeEvent", "serviceOrderStateChangeEvent"),
        ("standard", "ServiceOrderStateChangeEvent", "serviceOrderStateChangeEvent"),
        ("standard", "serviceOrderMilestoneEvent", "serviceOrderMilestoneStateChangeEvent"),
        ("standard", "serviceOrderJeopardyEvent", "serviceOrderJeopardyAlertEvent"),
        ("osl", "serviceOrderStateChangeNotification", "serviceOrderStateChangeEvent"),
        ("standard", "serviceOrderStateChangeNotification", ""),
        ("nokia-flowone", "serviceOrderStateChangeEvent", "serviceOrderStateChangeEvent"),
        ("tmf-mock", "nonsense", ""),
        ("tmf-mock", "", ""),
    ],
)
def test_events_have_one_name(name, said, is_called):
    assert event_of(SPOKEN[name], said) == is_called


def test_an_order_is_found_where_the_dialect_puts_it():
    flat = {"event": {"id": "so-1", "state": "inProgress"}}
    assert order_in(SPOKEN["nokia-flowone"], flat)["id"] == "so-1"
    assert order_in(STANDARD, event(state="held"))["state"] == "held"
    for odd in ({}, {"event": None}, {"event": []}, {"event": {"serviceOrder": "so-1"}}):
        assert order_in(STANDARD, odd) in ({}, odd.get("event"))


@pytest.mark.parametrize("spelling", ["timeOcurred", "timeOccurred", "eventTime"])
def test_every_spelling_of_the_time_is_read(spelling):
    assert value(STANDARD, "timeOcurred", {spelling: "2026-01-01T00:00:00Z"}) == "2026-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("dialects: {x: {title: X, states: {A: nowhere}}}", "known-state"),
        ("dialects: {x: {title: X, events: {A: nothingEvent}}}", "known-event"),
        ("dialects: {x: {title: X, fallout: [{state: nowhere}]}}", "known-state"),
        ("dialects: {x: {title: X, fallout: [{}]}}", "sign-says-something"),
        ("dialects: {x: {title: X, fallout: [{field: a}]}}", "sign-says-something"),
        ("dialects: {x: {title: X, colour: red}}", "type"),
    ],
)
def test_a_dialect_that_cannot_be_meant_is_refused_with_its_line(text, rule):
    with pytest.raises(BadPack) as refused:
        load({**FILES, "dialects.yaml": "# a comment\n" + text})
    assert [(f.file, f.line, f.rule) for f in refused.value.findings] == [("dialects.yaml", 2, rule)]


def test_what_a_dialect_does_not_say_is_as_in_the_standard():
    plain = Dialect(title="says nothing")
    assert value(plain, "serviceOrderItem", {"orderItem": []}) == []
    assert fallout(plain, event(state="held")) == Sign(state="held")
    assert {event_of(plain, name) for name in EVENTS} == set(EVENTS)
