"""Playing scenarios: a private stack for each, the story on it, and what is reported of it."""

import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec

from unstuck.rehearsal import fiber_cast, foreign_oms_cast
from unstuck.rehearsal.catalogue import SCENARIOS, Scenario
from unstuck.rehearsal.fiber import Fiber
from unstuck.rehearsal.foreign_oms import ForeignOms
from unstuck.rehearsal.sheet import Missed, Page, Sheet, verdict
from unstuck.rehearsal.stack import Stack
from unstuck.rehearsal.stage import Stage

SPEED = 5.0
Report = dict[str, Any]
Say = Callable[[str], None]


class Play(Protocol):
    """A story that can be played."""

    def play(self) -> None: ...


class Story(msgspec.Struct, frozen=True):
    """What a scenario is played from: its page, what a seed makes of its cast, and the course of it."""

    page: Page
    cast: Callable[[int], Any]
    play: Callable[[Stage, Sheet, Any, Say], Play]


STORIES = {
    "fiber": Story(fiber_cast.PAGE, fiber_cast.cast, Fiber),
    "foreign-oms": Story(foreign_oms_cast.PAGE, foreign_oms_cast.cast, ForeignOms),
}


def chosen(name: str) -> Sequence[Scenario]:
    """The scenarios a name stands for; none when there is no such name."""
    return SCENARIOS if name == "all" else [scenario for scenario in SCENARIOS if scenario.name == name]


def run(scenario: Scenario, seed: int, speed: float, keep: bool, say: Say) -> Report:
    """Play one scenario and report it; one that is not built is only named."""
    if not scenario.built:
        return _report(scenario.name, [], 0.0)
    began = time.monotonic()
    story = STORIES[scenario.name]
    cast = story.cast(seed)
    sheet = Sheet(story.page)
    say(f"{scenario.name}: starting a private stack")
    with Stack(cast.world, speed=speed, keep=keep) as stack:
        stage = Stage(stack.said, wait_s=12 + 30 / speed, run_s=30 + 60 / speed)
        story.play(stage, sheet, cast, say).play()
        after = _books(stage)
    report = _report(scenario.name, sheet.lines(), time.monotonic() - began) | after | {"seed": seed}
    return report | {"kept": str(stack.folder)} if keep else report


def passed(reports: Sequence[Report]) -> bool:
    """Whether nothing that is built was missed."""
    return all(report["ok"] is not False for report in reports)


def _report(name: str, lines: list[dict[str, Any]], seconds: float) -> Report:
    said = {"name": name, "ok": verdict(lines), "seconds": round(seconds, 1), "expectations": lines}
    return said | {"orders": [], "cases": [], "side_effects": {}}


def _books(stage: Stage) -> Report:
    """Orders, cases and ledgers as the run leaves them, as far as they can still be read."""
    try:
        orders = [_order(stage, order_id) for order_id in stage.submitted]
        cases = [_case(stage, case["id"]) for case in stage.all_cases()]
        return {"orders": orders, "cases": cases, "side_effects": stage.world.ledger()}
    except Missed:
        return {}


def _order(stage: Stage, order_id: str) -> dict[str, Any]:
    order = stage.order(order_id)
    names = ("id", "number", "external_id", "customer", "state", "promised_at", "finished_at")
    return {**{name: order.get(name) for name in names}, "tmf_state": stage.service_order(order_id)["state"]}


def _case(stage: Stage, case_id: str) -> dict[str, Any]:
    case = stage.case(case_id)
    names = ("id", "number", "order_id", "state", "code", "domain", "recoverability", "queue", "resolution")
    return {**{name: case.get(name) for name in names}, "history": case.get("timeline", [])}
