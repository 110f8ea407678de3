"""Search costs the same however much there is: every name is looked up along an index, and no error text far behind."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
from bench import queue_rows as rows
from plans_lab import explained, loaded, read

from unstuck.kernel.ids import as_id
from unstuck.store.listing import case_list, search
from unstuck.store.listing.case_list import Wanted
from unstuck.store.listing.order_list import open_cases_of
from unstuck.store.listing.walk import WALKED, Sort, page_statement
from unstuck.store.server import EmbeddedServer
from unstuck.store.statements import sql
from unstuck.store.unit import Unit

CASES, OPEN, LIMIT = 60_000, 20_000, 21
NOW = rows.moment(CASES)
ORDER = "00000001-0000-7001-8000-000000000007"
SYSTEMS = ("billing", "crm", "provisioning", "warehouse")


@pytest.fixture(scope="module")
async def conn(cluster: EmbeddedServer, template: str) -> AsyncIterator[asyncpg.Connection]:
    """A month of fallout in small, with messages of every kind; half of the reports share one correlation id."""
    owner = await asyncpg.connect(cluster.create_database("search", template=template).owner)
    await loaded(owner, CASES - OPEN, OPEN)
    for statement in rows.order_parts(0, CASES // rows.ORDER_EVERY, 4):
        await owner.execute(statement)
    await owner.execute(
        "UPDATE fallout_case SET correlation_id = CASE WHEN number % 2 = 0 THEN 'all' ELSE 'flow-' || number END WHERE source <> ''"
    )
    await owner.execute(
        "INSERT INTO source (id, name, registered, version, seq) SELECT gen_random_uuid(), s, true, 1, 1 FROM unnest($1::text[]) s",
        list(rows.SOURCES),
    )
    await owner.execute(
        f"""INSERT INTO callback (system, event_id, at, key, order_id, status, verdict, sha256, body)
        SELECT 'billing', 'wh-' || n, now(), '', '{ORDER}', 'done', 'settled', '', '' FROM generate_series(1, 20000) n"""
    )
    await owner.execute("VACUUM (ANALYZE)")
    yield owner
    await owner.close()


async def test_names_are_looked_up_along_indexes(conn: asyncpg.Connection) -> None:
    id = as_id(ORDER)
    for name, values in (
        ("search_bearer", (None, 1042, None)), ("search_bearer", (1042, None, None)), ("search_bearer", (None, None, id)),
        ("search_orders", ("C-7", None, None, LIMIT)), ("search_orders", ("PO-7", None, None, LIMIT)),
        ("search_orders", ("1042", 1042, None, LIMIT)), ("search_orders", (ORDER, None, id, LIMIT)),
        ("search_messages", ("wh-77", SYSTEMS, LIMIT)), ("search_messages", ("flow-77", SYSTEMS, LIMIT)),
        ("search_messages", ("all", SYSTEMS, LIMIT)), ("search_messages", ("20.1", SYSTEMS, LIMIT)),
        ("search_messages", ("nothing at all", SYSTEMS, LIMIT)), ("open_of_orders", ([id] * 100,)),
    ):  # fmt: skip
        for mode in ("force_custom_plan", "force_generic_plan"):
            plan = await explained(conn, sql(name), values, mode)
            scanned = {node["Relation Name"] for node in plan if node["Node Type"] == "Seq Scan"}
            assert scanned <= {"source"}, (name, values, mode, scanned)  # a handful of rows, each tried on purpose
            assert read(plan) <= 200, (name, values, mode, read(plan))


async def test_every_message_is_found_by_its_name(conn: asyncpg.Connection) -> None:
    unit = Unit(conn, NOW)
    kinds = {}
    key = await conn.fetchval("SELECT key FROM command LIMIT 1")
    reported = await conn.fetchval("SELECT event_id FROM failure_event LIMIT 1")
    flow = await conn.fetchval("SELECT correlation_id FROM fallout_case WHERE correlation_id LIKE 'flow-%' LIMIT 1")
    for text in (key, "wh-77", reported, flow, "nothing at all"):
        kinds[text] = [row["kind"] for row in await search.messages_called(unit, text, SYSTEMS, LIMIT)]
    assert kinds == {
        key: ["call"],
        "wh-77": ["callback"],
        reported: ["report"],
        flow: ["correlation"],
        "nothing at all": [],
    }


async def test_of_a_name_that_many_share_the_newest_are_found(conn: asyncpg.Connection) -> None:
    found = await search.messages_called(Unit(conn, NOW), "all", SYSTEMS, LIMIT)
    newest = await conn.fetch(
        "SELECT number FROM fallout_case WHERE correlation_id = 'all' ORDER BY detected_at DESC, id DESC LIMIT $1",
        LIMIT,
    )
    assert [row["case_number"] for row in found] == [row["number"] for row in newest]


async def test_a_callback_of_a_system_that_is_not_asked_is_not_found(conn: asyncpg.Connection) -> None:
    assert await search.messages_called(Unit(conn, NOW), "wh-77", ("crm",), LIMIT) == []


async def test_error_texts_are_looked_for_in_the_newest_cases_only(conn: asyncpg.Connection) -> None:
    sort = Sort(case_list.DETECTED, descending=True)
    walk = await case_list.walk_for(Unit(conn, NOW), Wanted(text="no such words"), sort)
    plan = await explained(conn, *page_statement(walk, sort, None, LIMIT))
    assert not [node for node in plan if node["Node Type"] == "Seq Scan"]
    assert read(plan) <= WALKED + 1


async def test_open_cases_are_found_by_their_code_however_old_they_are(conn: asyncpg.Connection) -> None:
    """Far behind what one walk reads, along the index of the codes; also of several, some of which no case has."""
    oldest = await conn.fetchval("SELECT id FROM fallout_case WHERE state = 'QUEUED' ORDER BY detected_at LIMIT 1")
    sort = Sort(case_list.DETECTED, descending=True)
    await conn.execute("UPDATE fallout_case SET code = 'RARE' WHERE id = $1", oldest)
    for codes, found in ((("NO_SUCH_CODE", "RARE"), 1), (("CODE_0", "CODE_1", "CODE_2", "RARE"), LIMIT)):
        wanted = Wanted({"code": codes}, case_list.NOT_RESOLVED)
        statement, values = page_statement(await case_list.walk_for(Unit(conn, NOW), wanted, sort), sort, None, LIMIT)
        for mode in ("force_custom_plan", "force_generic_plan"):
            plan = await explained(conn, statement, values, mode)
            assert {node.get("Index Name") for node in plan if "Index" in node["Node Type"]} == {"case_by_code"}
            assert not [node for node in plan if node["Node Type"] == "Seq Scan"] and read(plan) <= 5 * LIMIT
        assert len(await conn.fetch(statement, *values)) == found


async def test_the_open_cases_of_a_page_of_orders_come_at_once(conn: asyncpg.Connection) -> None:
    listed = [row["id"] for row in await conn.fetch("SELECT id FROM orders ORDER BY received_at DESC LIMIT 100")]
    found = await open_cases_of(Unit(conn, NOW), listed)
    expected = await conn.fetchval(
        "SELECT count(*) FROM fallout_case WHERE order_id = ANY($1) AND state NOT LIKE 'RESOLVED%' AND state <> 'CLOSED'",
        listed,
    )
    assert len(found) == expected > 0
