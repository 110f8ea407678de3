"""Typed corrections (E1, E2): what is safe on a step, and what each would do. Preview and apply share one plan."""

from itertools import product

import msgspec
import pytest
from core_lab import evidence, facts, law
from hypothesis import given
from hypothesis import strategies as st

from unstuck.kernel.refusal import Invalid, Refused
from unstuck.order.lifecycle import TaskState as Is
from unstuck.repair.correction import ASKS, SENDS, ActionCode, plan, require_safe
from unstuck.repair.evidence import EvidenceType

DO = ActionCode
STOPPED = (Is.FAILED, Is.UNKNOWN)
PROOFS = ("", "found", "absent")


def verdict(action, **changes):
    """The rule that refuses, or `yes`."""
    try:
        require_safe(action, facts(**changes))
    except Refused as no:
        assert no.because
        return no.rule
    return "yes"


# One line for each stop: state, proof -> what each action is answered for targets of kind A, B and C.
TABLE = """
| state   | proven | retry                | resend_same_key                              | correct_data          | mark_done_outside                              | force_complete                                 |
|---------|--------|----------------------|----------------------------------------------|-----------------------|------------------------------------------------|------------------------------------------------|
| FAILED  |        | yes                  | yes                                          | yes                   | yes                                            | yes                                            |
| FAILED  | absent | yes                  | yes                                          | yes                   | yes                                            | yes                                            |
| FAILED  | found  | already-done-outside | already-done-outside                         | already-done-outside  | yes                                            | yes                                            |
| UNKNOWN |        | unknown-locks-retry  | A:yes B:unknown-locks-retry C:unknown-locks-retry | identity-may-be-live | A:unknown-locks-force-complete B:unknown-locks-force-complete C:yes | A:unknown-locks-force-complete B:unknown-locks-force-complete C:yes |
| UNKNOWN | absent | yes                  | yes                                          | yes                   | A:unknown-locks-force-complete B:unknown-locks-force-complete C:yes | A:unknown-locks-force-complete B:unknown-locks-force-complete C:yes |
| UNKNOWN | found  | already-done-outside | already-done-outside                         | already-done-outside  | yes                                            | yes                                            |
"""  # fmt: skip


def cells():
    head, _, *rows = [[c.strip() for c in line.strip("|").split("|")] for line in TABLE.strip().splitlines()]
    for row in rows:
        for action, cell in zip(head[2:], row[2:], strict=True):
            by_kind = dict(word.split(":") for word in cell.split()) if ":" in cell else dict.fromkeys("ABC", cell)
            for kind, expected in by_kind.items():
                yield DO(action), Is(row[0]), row[1], kind, expected


@pytest.mark.parametrize(("action", "state", "proven", "kind", "expected"), list(cells()))
def test_what_a_stopped_step_allows(action, state, proven, kind, expected):
    assert verdict(action, task_state=state, proven=proven, kind=kind) == expected


@pytest.mark.parametrize(("state", "proven", "kind"), [*product(sorted(set(Is) - set(STOPPED)), PROOFS, "ABC")])
def test_a_step_that_did_not_stop_is_neither_sent_nor_declared_done_nor_corrected(state, proven, kind):
    for action in (*SENDS, DO.MARK_DONE_OUTSIDE, DO.FORCE_COMPLETE, DO.CORRECT_DATA):
        assert verdict(action, task_state=state, proven=proven, kind=kind) != "yes", action


@pytest.mark.parametrize(("state", "kind", "running"), [*product(Is, "ABC", [False, True])])
def test_asking_is_safe_at_any_time_where_the_target_can_be_asked(state, kind, running):
    by_key = {"A": "yes", "B": "target-has-no-key", "C": "target-cannot-be-asked"}[kind]
    read_back = "target-cannot-be-asked" if kind == "C" else "yes"
    assert verdict(DO.QUERY_BY_KEY, task_state=state, kind=kind, running=running) == by_key
    assert verdict(DO.READ_BACK, task_state=state, kind=kind, running=running) == read_back


@pytest.mark.parametrize("action", sorted(set(DO) - ASKS))
def test_while_a_call_runs_nothing_else_is_done(action):
    for state, proven, kind in product(Is, PROOFS, "ABC"):
        assert verdict(action, task_state=state, proven=proven, kind=kind, running=True) == "one-call-at-a-time"


@pytest.mark.parametrize(("kind", "proven"), [*product("BC", PROOFS)])
def test_what_is_unknown_is_sent_only_after_an_absence(kind, proven):
    for action in SENDS:
        assert (verdict(action, kind=kind, proven=proven) == "yes") is (proven == "absent")


def items(state):
    return (("1.account", "COMPLETED"), ("1.activate", state), ("2.activate", "PENDING"))


@pytest.mark.parametrize(
    ("others", "proven", "expected"),
    [
        (items("FAILED"), "", "yes"),
        (items("UNKNOWN"), "", "unknown-locks-cancel"),
        (items("UNKNOWN"), "found", "unknown-locks-cancel"),
        (items("UNKNOWN"), "absent", "yes"),
        ((("1.activate", "FAILED"), ("1.other", "UNKNOWN")), "absent", "unknown-locks-cancel"),
        ((("1.activate", "FAILED"), ("1.other", "RUNNING")), "", "one-call-at-a-time"),
        ((("1.activate", "FAILED"), ("1.other", "WAITING_CALLBACK")), "", "one-call-at-a-time"),
    ],
)
def test_an_item_is_cancelled_only_when_nothing_of_it_is_in_flight_or_unknown(others, proven, expected):
    assert verdict(DO.CANCEL_ITEM, item_tasks=others, proven=proven) == expected


def test_the_last_read_back_counts():
    both = facts(evidence=(evidence("found"), evidence("absent")))
    assert both.proven == "absent" and not both.outcome_unknown
    assert facts(evidence=(evidence("absent"), evidence("found"))).proven == "found"
    assert facts(evidence=(evidence("absent"), evidence(""))).proven == "absent"  # a silent one says nothing
    assert facts(evidence=(evidence("absent", EvidenceType.DOCUMENT),)).outcome_unknown  # only read-backs prove


def test_nothing_is_correctable_unless_the_pack_says_so():
    assert verdict(DO.CORRECT_DATA, task_state=Is.FAILED, correctable={}) == "nothing-to-correct"


def test_a_resend_carries_the_same_key_and_body():
    for action in SENDS:
        made = plan(action, {}, facts(task_state=Is.FAILED))
        assert made.sends == (
            {
                "to": "provisioning",
                "sends": "activateFiber",
                "key": "O.1.activate.p0.c0",
                "body": {"address": "Jl. Merdeka 1", "speed": "100 Mbit/s"},
            },
        )
        assert made.changes == ({"what": "1.activate", "before": "FAILED", "after": "READY"},)
        assert made.new_body == b""


def test_asking_changes_nothing():
    by_key, read_back = plan(DO.QUERY_BY_KEY, {}, facts(kind="A")), plan(DO.READ_BACK, {}, facts())
    assert by_key.changes == read_back.changes == ()
    assert by_key.sends == ({"to": "provisioning", "asks": "activateFiber", "key": "O.1.activate.p0.c0"},)
    assert read_back.sends[0]["fields"] == {"address": "Jl. Merdeka 1", "speed": "100 Mbit/s"}


@pytest.mark.parametrize("action", [DO.MARK_DONE_OUTSIDE, DO.FORCE_COMPLETE])
def test_declaring_done_sends_nothing(action):
    made = plan(action, {}, facts())
    assert made.sends == ()
    assert made.changes == ({"what": "1.activate", "before": "UNKNOWN", "after": "COMPLETED"},)


def test_cancelling_names_what_goes_and_what_stays_outside():
    made = plan(DO.CANCEL_ITEM, {}, facts(task_state=Is.FAILED))
    assert [(c["what"], c["after"]) for c in made.changes] == [
        ("1.activate", "CANCELLED"),
        ("2.activate", "CANCELLED"),
    ]
    assert made.left_outside == ("1.account is done outside and stays",)


def test_an_effect_that_was_found_is_named_when_its_item_is_cancelled():
    made = plan(DO.CANCEL_ITEM, {}, facts(task_state=Is.FAILED, proven="found"))
    assert made.left_outside == ("1.account is done outside and stays", "1.activate is done outside and stays")


def test_a_correction_shows_before_and_after_and_makes_the_new_body():
    made = plan(DO.CORRECT_DATA, {"fields": {"address": "Jl. Sudirman 2", "speed": "100 Mbit/s"}}, facts())
    assert made.changes == ({"what": "address", "before": "Jl. Merdeka 1", "after": "Jl. Sudirman 2"},)
    assert made.new_body == b'{"address":"Jl. Sudirman 2","speed":"100 Mbit/s"}'
    assert made.sends == ()
    added = plan(DO.CORRECT_DATA, {"fields": {"vlan": 12}}, facts())
    assert added.new_body == b'{"address":"Jl. Merdeka 1","speed":"100 Mbit/s","vlan":12}'
    assert added.changes == ({"what": "vlan", "before": None, "after": 12},)


@pytest.mark.parametrize(
    ("given", "pointers"),
    [
        ({}, ["/input/fields"]),
        ({"fields": {}}, ["/input/fields"]),
        ({"fields": [1]}, ["/input/fields"]),
        ({"fields": {"address": "Jl. Merdeka 1"}}, ["/input/fields"]),
        ({"fields": {"customer": "C-78"}}, ["/input/fields/customer"]),
        ({"fields": {"a/b~c": "x"}}, ["/input/fields/a~1b~0c"]),
        ({"fields": {"address": ""}}, ["/input/fields/address"]),
        ({"fields": {"address": "x" * 31}}, ["/input/fields/address"]),
        ({"fields": {"address": "a\x00b"}}, ["/input/fields/address"]),
        ({"fields": {"address": None}}, ["/input/fields/address"]),
        ({"fields": {"speed": "fast"}}, ["/input/fields/speed"]),
        ({"fields": {"speed": "100 Mbit/s now"}}, ["/input/fields/speed"]),
        ({"fields": {"vlan": 0}}, ["/input/fields/vlan"]),
        ({"fields": {"vlan": 4095}}, ["/input/fields/vlan"]),
        ({"fields": {"vlan": True}}, ["/input/fields/vlan"]),
        ({"fields": {"vlan": "12"}}, ["/input/fields/vlan"]),
        ({"fields": {"count": 2**53}}, ["/input/fields/count"]),
        ({"fields": {"count": 1.5}}, ["/input/fields/count"]),
        ({"fields": {"address": "ok", "vlan": 0, "x": 1}}, ["/input/fields/vlan", "/input/fields/x"]),
    ],
)
def test_input_that_cannot_be_taken_is_pointed_at(given, pointers):
    with pytest.raises(Invalid) as no:
        plan(DO.CORRECT_DATA, given, facts())
    assert [pointer for pointer, _ in no.value.errors] == pointers
    assert all(says for _, says in no.value.errors)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=35),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
NAMES = st.sampled_from(["address", "speed", "vlan", "count", "customer"]) | st.text(max_size=4)


@law
@given(st.dictionaries(NAMES, JSON, max_size=3) | JSON)
def test_any_input_is_either_taken_or_refused_and_taken_only_within_the_rules(fields):
    before = facts()
    try:
        made = plan(DO.CORRECT_DATA, {"fields": fields}, before)
    except Invalid:
        return
    assert set(fields) <= set(before.correctable)
    after = msgspec.json.decode(made.new_body)
    assert after == {**msgspec.json.decode(before.body), **fields}
    assert {c["what"] for c in made.changes} <= set(fields)


def test_planning_twice_is_the_same_plan_for_preview_and_apply():
    given = {"fields": {"address": "Jl. Sudirman 2"}}
    for action in DO:
        assert plan(action, given, facts()) == plan(action, given, facts())
