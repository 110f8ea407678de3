"""The life of the demo: its beginning, the orders that keep coming, the colleagues who work, three cases to try.

It sees the product only over HTTP and keeps nothing: after a restart it finds its place by asking what is there.
"""

import json
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from threading import Event
from typing import Any

import msgspec

from unstuck.rehearsal.demo_cast import SHOP, STREAM, TRIES, Opening, following, opening
from unstuck.rehearsal.demo_desk import MANAGER_OF_ALL, ORDERS, Colleagues
from unstuck.rehearsal.demo_elsewhere import ALL, Elsewhere
from unstuck.rehearsal.demo_elsewhere import OPENING as FALLEN_OUT
from unstuck.rehearsal.door import Door
from unstuck.rehearsal.sheet import Missed
from unstuck.rehearsal.stage import CASES, SERVICE_ORDER, View

WORKERS = ("demo-maya", "demo-jonas", MANAGER_OF_ALL)
HELPDESK, ADMIN = "demo-tarik", "demo-admin"
TICK_S = 2.5
FEWEST, MOST = 28, 36  # open cases between which the demo keeps itself
ELSEWHERE_EVERY = 15  # of so many orders one is somebody else's
FIRST_NUMBER = 5000
PATIENCE_S = 40.0
LONGEST_PAUSE_S = 10.0


class Scene(msgspec.Struct, frozen=True):
    """Where the demo plays: as `unstuck up` wrote it down. `passes` are the API tokens of its accounts."""

    url: str
    order_manager: str
    passes: dict[str, str]
    hints: str
    speed: float = 1.0
    seed: int = 1


class Demo:
    """One demo, until it is told to stop."""

    def __init__(self, scene: Scene, stop: Event, say: Callable[[str], None]) -> None:
        self._scene, self._stop, self._say = scene, stop, say
        self._random = Random(f"demo-{scene.seed}-{time.time_ns()}")  # what is done when is left to chance
        self._doors = {name: Door(scene.url, token) for name, token in scene.passes.items()}
        self._shop = self._doors[SHOP]
        self._read = self._doors[MANAGER_OF_ALL]
        self._colleagues = Colleagues({name: self._doors[name] for name in WORKERS}, self._random, self._clock)
        self._elsewhere = Elsewhere(
            scene.url, scene.order_manager, self._doors[ADMIN], self._shop, self._doors[HELPDESK]
        )
        self._tries: dict[str, View] = {}

    def run(self) -> None:
        """Play; where the product does not answer, wait and go on from what is there."""
        pause = 1.0
        while not self._stop.is_set():
            began = time.monotonic()
            try:
                self._play()
            except Missed as away:
                self._say(f"waiting: {away}")
                pause = 1.0 if time.monotonic() - began > 60 else min(2 * pause, LONGEST_PAUSE_S)
                self._stop.wait(pause)

    def _play(self) -> None:
        self._elsewhere.open()
        number = self._last_number()
        if number is None:
            self._begin()
            number = FIRST_NUMBER
        self._offer_tries(self._placed(*TRIES.values()))
        while not self._stop.is_set():
            number += 1
            self._tick(number)

    def _begin(self) -> None:
        """Everything that stands there on the first day. What an interrupted beginning did is not done again."""
        cast = opening(self._scene.seed)
        there = self._placed(*(one.wanted.external_id for one in cast))
        for one in cast:
            self._go_on()
            if one.wanted.external_id not in there:
                there[one.wanted.external_id] = self._submit(one.wanted.body())
            if one.wanted.external_id == TRIES["router"]:
                self._offer_tries(there)
        self._report_from_elsewhere()
        for one in cast:
            self._bring(one, there[one.wanted.external_id])
        self._say(f"begun: {len(cast)} orders, {self._colleagues.open_count()} cases open")

    def _report_from_elsewhere(self) -> None:
        for n, report in enumerate(ALL):
            self._bring_case(self._elsewhere.report(report), report.until, n)
        for n, (ref, until) in enumerate(FALLEN_OUT.items()):
            self._bring_case(self._elsewhere.falls_out(ref), until, n)
            self._elsewhere.fetch()
        self._elsewhere.calls()

    def _bring(self, one: Opening, order_id: str) -> None:
        """Bring the case of an order as far as the beginning wants it."""
        if one.until in ("", "reserved", "settled", "QUEUED"):
            return
        if one.until == "by hand":
            self._colleagues.fail_by_hand(order_id, "the building has no riser; planning was asked")
            return
        case = self._await(lambda: self._queued_case(order_id))
        if case is not None:
            self._bring_case(case["id"], one.until, int(one.wanted.external_id[-2:]))

    def _bring_case(self, case_id: str, until: str, n: int) -> None:
        if case_id and until != "QUEUED":
            self._await(lambda: self._case(case_id)["state"] not in ("DETECTED", "CLASSIFIED"))
            self._colleagues.bring(case_id, until, WORKERS[n % len(WORKERS)])

    def _tick(self, number: int) -> None:
        """One order comes, the colleagues do two things; and the tries are looked at."""
        open_now = self._colleagues.open_count()
        if number % ELSEWHERE_EVERY == 0 and open_now < MOST:
            self._elsewhere.falls_out(f"NW-{number}")
        stops = open_now < FEWEST or (open_now < MOST and self._random.random() < 0.3)
        self._submit(following(self._scene.seed, number, stops=stops).body())
        for _ in range(2):
            self._pause(TICK_S * self._random.uniform(0.6, 1.4))
            if self._random.random() < 0.4:
                self._colleagues.take()
            self._colleagues.move()
        self._elsewhere.fetch()
        self._look_at_tries()

    def _submit(self, body: View) -> str:
        return str(self._shop.post(SERVICE_ORDER, body).must(201, f"order {body['externalId']}")["id"])

    def _last_number(self) -> int | None:
        """The number of the last order of the stream; None when the beginning is not over."""
        newest = self._read.get(ORDERS, source=SHOP, sort="-received_at", limit=100).must(200, "the orders")["orders"]
        found = [int(n[1]) for order in newest if (n := STREAM.fullmatch(order["external_id"]))]
        return max(found) if found else None

    def _placed(self, *names: str) -> dict[str, str]:
        """The ids of those orders of the demo that are there, by their external id."""
        found: dict[str, str] = {}
        for at in range(0, len(names), 20):
            some = ",".join(names[at : at + 20])
            listed = self._read.get(ORDERS, source=SHOP, external_id=some, limit=100).must(200, "the orders")["orders"]
            found |= {order["external_id"]: order["id"] for order in listed}
        return found

    def _offer_tries(self, there: dict[str, str]) -> None:
        """Find the three cases and write down which they are."""
        for name, external_id in TRIES.items():
            case = self._await(partial(self._any_case, there[external_id]))
            if case is not None:
                self._tries[name] = case
        self._write_hints()

    def _look_at_tries(self) -> None:
        """Say of a case to try that it is done, once it is."""
        for name, case in self._tries.items():
            if not _is_done(case) and _is_done(seen := self._case(case["id"])):
                self._tries[name] = seen
                self._write_hints()

    def _write_hints(self) -> None:
        """The cases to try, as a file that is whole at every moment."""
        cases = [{"name": n, "number": case["number"], "done": _is_done(case)} for n, case in self._tries.items()]
        path = Path(self._scene.hints)
        fresh = path.with_suffix(".fresh")
        fresh.write_text(json.dumps({"cases": cases}))
        os.replace(fresh, path)

    def _case(self, case_id: str) -> View:
        view: View = self._read.get(f"{CASES}/{case_id}").must(200, "the case view")
        return view

    def _any_case(self, order_id: str) -> View | None:
        cases = self._read.get(CASES, order_id=order_id, sort="number").must(200, "the case list")["cases"]
        return cases[0] if cases else None

    def _queued_case(self, order_id: str) -> View | None:
        case = self._any_case(order_id)
        return case if case and case["state"] not in ("DETECTED", "CLASSIFIED") else None

    def _await(self, look: Callable[[], Any]) -> Any:
        """What `look` finds; None when it does not come, as where somebody has changed what befalls whom."""
        until = time.monotonic() + PATIENCE_S
        while not (seen := look()) and time.monotonic() < until:
            self._go_on()
            self._stop.wait(0.2)
        return seen or None

    def _clock(self) -> float:
        """Seconds as they pass in a rehearsal that runs faster."""
        return time.monotonic() * self._scene.speed

    def _pause(self, seconds: float) -> None:
        self._stop.wait(seconds / self._scene.speed)
        self._go_on()

    def _go_on(self) -> None:
        if self._stop.is_set():
            raise Missed("told to stop")


def _is_done(case: View) -> bool:
    return str(case["state"]).startswith("RESOLVED") or case["state"] == "CLOSED"
