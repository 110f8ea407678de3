"""Subscriptions over HTTP: who may, what is shown, what is refused, and that events really arrive."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from aiohttp import web
from web_lab import House, fiber

from unstuck.connect.signature import verify
from unstuck.engine.relay import Relay
from unstuck.service.events_out.outbox import Patience, cloud_event_messages
from unstuck.store.keys import KeyFiles
from unstuck.store.seal import seal

HOOKS = "/api/v1/subscriptions"
NAMES = iter(range(10_000))


class Hook:
    """A receiver that keeps what it is sent."""

    def __init__(self) -> None:
        self.url, self.status = "", 200
        self.got: list[tuple[dict[str, str], bytes]] = []

    async def take(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.got.append((headers, await request.read()))
        return web.Response(status=self.status)


@pytest.fixture
async def hook() -> AsyncIterator[Hook]:
    one, app = Hook(), web.Application()
    app.router.add_post("/hook", one.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    one.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    yield one
    await runner.cleanup()


async def subscribe(house: House, url: str = "http://127.0.0.1:9/hook", who: str = "integration", **more: Any) -> Any:
    body = {"name": f"crm {next(NAMES)}", "url": url, **more}
    answer = await house.call("POST", HOOKS, body, who=who)
    assert answer.status == 201, answer.raw
    return answer.json


async def relayed(house: House, folder: Path, patience: Patience) -> None:
    """Everything that has happened is sent."""
    keys, pool = KeyFiles("test", folder / "signing.key"), house.ports.store.pool
    relay = Relay(house.ports, {"cloudevents": cloud_event_messages}, patience=patience)
    async with asyncio.timeout(20):
        while await pool.fetchval("SELECT (SELECT count(*) FROM event) > (SELECT size FROM seal)"):
            await seal(pool, keys, house.clock(), None)
        while await relay.cycle():
            await relay.idle()


async def test_events_arrive_signed_with_the_secret_that_was_shown_once(
    house: House, hook: Hook, tmp_path: Path
) -> None:
    made = await subscribe(house, hook.url, types=["unstuck.order.received"])
    order = await house.place(fiber())
    await relayed(house, tmp_path, Patience())
    ((headers, body),) = hook.got
    verify(made["secret"], headers, body, house.clock())
    assert order["id"].encode() in body
    assert headers["content-type"] == "application/cloudevents+json; charset=utf-8"

    shown = await house.get(f"{HOOKS}/{made['id']}", "integration")
    assert (shown["delivered"], shown["behind"], shown["state"]) == (1, 0, "ACTIVE")
    assert "secret" not in shown
    listed = await house.call("GET", HOOKS, who="admin")
    assert made["secret"] not in listed.raw.decode()


async def test_the_life_of_a_subscription(house: House) -> None:
    made = await subscribe(house)
    one = f"{HOOKS}/{made['id']}"
    who = {"who": "integration"}
    assert (await house.call("POST", f"{one}/pause", **who)).status == 428
    assert (await house.call("POST", f"{one}/pause", version=7, **who)).status == 412
    paused = await house.call("POST", f"{one}/pause", version=1, **who)
    assert (paused.status, paused.json["state"], paused.headers["ETag"]) == (200, "PAUSED", '"2"')
    assert (await house.call("POST", f"{one}/pause", version=2, **who)).status == 409
    assert (await house.call("POST", f"{one}/resume", version=2, **who)).json["state"] == "ACTIVE"
    rotated = await house.call("POST", f"{one}/rotate-secret", version=3, **who)
    assert rotated.status == 200 and rotated.json["secret"] != made["secret"]
    assert (await house.call("POST", f"{one}/replay", {"dead": True}, version=4, **who)).status == 200
    assert (await house.call("POST", f"{one}/replay", {"from": 0}, version=5, **who)).json["next_leaf"] == 0
    assert (await house.call("GET", f"{one}/dead", **who)).json == {"dead": []}
    assert (await house.call("DELETE", one, **who)).status == 428
    assert (await house.call("DELETE", one, version=6, **who)).status == 204
    assert (await house.call("GET", one, **who)).status == 404
    rows = await house.owner.fetch("SELECT type, by FROM event WHERE stream = $1 ORDER BY seq", UUID(made["id"]))
    kinds = ["created", "paused", "resumed", "secret-rotated", "replayed", "replayed", "deleted"]
    assert [row["type"] for row in rows] == [f"subscription.{kind}" for kind in kinds]
    assert {row["by"] for row in rows} == {"the integration"}
    kept = await house.owner.fetchrow("SELECT secret, old_secret FROM subscription WHERE id = $1", UUID(made["id"]))
    assert (kept["secret"], kept["old_secret"]) == (b"", None)


async def test_the_same_command_sent_again_is_answered_again(house: House) -> None:
    made = await subscribe(house)
    once = {"who": "integration", "version": 1, "headers": {"Idempotency-Key": "pause-it"}}
    first = await house.call("POST", f"{HOOKS}/{made['id']}/pause", **once)
    again = await house.call("POST", f"{HOOKS}/{made['id']}/pause", **once)
    assert (first.status, again.status) == (200, 200)
    assert first.json == again.json


async def test_everybody_sees_their_own_and_an_administrator_all(house: House) -> None:
    made = await subscribe(house, who="admin")
    mine = await subscribe(house)
    ids = [one["id"] for one in (await house.get(HOOKS, "integration"))["subscriptions"]]
    assert mine["id"] in ids and made["id"] not in ids
    assert {made["id"], mine["id"]} <= {one["id"] for one in (await house.get(HOOKS, "admin"))["subscriptions"]}
    for method, path in (("GET", ""), ("POST", "/pause"), ("POST", "/rotate-secret"), ("GET", "/dead"), ("DELETE", "")):
        answer = await house.call(method, f"{HOOKS}/{made['id']}{path}", who="integration", version=1)
        assert answer.status == 404, (method, path)
    for role in ("support", "repair-agent", "auditor", "engineer"):
        assert (await house.call("GET", HOOKS, who=role)).status == 403
    assert (await house.call("GET", HOOKS, who=None)).status == 401


async def test_one_name_once(house: House) -> None:
    await subscribe(house, name="billing")
    body = {"name": "billing", "url": "http://127.0.0.1:9/"}
    answer = await house.call("POST", HOOKS, body, who="integration")
    assert (answer.status, answer.rule) == (409, "one-subscription-per-name")
    assert (await house.call("POST", HOOKS, body, who="admin")).status == 201, "another's names are its own"


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"url": "https://169.254.169.254/latest/meta-data"}, "/url"),
        ({"url": "http://[::1]:8080/"}, "/url"),
        ({"url": "https://10.0.0.1/"}, "/url"),
        ({"url": "https://2130706433/"}, "/url"),
        ({"url": "http://8.8.8.8/hook"}, "/url"),
        ({"url": "nonsense"}, "/url"),
        ({"url": "https://exa\x00mple.com"}, "/url"),
        ({"types": ["unstuck.order.invented"]}, "/types/0"),
        ({"types": ["unstuck.*", "*.nothing"]}, "/types/1"),
        ({"types": ["Unstuck.[a-z]"]}, "/types/0"),
        ({"types": []}, "/types"),
        ({"name": ""}, "/name"),
        ({"name": "a\u202eb"}, "/name"),
        ({"from": -1}, "/from"),
        ({"from": "now"}, "/from"),
        ({"secret": "whsec_mine"}, "/secret"),
    ],
)
async def test_what_cannot_be_taken_is_told_with_its_place(house: House, change: Any, pointer: str) -> None:
    body = {"name": f"bad {next(NAMES)}", "url": "http://127.0.0.1:9/hook", **change}
    answer = await house.call("POST", HOOKS, body, who="integration")
    assert answer.status == 422, answer.raw
    assert pointer in answer.pointers


async def test_a_replay_says_what(house: House) -> None:
    made = await subscribe(house)
    path, who = f"{HOOKS}/{made['id']}/replay", {"who": "integration", "version": 1}
    for body in ({}, {"dead": True, "from": 0}, {"dead": False}, {"from": 10**9}):
        assert (await house.call("POST", path, body, **who)).status == 422
    answer = await house.call("POST", f"{HOOKS}/{made['id']}/drop", {"leaf": 0}, **who)
    assert answer.status == 404


async def test_dead_messages_are_shown_and_sent_again_over_http(house: House, hook: Hook, tmp_path: Path) -> None:
    made = await subscribe(house, hook.url, types=["unstuck.order.*"])
    hook.status = 400
    order = await house.place(fiber())
    one = Patience(tries=1)
    await relayed(house, tmp_path, one)
    dead = (await house.get(f"{HOOKS}/{made['id']}/dead", "integration"))["dead"]
    assert [message["tries"] for message in dead] == [1] + [0] * (len(dead) - 1)
    assert dead[0]["event"] == f"{order['id']}-1" and dead[0]["status"] == 400
    assert (await house.get(f"{HOOKS}/{made['id']}", "integration"))["dead"] == len(dead)

    hook.status = 200
    hook.got.clear()
    answer = await house.call("POST", f"{HOOKS}/{made['id']}/replay", {"dead": True}, who="integration", version=1)
    assert (answer.json["dead"], answer.json["waiting"]) == (0, len(dead))
    await relayed(house, tmp_path, one)
    assert [headers["webhook-id"] for headers, _ in hook.got] == [message["event"] for message in dead]
