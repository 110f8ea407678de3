"""The numbers of the queue come from indexes alone: at 200,000 cases none reads the table, or more than it counts."""

from typing import Any

import asyncpg
import pytest
from bench import queue_rows as rows
from plans_lab import CLOSED, explained

from unstuck.kernel.actor import Actor
from unstuck.service.looks.queue_views import VIEWS, narrowed
from unstuck.store.listing import queue
from unstuck.store.listing.case_list import DETECTED, Wanted, walk_for
from unstuck.store.listing.walk import WALKED, Sort, counts_statement, groups_statement
from unstuck.store.statements import sql
from unstuck.store.unit import Unit

NOW = rows.moment(CLOSED)
LIMIT = 1000
SOMEBODY = Actor("agent-7")
INDEXES = {
    "open": "case_open_newest", "mine": "case_by_owner", "unassigned": "case_unowned", "unknown": "case_unknown_outcome",
    "waiting": "case_by_state", "repair": "case_by_state", "resolved": "case_closed_newest", "finance": "case_of_revenue",
}  # fmt: skip


def wanted(view: str) -> Wanted:
    found = narrowed(VIEWS[view], Wanted(), SOMEBODY)
    assert found is not None
    return found


@pytest.mark.parametrize("view", INDEXES)
async def test_a_view_is_counted_along_its_index(year: asyncpg.Connection, view: str) -> None:
    walk = await walk_for(Unit(year, NOW), wanted(view), Sort(DETECTED, descending=True))
    for mode in ("force_custom_plan", "force_generic_plan"):
        plan = await explained(year, *counts_statement([walk], LIMIT + 1), mode=mode)
        assert {node["Index Name"] for node in plan if "Index Name" in node} == {INDEXES[view]}
        assert not [node for node in plan if node["Node Type"] in ("Seq Scan", "Bitmap Heap Scan")]
        assert read(plan) <= (2 * WALKED + 2 if walk.keep else LIMIT * len(walk.arms) + 1), read(plan)


async def test_all_views_are_counted_in_one_statement_and_right(year: asyncpg.Connection) -> None:
    unit = Unit(year, NOW)
    views = list(INDEXES)
    found = dict(zip(views, await queue.counts(unit, [wanted(view) for view in views], LIMIT), strict=True))
    for view in ("mine", "waiting", "repair", "unknown", "unassigned", "finance"):
        every = await true_count(year, wanted(view))
        assert (found[view].many, found[view].more) == (min(every, LIMIT), every > LIMIT), view
    assert (found["open"].many, found["open"].more) == (LIMIT, True)
    assert found["mine"].many > 10 and not found["mine"].more


async def test_a_count_of_what_is_rare_and_has_no_index_says_that_it_did_not_look_at_everything(
    year: asyncpg.Connection,
) -> None:
    unit = Unit(year, NOW)
    (rare,) = await queue.counts(unit, [Wanted({"item": ("nothing",)}, wanted("open").states)], LIMIT)
    assert (rare.many, rare.more) == (0, True)


async def test_the_queues_are_found_and_counted_without_reading_them(year: asyncpg.Connection) -> None:
    plan = await explained(year, sql("queue_counts"), [LIMIT + 1])
    assert {node["Index Name"] for node in plan if "Index Name" in node} == {"case_by_queue"}
    assert not [node for node in plan if node["Node Type"] == "Seq Scan"]
    assert read(plan) <= len(rows.QUEUES) * (LIMIT + 4)
    found = await queue.queues(Unit(year, NOW), LIMIT)
    assert set(found) == set(rows.QUEUES)
    for name in ("TRIAGE", "FIXED_L2"):
        every = await true_count(year, Wanted({"queue": (name,)}, wanted("open").states))
        assert (found[name].many, found[name].more) == (min(every, LIMIT), every > LIMIT)


@pytest.mark.parametrize("by", queue.GROUPS)
async def test_a_table_of_contents_reads_no_more_than_a_walk(year: asyncpg.Connection, by: str) -> None:
    sort = Sort(DETECTED, descending=True)
    walk = await walk_for(Unit(year, NOW), wanted("open"), sort)
    joined = queue.WITH_ORDER if by == "product" else ""
    plan = await explained(year, *groups_statement(walk, sort, queue.GROUPS[by], 5, WALKED, joined))
    assert not [
        node for node in plan if node.get("Relation Name") == "fallout_case" and node["Node Type"] == "Seq Scan"
    ]
    assert read([node for node in plan if node.get("Relation Name") == "fallout_case"]) <= 2 * WALKED + 1
    found = await queue.groups(Unit(year, NOW), walk, sort, by, 5, WALKED)
    assert sum(row["many"] for row in found) == WALKED and all(row["further"] for row in found)


async def test_a_page_of_rows_is_read_by_keys(year: asyncpg.Connection) -> None:
    ids = [row["id"] for row in await year.fetch("SELECT id FROM fallout_case WHERE state = 'QUEUED' LIMIT 100")]
    plan = await explained(year, sql("queue_rows"), [ids])
    assert not [
        node for node in plan if node["Node Type"] == "Seq Scan" and node["Relation Name"] in ("fallout_case", "orders")
    ]
    assert read(plan) <= 4 * len(ids)


async def true_count(year: asyncpg.Connection, of: Wanted) -> int:
    """By looking at every case."""
    terms = [f"{name} = ANY(ARRAY[{', '.join(map(repr, values))}])" for name, values in of.equals.items()]
    terms.append(f"state = ANY(ARRAY[{', '.join(map(repr, of.states))}])")
    return int(await year.fetchval(f"SELECT count(*) FROM fallout_case WHERE {' AND '.join(terms)}"))


def read(plan: list[Any]) -> int:
    """Rows that were fetched from tables or indexes, those that a filter dropped too."""
    return sum(
        (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
        for node in plan
        if ("Scan" in node["Node Type"] and "Index Name" in node) or node["Node Type"] == "Seq Scan"
    )
