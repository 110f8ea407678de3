"""The hot statements use their indexes: a plan that scans a table would be fine in tests and fatal at scale."""

import pytest

from unstuck.store.statements import sql

from .conftest import Rig

HOT = {
    "pick_sends": (("{billing}", "{5}", "2030-01-01"), "task_ready"),
    "pick_asks": (("{billing}", "{5}", "2030-01-01"), "task_to_ask"),
    "lapsed": (("2030-01-01", "10"), "task_lease"),
    "due_timers": (("2030-01-01", "10", "classify"), "timer_due"),
    "open_cases": (("{00000000-0000-7000-8000-000000000000}",), "case_of_order"),
    "seal_batch": (("0", "9"), "event_by_commit"),
    "lock_orders": (("{00000000-0000-7000-8000-000000000000}",), "orders_pkey"),
    "load_tasks": (("{00000000-0000-7000-8000-000000000000}",), "task_pkey"),
}


@pytest.mark.parametrize("name", HOT)
async def test_a_hot_statement_uses_its_index(rig: Rig, name: str) -> None:
    values, index = HOT[name]
    statement = sql(name)
    for number in range(len(values), 0, -1):
        statement = statement.replace(f"${number}", f"'{values[number - 1]}'")
    async with rig.pool.acquire() as conn, conn.transaction():
        await conn.execute("SET LOCAL enable_seqscan = off")
        lines = [row[0] for row in await conn.fetch("EXPLAIN " + statement)]
    plan = "\n".join(lines)
    assert index in plan, plan
    assert "Seq Scan" not in plan, plan
