"""The fiber scenario over real sockets: every expectation of one seed, the promised JSON, and honest failing."""

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from unstuck.cli import scenarios as command
from unstuck.cli.main import app
from unstuck.rehearsal import fiber_cast
from unstuck.rehearsal.cast import calls
from unstuck.rehearsal.catalogue import SCENARIOS
from unstuck.rehearsal.sheet import Missed, Page, Sheet, verdict

SEED = 1
IDS = [f"fiber-{n:02}" for n in range(1, 43)]
NOT_YET = {"fiber-03", "fiber-04", "fiber-13", "fiber-14", "fiber-41", "fiber-42"}
NAMES = [
    "fiber", "duplicate-subscriber", "no-access", "charging-missing", "dsl-revision", "redo-branches", "port-assigned",
    "creation-failure", "crm-race", "schema-drift", "retry-duplicate", "outage-storm", "partner-delay", "silent-stuck",
    "billing-mismatch", "premium-router", "ip-conflict", "chain", "foreign-oms",
]  # fmt: skip


@pytest.fixture(scope="module")
def fiber():
    arguments = ["scenario", "run", "fiber", "--seed", str(SEED), "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "unstuck.cli.main", *arguments], capture_output=True, text=True, timeout=180
    )
    assert done.returncode in (0, 1), done.stderr
    document = json.loads(done.stdout)
    assert list(document) == ["scenarios"]
    (report,) = document["scenarios"]
    return report | {"exit": done.returncode, "said": done.stderr}


@pytest.mark.parametrize("id_", IDS)
def test_the_story_shows_what_the_page_promises(fiber, id_):
    line = next(line for line in fiber["expectations"] if line["id"] == id_)
    if id_ in NOT_YET:
        assert (line["ok"], line["seen"]) == (None, "not yet")
    else:
        assert line["ok"] is True, f"{line['text']}: {line['seen']}"


def test_the_document_is_the_one_of_the_contract(fiber):
    assert {"name", "ok", "seconds", "expectations", "orders", "cases", "side_effects"} <= fiber.keys()
    assert (fiber["name"], fiber["ok"], fiber["exit"]) == ("fiber", True, 0)
    assert 0 < fiber["seconds"] < 60
    assert [line["id"] for line in fiber["expectations"]] == IDS
    assert all(line.keys() == {"id", "text", "ok", "seen"} and line["text"] for line in fiber["expectations"])
    assert all(isinstance(line["seen"], str) and line["seen"] for line in fiber["expectations"])


def test_the_document_tells_of_orders_cases_and_side_effects(fiber):
    cast = fiber_cast.cast(SEED)
    assert {order["external_id"] for order in fiber["orders"]} == {order.external_id for order in cast.all}
    assert {order["state"] for order in fiber["orders"]} == {"COMPLETED"}
    assert len(fiber["cases"]) == 2
    assert all(case["number"].startswith("FC-") and case["id"] for case in fiber["cases"])
    assert all(case["history"][0]["type"] == "unstuck.fallout-case.detected" for case in fiber["cases"])
    wanted = {(effect.system, effect.group): 1 for order in cast.all for effect in order.effects()}
    made = {(system, key): n for system, keys in fiber["side_effects"].items() for key, n in keys.items()}
    assert made == wanted


def test_nothing_but_the_document_is_written_when_nobody_watches(fiber):
    assert fiber["said"] == ""


def test_a_seed_always_casts_the_same_and_another_seed_another():
    first, again, other = fiber_cast.cast(4), fiber_cast.cast(4), fiber_cast.cast(5)
    assert first == again
    assert first.stuck.customer != other.stuck.customer
    assert first.world != other.world


@pytest.mark.parametrize("seed", range(1, 40))
def test_every_seed_tells_the_same_story(seed):
    cast = fiber_cast.cast(seed)
    customers = [order.customer for order in cast.all]
    assert len(set(customers)) == len(customers)
    assert {item.offer for item in cast.stuck.items} == {"fiber-internet", "static-ip", "wifi-router"}
    assert calls([cast.stuck])["provisioning", "activateFiber"] == 1
    assert cast.world["systems"]["provisioning"]["mode"] == "sync"
    assert [(rule["fault"], rule["match"]["customer"]) for rule in cast.world["faults"] if "first" in rule] == [
        ("F2", cast.stuck.customer),
        ("F1", cast.absent.customer),
    ]


def test_the_list_names_every_scenario_of_the_page_and_what_is_built():
    done = CliRunner().invoke(app, ["scenario", "list", "--json"])
    listed = json.loads(done.stdout)["scenarios"]
    assert [row["name"] for row in listed] == NAMES
    assert [row["name"] for row in listed if row["built"]] == ["fiber", "foreign-oms"]
    assert all(row["what"] for row in listed)


def test_what_is_not_built_is_named_and_not_judged():
    done = CliRunner().invoke(app, ["scenario", "run", "no-access", "--json"])
    (report,) = json.loads(done.stdout)["scenarios"]
    assert (done.exit_code, report["name"], report["ok"], report["expectations"]) == (0, "no-access", None, [])


def test_an_unknown_scenario_is_wrong_use():
    assert CliRunner().invoke(app, ["scenario", "run", "fibre"]).exit_code == 2


def test_all_plays_what_is_built_and_a_missed_expectation_is_a_no(monkeypatch):
    def played(scenario, *_how):
        missed = {"id": "fiber-01", "text": "one case", "ok": False, "seen": "none"}
        lines = [missed] if scenario.built else []
        return {"name": scenario.name, "ok": verdict(lines), "seconds": 1.0, "seed": 1, "expectations": lines}

    monkeypatch.setattr(command, "play", played)
    done = CliRunner().invoke(app, ["scenario", "run", "all"])
    assert done.exit_code == 1
    assert "✗ fiber-01  one case: none" in done.stdout
    assert done.stdout.count(": not yet\n") == sum(not scenario.built for scenario in SCENARIOS)


PAGE = Page.parse("""
    | id  | when    | must be seen |
    |-----|---------|--------------|
    | x-1 | now     | this         |
    | x-2 | not yet | that         |
    | x-3 | now     | and this     |
""")


def test_what_a_broken_story_did_not_come_to_is_missed_and_says_why():
    sheet = Sheet(PAGE)

    def act():
        sheet.saw("x-1", True, "this")
        raise Missed("nobody came")

    sheet.part(act, "x-1", "x-3")
    assert [line["ok"] for line in sheet.lines()] == [True, None, False]
    assert sheet.lines()[2]["seen"] == "not reached: nobody came"
    assert verdict(sheet.lines()) is False


@pytest.mark.parametrize("id_", ["x-1", "x-2", "x-9"])
def test_a_line_is_judged_once_and_only_when_it_is_on_the_page_and_built(id_):
    sheet = Sheet(PAGE)
    sheet.saw("x-1", True, "this")
    with pytest.raises(ValueError, match="not to be judged"):
        sheet.saw(id_, True, "again")
