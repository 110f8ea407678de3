"""TMF641's hub: listeners, and the events they are POSTed, each by a legal step and with the whole resource."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from aiohttp import web
from test_web_order_commands import done
from test_web_tmf_change import ROUTER, ask_to_cancel, change
from test_web_tmf_list import _steps
from test_web_tmf_shows import SWAGGER, agrees
from web_lab import ACCEPTED, LOST, TMF, Answer, House, fiber, item, opened, refused

from unstuck.app import RENDERERS
from unstuck.engine.relay import Relay
from unstuck.order.tmf import LEGAL
from unstuck.service.order_work.fire import late_due
from unstuck.store.keys import KeyFiles
from unstuck.store.seal import seal
from unstuck.store.server import EmbeddedServer

HUB = TMF.removesuffix("/serviceOrder") + "/hub"
UNKNOWN = "0190a000-0000-7000-8000-000000000000"


class Ear:
    """A listener on a real socket: what was POSTed where."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, Any]] = []
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        self.heard.append((request.path, await request.json()))
        return web.Response(status=204)

    def of(self, order: Any) -> list[tuple[str, str]]:
        """The events about one order: type and the state they tell, each stream in its order."""
        told = []
        for path, event in self.heard:
            ((_, resource),) = event["event"].items()
            if order["id"] in (resource["id"], resource.get("serviceOrder", {}).get("id")):
                assert path == f"/hook/listener/{event['eventType'][:1].lower()}{event['eventType'][1:]}"
                told.append((event["eventType"], resource["state"]))
        return told

    def states(self, order: Any) -> list[str]:
        """The states that were told one after the other."""
        return [state for event, state in self.of(order) if event == "ServiceOrderStateChangeEvent"]


@asynccontextmanager
async def listening() -> AsyncIterator[Ear]:
    ear = Ear()
    app = web.Application()
    app.router.add_post("/{rest:.*}", ear.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    ear.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    try:
        yield ear
    finally:
        await runner.cleanup()


@pytest.fixture
async def ear() -> AsyncIterator[Ear]:
    async with listening() as one:
        yield one


@pytest.fixture(scope="module")
async def hub_house(
    cluster: EmbeddedServer, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[House]:
    async with opened(cluster, template, tmp_path_factory.mktemp("hub")) as one:
        one.keys = KeyFiles("test", tmp_path_factory.mktemp("keys") / "signing.key")  # type: ignore[attr-defined]
        yield one


async def listen(house: House, ear: Ear, query: str = "", **more: Any) -> Answer:
    body = {"callback": ear.url} | ({"query": query} if query else {})
    return await house.call("POST", HUB, body, **{"who": "integration", **more})


async def tell(house: House) -> None:
    """Seal what happened and send until everything is with its listeners."""
    query = "SELECT (SELECT count(*) FROM event) - (SELECT size FROM seal)"
    while await house.owner.fetchval(query):
        await seal(house.ports.store.pool, house.keys, house.clock(), None)  # type: ignore[attr-defined]
    relay = Relay(house.ports, RENDERERS, idle_s=0.01)
    async with asyncio.timeout(30):
        while await relay.cycle():
            await relay.idle()


async def test_a_listener_is_registered_shown_and_taken_away(hub_house: House, ear: Ear) -> None:
    made = await listen(hub_house, ear, "eventType=ServiceOrderStateChangeEvent")
    assert made.status == 201, made.raw
    shown = {"id": made.json["id"], "callback": ear.url, "query": "eventType=ServiceOrderStateChangeEvent"}
    assert made.json == shown and made.headers["Location"] == f"{HUB}/{shown['id']}"
    agrees(made.json, "EventSubscription")
    again = await listen(hub_house, ear, "eventType=ServiceOrderStateChangeEvent")
    assert (again.status, again.json["code"]) == (409, "DUPLICATE_LISTENER")
    agrees(again.json, "Error")
    other = await listen(hub_house, ear)
    assert other.status == 201 and "query" not in other.json, "another filter is another listener"
    at = made.headers["Location"]
    assert await hub_house.get(at, "integration") == shown
    for gone in (at, other.headers["Location"]):
        taken = await hub_house.call("DELETE", gone, who="integration")
        assert (taken.status, taken.raw) == (204, b"")
        for method in ("GET", "DELETE"):
            assert (await hub_house.call(method, gone, who="integration")).status == 404
    assert (await listen(hub_house, ear)).status == 201, "what was taken away can come back"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"callback": 7}, 400),
        ({"callback": "http://10.0.0.1/hook"}, 400),
        ({"callback": "http://169.254.169.254/latest"}, 400),
        ({"callback": "ftp://example.com/"}, 400),
        ({"callback": "https://example.com/" + "x" * 1000}, 400),
        ({"callback": "https://example.com/\n"}, 400),
        ({"callback": "http://127.0.0.1:9/", "query": "a.regex=("}, 400),
        ([], 400),
    ],
)
async def test_what_cannot_be_listened_to_is_refused(hub_house: House, body: Any, status: int) -> None:
    answer = await hub_house.call("POST", HUB, body, who="integration")
    assert answer.status == status, answer.raw
    agrees(answer.json, "Error")


async def test_who_may_listen(hub_house: House, ear: Ear) -> None:
    assert (await listen(hub_house, ear, who="support")).status == 403
    made = (await listen(hub_house, ear)).headers["Location"]
    assert (await hub_house.call("GET", made, who="admin")).status == 200
    for path in (f"{HUB}/{UNKNOWN}", f"{HUB}/nonsense"):
        for method in ("GET", "DELETE"):
            answer = await hub_house.call(method, path, who="integration")
            assert (answer.status, answer.json["code"]) == (404, "404")


def legal(states: list[str]) -> bool:
    denied = {("assessingCancellation", "inProgress"), ("assessingCancellation", "held")}
    return all(b in LEGAL[a] or (a, b) in denied for a, b in pairwise(["acknowledged", *states]))


async def test_an_order_is_told_from_its_beginning_to_its_end(hub_house: House, ear: Ear) -> None:
    await listen(hub_house, ear)
    placed = await hub_house.place(ROUTER)
    await hub_house.work()
    await tell(hub_house)
    assert ear.of(placed) == [
        ("ServiceOrderCreateEvent", "acknowledged"),
        ("ServiceOrderStateChangeEvent", "inProgress"),
        ("ServiceOrderMilestoneStateChangeEvent", "inProgress"),
        ("ServiceOrderStateChangeEvent", "completed"),
    ]
    ids = [event["eventId"] for _, event in ear.heard]
    assert len(ids) == len(set(ids))
    for _, event in ear.heard:
        assert event["correlationId"] == placed["externalId"] and event["domain"] == "ServiceOrdering"
        assert event["event"]["serviceOrder"]["href"] == placed["href"]
        valid(event)


def valid(event: Any) -> None:
    """Whether the published schema takes the event, where that is at hand."""
    for name, resource in event["event"].items():
        agrees({n: v for n, v in resource.items() if n != "errorMessage"}, name[:1].upper() + name[1:])
    if SWAGGER.exists():
        definitions = json.loads(SWAGGER.read_text())["definitions"]
        assert event["eventType"] in definitions
        plain = {**event, "event": {}}
        schema = {"$ref": f"#/definitions/{event['eventType']}", "definitions": definitions}
        jsonschema.Draft4Validator(schema).validate(plain)


async def test_an_order_that_fails_at_once_walks_to_held(hub_house: House, ear: Ear) -> None:
    await listen(hub_house, ear)
    placed = await hub_house.place(item("1", "moon-landing"))
    await hub_house.work()
    await tell(hub_house)
    assert ear.states(placed) == ["inProgress", "held"]
    assert ("ServiceOrderAttributeValueChangeEvent", "held") in ear.of(placed), "its error is another value"


async def test_every_event_of_a_life_is_told_by_legal_steps(hub_house: House, ear: Ear) -> None:
    house = hub_house
    await listen(house, ear)
    kept, cancelled, waiting = await house.place(fiber()), await house.place(ROUTER), await house.place(ROUTER)
    who = kept["relatedParty"][0]["id"]
    house.targets.will(who, "bookAppointment", LOST)
    house.targets.will(who, "createSubscription", ACCEPTED)
    house.targets.will(waiting["relatedParty"][0]["id"], "reserve", refused("SKU_OUT_OF_STOCK"))
    assert (await ask_to_cancel(house, cancelled)).json["state"] == "done"
    await house.work()
    house.clock.jump(100)
    await late_due(house.ports, 100)
    await change(house, kept, {"note": [{"text": "ring twice"}]})
    assert (await ask_to_cancel(house, kept)).json["state"] == "done"
    await done(house, kept, "suspend")
    await done(house, kept, "fail")
    await done(house, kept, "abort")
    await _steps(house, waiting, ("wait", {"on": "CUSTOMER", "note": "asked"}), ("continue", {"note": "answered"}))
    await house.work()
    assert (await ask_to_cancel(house, kept)).json["state"] == "terminatedWithError"
    await tell(house)

    assert ear.states(cancelled) == ["inProgress", "assessingCancellation", "pendingCancellation", "cancelled"]
    states = ear.states(kept)
    assert states[:4] == ["inProgress", "assessingCancellation", "inProgress", "held"] and states[-1] == "cancelled"
    for placed in (kept, cancelled):
        assert legal(ear.states(placed)), ear.states(placed)
    assert ("ServiceOrderInformationRequiredEvent", "pending") in ear.of(waiting)
    assert ear.states(waiting) == ["inProgress", "pending", "inProgress"]
    told = {event for event, _ in ear.of(kept) + ear.of(cancelled) + ear.of(waiting)}
    assert told == {
        "ServiceOrderCreateEvent",
        "ServiceOrderStateChangeEvent",
        "ServiceOrderAttributeValueChangeEvent",
        "ServiceOrderInformationRequiredEvent",
        "ServiceOrderMilestoneStateChangeEvent",
        "ServiceOrderJeopardyAlertEvent",
        "CancelServiceOrderCreateEvent",
        "CancelServiceOrderStateChangeEvent",
    }
    assert [state for event, state in ear.of(kept) if event.startswith("Cancel")] == [
        "accepted", "inProgress", "done", "accepted", "inProgress", "terminatedWithError",
    ]  # fmt: skip
    assert sum(event == "ServiceOrderJeopardyAlertEvent" for event, _ in ear.of(kept)) >= 2, "unknown, and late"
    for _, event in ear.heard:
        valid(event)


@pytest.mark.parametrize(
    ("query", "events"),
    [
        ("eventType=ServiceOrderStateChangeEvent", {("ServiceOrderStateChangeEvent", "inProgress"), ("ServiceOrderStateChangeEvent", "completed")}),
        ("eventType=serviceOrderStateChangeEvent&event.serviceOrder.state=completed", {("ServiceOrderStateChangeEvent", "completed")}),
        ("eventType=ServiceOrderMilestoneEvent", {("ServiceOrderMilestoneStateChangeEvent", "inProgress")}),
        ("event.serviceOrder.state=acknowledged,completed", {("ServiceOrderCreateEvent", "acknowledged"), ("ServiceOrderStateChangeEvent", "completed")}),
        ("event.serviceOrder.state=held", set()),
        ("event.serviceOrder.serviceOrderItem.service.serviceSpecification.name=fiber-internet", set()),
    ],
)  # fmt: skip
async def test_a_listener_hears_what_its_query_asks_for(
    hub_house: House, ear: Ear, query: str, events: set[tuple[str, str]]
) -> None:
    assert (await listen(hub_house, ear, query)).status == 201
    placed = await hub_house.place(ROUTER)
    await hub_house.work()
    await tell(hub_house)
    assert set(ear.of(placed)) == events


async def test_what_is_told_again_is_told_the_same(hub_house: House, ear: Ear, tmp_path: Path) -> None:
    made = (await listen(hub_house, ear)).json["id"]
    placed = await hub_house.place(ROUTER)
    await hub_house.work()
    await tell(hub_house)
    first = [(e["eventId"], e["eventType"], e["event"]["serviceOrder"]["state"]) for _, e in ear.heard]
    ear.heard.clear()
    view = await hub_house.get(f"/api/v1/subscriptions/{made}", "integration")
    begin = view["next_leaf"] - 5
    replayed = await hub_house.call(
        "POST", f"/api/v1/subscriptions/{made}/replay", {"from": begin}, who="integration", version=view["version"]
    )
    assert replayed.status == 200, replayed.raw
    await tell(hub_house)
    again = [(e["eventId"], e["eventType"], e["event"]["serviceOrder"]["state"]) for _, e in ear.heard]
    assert again and set(again) <= set(first) and ear.of(placed)
