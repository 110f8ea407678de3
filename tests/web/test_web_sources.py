"""Sources: registered or just heard, with tokens that speak for one of them, and an alarm when one falls silent."""

import json
from typing import Any

import pytest
from test_web_failures import failure, post
from web_lab import CASES, Answer, House

from unstuck.service.failures_in.sources import watch

SOURCES = "/api/v1/sources"


async def put(house: House, name: str, *, version: int | None = None, who: str = "admin", **said: Any) -> Answer:
    headers = {"If-Match": f'"{version}"'} if version is not None else {}
    return await house.call("PUT", f"{SOURCES}/{name}", data=json.dumps(said).encode(), who=who, headers=headers)


async def show(house: House, name: str) -> Any:
    return await house.get(f"{SOURCES}/{name}", "admin")


async def test_whoever_reports_is_known_from_then_on(house: House) -> None:
    await post(house, failure(sourceSystem="stranger"))
    shown = await show(house, "stranger")
    assert (shown["registered"], shown["silent_since"]) == (False, None)
    assert shown["last_heard"]
    names = [one["name"] for one in (await house.get(SOURCES, "auditor"))["sources"]]
    assert "stranger" in names


async def test_a_source_is_registered_once_and_then_changed_with_its_version(house: House) -> None:
    made = await put(house, "oms", title="Order manager", heartbeat_s=60)
    assert (made.status, made.json["version"], made.headers["ETag"]) == (201, 1, '"1"')
    assert (await put(house, "oms", title="x")).status == 428
    assert (await put(house, "oms", version=7, title="x")).status == 412
    changed = await put(house, "oms", version=1, title="The order manager")
    assert (changed.status, changed.json["title"], changed.json["heartbeat_s"]) == (200, "The order manager", None)
    assert (await put(house, "oms", version=2, who="integration")).status == 403


@pytest.mark.parametrize("said", [{"heartbeat_s": 0}, {"heartbeat_s": "1"}, {"title": "a\nb"}, {"other": 1}])
async def test_a_wrong_registration_is_refused_with_its_place(house: House, said: dict[str, Any]) -> None:
    answer = await put(house, "wrong", **said)
    assert (answer.status, answer.pointers) == (422, [f"/{next(iter(said))}"])


async def test_names_that_stand_for_something_else_are_no_sources(house: House) -> None:
    for name in ("person", "engine"):
        assert (await put(house, name)).status == 422


async def test_a_token_of_a_source_speaks_for_it_alone_and_then_nobody_else_does(house: House) -> None:
    await put(house, "keyed")
    issued = await house.call("POST", f"{SOURCES}/keyed/keys", data=b'{"holder": "the keyed"}', who="admin")
    assert issued.status == 201
    token = {"Authorization": f"Bearer {issued.json['token']}"}

    async def send(**more: Any) -> Answer:
        body = json.dumps(failure(**more)).encode()
        return await house.call("POST", "/api/v1/fallout-events", data=body, who=None, headers=token)

    assert (await send(sourceSystem="keyed")).status == 201
    forged = await send(sourceSystem="somebody else")
    assert (forged.status, forged.rule) == (403, "source-key")
    other = await post(house, failure(sourceSystem="keyed"))
    assert (other.status, other.rule) == (403, "source-key")
    shown = await show(house, "keyed")
    assert [key["name"] for key in shown["keys"]] == ["the keyed"]
    assert issued.json["token"] not in json.dumps(shown)
    gone = await house.call("DELETE", f"{SOURCES}/keyed/keys/{issued.json['id']}", who="admin")
    assert gone.status == 204
    assert (await send(sourceSystem="keyed")).status == 401
    assert (await house.call("DELETE", f"{SOURCES}/keyed/keys/{issued.json['id']}", who="admin")).status == 404


async def test_one_wrong_sender_among_many_costs_only_its_own(house: House) -> None:
    await put(house, "guarded")
    await house.call("POST", f"{SOURCES}/guarded/keys", data=b'{"holder": "g"}', who="admin")
    answer = await post(house, [failure(), failure(sourceSystem="guarded"), failure()])
    assert answer.status == 200, answer.raw
    assert [one["status"] for one in answer.json["results"]] == [201, 403, 201]


async def test_a_watched_source_that_falls_silent_is_an_alarm_and_is_over_when_it_is_heard(house: House) -> None:
    await put(house, "heart", heartbeat_s=60)
    house.clock.jump(50)
    beat = await house.call("POST", f"{SOURCES}/heart/heartbeat", who="integration")
    assert beat.status == 200
    house.clock.jump(50)
    await watch(house.ports)
    assert (await show(house, "heart"))["silent_since"] is None
    house.clock.jump(20)
    await watch(house.ports)
    assert (await show(house, "heart"))["silent_since"]
    queue = await house.get(f"{CASES}?queue=TRIAGE")
    assert "heart" in queue["silent_sources"]
    await post(house, failure(sourceSystem="heart"))
    await watch(house.ports)
    assert (await show(house, "heart"))["silent_since"] is None
    types = await house.owner.fetch(
        "SELECT type FROM event WHERE stream = (SELECT id FROM source WHERE name = 'heart') ORDER BY seq"
    )
    assert [row["type"] for row in types] == ["source.registered", "source.went-silent", "source.heard-again"]
    assert await watch(house.ports) == 0


async def test_a_heartbeat_of_nobody_is_not_known_here(house: House) -> None:
    assert (await house.call("POST", f"{SOURCES}/nobody/heartbeat", who="integration")).status == 404
