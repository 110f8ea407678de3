"""Which call is struck: matching, limits, chance that does not depend on order, changes at run time."""

import asyncio
import json
import signal
import sys

import pytest
from downstream_lab import ORDER, eventually

from unstuck.simulator.call import Call
from unstuck.simulator.config import Rule, load
from unstuck.simulator.ledger import Journal
from unstuck.simulator.plan import Plan


def a_call(customer, operation="activate", key="k", system="sys"):
    return Call(system, operation, key, {"customer": customer}, {"customer": customer})


def struck(folder, rules, calls, *, seed=7):
    """(customer, call number) of all that the plan strikes, whatever the order."""
    journal = Journal(folder / "faults.ndjson")
    plan = Plan(seed, rules, journal)
    strikes = [plan.choose(call, calls_back=True) for call in calls]
    journal.close()
    return {(s.call.system, s.call.operation, s.call.payload["customer"], s.number) for s in strikes if s}


def many_calls():
    return [
        a_call(f"C{n}", operation, key=f"{n}-{again}")
        for again in range(5)
        for n in range(40)
        for operation in ("activate", "reserve")
    ]


def test_chance_does_not_depend_on_interleaving_or_on_our_keys(tmp_path):
    rules = [Rule("F1", probability=0.1), Rule("F6", operation="activate", probability=0.5)]
    calls = many_calls()
    orders = [calls, calls[::-1], sorted(calls, key=lambda call: call.payload["customer"])]
    seen = [struck(tmp_path, rules, order) for order in orders]
    assert seen[0] == seen[1] == seen[2]
    assert 90 < len(seen[0]) < 170


def test_another_seed_strikes_others(tmp_path):
    rules = [Rule("F1", probability=0.5)]
    assert struck(tmp_path, rules, many_calls()) != struck(tmp_path, rules, many_calls(), seed=8)


def test_two_rules_of_the_same_chance_strike_differently(tmp_path):
    once = struck(tmp_path, [Rule("F1", probability=0.5)], many_calls())
    twice = struck(tmp_path, [Rule("F1", probability=0.5), Rule("F2", probability=0.5)], many_calls())
    assert len(once) < len(twice) < 400


def test_the_first_calls_of_each_business_key_are_struck(tmp_path):
    seen = struck(tmp_path, [Rule("F1", first=2)], many_calls())
    assert {number for *_, number in seen} == {1, 2}
    assert len(seen) == 160


def test_no_more_than_count_are_struck(tmp_path):
    assert len(struck(tmp_path, [Rule("F1", count=3)], many_calls())) == 3


@pytest.mark.parametrize(
    ("rule", "strikes"),
    [
        (Rule("F1"), True),
        (Rule("F1", system="sys", operation="activate", match={"customer": "C1"}), True),
        (Rule("F1", system="other"), False),
        (Rule("F1", operation="reserve"), False),
        (Rule("F1", match={"customer": "C2"}), False),
        (Rule("F1", match={"absent": None}), False),
        (Rule("F1", probability=0), False),
        (Rule("F1", first=0), False),
        (Rule("F1", count=0), False),
    ],
)
def test_a_rule_strikes_what_it_names(tmp_path, rule, strikes):
    assert bool(struck(tmp_path, [rule], [a_call("C1")])) is strikes


async def test_the_first_matching_rule_wins(lab):
    await lab.start({"fault": "F3", "match": {"customer": "C1"}}, {"fault": "REFUSE"})
    assert (await lab.call("k1"))[0] == 503
    assert (await lab.call("k2", {**ORDER, "customer": "C2"}))[0] == 422


async def test_a_callback_fault_is_not_injected_more_than_count_times(lab):
    await lab.start({"fault": "F6", "count": 1, "params": {"times": 2}}, mode="callback", kind="B")
    await asyncio.gather(*(lab.call(f"k{n}") for n in range(4)))
    await eventually(lambda: len(lab.receiver.heard) == 5)
    assert await lab.faults() == ["F6"]


async def test_rules_are_added_behind_those_in_force_which_keep_their_count(lab):
    await lab.start({"fault": "REFUSE", "first": 1})
    assert (await lab.call("k1"))[0] == 422
    assert await lab.admin("POST", "/faults", rules=[{"fault": "F3", "first": 2}]) == (200, {"rules": 2})
    assert [(await lab.call("k1"))[0] for _ in range(2)] == [503, 200]
    assert (await lab.admin("POST", "/faults", rules=[{"fault": "F99"}]))[0] == 400


async def test_the_plan_is_replaced_and_silenced_at_run_time(lab):
    await lab.start({"fault": "F3"})
    assert await lab.admin("PUT", "/faults", rules=[{"fault": "REFUSE", "first": 1}]) == (200, {"rules": 1})
    assert (await lab.call("k1"))[0] == 422
    await lab.admin("PUT", "/faults", rules=[{"fault": "REFUSE"}])
    assert (await lab.call("k1"))[0] == 422
    await lab.admin("POST", "/quiet")
    assert (await lab.call("k1"))[0] == 200
    await lab.restart(faults=[])
    assert await lab.faults() == ["REFUSE", "REFUSE"]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/faults", {"rules": [{"fault": "F99"}]}, 400),
        ("/faults", {"rules": [{"fault": "F1", "sytem": "sys"}]}, 400),
        ("/faults", {"rules": [{"fault": "F1", "system": "nobody"}]}, 400),
        ("/faults", {"rules": [{"fault": "F3", "params": {"status": 500}}]}, 400),
        ("/faults", {"rules": [{"fault": "F6", "params": {"times": 6}}]}, 400),
        ("/systems/sys", {"speed": 1}, 400),
        ("/systems/sys", {"latency_ms": [5, 1]}, 400),
        ("/systems/nobody", {"down": True}, 404),
    ],
)
async def test_a_change_that_makes_no_sense_changes_nothing(lab, path, body, status):
    await lab.start()
    assert (await lab.admin("PUT", path, **body))[0] == status
    assert (await lab.call("k1"))[0] == 200


@pytest.mark.parametrize(
    "fields",
    [
        {"surprise": 1},
        {"callback_secret": "whsec_!"},
        {"callback_secret": "plain"},
        {"faults": [{"fault": "F1", "system": "nobody"}]},
        {"systems": {"a": {"group_by": ["x"], "mode": "callback"}}},
        {"systems": {"a": {"group_by": []}}},
        {"systems": {"../a": {"group_by": ["x"]}}},
        {"systems": {"a": {"group_by": ["x"], "latency_ms": [5, 1]}}},
    ],
)
def test_a_world_that_makes_no_sense_is_refused(fields):
    with pytest.raises(ValueError):
        load(None, fields)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_process_says_where_it_listens_and_stops_when_told(tmp_path, number):
    world = tmp_path / "world.yaml"
    world.write_text("seed: 3\nsystems:\n  billing: {kind: B, group_by: [customer]}\n")
    program = "import sys; from pathlib import Path; from unstuck.simulator.main import run; "
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        program + "run(Path(sys.argv[1]), ledger_dir=Path(sys.argv[2]))",
        str(world),
        str(tmp_path / "ledger"),
        stdout=asyncio.subprocess.PIPE,
    )
    line = json.loads(await process.stdout.readline())
    assert line.keys() == {"systems", "admin"}
    assert line["systems"].keys() == {"billing"}
    process.send_signal(number)
    rest, _ = await process.communicate()
    assert (process.returncode, rest) == (0, b"")
    assert (tmp_path / "ledger" / "effects-billing.ndjson").exists()
