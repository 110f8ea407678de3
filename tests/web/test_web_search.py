"""Search: what has a name is found by it, what failed by its words, and whatever is typed is only ever text."""

import re
from typing import Any
from urllib.parse import quote

import pytest
from order_page_lab import customer, failed, number_of, page, unknown, words
from web_lab import ACCEPTED, CASES, House, fiber, item, refused, reply

from unstuck.kernel.ids import as_id
from unstuck.repair.outcome import Result
from unstuck.service.looks.search import LONGEST, SHOWN, parts


async def found(house: House, q: str, who: str = "engineer") -> Any:
    """What the palette is given."""
    answer = await house.call("GET", f"/search.json?q={quote(q)}", who=who)
    assert answer.status == 200, answer.raw
    return {group["name"]: group["hits"] for group in answer.json["groups"]}


async def names(house: House, q: str, group: str, who: str = "engineer") -> list[str]:
    return [hit["name"] for hit in (await found(house, q, who)).get(group, [])]


async def test_an_exact_number_goes_straight_there(house: House) -> None:
    order = await failed(house)
    case, number = await house.case_of(order["id"]), await number_of(house, order)
    for typed, place in (
        (number, f"/orders/{number}"), (f" {number.lower()} ", f"/orders/{number}"), (order["id"], f"/orders/{number}"),
        (case["number"], f"/cases/{case['number']}"), (case["id"], f"/cases/{case['number']}"),
    ):  # fmt: skip
        answer = await house.call("GET", f"/search?q={quote(typed)}")
        assert (answer.status, answer.headers.get("Location")) == (303, place), typed


async def test_a_number_that_nobody_bears_is_said_to_be_none(house: House) -> None:
    assert "Nothing is called “ORD-999999”" in words(await page(house, "/search?q=ORD-999999"))


async def test_a_bare_number_finds_the_order_and_the_case_that_bear_it(house: House) -> None:
    order = await failed(house)
    number, case = await number_of(house, order), await house.case_of(order["id"])
    assert number in await names(house, number.removeprefix("ORD-"), "orders")
    assert case["number"] in await names(house, case["number"].removeprefix("FC-"), "cases")


async def test_orders_are_found_by_all_their_names(house: House) -> None:
    order = await house.place(fiber())
    number = await number_of(house, order)
    for typed, why in ((order["externalId"], "external_id"), (customer(order), "customer")):
        (hit,) = (await found(house, typed))["orders"]
        assert (hit["name"], hit["why"], hit["parts"]) == (number, why, ["", typed, ""])


async def test_cases_are_found_by_the_words_of_their_error_wherever_they_stand(house: House) -> None:
    order = await failed(house)
    case = await house.case_of(order["id"])
    hits = (await found(house, "NO FIBER"))["cases"]
    hit = next(hit for hit in hits if hit["name"] == case["number"])
    assert hit["why"] == "error" and hit["parts"] == ["", "no fiber", " here"]
    shown = await page(house, "/search?q=NO+FIBER")
    assert "<mark>no fiber</mark> here" in shown and f'href="/cases/{case["number"]}"' in shown


async def test_cases_are_found_by_the_code_of_the_target_and_by_their_customer(house: House) -> None:
    order = await failed(house)
    case = await house.case_of(order["id"])
    assert case["number"] in await names(house, "address_not_serviceable", "cases")
    assert case["number"] in await names(house, customer(order), "cases")


@pytest.mark.parametrize("typed", ["UNKNOWN_OUTCOME", "unknown_outcome", "known_out", "whether the service was"])
async def test_cases_are_found_by_what_we_call_their_failure(house: House, typed: str) -> None:
    """A code or its title, neither of which any system has said."""
    case = await house.case_of((await unknown(house))["id"])
    hit = next(hit for hit in (await found(house, typed))["cases"] if hit["name"] == case["number"])
    assert hit["why"] == "code" and hit["parts"][1].lower() == typed.lower()


async def test_a_target_that_stayed_away_is_found_by_our_code_for_that(house: House) -> None:
    order = await house.place(fiber())
    house.targets.will(customer(order), "activateFiber", *[reply(Result.BUSY, status=503, code="BUSY")] * 20)
    case = None
    while case is None:
        await house.work()
        house.clock.jump(3600)
        case = next(iter((await house.get(f"{CASES}?order_id={order['id']}"))["cases"]), None)
    (hit,) = [hit for hit in (await found(house, "TARGET_UNAVAILABLE"))["cases"] if hit["name"] == case["number"]]
    assert hit["why"] == "code"


async def test_a_code_of_an_older_pack_is_found_whole_and_also_when_its_case_is_over(house: House) -> None:
    first, second = [await house.case_of((await failed(house))["id"]) for _ in range(2)]
    for case, state in ((first, "QUEUED"), (second, "CLOSED")):
        await house.owner.execute(
            "UPDATE fallout_case SET code = 'CALLED_SO_ONCE', resolution = 'resumed', state = $2 WHERE id = $1",
            as_id(case["id"]), state,
        )  # fmt: skip
    assert set(await names(house, "called_so_once", "cases")) == {first["number"], second["number"]}


async def test_a_letter_or_two_mean_no_code(house: House) -> None:
    """Nearly every title holds them."""
    case = await house.case_of((await unknown(house))["id"])
    assert case["number"] not in await names(house, "ay", "cases")


async def test_messages_lead_to_their_orders(house: House) -> None:
    order = await house.place(item("1", "wifi-router", model="X"))
    house.targets.will(customer(order), "reserve", ACCEPTED)
    await house.work()
    (call,) = house.targets.of(customer(order), "reserve")
    await house.callback({"id": "wh-unlike-any-other", "key": call.key, "status": "done"}, system=call.target)
    number = await number_of(house, order)
    (hit,) = (await found(house, call.key))["messages"]
    assert (hit["name"], hit["why"]) == (number, "call")
    (hit,) = (await found(house, "wh-unlike-any-other"))["messages"]
    assert (hit["name"], hit["why"]) == (number, "callback")


async def test_reports_and_flows_lead_to_their_cases(house: House) -> None:
    case = await reported(house)
    (hit,) = (await found(house, "evt-one-of-a-kind"))["messages"]
    assert (hit["name"], hit["why"]) == (case, "report")
    (hit,) = (await found(house, "flow-77"))["messages"]
    assert (hit["name"], hit["why"]) == (case, "correlation")
    assert case in await names(house, "EXT-77", "cases")


async def reported(house: House) -> str:
    """A case that a source has reported, with every name that such a case can have."""
    known = await house.owner.fetchval("SELECT number FROM fallout_case WHERE correlation_id = 'flow-77'")
    if known is None:
        body = {
            "sourceSystem": "legacy-oms", "sourceEventId": "evt-one-of-a-kind", "serviceOrderId": "EXT-77",
            "correlationId": "flow-77", "downstreamSystem": "tower", "operation": "activate", "reasonCode": "E-77",
            "message": "the tower fell", "rawErrorCode": "E-77",
        }  # fmt: skip
        answer = await house.call("POST", "/api/v1/fallout-events", body, who="engineer")
        assert answer.status < 300, answer.raw
        known = await house.owner.fetchval("SELECT number FROM fallout_case WHERE correlation_id = 'flow-77'")
    return f"FC-{known}"


async def test_who_may_not_read_cases_finds_orders_only(house: House) -> None:
    order = await failed(house)
    case = await house.case_of(order["id"])
    assert set(await found(house, customer(order), "integration")) == {"orders"}
    assert "cases" not in await found(house, "no fiber", "integration")
    await reported(house)
    assert await found(house, "flow-77", "integration") == {}
    answer = await house.call("GET", f"/search?q={case['number']}", who="integration")
    assert answer.status == 200 and f'href="/cases/{case["number"]}"' not in answer.raw.decode()
    assert (await house.call("GET", "/search.json?q=x", who=None)).status in (303, 401)


async def test_nothing_to_look_for_shows_what_can_be_looked_for(house: House) -> None:
    for address in ("/search", "/search?q=", "/search?q=%20%20"):
        shown = words(await page(house, address))
        assert "What can be looked for" in shown and "correlation id" in shown


@pytest.mark.parametrize(
    "typed",
    [
        "'; DROP TABLE orders; --", "<script>alert(1)</script>", "%", "_", "\\", "{{ 7*7 }}", "${7*7}", ".*(", "[", "ﷺ" * 60,
        "İ", "0" * 18, "9" * 40, "FC-", "ORD-0", "FC-99999999999999999999", "e\u0301",
    ],
)  # fmt: skip
async def test_whatever_is_typed_is_text(house: House, typed: str) -> None:
    await failed(house)
    shown = await page(house, f"/search?q={quote(typed)}")
    assert "<script>alert" not in shown and "49" not in words(shown)
    assert typed in words(shown) or f'value="{typed}"' in shown or "&#" in shown


@pytest.mark.parametrize(
    ("typed", "because"),
    [
        ("x" * 10_000, f"a search is at most {LONGEST} characters"),
        ("a\x00b", "a search is printable text"),
        ("a\u202eb", "a search is printable text"),
        ("a\x1bb", "a search is printable text"),
    ],
)
async def test_what_cannot_be_searched_is_said_in_a_sentence(house: House, typed: str, because: str) -> None:
    assert because in words(await page(house, f"/search?q={quote(typed)}", status=422))
    answer = await house.call("GET", f"/search.json?q={quote(typed)}")
    assert answer.status == 422 and answer.json["rule"] == "valid-input" and answer.json["detail"] == because


async def test_errors_that_are_markup_are_marked_as_text(house: House) -> None:
    evil = '<img src=x onerror=alert(1)> & "quoted"'
    order = await house.place(fiber())
    house.targets.will(customer(order), "activateFiber", refused("E<1>", evil))
    await house.work()
    shown = await page(house, f"/search?q={quote('<img src=x')}")
    assert "<mark>&lt;img src=x</mark>" in shown and "<img" not in shown


async def test_of_many_only_the_first_are_shown_and_it_says_so(house: House) -> None:
    for _ in range(SHOWN + 1):
        await house.place(item("1", "wifi-router", model="X"), customer="C-many")
    shown = await page(house, "/search?q=C-many")
    assert len(re.findall(r'href="/orders/ORD-\d+"', shown)) == SHOWN and f"The first {SHOWN}" in words(shown)


@pytest.mark.parametrize(
    ("text", "wanted", "cut"),
    [
        ("no fiber here", "fiber", ("no ", "fiber", " here")),
        ("Fiber, fiber", "FIBER", ("", "Fiber", ", ", "fiber", "")),
        ("nothing", "fiber", ("nothing",)),
        ("a.b", ".", ("a", ".", "b")),
        ("x" * 500, "y", ("x" * 140 + "…",)),
    ],
)
def test_a_text_is_cut_where_it_matches(text: str, wanted: str, cut: tuple[str, ...]) -> None:
    assert parts(text, wanted) == cut


def test_a_long_text_is_cut_around_its_match() -> None:
    before, hit, after = parts("a" * 300 + "needle" + "b" * 300, "needle")
    assert (before, hit, after) == ("…" + "a" * 70, "needle", "b" * 70 + "…")
