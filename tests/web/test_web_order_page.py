"""The pages of orders: the plan as a picture that tells the truth, what stands open, and nothing hostile that lives."""

import re
from datetime import datetime, timedelta

from order_page_lab import customer, failed, number_of, page, part, unknown, words
from web_lab import ACCEPTED, House, fiber, item

from unstuck.web.pages.order_file import order_query

HOSTILE = '<script>alert(1)</script>" onload="x'


async def test_an_order_is_shown_with_its_plan_as_it_stands(house: House) -> None:
    order = await unknown(house)
    number = await number_of(house, order)
    shown = await page(house, f"/orders/{number}")
    assert "3 of 5 steps done; Activate fiber service: outcome unknown; 1 step is blocked behind that." in words(shown)
    picture = part(shown, "graph")
    boxes = re.findall(r'<a class="graph-step ([^"]*)" id="box-(\d+)"[^>]*><title>([^<]*)', picture)
    assert [number for _, number, _ in boxes] == ["0", "1", "2", "3", "4"]
    assert [classes.split()[1] for classes, _, _ in boxes] == [
        "is-completed",
        "is-completed",
        "is-completed",
        "is-unknown",
        "is-blocked",
    ]
    assert [no for classes, no, _ in boxes if "is-root" in classes] == ["3"]
    assert boxes[3][2] == "Activate fiber service, at provisioning: Outcome unknown, calls: 1"
    assert picture.count('class="graph-edge is-stopped" d="M') == 2  # in the plan, and in the legend
    assert re.findall(r'class="graph-lane-name"[^>]*>([^<]*)', picture) == [
        "Fiber internet",
        "Static IP address",
    ]


async def test_a_step_says_when_what_it_waits_for_is_due(house: House) -> None:
    order = await house.place(item("1", "wifi-router", model="X"))
    house.targets.will(customer(order), "reserve", ACCEPTED)
    await house.work()
    picture = part(await page(house, f"/orders/{await number_of(house, order)}"), "graph")
    (due,) = re.findall(r'>Answer due <tspan class="when" data-at="([^"]+)">in [^<]+</tspan>', picture)
    view = await house.get(f"/api/v1/orders/{order['id']}")
    (waiting,) = [task for task in view["graph"]["tasks"] if task["state"] == "WAITING_CALLBACK"]
    assert datetime.fromisoformat(due) == datetime.fromisoformat(waiting["due"])
    assert "Answer due" in words(re.search(r'<ol class="graph-list".*?</ol>', picture, re.DOTALL)[0])  # type: ignore[index]


async def test_the_table_says_what_the_picture_says(house: House) -> None:
    order = await unknown(house)
    shown = part(await page(house, f"/orders/{await number_of(house, order)}"), "graph")
    rows = [words(row) for row in re.findall(r'<tr id="step-\d+".*?</tr>', shown, re.DOTALL)]
    assert len(rows) == 5
    assert rows[3].startswith(
        "Activate fiber service 1.activate provisioning Outcome unknown 1 Create billing account,"
    )
    assert rows[4].startswith("Activate static IP 2.activate provisioning Blocked 0 Activate fiber service")


async def test_an_order_goes_by_its_number_and_by_its_id(house: House) -> None:
    order = await house.place(fiber())
    answer = await house.call("GET", f"/orders/{order['id']}?done=order.suspend")
    assert answer.status == 303
    assert answer.headers["Location"] == f"/orders/{await number_of(house, order)}?done=order.suspend"
    missing = await page(house, "/orders/ORD-999999", status=404)
    assert "order ORD-999999 is not known here" in words(missing)


async def test_cases_are_listed_open_ones_first_and_lead_to_their_pages(house: House) -> None:
    order = await failed(house)
    case = await house.case_of(order["id"])
    shown = await page(house, f"/orders/{await number_of(house, order)}")
    cases = part(shown, "order-cases")
    assert f'href="/cases/{case["number"]}"' in cases and "no fiber here" in words(cases)
    assert words(cases).endswith("open")
    await house.owner.execute(
        "UPDATE fallout_case SET state = 'CLOSED', resolution = 'resumed', resolved_by = 'budi', resolved_at = now()"
        " WHERE number = $1",
        int(case["number"].removeprefix("FC-")),
    )
    cases = part(await page(house, f"/orders/{await number_of(house, order)}"), "order-cases")
    assert words(cases).endswith("budi")
    quiet = await house.place(fiber())
    assert "Nothing has stopped this order so far." in words(
        await page(house, f"/orders/{await number_of(house, quiet)}")
    )


async def test_calls_and_callbacks_are_shown_and_what_is_sensitive_is_not(house: House) -> None:
    order = await house.place(fiber())
    house.targets.will(customer(order), "activateFiber", ACCEPTED)
    await house.work()
    (call,) = house.targets.of(customer(order), "activateFiber")
    told = {"id": call.key, "key": call.key, "status": "done", "address": "Jl. Merdeka 1"}
    await house.callback(told, system="provisioning")
    shown = await page(house, f"/orders/{await number_of(house, order)}")
    calls = part(shown, "order-calls")
    assert calls.count('<details class="call"') == 5 and call.key in calls
    assert "Callback of provisioning" in calls and "counted" in calls
    assert "Jl. Merdeka" not in shown and "address" in words(calls)


async def test_hostile_words_are_only_words(house: House) -> None:
    order = await failed(house, customer=HOSTILE)
    shown = await page(house, f"/orders/{await number_of(house, order)}")
    listed = await page(house, "/orders")
    for markup in (shown, listed):
        assert "<script>alert" not in markup and HOSTILE in words(markup)
        assert '" onload="' not in markup


async def test_the_list_marks_what_stands_open_and_filters_by_all_it_offers(house: House) -> None:
    order = await failed(house)
    case, number = await house.case_of(order["id"]), await number_of(house, order)
    listed = await page(house, "/orders")
    row = re.search(rf'<tr id="order-{number}".*?</tr>', listed, re.DOTALL)
    assert row and f'href="/cases/{case["number"]}"' in row[0]
    for query, there in (
        (f"q={number}", True), (f"q={order['externalId']}", True), (f"customer={customer(order)}", True), ("state=COMPLETED", False),
        ("state=in_progress", True), ("source=nobody", False), ("q=&customer=&state=", True),
    ):  # fmt: skip
        found = f'id="order-{number}"' in await page(house, f"/orders?{query}")
        assert found is there, query


async def test_a_filter_that_is_none_is_told_and_the_page_still_works(house: House) -> None:
    order = await house.place(fiber())
    shown = await page(house, "/orders?state=LOST&colour=red", status=422)
    assert "Left out: state = LOST" in words(shown) and "Left out: colour = red" in words(shown)
    assert f'id="order-{await number_of(house, order)}"' in shown
    assert "Left out: after" in words(await page(house, "/orders?after=nonsense", status=422))


async def test_an_empty_list_says_why(house: House) -> None:
    assert "No order is like that" in words(await page(house, "/orders?customer=nobody-at-all"))


async def test_older_orders_are_behind_a_link_and_none_is_shown_twice(house: House) -> None:
    for _ in range(3):
        await house.place(item("1", "wifi-router", model="X"), customer="C-pager")
    found: list[str] = []
    kept, order_query.PAGE = order_query.PAGE, 2
    try:
        address = "/orders?customer=C-pager"
        while address:
            shown = await page(house, address)
            found += re.findall(r'<tr id="order-(ORD-\d+)"', shown)
            older = re.search(r'href="(/orders\?[^"]*after=[^"]*)"', shown)
            address = older[1].replace("&amp;", "&") if older else ""
    finally:
        order_query.PAGE = kept
    assert len(found) == len(set(found)) == 3


async def test_the_promise_is_said_in_words(house: House) -> None:
    day = timedelta(days=1)
    for wait, said in ((-day, "overdue"), (day / 4, "at risk"), (5 * day, "in time")):
        due = (house.clock() + wait).isoformat()
        order = await failed(house, requestedCompletionDate=due)
        shown = words(part(await page(house, f"/orders/{await number_of(house, order)}"), "order-head"))
        assert f"Promised {said}" in shown, (wait, shown)
    moving = await house.place(fiber(), requestedCompletionDate=(house.clock() + day / 4).isoformat())
    assert "Promised soon" in words(await page(house, f"/orders/{await number_of(house, moving)}"))


async def test_who_may_not_read_orders_is_told(house: House) -> None:
    answer = await house.call("GET", "/orders", who=None)
    assert answer.status == 303 and answer.headers["Location"].startswith("/sign-in?next=")


async def test_a_page_of_an_order_says_which_case_stands_in_its_way(house: House) -> None:
    order = await unknown(house)
    case = await house.case_of(order["id"])
    row = re.search(
        rf'<tr id="case-{case["number"]}".*?</tr>',
        await page(house, f"/orders/{await number_of(house, order)}"),
        re.DOTALL,
    )
    assert row and "Activate fiber service" in row[0]
