"""Every list finds its index: at 200,000 cases no statement reads the table from end to end, sorts it, or reads far."""

from typing import Any
from uuid import UUID

import asyncpg
import pytest
from bench import queue_rows as rows
from plans_lab import CLOSED, explained, read

from unstuck.store.listing import case_list, order_list
from unstuck.store.listing.case_list import NOT_RESOLVED, Wanted
from unstuck.store.listing.order_list import WantedOrders
from unstuck.store.listing.walk import WALKED, Sort, Walk, count_statement, page_statement, sizes_statement
from unstuck.store.unit import Unit

NOW = rows.moment(CLOSED)
QUEUE, CODE = {"queue": ("FIXED_L2",)}, {"code": ("CODE_0",)}
OPEN_ONES = {"states": NOT_RESOLVED}
AN_ORDER = UUID("00000010-0000-7001-8000-000000000070")
CASE_LISTS: dict[str, tuple[dict[str, Any], str, set[str]]] = {
    "everything, newest": ({}, "-detected_at", {"case_open_newest", "case_closed_newest"}),
    "everything, by number": ({}, "number", {"case_by_number"}),
    "everything, last touched": ({}, "-touched_at", {"case_open_touched", "case_closed_touched"}),
    "open, newest": (OPEN_ONES, "-detected_at", {"case_open_newest"}),
    "open, longest untouched": (OPEN_ONES, "touched_at", {"case_open_touched"}),
    "open, by number": (OPEN_ONES, "number", {"case_open_by_number"}),
    "closed, newest": ({"states": ("CLOSED",)}, "-detected_at", {"case_closed_newest"}),
    "a queue": ({**OPEN_ONES, "equals": QUEUE}, "detected_at", {"case_by_queue"}),
    "two queues": ({**OPEN_ONES, "equals": {"queue": ("FIXED_L2", "VIP")}}, "detected_at", {"case_by_queue"}),
    "a queue in all states": ({"equals": QUEUE}, "-detected_at", {"case_by_queue", "case_closed_newest"}),
    "mine": ({**OPEN_ONES, "equals": {"owner": ("agent-7",)}}, "-detected_at", {"case_by_owner"}),
    "a code": ({**OPEN_ONES, "equals": CODE}, "-detected_at", {"case_by_code"}),
    "a rare code, untouched": ({**OPEN_ONES, "equals": {"code": ("CODE_199",)}}, "touched_at", {"case_by_code"}),
    "queue and code": ({**OPEN_ONES, "equals": {**QUEUE, "code": ("CODE_199",)}}, "-detected_at", {"case_by_code"}),
    "to be approved": ({"states": ("APPROVAL_REQUIRED", "VERIFYING")}, "detected_at", {"case_by_state"}),
    "queued, of a system": ({"states": ("QUEUED",), "equals": {"system": ("tower",)}}, "detected_at", {"case_open_newest"}),
    "a customer": ({"equals": {"customer": ("C-1",)}}, "-detected_at", {"case_of_customer"}),
    "a rare source": ({"equals": {"source": ("partner-11",)}}, "-detected_at", {"fallout_case_pkey"}),
    "a source that reports often": ({"equals": {"source": ("legacy-oms",)}}, "-detected_at", {"case_open_newest", "case_closed_newest"}),
    "an order's": ({"orders": (AN_ORDER,)}, "-detected_at", {"case_of_order"}),
    "a number": ({"text": "FC-1042"}, "-detected_at", {"fallout_case_pkey"}),
    "a text": ({**OPEN_ONES, "text": "no such words"}, "-detected_at", {"case_open_newest"}),
    "a period": ({"since": NOW, "equals": {"item": ("1",)}}, "detected_at", {"case_open_newest", "case_closed_newest"}),
    "nobody's": ({**OPEN_ONES, "equals": {"owner": ("nobody",)}}, "number", {"case_by_owner"}),
}  # fmt: skip
ORDER_LISTS: dict[str, tuple[dict[str, Any], str, set[str]]] = {
    "newest": ({}, "-received_at", {"orders_newest"}),
    "by number": ({}, "number", {"order_by_number"}),
    "a customer's": ({"equals": {"customer": ("C-7",)}}, "-received_at", {"orders_of_customer"}),
    "an external id": ({"equals": {"external_id": ("PO-7",)}}, "-received_at", {"order_by_external_id"}),
    "failed": ({"equals": {"state": ("FAILED",)}}, "-received_at", {"orders_newest"}),
    "a rare source": ({"equals": {"source": ("nobody",)}}, "-received_at", {"one_order_per_source_id"}),
    "a common source": ({"equals": {"source": ("shop",)}}, "-received_at", {"orders_newest"}),
    "a name": ({"text": "PO-7"}, "-received_at", {"orders_pkey"}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASE_LISTS)
async def test_a_list_of_cases_is_read_along_its_index(year: asyncpg.Connection, name: str) -> None:
    given, by, indexes = CASE_LISTS[name]
    sort = Sort(case_list.SORTS[by.lstrip("-")], by.startswith("-"))
    walk = await case_list.walk_for(Unit(year, NOW), Wanted(**given), sort)
    await _is_read_along(year, walk, sort, indexes)


@pytest.mark.parametrize("name", ORDER_LISTS)
async def test_a_list_of_orders_is_read_along_its_index(year: asyncpg.Connection, name: str) -> None:
    given, by, indexes = ORDER_LISTS[name]
    sort = Sort(order_list.SORTS[by.lstrip("-")], by.startswith("-"))
    walk = await order_list.walk_for(Unit(year, NOW), WantedOrders(**given), sort)
    await _is_read_along(year, walk, sort, indexes)


async def test_what_leads_to_a_list_is_read_along_indexes_too(year: asyncpg.Connection) -> None:
    for name, values in (
        ("cases_named", ("C-7", None, None, None, WALKED)), ("cases_named", ("FC-1042", 1042, None, None, WALKED)),
        ("orders_named_so", ("PO-7", None, None, WALKED)), ("orders_of_customers", (["C-7", "C-8"], WALKED)),
        ("count_reports", (["legacy-oms", "partner-11"], WALKED)), ("cases_of_sources", (["partner-11"], WALKED)),
    ):  # fmt: skip
        plan = await explained(year, case_list.sql(name), values)
        assert not [node for node in plan if node["Node Type"] == "Seq Scan"], name
        assert read(plan) <= 3 * WALKED, name


async def test_sizes_are_counted_on_indexes_alone(year: asyncpg.Connection) -> None:
    wanted = Wanted(equals={**QUEUE, **CODE, "owner": ("agent-7", "agent-8")}, states=NOT_RESOLVED)
    along = Sort(case_list.DETECTED)
    walks = [Walk("fallout_case", "id", a, along, ()) async for _, a in case_list.driven(Unit(year, NOW), wanted)]
    plan = await explained(year, *sizes_statement(walks))
    assert {node["Index Name"] for node in plan if "Index Name" in node} == {
        "case_by_queue",
        "case_by_code",
        "case_by_owner",
    }
    assert read(plan) <= len(walks) * (WALKED + 1) and max([0, *_sorts(plan)]) <= WALKED


async def _is_read_along(year: asyncpg.Connection, walk: Walk, sort: Sort, indexes: set[str]) -> None:
    """Also with a cursor, as a prepared statement that no longer sees its values, and counted."""
    key = tuple(
        {"detected_at": NOW, "touched_at": NOW, "received_at": NOW, "id": AN_ORDER, "number": 100_000}[c]
        for c in sort.columns
    )
    for text, values in (
        page_statement(walk, sort, None, 51), page_statement(walk, sort, key, 51), count_statement(walk, 1001),
    ):  # fmt: skip
        for mode in ("force_custom_plan", "force_generic_plan"):
            plan = await explained(year, text, values, mode)
            used = {node["Index Name"] for node in plan if "Index Name" in node}
            assert used <= indexes | {"orders_pkey"} and used & indexes, (mode, used)
            assert not [
                node for node in plan if node["Node Type"] in ("Seq Scan", "Bitmap Heap Scan") and not walk.whole
            ]
            assert read(plan) <= WALKED + 1 and max([0, *_sorts(plan)]) <= WALKED, (mode, read(plan), _sorts(plan))


def _sorts(plan: list[Any]) -> list[int]:
    """How many rows each sort was given."""
    return [sum(inner["Actual Rows"] for inner in node["Plans"]) for node in plan if node["Node Type"] == "Sort"]
