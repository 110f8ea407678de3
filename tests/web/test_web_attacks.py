"""The door under people who mean no good: names that deceive, bodies that cost too much, keys that are somebody else's."""

import time
from typing import Any

import pytest
from foreign_lab import Source
from test_web_failures import failure, post
from web_lab import CASES, TOKENS, House

from unstuck.repair.manager import OrderManager
from unstuck.service.events_out import stream

SOURCES = "/api/v1/sources"
SUBSCRIPTIONS = "/api/v1/subscriptions"
MB = 1_000_000


async def issued(house: House, name: str, holder: str) -> Any:
    return await house.call("POST", f"{SOURCES}/{name}/keys", {"holder": holder}, who="admin")


async def test_a_name_that_is_given_twice_among_many_is_refused_at_once(house: House) -> None:
    many = b",".join(b'"k%d":0' % number for number in range(100_000))
    began = time.monotonic()
    answer = await post(house, b"{" + many + b',"k99999":0}')
    assert answer.status in (400, 422)
    assert time.monotonic() - began < 5  # two by two they would take minutes, and everybody else would wait


@pytest.mark.parametrize("field", ["sourceSystem", "sourceEventId", "reasonCode", "serviceOrderId"])
@pytest.mark.parametrize("end", ["\n", "\u009b31m", "\u202e", "\u2028"])
async def test_a_name_that_ends_its_line_or_speaks_to_the_terminal_is_no_name(
    house: House, field: str, end: str
) -> None:
    sent = failure()
    answer = await post(house, {**sent, field: sent[field] + end})
    assert (answer.status, answer.pointers) == (422, [f"/{field}"])


@pytest.mark.parametrize("name", ["unstuck:resumer", "unstuck:engine", "person ", " engine"])
async def test_nobody_reports_under_the_name_of_one_of_our_own(house: House, name: str) -> None:
    answer = await post(house, failure(sourceSystem=name))
    assert (answer.status, answer.pointers) == (422, ["/sourceSystem"])


async def test_a_person_who_opens_a_case_sends_no_more_than_a_call_may_carry(house: House) -> None:
    body = b'{"order":"so-1","reason_code":"x","seen":"' + b"x" * 20 * MB + b'"}'
    answer = await house.call("POST", CASES, data=body, who="engineer")
    assert (answer.status, answer.rule) == (413, "too-large")


async def test_keys_of_two_sources_have_holders_of_two_names(house: House) -> None:
    one, other = [await Source.registered(house) for _ in range(2)]
    wish = {"name": "mine", "url": "https://127.0.0.1/hook", "kind": "decision"}
    assert (await issued(house, one.name, "order manager")).status == 201
    assert (await issued(house, one.name, "order manager")).status == 201
    for name in ("order manager", "the integration"):
        refused = await issued(house, other.name, name)
        assert (refused.status, refused.pointers) == (422, ["/holder"])
    assert (await one.call("POST", SUBSCRIPTIONS, wish)).status == 201
    assert (await other.call("GET", SUBSCRIPTIONS)).json == {"subscriptions": []}


@pytest.mark.parametrize("holder", ["unstuck:engine", " ", "a\n", "a\u202eb"])
async def test_a_key_whose_holder_has_no_name_is_not_issued(house: House, holder: str) -> None:
    source = await Source.registered(house)
    answer = await issued(house, source.name, holder)
    assert (answer.status, answer.pointers) == (422, ["/holder"])


@pytest.mark.parametrize("url", ["https://xn--a/", "https://xn--a.example/x"])
async def test_a_host_that_nobody_can_read_is_no_url(house: House, url: str) -> None:
    answer = await house.call("POST", SUBSCRIPTIONS, {"name": "odd", "url": url}, who="integration")
    assert (answer.status, answer.pointers) == (422, ["/url"])


@pytest.mark.parametrize("field", [{"headers": {"X": "a\n"}}, {"headers": {"X\n": "a"}}, {"secret": "oms\n"}])
async def test_settings_of_an_order_manager_end_no_line(house: House, field: dict[str, Any]) -> None:
    settings = {"url": "https://127.0.0.1/{order}", "expected": ["HELD"], "to": "RUNNING", **field}
    answer = await house.call("PUT", f"{SOURCES}/liner", {"settings": {"resume": settings}}, who="admin")
    assert answer.status == 422


@pytest.mark.parametrize("ref", ["..", "."])
async def test_an_order_whose_name_is_a_way_up_is_not_looked_at(house: House, ref: str) -> None:
    """It would lead to another place of the order manager, and with our secret."""
    manager = OrderManager(
        url=f"{house.url}/{'x/' * (len(ref) - 1)}{{order}}/healthz", expected=("HELD",), to="RUNNING"
    )
    seen = await house.ports.foreign.managers.look(manager, ref)
    assert (seen.document, "names no order" in seen.because) == (None, True)


async def test_one_stream_too_many_is_told_so_instead_of_breaking_off(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "LISTENERS", 1)
    headers = {"Authorization": f"Bearer {TOKENS['engineer']}"}
    async with house.client.get(house.url + "/api/v1/stream", headers=headers) as open_one:
        assert await open_one.content.readline() == b"retry: 1000\n"
        refused = await house.call("GET", "/api/v1/stream", who="engineer")
        assert (refused.status, refused.rule) == (503, "busy")


async def test_revoking_the_last_key_of_a_source_does_not_let_others_speak_for_it(house: House) -> None:
    source = await Source.registered(house)
    (key,) = (await house.get(f"{SOURCES}/{source.name}", "admin"))["keys"]
    gone = await house.call("DELETE", f"{SOURCES}/{source.name}/keys/{key['id']}", who="admin")
    assert gone.status == 204
    answer = await post(house, failure(sourceSystem=source.name))
    assert (answer.status, answer.rule) == (403, "source-key")
