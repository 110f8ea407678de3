"""The plan that PostgreSQL followed for a statement, node by node, and the many rows that guards of hot queries need."""

import json
from collections.abc import Iterator
from typing import Any

import asyncpg
from bench import queue_rows as rows

CLOSED, OPEN = 150_000, 50_000  # the cases of a year of fallout in small


async def loaded(owner: asyncpg.Connection, closed: int, opened: int) -> None:
    """Fill a migrated, empty database with so many cases, their orders and the reports that they came from."""
    await owner.execute("INSERT INTO policy_pack VALUES ('p', 'p', '', now()); INSERT INTO plan VALUES ('l', '')")
    await owner.execute(rows.orders(0, (closed + opened) // rows.ORDER_EVERY + 1))
    await owner.execute(rows.cases(0, closed, closed=True))
    await owner.execute(rows.cases(closed, opened, closed=False))
    await owner.execute(rows.reports(0, closed + opened))


async def explained(conn: asyncpg.Connection, text: str, values: Any, mode: str = "auto") -> list[Any]:
    """The nodes of the plan that was followed, with what each has read."""
    async with conn.transaction():
        await conn.execute(f"SET LOCAL plan_cache_mode = {mode}")
        (answer,) = json.loads(await conn.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {text}", *values))
    return list(nodes(answer["Plan"]))


def nodes(plan: Any) -> Iterator[Any]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from nodes(inner)


def read(plan: list[Any]) -> float:
    """Rows that were fetched from tables or indexes, those that a filter dropped too."""
    return sum(
        (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
        for node in plan
        if "Scan" in node["Node Type"] and node["Node Type"] not in ("Subquery Scan", "Function Scan", "Bitmap Index Scan")
    )  # fmt: skip
