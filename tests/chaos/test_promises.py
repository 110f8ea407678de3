"""The promises of the proof, smoke-sized, and the seeded bugs that each of them must catch."""

import json
from typing import Any

import pytest
from proof.negatives import NAMES

Proved = dict[str, Any]


def shown(found: Any) -> str:
    """All of it: pytest cuts short what is no text."""
    return json.dumps(found, indent=1)


@pytest.mark.proof("P1", "P2")
def test_no_order_is_invisible_or_lost_under_kills_and_faults(proved: Proved) -> None:
    found = proved["P1"]
    assert found["ok"], shown(found["runs"])
    assert found["kills"] >= 20
    assert found["faults"] >= 200
    assert (found["lost"], found["invisible"], found["regressed"], found["cases_without_fault"]) == (0, 0, 0, 0)


@pytest.mark.proof("P1", "P2")
def test_no_side_effect_happens_twice_and_none_is_claimed_that_is_not_there(proved: Proved) -> None:
    found = proved["P2"]
    assert found["ok"], shown(found["runs"])
    assert (found["doubled"], found["done_without_effect"]) == (0, 0)


@pytest.mark.proof("P1", "P2")
def test_a_duplicate_that_nobody_could_prevent_becomes_a_case(proved: Proved) -> None:
    found = proved["P2"]
    assert found["f9_above_duplicates"] == found["f9_above_detected"] > 0


@pytest.mark.proof("P4")
def test_a_resume_token_works_once(proved: Proved) -> None:
    found = proved["P4"]
    assert found["ok"], shown(found["runs"])
    assert found["races"] >= 100


@pytest.mark.proof("P3")
def test_nothing_that_was_acknowledged_is_lost_and_all_of_it_is_told(proved: Proved) -> None:
    found = proved["P3"]
    assert found["ok"], shown(found["runs"])
    assert (found["kills"], found["database_kills"]) == (6, 2)
    assert (found["lost"], found["undelivered"], found["unheard"], found["out_of_order"]) == (0, 0, 0, 0)
    assert found["late_missed"] == 0 < found["late_missed_by_a_cursor"]


@pytest.mark.proof("P5")
def test_what_was_decided_on_an_old_version_is_refused_and_leaves_nothing(proved: Proved) -> None:
    found = proved["P5"]
    assert found["ok"], shown(found["runs"])
    assert found["steps"] >= 2_000
    assert found["races"] > 50


@pytest.mark.proof("P11")
def test_without_its_database_it_says_not_now_and_is_back_by_itself(proved: Proved) -> None:
    found = proved["P11"]
    assert found["ok"], shown(found["runs"])
    assert found["not_now"] > 0


@pytest.mark.proof("REDEPLOY")
def test_restarts_and_new_keys_under_load_cost_nobody_anything(proved: Proved) -> None:
    found = proved["REDEPLOY"]
    assert found["ok"], shown(found["runs"])
    assert found["rotations"] == 2


@pytest.mark.proof("NEG")
@pytest.mark.parametrize("bug", NAMES)
def test_the_proof_catches_a_seeded(bug: str, proved: Proved) -> None:
    found = proved["NEG"]["runs"][0]["by_bug"][bug]
    assert found["caught"], shown(found)
