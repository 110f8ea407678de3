"""The promises of the proof, smoke-sized, and the seeded bugs that each of them must catch."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from proof.negatives import NAMES

HOME = Path(__file__).parents[2]
SEED = "7"


def prove(out: Path, only: str) -> dict[str, Any]:
    """Run the proof as `make proof` does; what it kept, promise by promise."""
    command = [sys.executable, "-m", "proof.run", "--scale", "smoke", "--seed", SEED, "--only", only, "--out", str(out)]
    done = subprocess.run(command, cwd=HOME, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode in (0, 1), done.stderr
    kept = {name: json.loads((out / f"{name}.json").read_text()) for name in only.split(",")}
    assert done.returncode == (0 if all(one["ok"] for one in kept.values()) else 1)
    return kept


@pytest.fixture(scope="module")
def storm(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return prove(tmp_path_factory.mktemp("storm"), "P1,P2")


@pytest.fixture(scope="module")
def bugs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return prove(tmp_path_factory.mktemp("bugs"), "NEG")["NEG"]["runs"][0]["by_bug"]


def test_no_order_is_invisible_or_lost_under_kills_and_faults(storm: dict[str, Any]) -> None:
    found = storm["P1"]
    assert found["ok"], found["runs"]
    assert found["kills"] >= 20
    assert found["faults"] >= 200
    assert (found["lost"], found["invisible"], found["regressed"], found["cases_without_fault"]) == (0, 0, 0, 0)


def test_no_side_effect_happens_twice_and_none_is_claimed_that_is_not_there(storm: dict[str, Any]) -> None:
    found = storm["P2"]
    assert found["ok"], found["runs"]
    assert (found["doubled"], found["done_without_effect"]) == (0, 0)


def test_a_duplicate_that_nobody_could_prevent_becomes_a_case(storm: dict[str, Any]) -> None:
    found = storm["P2"]
    assert found["f9_above_duplicates"] == found["f9_above_detected"] > 0


def test_a_resume_token_works_once(tmp_path: Path) -> None:
    found = prove(tmp_path, "P4")["P4"]
    assert found["ok"], found["runs"]
    assert found["races"] >= 100


def test_nothing_that_was_acknowledged_is_lost_and_all_of_it_is_told(tmp_path: Path) -> None:
    found = prove(tmp_path, "P3")["P3"]
    assert found["ok"], found["runs"]
    assert (found["kills"], found["database_kills"]) == (6, 2)
    assert (found["lost"], found["undelivered"], found["unheard"], found["out_of_order"]) == (0, 0, 0, 0)
    assert found["late_missed"] == 0 < found["late_missed_by_a_cursor"]


def test_what_was_decided_on_an_old_version_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    found = prove(tmp_path, "P5")["P5"]
    assert found["ok"], found["runs"]
    assert found["steps"] >= 2_000
    assert found["races"] > 50


def test_without_its_database_it_says_not_now_and_is_back_by_itself(tmp_path: Path) -> None:
    found = prove(tmp_path, "P11")["P11"]
    assert found["ok"], found["runs"]
    assert found["not_now"] > 0


def test_restarts_and_new_keys_under_load_cost_nobody_anything(tmp_path: Path) -> None:
    found = prove(tmp_path, "REDEPLOY")["REDEPLOY"]
    assert found["ok"], found["runs"]
    assert found["rotations"] == 2


@pytest.mark.parametrize("bug", NAMES)
def test_the_proof_catches_a_seeded(bug: str, bugs: dict[str, Any]) -> None:
    assert bugs[bug]["caught"], bugs[bug]
