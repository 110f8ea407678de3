"""The foreign-oms scenario over real sockets: every expectation of one seed; what a seed decides; and honest failing."""

import json
import subprocess
import sys

import pytest

from unstuck.rehearsal import foreign_oms_cast
from unstuck.rehearsal.foreign_oms import ACTS, ForeignOms
from unstuck.rehearsal.foreign_oms_cast import PAGE
from unstuck.rehearsal.sheet import Sheet, verdict

SEED = 1
IDS = [f"foreign-oms-{n:02}" for n in range(1, 28)]


@pytest.fixture(scope="module")
def played():
    arguments = ["scenario", "run", "foreign-oms", "--seed", str(SEED), "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "unstuck.cli.main", *arguments], capture_output=True, text=True, timeout=300
    )
    assert done.returncode in (0, 1), done.stderr
    (report,) = json.loads(done.stdout)["scenarios"]
    return report | {"exit": done.returncode}


@pytest.mark.parametrize("id_", IDS)
def test_the_story_shows_what_the_page_promises(played, id_):
    line = next(line for line in played["expectations"] if line["id"] == id_)
    assert line["ok"] is True, f"{line['text']}: {line['seen']}"


def test_the_document_is_the_one_of_the_contract(played):
    assert (played["name"], played["ok"], played["exit"], played["orders"]) == ("foreign-oms", True, 0, [])
    assert [line["id"] for line in played["expectations"]] == IDS
    cast = foreign_oms_cast.cast(SEED)
    assert len(played["cases"]) == len(cast.orders)
    assert all(case["history"] for case in played["cases"])
    assert {case["state"] for case in played["cases"]} <= {
        "CLOSED", "RESOLVED_RESUME", "RESOLVED_CANCEL", "IN_PROGRESS",
    }  # fmt: skip
    assert not any(played["side_effects"].values()), "orders of others have no effects in our systems"


def test_a_seed_decides_names_orders_and_course_and_always_the_same():
    one, again, other = (foreign_oms_cast.cast(seed) for seed in (1, 1, 2))
    assert one == again
    assert (one.acts, one.orders["first"].ref) != (other.acts, other.orders["first"].ref)
    for cast in (one, other):
        assert sorted(cast.acts) == sorted(ACTS)
        assert len({order.ref for order in cast.orders.values()}) == len(cast.orders)
        assert all(callable(getattr(ForeignOms, f"_{act}")) for act in cast.acts)


def test_every_line_of_the_page_belongs_to_a_part_of_the_story():
    judged = {n for first, last in ACTS.values() for n in range(int(first), int(last) + 1)}
    assert judged | set(range(1, 9)) | {17, 26, 27} == set(range(1, len(PAGE.lines) + 1))


def test_without_an_order_manager_nothing_is_said_to_be_seen():
    class Gone:
        def __init__(self):
            self.said = {"order_manager": "http://127.0.0.1:9", "url": "http://127.0.0.1:9", "tokens": {}}
            self.within_s = 0.1

        def door(self, _role):
            from unstuck.rehearsal.door import Door

            return Door("http://127.0.0.1:9")

    sheet = Sheet(PAGE)
    ForeignOms(Gone(), sheet, foreign_oms_cast.cast(1), lambda _: None).play()
    assert verdict(sheet.lines()) is False
    assert not any(line["ok"] for line in sheet.lines())
