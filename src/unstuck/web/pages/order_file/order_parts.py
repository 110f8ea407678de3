"""What the templates of an order are given: the same for the whole page and for its live parts."""

from typing import Any

from unstuck.fallout.lifecycle import CASE_IS_RESOLVED
from unstuck.order.promise import Promise
from unstuck.repair.outcome import Result
from unstuck.service.looks.order_page import OrderDesk
from unstuck.service.looks.shown import Attempt, CaseRow, TimelineEntry
from unstuck.web.pages.order_file.graph import drawn

TONES = {Promise.OVERDUE: "bad", Promise.BROKEN: "bad", Promise.AT_RISK: "warn", Promise.SOON: "info"}

RESULT_TONES = {Result.UNKNOWN: "unknown", Result.REFUSED: "bad", Result.DONE: "good", Result.FOUND: "good"}


def parts(desk: OrderDesk) -> dict[str, Any]:
    """Everything that is drawn of an order."""
    view = desk.view
    items = view.graph.items if len(view.graph.items) == len(view.item_states) else []
    return {
        "desk": desk,
        "order": view,
        "graph": drawn(view.graph),
        "items": list(zip(items, view.item_states, strict=True)) if items else [],
        "cases": _open_first(view.cases),
        "calls": _newest_first(view.attempts),
        "steps": {task.key: task.title for task in view.graph.tasks},
        "titles": {task.no: task.title for task in view.graph.tasks},
        "tones": TONES,
        "result_tones": RESULT_TONES,
    }


def since(desk: OrderDesk, seen: int) -> tuple[TimelineEntry, ...]:
    """What has happened behind the event that was seen last."""
    return tuple(entry for entry in desk.view.timeline if entry.seq > seen)


def _open_first(cases: list[CaseRow]) -> list[CaseRow]:
    newest = sorted(cases, key=lambda case: case.detected_at, reverse=True)
    return sorted(newest, key=lambda case: case.state in CASE_IS_RESOLVED)


def _newest_first(calls: list[Attempt]) -> list[Attempt]:
    return list(reversed(calls))
