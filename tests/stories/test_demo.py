"""The demo world over real sockets: every kind of stop, three cases to try, colleagues who keep to their own."""

import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from unstuck.rehearsal import demo_cast, demo_desk, demo_step, demo_world
from unstuck.rehearsal.demo import MOST, WORKERS
from unstuck.rehearsal.door import Door, wait_for
from unstuck.rehearsal.sheet import Missed
from unstuck.rehearsal.stage import CASES, Desk, task

SPEED = 8
ORDERS = "/api/v1/orders"
KINDS = {
    "ACCOUNT_NOT_FOUND", "ACTIVATION_FALLOUT", "ACTIVATION_IMPOSSIBLE", "ADDRESS_NOT_SERVICEABLE", "ADDRESS_REJECTED",
    "BILLING_FALLOUT", "CONTRADICTING_OUTCOME", "DATA_FALLOUT", "DUPLICATE_REQUEST", "DUPLICATE_SIDE_EFFECT",
    "DUPLICATE_SUBSCRIBER_MISMATCH", "FAILED_BY_HAND", "FIELD_FALLOUT", "INVALID_SPECIFICATION", "MISSING_DATA",
    "REPORTED_BY_PERSON", "RESOURCE_FALLOUT", "SKU_OUT_OF_STOCK", "TARGET_UNAVAILABLE", "UNKNOWN_OFFER", "UNMAPPED",
    "UNKNOWN_OUTCOME of provisioning", "UNKNOWN_OUTCOME of billing", "UNKNOWN_OUTCOME of inventory",
    "UNKNOWN_OUTCOME of manual_ops",
}  # fmt: skip
ROOT = Path(__file__).resolve().parents[2]
# curl as far as the page needs it: not every machine that tests has one.
CURL = f"""curl() {{ {sys.executable} -c '
import sys, urllib.request as web
given = sys.argv[1:]
method = given[given.index("-X") + 1] if "-X" in given else "GET"
data = given[given.index("-d") + 1].encode() if "-d" in given else None
url = next(one for one in given if one.startswith("http"))
print(web.urlopen(web.Request(url, data, method=method)).read().decode())
' "$@"; }}
"""
ENGINE = {"unstuck:engine", "unstuck:classifier"}


class World:
    """`unstuck up` with its demo, started and stopped by its own process."""

    def __init__(self, folder):
        self.folder, self.data, self.process, self.said = folder, folder / "data", None, {}

    def start(self):
        kept = {name: text for name, text in os.environ.items() if name[:8] != "UNSTUCK_" or name == "UNSTUCK_PG_BIN"}
        with (self.folder / "up.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "unstuck.cli.main", "up", "--json", "--port", "0", "--data", str(self.data)],
                cwd=self.folder, env={**kept, "UNSTUCK_SPEED": str(SPEED)}, stdout=subprocess.PIPE, stderr=log,
            )  # fmt: skip
        ready = select.select([self.process.stdout], [], [], 120)[0]
        assert ready, (self.folder / "up.log").read_text()
        self.said = json.loads(self.process.stdout.readline())
        self.me = Door(self.said["url"], self.said["tokens"]["engineer"])

    def stop(self):
        """Stop it as somebody does who is impatient; nothing is left behind."""
        all_of_it = self.running()
        self.process.terminate()
        wait_for("that it begins to stop", self.running, lambda left: len(left) < len(all_of_it), 20)
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(timeout=40) == 0
        self.process.stdout.close()
        assert self.running() == []

    def running(self):
        """Which of its processes there are."""
        return [name for name, pid in self.said["pids"].items() if Path(f"/proc/{pid}").exists()]

    @property
    def log(self):
        return (self.data / "log" / "demo.log").read_text()

    def tries(self):
        """The cases to try as the demo wrote them down, by name."""
        path = self.data / "demo.json"
        return {one["name"]: one for one in json.loads(path.read_text())["cases"]} if path.exists() else {}

    def doors(self):
        """The API as the colleagues of the demo."""
        passes = json.loads((self.data / "demo-scene.json").read_text())["passes"]
        return {name: Door(self.said["url"], passes[name]) for name in WORKERS}

    def shell(self, script):
        """What `script` says in a clone beside this very world; no line of it may fail."""
        (self.folder / ".data").mkdir(exist_ok=True)
        (self.folder / ".venv/bin").mkdir(parents=True, exist_ok=True)
        unstuck = self.folder / ".venv/bin/unstuck"
        unstuck.write_text(f'#!/bin/sh\nexec {sys.executable} -m unstuck.cli.main "$@"\n')
        unstuck.chmod(0o755)
        (self.folder / "examples").exists() or (self.folder / "examples").symlink_to(ROOT / "examples")
        given = {
            "UNSTUCK_URL": self.said["url"],
            "UNSTUCK_TOKEN": self.said["tokens"]["engineer"],
            "WORLD": self.said["admin"],
        }
        done = subprocess.run(
            ["sh", "-euc", CURL + script], cwd=self.folder, env={**os.environ, **given}, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def order(self, order_id):
        return self.me.get(f"{ORDERS}/{order_id}").must(200, "the order")

    def cases(self, **query):
        return self.me.get(CASES, limit=500, **query).must(200, "the cases")["cases"]

    def numbers(self):
        """The numbers of the orders of the stream."""
        orders = self.me.get(ORDERS, limit=500, source="demo-webshop").must(200, "the orders")["orders"]
        return [int(found[1]) for order in orders if (found := demo_cast.STREAM.fullmatch(order["external_id"]))]


@pytest.fixture(scope="module")
def world():
    folder = Path(tempfile.mkdtemp(prefix="unstuck-demo-"))
    folder.chmod(0o711)  # started by root, the database runs as another user and must pass through
    made = World(folder)
    try:
        made.start()
        yield made
    finally:
        if made.process.poll() is None:
            made.stop()
        shutil.rmtree(folder)


def kinds(cases):
    return {f"{c['code']} of {c['domain']}" if c["code"] == "UNKNOWN_OUTCOME" else c["code"] for c in cases}


def test_the_beginning_has_a_case_of_every_kind_and_the_three_to_try(world):
    wait_for("every kind of case", lambda: kinds(world.cases()), lambda seen: seen >= KINDS, 60)
    assert set(world.tries()) == set(demo_cast.TRIES)
    wait_for("the stream", world.numbers, bool, 60)
    assert world.log.count("begun") == 1
    states = {case["state"] for case in world.cases()}
    assert {"QUEUED", "IN_PROGRESS", "CLOSED"} < states
    assert any(state.startswith("WAITING_") for state in states)


def test_however_much_colleagues_take_they_touch_nothing_that_is_a_persons_or_to_be_tried(world, monkeypatch):
    """A person's case, a visitor's own order and the three to try stay, also where colleagues empty the queue."""
    wanted = demo_cast.following(7, 1, stops=False).body() | {"externalId": "MINE-1"}
    wanted["serviceOrderItem"][0]["service"] = {"serviceSpecification": {"name": "fiber-gaming"}}
    mine = world.me.post("/tmf-api/serviceOrdering/v4/serviceOrder", wanted).must(201, "my own order")
    owned = some_case_taken(world)
    mine_since = owned.view()["timeline"][-1]["seq"]
    for name, value in {"LEFT_FOR_YOU": 0, "HANDS": 1000, "SHORT": (0.0, 0.0), "LONG": (0.0, 0.0)}.items():
        monkeypatch.setattr(demo_desk, name, value)
    eager = demo_desk.Colleagues(world.doors(), Random(1), time.monotonic)
    took = sum(eager.take() for _ in range(40))
    assert took > 5
    assert sum(eager.move() for _ in range(40)) > 20
    numbers = {one["number"] for one in world.tries().values()}
    assert numbers <= {one["number"] for one in world.cases(state="QUEUED") if not one["owner"]}
    assert owned.view()["owner"] == "demo-engineer"
    (case,) = world.cases(order_id=mine["id"])
    assert (case["state"], case["owner"]) == ("QUEUED", "")
    assert {entry["by"] for entry in Desk(world.me, case["id"]).view()["timeline"]} <= ENGINE
    since = {entry["by"] for entry in owned.view()["timeline"] if entry["seq"] > mine_since}
    assert since <= ENGINE  # what comes back from outside may still settle it


def some_case_taken(world):
    """A case from the queue under my hands; where a colleague is faster, another."""
    spared = {one["number"] for one in world.tries().values()}
    for case in world.cases(state="QUEUED"):
        desk = Desk(world.me, case["id"])
        with suppress(Missed):
            if case["number"] not in spared:
                desk.take()
                return desk
    raise AssertionError("nothing is left in the queue")


def test_the_three_cases_wait_untouched_and_are_repaired_as_their_hints_say(world):
    for name, number in ((name, one["number"]) for name, one in world.tries().items()):
        desk = Desk(world.me, number)
        before = desk.view()
        assert before["state"] == "QUEUED"
        assert {entry["by"] for entry in before["timeline"]} <= ENGINE
        desk.take()
        repair(desk, name)
        desk.do("close", {})
        order = wait_for(
            f"the order of {name}",
            lambda case=before: world.order(case["order_id"]),
            lambda order: order["state"] == "COMPLETED",
            20,
        )
        assert {case["state"] for case in order["cases"]} == {"CLOSED"}
        if name == "unknown":
            assert task(order, "activate_fiber")["attempts"] == 1  # asked, and not sent again
    wait_for("that they are done", lambda: [one["done"] for one in world.tries().values()], all, 20)


def repair(desk, name):
    """What a visitor does who reads the hint of a case and the message in it."""
    if name == "unknown":
        applied = desk.repair("read_back", "outcome_unknown")
        assert applied["result"] == "found"
        mode = "SKIP_STEP_ALREADY_DONE"
    else:
        field = {"address": "address", "router": "model"}[name]
        value = desk.view()["raw_message"].split('"')[-2]
        body = {"action": "correct_data", "reason_code": "source_corrected", "reason": "as it says"}
        proposed = desk.do("corrections", {**body, "input": {"fields": {field: value}}})["correction"]
        desk.do(f"corrections/{proposed['id']}/apply", {})
        mode = "RETRY_FAILED_STEP"
    proof = [piece["id"] for piece in desk.view()["evidence"] if piece["proves_resolution"]]
    desk.do("resolve", {"decision": "resume", "mode": mode, "evidence": proof})


def test_what_the_page_about_the_command_line_shows_works(world):
    """Its blocks one after the other, as somebody would paste them; FC-1060 stands for the case that comes of it."""
    page = (ROOT / "docs" / "howto" / "command-line.md").read_text()
    (fault, sent, *rest) = re.findall(r"^```sh\n(.*?)^```", page, re.M | re.S)
    world.shell(fault + sent)
    order = world.me.get(ORDERS, external_id="WEB-2042").must(200, "the order")["orders"][0]
    (case,) = wait_for("its case", lambda: world.cases(order_id=order["id"], state="QUEUED"), bool, 20)
    said = world.shell("".join(rest).replace("FC-1060", case["number"]))
    assert "UNKNOWN_OUTCOME" in said
    assert "read_back: found" in said
    assert (
        json.loads(said[said.rindex('{"effects"') :])["effects"]["provisioning"][
            "customer=C-77121|service=fiber|item=1"
        ]
        == 1
    )
    wait_for("that the order is done", lambda: world.order(order["id"])["state"], lambda s: s == "COMPLETED", 20)


def test_work_goes_on_and_the_queue_stays_within_bounds(world):
    closed = wait_for(
        "what colleagues closed",
        lambda: world.cases(state="CLOSED", owner=",".join(WORKERS)),
        lambda cases: len(cases) > 8,
        40,
    )
    assert {case["resolved_by"] for case in closed if case["resolved_by"] in WORKERS} == set(WORKERS)
    assert 15 <= len(world.cases(state="open")) <= MOST + 9


def test_started_again_it_goes_on_where_it_was(world):
    last, tries = max(world.numbers()), world.tries()
    world.stop()
    world.start()
    numbers = wait_for("new orders", world.numbers, lambda seen: max(seen) > last + 3, 40)
    assert len(numbers) == len(set(numbers))
    assert world.log.count("begun") == 1
    assert world.tries() == tries
    assert "Traceback" not in world.log


def test_while_the_server_is_away_it_waits(world):
    last = max(world.numbers())
    os.kill(world.said["pids"]["serve"], 9)
    wait_for("that it waits", lambda: world.log, lambda log: "waiting:" in log, 30)
    wait_for("orders again", lambda: _answering(world), lambda seen: seen and max(seen) > last + 1, 60)


def _answering(world):
    try:
        return world.numbers()
    except Missed:
        return []


def test_a_seed_names_the_same_customers_and_orders():
    def names(orders):
        return [(order.external_id, order.customer, order.items) for order in orders]

    first = [one.wanted for one in demo_cast.opening(4)]
    assert names(first) == names(one.wanted for one in demo_cast.opening(4))
    assert names(first) != names(one.wanted for one in demo_cast.opening(5))
    stream = [demo_cast.following(4, n, stops=n % 2 == 0) for n in range(1, 200)]
    assert names(stream) == names(demo_cast.following(4, n, stops=n % 2 == 0) for n in range(1, 200))
    assert len({order.external_id for order in first + stream}) == len(first + stream)


def test_nothing_befalls_who_tries_something_by_hand():
    struck = [rule["match"].get("item", "") for rule in demo_world.world(1)["faults"]]
    assert [line for line in struck if len(line) == 1] == []
    calm = [demo_cast.following(1, n, stops=False) for n in range(300)]
    wrong = {one.wrong for one in demo_world.WRONG}
    assert [v for order in calm for item in order.items for v in item.characteristics.values() if v in wrong] == []


@pytest.mark.parametrize("wrong", demo_world.WRONG, ids=lambda one: one.wrong)
def test_what_a_system_says_ends_with_the_value_it_would_take(wrong):
    rule = next(r for r in demo_world.world(1)["faults"] if r["match"] == {wrong.field: wrong.wrong})
    assert demo_cast.right_value(rule["params"]["body"]["message"]) == wrong.right


def test_whoever_asks_for_a_demo_where_there_is_none_is_told(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "unstuck.cli.main", "demo", "--data", str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "start `unstuck up` there first" in done.stderr


def test_a_case_that_moves_by_itself_is_left_alone():
    assert demo_step.next_step({"state": "DETECTED"}) is None
    verifying = {"state": "VERIFYING", "outcome_proven": "", "source": "", "evidence": []}
    assert demo_step.next_step({**verifying, "corrections": [{"state": "APPLIED", "action": "retry"}]}) is None
