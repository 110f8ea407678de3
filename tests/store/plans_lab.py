"""The plan that PostgreSQL followed for a statement, node by node: what the guards of hot queries look at."""

import json
from collections.abc import Iterator
from typing import Any

import asyncpg


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
