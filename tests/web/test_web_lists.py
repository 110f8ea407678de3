"""Lists of cases and orders: every page in its place, whatever is asked for; what was not looked at is said."""

import random
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from lists_lab import (
    BEGAN,
    CODES,
    CUSTOMERS,
    OWNERS,
    QUEUES,
    REASONS,
    SOURCES,
    Row,
    slowly,
    some_cases,
    some_orders,
    written,
)
from web_lab import CASES, House, opened

from unstuck.fallout.lifecycle import CaseState
from unstuck.order.lifecycle import OrderState
from unstuck.store.listing import case_list, order_list, walk
from unstuck.store.server import EmbeddedServer

ORDERS = "/api/v1/orders"
MANY = 1100


class Lists:
    """The application with cases and orders in it, and the same as plain rows."""

    def __init__(self, house: House, orders: list[Row], cases: list[Row]) -> None:
        self.house, self.orders, self.cases = house, orders, cases
        self.by_id = {row["id"]: row for row in orders}

    async def page(self, path: str = CASES, **query: Any) -> Any:
        return await self.house.get(f"{path}?{urlencode(query)}")

    async def all(self, path: str, query: dict[str, str], limit: int) -> tuple[list[str], list[bool]]:
        """The ids of every page, one after the other, and what each page said of its completeness."""
        ids, complete, after = [], [], {}
        while True:
            page = await self.page(path, limit=limit, **query, **after)
            ids += [row["id"] for row in page["cases" if path == CASES else "orders"]]
            complete.append(page["complete"])
            assert page["more"] == (page["next"] is not None)
            if page["next"] is None:
                return ids, complete
            after = {"after": page["next"]}


@pytest.fixture(scope="module")
async def lists(
    cluster: EmbeddedServer, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Lists]:
    chance = random.Random(7)
    orders = some_orders(chance, 90)
    cases = some_cases(chance, MANY, orders)
    folder: Path = tmp_path_factory.mktemp("lists")
    async with opened(cluster, template, folder) as house:
        await written(house, orders, cases)
        yield Lists(house, orders, cases)


@pytest.fixture
def short_walks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A walk ends after 40 rows, so that small lists meet what large ones do."""
    for module in (walk, case_list, order_list):
        monkeypatch.setattr(module, "WALKED", 40)


def a_query(chance: random.Random, orders: list[Row]) -> dict[str, str]:
    """A random mix of filters, as somebody might want them."""
    moment = (BEGAN + timedelta(seconds=chance.randrange(MANY // 2))).isoformat()
    some = {
        "state": ",".join(chance.sample(["open", "CLOSED", *CaseState], chance.choice((1, 1, 2, 3)))),
        "queue": ",".join(chance.sample(QUEUES, chance.choice((1, 2)))),
        "owner": chance.choice([*OWNERS[2:], "nobody"]), "code": chance.choice(CODES),
        "category": chance.choice(("data", "inventory", "none")), "system": "billing",
        "source": chance.choice([*SOURCES[2:], "engine", "legacy-oms,crm", "engine,crm", "unheard"]),
        "customer": ",".join(chance.sample(CUSTOMERS, chance.choice((1, 2)))), "item": "1",
        "reason": ",".join(chance.sample(REASONS, 2)), "detected_after": moment, "detected_before": moment,
        "order_id": ",".join(str(o["id"]) for o in chance.sample(orders, 3)), "q": chance.choice(("PORT", "e-17", "try 7")),
    }  # fmt: skip
    sorts = [sign + name for name in case_list.SORTS for sign in ("", "-")]
    wanted = {name: some[name] for name in chance.sample(list(some), chance.choice((0, 1, 1, 2, 2, 3)))}
    return {**wanted, **({"sort": chance.choice(sorts)} if chance.random() < 0.7 else {})}


@pytest.mark.parametrize("seed", range(40))
async def test_all_pages_together_are_the_list(lists: Lists, seed: int) -> None:
    chance = random.Random(seed)
    query = a_query(chance, lists.orders)
    ids, complete = await lists.all(CASES, query, chance.choice((7, 50, 500)))
    assert ids == [str(row["id"]) for row in slowly(lists.cases, query, lists.by_id)], query
    assert all(complete)


@pytest.mark.parametrize("seed", range(100, 160))
async def test_what_a_walk_leaves_out_is_on_the_pages_that_follow(lists: Lists, short_walks: None, seed: int) -> None:
    chance = random.Random(seed)
    query = a_query(chance, lists.orders)
    ids, _ = await lists.all(CASES, query, 30)
    assert ids == [str(row["id"]) for row in slowly(lists.cases, query, lists.by_id)], query


async def test_a_walk_that_ends_early_says_so(lists: Lists, short_walks: None) -> None:
    rare = str(next(row for row in lists.cases if row["state"] == "CLOSED")["raw_message"])
    page = await lists.page(q=rare, sort="-detected_at", count="true")
    assert page["cases"] == [] and page["more"] and not page["complete"]
    assert (page["count"], page["more_than"]) == (0, True)
    ids, complete = await lists.all(CASES, {"q": rare}, 50)
    assert len(ids) == 1 and complete[-1] and not complete[0]


@pytest.mark.parametrize("seed", range(30))
async def test_all_pages_of_orders_are_the_list(lists: Lists, short_walks: None, seed: int) -> None:
    chance = random.Random(seed)
    moment = (BEGAN + timedelta(minutes=chance.randrange(30))).isoformat()
    some = {
        "state": ",".join(chance.sample(list(OrderState), 3)), "source": "shop", "external_id": "PO-7,PO-8,PO-99",
        "customer": ",".join(chance.sample(CUSTOMERS, 2)), "received_after": moment, "received_before": moment,
    }  # fmt: skip
    query = {name: some[name] for name in chance.sample(list(some), chance.choice((0, 1, 2)))}
    query["sort"] = chance.choice(["received_at", "-received_at", "number", "-number"])
    ids, _ = await lists.all(ORDERS, query, 20)
    assert ids == [str(row["id"]) for row in slowly(lists.orders, query, {})], query


async def test_a_name_finds_what_people_mean_by_it(lists: Lists) -> None:
    ours = next(row for row in lists.cases if row["order_id"])
    theirs = next(row for row in lists.cases if row["order_ref"])
    order = lists.by_id[ours["order_id"]]
    for name, one in (
        (f"FC-{ours['number']}", ours), (f"fc-{ours['number']}", ours), (str(ours["id"]), ours), (f"ORD-{order['number']}", ours),
        (str(order["id"]), ours), (order["external_id"], ours), (theirs["order_ref"], theirs),
    ):  # fmt: skip
        assert str(one["id"]) in [row["id"] for row in (await lists.page(q=name, limit=500))["cases"]], name
    found = {row["id"] for row in (await lists.page(q="C-1", limit=500))["cases"]}
    assert found == {str(row["id"]) for row in slowly(lists.cases, {"customer": "C-1"}, lists.by_id)}
    assert await lists.page(q="FC-99999999") == await lists.page(q="nothing like it")
    assert [row["id"] for row in (await lists.page(ORDERS, q="PO-7"))["orders"]] == [str(lists.orders[7]["id"])]
    assert (await lists.page(ORDERS, q="no such order"))["orders"] == []
    assert {r["customer"] for r in (await lists.page(ORDERS, q=CUSTOMERS[3]))["orders"]} == {CUSTOMERS[3]}


async def test_rows_show_only_the_fields_asked_for(lists: Lists) -> None:
    page = await lists.page(fields="number,queue", limit=2)
    assert [set(row) for row in page["cases"]] == [{"id", "number", "queue"}] * 2
    orders = await lists.page(ORDERS, fields="customer", limit=1)
    assert [set(row) for row in orders["orders"]] == [{"id", "customer"}]


async def test_a_count_comes_when_asked_for_and_stops_at_a_thousand(lists: Lists) -> None:
    assert "count" not in await lists.page()
    every = await lists.page(count="true", limit=1)
    assert (every["count"], every["more_than"]) == (1000, True)
    for query in (
        {"state": "open"},
        {"queue": "BILLING_L2", "state": "open"},
        {"system": "billing"},
        {"owner": "nobody"},
    ):
        for limit in (1, 500):
            page = await lists.page(**query, count="true", limit=limit)
            assert (page["count"], page["more_than"]) == (len(slowly(lists.cases, query, lists.by_id)), False), query


async def test_a_cursor_goes_on_with_its_own_list_only(lists: Lists) -> None:
    cursor = (await lists.page(queue="BILLING_L2", limit=1))["next"]
    assert (await lists.page(queue="BILLING_L2", limit=3, fields="number", after=cursor))["cases"]
    for query in (
        {"after": cursor}, {"after": cursor, "queue": "PARTNER_DESK"}, {"after": cursor, "queue": "BILLING_L2", "sort": "number"},
        {"after": "x"}, {"after": "bm90IGpzb24"}, {"after": "W10"}, {"after": "WyJ4IiwxLDJd"}, {"after": "ÿ"},
    ):  # fmt: skip
        answer = await lists.house.call("GET", f"{CASES}?{urlencode(query)}")
        assert (answer.status, answer.pointers) == (422, ["/after"]), query
    assert (await lists.house.call("GET", f"{ORDERS}?after={cursor}")).pointers == ["/after"]


async def test_what_arrives_between_two_pages_moves_nothing(lists: Lists) -> None:
    query = {"queue": "FIXED_ACTIVATION_L2", "state": "open", "limit": "5"}
    first = await lists.page(**query)
    async with lists.house.owner.transaction():
        await lists.house.owner.execute(
            "INSERT INTO fallout_case (id, state, version, seq, order_id, item, step, attempt, reason, system, operation,"
            " raw_code, raw_message, raw_sha256, raw, dedup_key, detected_at, touched_at, pack, queue) SELECT"
            " '00000000-0000-7000-8000-00000000ffff', 'QUEUED', 1, 1, order_id, item, step, attempt, reason, system, operation,"
            " raw_code, raw_message, raw_sha256, raw, 'just now', detected_at + interval '1 day', touched_at, pack,"
            " 'FIXED_ACTIVATION_L2' FROM fallout_case WHERE source = '' LIMIT 1"
        )
    try:
        second = await lists.page(**query, after=first["next"])
        shown = [row["id"] for row in (*first["cases"], *second["cases"])]
        wanted = {"queue": "FIXED_ACTIVATION_L2", "state": "open"}
        assert shown == [str(row["id"]) for row in slowly(lists.cases, wanted, lists.by_id)][:10]
    finally:
        await lists.house.owner.execute("DELETE FROM fallout_case WHERE dedup_key = 'just now'")


@pytest.mark.parametrize(
    ("path", "query", "says"),
    [
        (CASES, "colour=red", "queue"), (CASES, "sort=queue", "-detected_at"), (CASES, "state=BROKEN", "APPROVAL_REQUIRED"),
        (CASES, "state=open,", "some of open"), (CASES, "fields=id,colour", "raw_message"), (CASES, "limit=0", "between 1 and 500"),
        (CASES, "limit=ten", "between 1 and 500"), (CASES, "count=yes", "true"), (CASES, "queue=", "1 to 20 values"),
        (CASES, "queue=a,,b", "1 to 20 values"), (CASES, "owner=" + "x" * 201, "1 to 20 values"), (CASES, "q=%00", "printable"),
        (CASES, "q=%E2%80%AE", "printable"), (CASES, "detected_after=yesterday", "2026"), (CASES, "detected_after=2026-01-01", "2026"),
        (CASES, "queue=a&queue=b", "twice"), (CASES, "code=" + ",".join("abcdefghijklmnopqrstu"), "1 to 20 values"),
        (ORDERS, "queue=a", "external_id"), (ORDERS, "state=OPEN", "IN_PROGRESS"), (ORDERS, "sort=detected_at", "received_at"),
    ],
)  # fmt: skip
async def test_what_a_list_cannot_be_asked_for_is_pointed_at(lists: Lists, path: str, query: str, says: str) -> None:
    answer = await lists.house.call("GET", f"{path}?{query}")
    assert answer.status == 422, answer.raw
    assert answer.pointers == ["/" + query.partition("=")[0]]
    assert says in answer.json["errors"][0]["detail"]


async def test_everything_that_is_wrong_is_said_at_once(lists: Lists) -> None:
    answer = await lists.house.call("GET", f"{CASES}?colour=red&limit=0&state=x")
    assert set(answer.pointers) == {"/colour", "/limit", "/state"}


@pytest.mark.parametrize(("name", "row"), [("severity", "C3"), ("incident", "F1")])
async def test_a_filter_that_waits_for_something_says_for_what(lists: Lists, name: str, row: str) -> None:
    answer = await lists.house.call("GET", f"{CASES}?{name}=high")
    assert (answer.status, answer.rule) == (501, "not-built") and row in answer.json["detail"]


async def test_an_empty_queue_names_the_sources_that_are_silent(lists: Lists) -> None:
    await lists.house.owner.execute(
        "INSERT INTO source (id, name, registered, version, seq, heartbeat_s, silent_since) VALUES"
        " ('00000000-0000-7000-8000-000000000001', 'dead-oms', true, 1, 1, 60, now()),"
        " ('00000000-0000-7000-8000-000000000002', 'live-oms', true, 1, 1, 60, NULL)"
    )
    page = await lists.page(queue="NOBODY")
    assert (page["cases"], page["silent_sources"]) == ([], ["dead-oms"])


async def test_a_case_about_somebody_elses_order_is_shown_without_one(lists: Lists) -> None:
    theirs = next(row for row in lists.cases if row["order_id"] is None)
    view = await lists.house.get(f"{CASES}/{theirs['id']}")
    assert (view["order_id"], view["order_number"], view["attempts"]) == (None, None, [])
    assert view["order_graph"] == {"items": [], "tasks": []}
    assert (view["source"], view["order_ref"]) == (theirs["source"], theirs["order_ref"])
