"""The joins of the plan for libraries that know no dependencies: one counter row for each.

Join 0 waits for a, b and c and releases d and e; join 1 waits for d and e and releases f. One row serves all
tasks that wait for the same predecessors, so a finished task updates one row, and none waits for another
order's lock.
"""

from __future__ import annotations

import asyncpg

JOIN_AFTER = {"a": 0, "b": 0, "c": 0, "d": 1, "e": 1}
RELEASES = ("de", "f")
WAITS = (3, 2)

SCHEMA = """
CREATE TABLE plan_join (
    order_id int, no smallint, waits smallint NOT NULL, PRIMARY KEY (order_id, no)
) WITH (fillfactor = 80);
"""


async def load_joins(connection: asyncpg.Connection, orders: int) -> None:
    rows = [(order, no, waits) for order in range(orders) for no, waits in enumerate(WAITS)]
    await connection.execute(SCHEMA)
    await connection.copy_records_to_table("plan_join", records=rows)
