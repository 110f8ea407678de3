"""What a call must not cost: a thread, a statement that does nothing, a plan made anew, a look at the token for each."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import asyncpg
import pytest
from web_lab import CASES, ROLES, TOKENS, House

from unstuck.store.statements import sql
from unstuck.store.unit import connect
from unstuck.web.auth import callers

EVENTS = "/api/v1/fallout-events"
FEW = ["a", "b", "c"]


class Counted(ThreadPoolExecutor):
    """Threads that say how often they were asked."""

    asked = 0

    def submit(self, *args: Any, **kwargs: Any) -> Any:
        self.asked += 1
        return super().submit(*args, **kwargs)


def failure(event: str) -> bytes:
    report = {"sourceSystem": "costly", "sourceEventId": event, "reasonCode": "X", "message": "", "customerId": "C-1"}
    return json.dumps({**report, "serviceOrderId": f"SO-{event}"}).encode()


async def test_a_report_a_view_and_a_command_wait_for_no_thread(house: House) -> None:
    asyncio.get_running_loop().set_default_executor(threads := Counted())
    taken = await house.call("POST", EVENTS, data=failure("no-thread"), who="integration")
    assert taken.status == 201
    path = f"{CASES}/{taken.json['case']}"
    shown = await house.call("GET", path)
    noted = await house.call("POST", f"{path}/notes", {"note": "seen"}, version=shown.json["version"])
    assert (shown.status, noted.status, threads.asked) == (200, 200, 0)


async def test_who_ask_at_the_same_moment_are_told_apart(house: House) -> None:
    who = callers(house.ports)
    asked = [TOKENS[role].encode() for role in ROLES] * 3 + [b"token-of-nobody"]
    found = await asyncio.gather(*map(who.put, asked))
    assert [one and one.id for one in found] == [*(f"the {role}" for role in ROLES)] * 3 + [None]


async def test_a_token_counts_no_longer_from_the_moment_it_is_revoked(house: House) -> None:
    who, token = callers(house.ports), TOKENS["finance"].encode()
    assert await who.put(token) is not None
    await house.owner.execute("UPDATE api_token SET revoked_at = now() WHERE name = 'the finance'")
    assert await who.put(token) is None
    await house.owner.execute("UPDATE api_token SET revoked_at = NULL WHERE name = 'the finance'")


async def test_a_session_goes_back_to_the_pool_without_a_word(house: House) -> None:
    pool, last = house.ports.store.pool, "SELECT query FROM pg_stat_activity WHERE pid = $1"
    async with pool.acquire() as other:
        async with pool.acquire() as conn:
            backend = await conn.fetchval("SELECT pg_backend_pid()")
        assert await other.fetchval(last, backend) == "SELECT pg_backend_pid()"


async def test_a_transaction_that_was_left_open_does_not_go_back_with_its_session(house: House) -> None:
    dsn = house.ports.store.pool._connect_args[0]
    pool = (await connect(dsn, size=1)).pool
    async with pool.acquire() as conn:
        await conn.execute("BEGIN")
        await conn.execute("SELECT pg_advisory_xact_lock(4711)")
    assert not await house.owner.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711")
    await pool.close()


@pytest.mark.parametrize("statement", ["cases_of_failures", "known_failures"])
async def test_a_plan_is_made_once_and_never_reads_the_whole_table(house: House, statement: str) -> None:
    """PostgreSQL keeps a plan after five of its own, unless those look cheaper; this one is made on a small table."""
    assert await house.owner.fetchval(
        "SELECT last_analyze IS NULL FROM pg_stat_user_tables WHERE relname = 'fallout_case'"
    )
    conn: asyncpg.Connection
    async with house.ports.store.pool.acquire() as conn:
        for _ in range(12):
            await conn.fetch(sql(statement), FEW, FEW)
        made = "SELECT name, generic_plans, custom_plans FROM pg_prepared_statements WHERE statement = $1"
        name, kept, anew = await conn.fetchrow(made, sql(statement))
        plan = [row[0] for row in await conn.fetch(f"EXPLAIN EXECUTE {name} ('{{a}}', '{{b}}')")]
    assert kept >= 7
    assert anew <= 5
    assert not [line for line in plan if "Seq Scan" in line]
