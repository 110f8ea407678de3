"""The list of service orders by TMF630's rules: filters, fields, pages, sorting, and what is too much to read."""

import json
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from test_web_tmf_shows import agrees
from web_lab import TMF, Answer, House, fiber, item, opened, order, refused

from unstuck.service.looks import service_orders
from unstuck.store.server import EmbeddedServer

ROUTER = item("1", "wifi-router", model="X")


class Shop:
    """A house with eight orders in it, each in another situation."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.ids: dict[str, str] = {}

    async def fill(self) -> "Shop":
        house = self.house
        await self._placed("done", ROUTER, description="for aunt Ana", priority="1", xColour="red")
        await self._placed("also-done", ROUTER, priority="3", note=[{"text": "ring twice"}])
        stopped = await self._placed("stopped", fiber(), customer="C-stopped", priority="2")
        house.targets.will("C-stopped", "activateFiber", refused("ADDRESS_NOT_SERVICEABLE"))
        terminal = await self._placed("hopeless", ROUTER, customer="C-hopeless")
        house.targets.will("C-hopeless", "reserve", refused("SKU_OUT_OF_STOCK"))
        await house.work()
        for name in ("held", "aborted"):
            await self._placed(name, fiber())
            command = "suspend" if name == "held" else "abort"
            at = f"/api/v1/orders/{self.ids[name]}"
            answer = await house.call("POST", f"{at}/{command}", {"reason": "x"}, who="engineer", version=1)
            assert answer.status == 200, answer.raw
        await self._placed("unknown-offer", item("1", "moon-landing"))
        waiting = await self._placed("waiting", ROUTER, customer="C-waiting")
        house.targets.will("C-waiting", "reserve", refused("SKU_OUT_OF_STOCK"))
        await house.work()
        await _steps(house, waiting, ("wait", {"on": "CUSTOMER", "note": "asked"}))
        proof = {"type": "document", "source": "mail", "content": "gone", "proves_resolution": True}
        case = await _steps(house, terminal)
        await house.owner.execute("UPDATE fallout_case SET recoverability = 'terminal' WHERE id = $1", case["id"])
        at = f"/api/v1/fallout-cases/{case['id']}"
        proof = (await house.call("POST", f"{at}/evidence", proof, who="engineer", version=case["version"])).json
        given = {"decision": "cancel", "evidence": [proof["evidence"]["id"]]}
        for command, body in (("verify", {"evidence": []}), ("resolve", given)):
            version = (await house.get(at))["version"]
            answer = await house.call("POST", f"{at}/{command}", body, who="engineer", version=version)
            assert answer.status == 200, answer.raw
        await house.work()
        assert stopped
        return self

    async def _placed(self, name: str, *items: dict[str, Any], customer: str = "", **more: Any) -> Any:
        body = order(*items, customer=customer, **more) | {"externalId": name}
        answer = await self.house.submit(json.dumps(body).encode())
        assert answer.status == 201, answer.raw
        self.ids[name] = answer.json["id"]
        return answer.json

    async def ask(self, query: str = "") -> Answer:
        return await self.house.call("GET", f"{TMF}{query and '?'}{query}", who="integration")

    async def names(self, query: str = "", **params: str) -> list[str]:
        """The external ids that a query finds, in its order; every answer agrees with the published schema."""
        answer = await self.ask(query or urlencode(params))
        assert answer.status == 200, answer.raw
        assert answer.headers["X-Result-Count"] == str(len(answer.json))
        if "fields" not in query:
            for one in answer.json:
                agrees(one)
        known = {id: name for name, id in self.ids.items()}
        return [known[one["id"]] for one in answer.json]


async def _steps(house: House, placed: Any, *more: Any) -> Any:
    """The order's case, in progress, and whatever more is done to it."""
    case = await house.case_of(placed["id"])
    at = f"/api/v1/fallout-cases/{case['id']}"
    for command, body in (("assign", {"to": "me"}), ("start", {}), *more):
        version = (await house.get(at))["version"]
        answer = await house.call("POST", f"{at}/{command}", body, who="engineer", version=version)
        assert answer.status == 200, answer.raw
    return await house.get(at)


@pytest.fixture(scope="module")
async def shop(cluster: EmbeddedServer, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shop]:
    folder: Path = tmp_path_factory.mktemp("shop")
    async with opened(cluster, template, folder) as house:
        yield await Shop(house).fill()


ALL = {"done", "also-done", "stopped", "hopeless", "held", "aborted", "unknown-offer", "waiting"}


async def test_all_of_them_newest_first_with_their_counts(shop: Shop) -> None:
    names = await shop.names()
    assert set(names) == ALL and names[0] == "waiting" and names[-1] == "done"
    answer = await shop.ask()
    assert (answer.headers["X-Total-Count"], answer.headers["X-Result-Count"]) == ("8", "8")


@pytest.mark.parametrize(
    ("state", "found"),
    [
        ("completed", {"done", "also-done"}),
        ("inProgress", {"stopped"}),
        ("pending", {"waiting"}),
        ("held", {"held", "unknown-offer"}),
        ("cancelled", {"aborted"}),
        ("failed", {"hopeless"}),
        ("partial", set()),
        ("acknowledged", set()),
        ("rejected", set()),
        ("nonsense", set()),
        ("held,pending", {"held", "unknown-offer", "waiting"}),
        ('"completed"', {"done", "also-done"}),
    ],
)
async def test_by_state_in_the_database_as_it_is_shown(shop: Shop, state: str, found: set[str]) -> None:
    assert set(await shop.names(state=state)) == found
    plain = set(state.strip('"').split(","))
    every = (await shop.ask()).json
    assert {shop.ids[name] for name in found} == {one["id"] for one in every if one["state"] in plain}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("externalId=done", {"done"}),
        ("externalId=done,held", {"done", "held"}),
        ('externalId="done"', {"done"}),
        ("externalId.eq=done", {"done"}),
        ("externalId=nobody", set()),
        ("relatedParty.id=C-stopped", {"stopped"}),
        ("relatedParty.id=C-stopped&state=held", set()),
        ("priority=1,3", {"done", "also-done"}),
        ("priority.gt=1", {"also-done", "stopped"}),
        ("priority.gte=2&priority.lt=3", {"stopped"}),
        ("priority.lte=1", {"done"}),
        ("priority%3E%3D2", {"also-done", "stopped"}),
        ("priority>2", {"also-done"}),
        ("priority<2", {"done"}),
        ("description=for aunt Ana", {"done"}),
        ("description.regex=" + quote("aunt (Ana|Bea)$"), {"done"}),
        ("note.text.regex=twice", {"also-done"}),
        ("xColour=red", {"done"}),
        ("xColour=blue", set()),
        ("noSuchThing=1", set()),
        ("serviceOrderItem.service.serviceSpecification.name=fiber-internet", {"stopped", "held", "aborted"}),
        ("serviceOrderItem.state=held", {"stopped", "unknown-offer"}),
        ("serviceOrderItem.state=pending", {"waiting"}),
        ("errorMessage.code=UNKNOWN_OFFER", {"unknown-offer"}),
        ("errorMessage.timestamp.gt=2020-01-01T00:00:00Z", {"stopped", "unknown-offer", "waiting"}),
        ("orderDate.gt=2000-01-01", ALL),
        ("orderDate.lt=2000-01-01", set()),
        ("completionDate.gt=2000-01-01", {"done", "also-done", "aborted", "hopeless"}),
        ("state=completed&priority=3", {"also-done"}),
    ],
)
async def test_filters_of_every_kind(shop: Shop, query: str, found: set[str]) -> None:
    assert set(await shop.names(query)) == found


async def test_a_time_as_it_is_shown_finds_its_order_with_or_without_quotes(shop: Shop) -> None:
    shown = await shop.house.get(f"{TMF}/{shop.ids['held']}", "integration")
    for value in (shown["orderDate"], f'"{shown["orderDate"]}"', shown["orderDate"].replace("Z", "+00:00")):
        assert await shop.names(orderDate=value) == ["held"]
        assert await shop.names(f"orderDate={value}") == ["held"]
    later = (datetime.fromisoformat(shown["orderDate"]) + timedelta(microseconds=1)).isoformat()
    assert await shop.names(orderDate=later) == []
    assert await shop.names(**{"orderDate.gte": shown["orderDate"], "orderDate.lt": later}) == ["held"]


async def test_an_id_is_found_by_itself(shop: Shop) -> None:
    assert await shop.names(id=shop.ids["done"]) == ["done"]
    assert await shop.names(id="no-uuid") == []


@pytest.mark.parametrize(
    ("sort", "names"),
    [
        ("orderDate", ["done", "also-done", "stopped"]),
        ("-orderDate", ["waiting", "unknown-offer", "aborted"]),
        ("+orderDate", ["done", "also-done", "stopped"]),
        ("priority", ["done", "stopped", "also-done"]),
        ("-priority", ["also-done", "stopped", "done"]),
        ("state,-externalId", ["aborted", "done", "also-done"]),
    ],
)
async def test_sorted_by_any_attribute(shop: Shop, sort: str, names: list[str]) -> None:
    assert (await shop.names(f"sort={sort}"))[:3] == names


async def test_pages_meet_without_a_gap(shop: Shop) -> None:
    whole = await shop.names()
    for extra in ("", "&sort=priority", "&orderDate.gt=2000-01-01", "&serviceOrderItem.id=1"):
        every = await shop.names(f"limit=100{extra}")
        paged: list[str] = []
        url = f"limit=3{extra}"
        while url:
            answer = await shop.ask(url)
            assert answer.headers["X-Total-Count"] == "8"
            paged += await shop.names(url)
            links = {
                part.split(";")[1].strip(): part.split(";")[0].strip(" <>")
                for part in answer.headers["Link"].split(",")
            }
            url = links['rel="next"'].partition("?")[2] if 'rel="next"' in links else ""
        assert paged == every and len(every) == len(whole)
    assert await shop.names("offset=100") == []
    assert await shop.names("limit=0") == []


@pytest.mark.parametrize(
    ("fields", "there"),
    [
        ("state,externalId", {"id", "href", "state", "externalId"}),
        ("none", {"id", "href"}),
        ("", {"id", "href"}),
        ("noSuchField", {"id", "href"}),
    ],
)
async def test_only_the_fields_that_are_asked_for(shop: Shop, fields: str, there: set[str]) -> None:
    (one,) = (await shop.ask(f"externalId=done&fields={fields}")).json
    assert set(one) == there
    shown = await shop.house.get(f"{TMF}/{shop.ids['done']}?fields={fields}", "integration")
    assert shown == one


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("limit=-1", "limit"),
        ("limit=501", "limit"),
        ("limit=x", "limit"),
        ("offset=1e9", "offset"),
        ("orderDate=yesterday", "orderDate"),
        ("completionDate.gt=x", "completionDate"),
        ("description.regex=" + quote("("), "regular expression"),
        ("description.regex=" + quote("(?=a)"), "regular expression"),
        ("a=" + "x" * 401, "400 characters"),
        ("&".join(f"a{n}=1" for n in range(21)), "20 conditions"),
        ("description=%00", "400 characters"),
    ],
)
async def test_what_cannot_be_meant_is_said(shop: Shop, query: str, says: str) -> None:
    answer = await shop.ask(query)
    assert answer.status == 400, answer.raw
    assert says in answer.json["message"]
    agrees(answer.json, "Error")


async def test_no_expression_makes_it_slow(shop: Shop) -> None:
    assert await shop.names("description.regex=" + quote("^(a|a)+$|^(([a-z ])+.)+[A-Z]([a-z])+$")) == ["done"]


async def test_reading_too_many_is_refused_with_what_would_help(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_orders, "WALK_LIMIT", 7)
    for query in ("priority=1", "sort=priority"):
        answer = await shop.ask(query)
        assert answer.status == 400 and "more than 7 orders" in answer.json["message"]
        assert "externalId" in answer.json["message"]
    assert await shop.names("priority=1&externalId=done,held") == ["done"]
    assert len(await shop.names("state=completed")) == 2


async def test_what_is_not_there_is_a_tm_forum_404(shop: Shop) -> None:
    unknown = "0190a000-0000-7000-8000-000000000000"
    for path in (
        f"{TMF}/{unknown}",
        TMF.replace("serviceOrder", "ServiceOrder").replace("ServiceOrdering", "serviceOrdering") + f"/{unknown}",
        f"{TMF}/nonsense",
        "/tmf-api/serviceOrdering/v4/cancelServiceOrder/x",
    ):
        answer = await shop.house.call("GET", path, who="integration")
        assert (answer.status, answer.headers["Content-Type"]) == (404, "application/json"), path
        assert answer.json["code"] == "404"
        agrees(answer.json, "Error")


async def test_what_the_sender_said_is_shown_back(shop: Shop) -> None:
    shown = await shop.house.get(f"{TMF}/{shop.ids['also-done']}", "integration")
    assert (shown["priority"], shown["note"]) == ("3", [{"text": "ring twice"}])
    assert (await shop.house.get(f"{TMF}/{shop.ids['done']}", "integration"))["xColour"] == "red"


async def test_a_known_field_of_another_shape_stays_in_the_bytes(shop: Shop) -> None:
    odd = {
        "description": 7, "note": "no list", "priority": ["1"], "externalReference": [{"id": "1"}], "category": None,
        "relatedParty": [{"id": "C-9", "role": "customer"}], "state": None, "jeopardyAlert": [{"id": "forged"}],
        "requestedStartDate": "soon", "milestone": [{"id": "forged"}], "errorMessage": [{"code": "forged"}],
        "href": "http://elsewhere", "id": "mine", "orderDate": "1999-01-01T00:00:00Z", "unheardOf": {"deep": [1]},
    }  # fmt: skip
    answer = await shop.house.submit(json.dumps(order(ROUTER) | odd).encode())
    assert answer.status == 201, answer.raw
    agrees(answer.json)
    shown = answer.json
    assert {
        "description",
        "note",
        "priority",
        "externalReference",
        "jeopardyAlert",
        "milestone",
        "errorMessage",
    }.isdisjoint(shown)
    assert shown["unheardOf"] == {"deep": [1]} and shown["id"] != "mine" and shown["relatedParty"][0]["id"] == "C-9"
