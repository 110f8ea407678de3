"""The order manager of another make: it believes signatures alone, goes on with leave alone, and writes down the truth."""

import base64
import hmac
import json
import time
from hashlib import sha256

import aiohttp
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from downstream_lab import eventually

from unstuck.simulator.config import OrderManagerConfig, WorldConfig
from unstuck.simulator.world import World

SECRET = "whsec_" + base64.b64encode(b"of the order manager").decode()
KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)


def b64(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def leave(ref, *, key=KEY, kid="k1", **claims):
    """A token as the published rules say, for the order `ref`."""
    said = {
        "jti": "t-1",
        "aud": "acme",
        "sub": ref,
        "mode": "RETRY_FAILED_STEP",
        "order_version": "?",
        "exp": time.time() + 60,
    }
    head, body = b64(json.dumps({"alg": "Ed25519", "kid": kid}).encode()), b64(json.dumps({**said, **claims}).encode())
    return f"{head}.{body}.{b64(key.sign(f'{head}.{body}'.encode()))}"


class Desk:
    """The side it reports to: says what it is told to say, remembers what it was asked."""

    def __init__(self):
        self.asked, self.decisions, self.redeem = [], [], [200]

    async def start(self):
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.answer)
        self.runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self.runner.addresses[0][1]}"

    async def answer(self, request):
        body = await request.text()
        self.asked.append((request.path, json.loads(body) if body else None, request.headers["Authorization"]))
        if request.path.endswith("/keys"):
            x = b64(KEY.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))
            return web.json_response({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "k1", "x": x}]})
        if request.path.endswith("/decisions"):
            return web.json_response({"decisions": self.decisions})
        if request.path.endswith("/redeem"):
            status = self.redeem.pop(0) if self.redeem else 409
            return web.json_response({} if status == 200 else {"rule": "token-used"}, status=status)
        return web.json_response({"case": "c-1", "was": "new"}, status=201)


class Play:
    """The manager, its desk, and the hands of the director."""

    def __init__(self, world, desk, client):
        self.url, self.desk, self.client = world.order_manager_url, desk, client

    async def call(self, method, path, body=None, **headers):
        data = body if isinstance(body, bytes) else json.dumps(body) if body is not None else None
        async with self.client.request(method, self.url + path, data=data, headers=headers) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if text.startswith(("{", "[")) else text, answer.headers

    async def order(self, ref, **more):
        return (await self.call("POST", "/play/orders", {"ref": ref, "account": "acme", **more}))[1]

    async def tell(self, message, *, secret=SECRET, at=None, id_="m-1"):
        body, stamp = json.dumps({"data": message}).encode(), str(int(at or time.time()))
        key = base64.b64decode(secret.removeprefix("whsec_"))
        mac = base64.b64encode(hmac.digest(key, f"{id_}.{stamp}.".encode() + body, sha256)).decode()
        headers = {"webhook-id": id_, "webhook-timestamp": stamp, "webhook-signature": f"v1,{mac}"}
        return (await self.call("POST", "/hooks/acme", body, **headers))[0]

    async def book(self, what=None):
        lines = (await self.call("GET", "/play/book"))[1]
        return [line for line in lines if what in (None, line["what"])]


@pytest.fixture
async def play(tmp_path):
    desk = Desk()
    await desk.start()
    config = OrderManagerConfig(runs_ms=1)
    world = World(WorldConfig(ledger_dir=str(tmp_path), systems={}, order_manager=config))
    await world.start()
    async with aiohttp.ClientSession() as client:
        one = Play(world, desk, client)
        account = {"name": "acme", "api": desk.url, "token": "its-token", "secret": SECRET}
        assert (await one.call("POST", "/play/accounts", account))[0] == 200
        yield one
    await world.stop()
    await desk.runner.cleanup()


def message(ref, text, **more):
    return {"order": ref, "token": text, "token_id": "t-1", "mode": "RETRY_FAILED_STEP", "redeem": "/t/redeem", **more}


async def test_an_order_falls_out_and_is_reported_in_the_words_of_its_manager(play):
    order = await play.order("A-1", line="L7", falls_out_at="line-up")
    said = (await play.call("POST", "/play/orders/A-1/report", {"event": "e-1"}))[1]
    ((path, body, authorization),) = play.desk.asked
    assert (said["status"], path, authorization) == (201, "/api/v1/fallout-events", "Bearer its-token")
    assert (body["sourceSystem"], body["serviceOrderId"], body["serviceOrderItemId"]) == ("acme", "A-1", "L7")
    assert (body["failedStepKey"], body["orderVersion"]) == ("line-up", order["version"])
    assert order["phase"] == "FALLOUT"


async def test_leave_with_both_signatures_is_redeemed_and_the_order_is_done(play):
    await play.order("A-1")
    assert await play.tell(message("A-1", leave("A-1"))) == 204
    assert await play.tell(message("A-1", leave("A-1"))) == 204, "the same message again is heard once"
    await eventually(lambda: play.book("done"))
    assert [line["what"] for line in await play.book()] == ["fell out", "leave came", "redeemed", "went on", "done"]


@pytest.mark.parametrize(
    "spoiled",
    [{"secret": "whsec_" + base64.b64encode(b"another").decode()}, {"at": time.time() - 3600}],
    ids=["signed by another", "an hour old"],
)
async def test_a_message_of_nobody_is_refused(play, spoiled):
    await play.order("A-1")
    assert await play.tell(message("A-1", leave("A-1")), **spoiled) == 401
    assert [line["what"] for line in await play.book()] == ["fell out", "disbelieved"]


@pytest.mark.parametrize(
    "text",
    [
        leave("A-1", key=Ed25519PrivateKey.from_private_bytes(b"x" * 32)), leave("A-1", kid="k2"), leave("A-1", aud="other"),
        leave("A-1", exp=1), leave("A-2"), leave("A-1", jti="t-9"), "x.y.z", "",
    ],
    ids=["other key", "unknown key", "other audience", "expired", "other order", "other token", "noise", "nothing"],
)  # fmt: skip
async def test_leave_that_cannot_be_believed_moves_nothing(play, text):
    await play.order("A-1")
    assert await play.tell(message("A-1", text)) == 204
    assert [line["what"] for line in await play.book()] == ["fell out", "disbelieved"]
    assert (await play.call("GET", "/orders/A-1"))[1]["phase"] == "FALLOUT"


async def test_without_the_answer_that_it_may_it_does_not_go_on(play):
    play.desk.redeem = [409]
    await play.order("A-1")
    await play.tell(message("A-1", leave("A-1")))
    (line,) = await eventually(lambda: play.book("redeemed"))
    assert (line["status"], line["rule"]) == (409, "token-used")
    assert await play.book("went on") == []


async def test_it_redeems_twice_when_it_is_told_to_and_goes_on_once(play):
    await play.order("A-1", habit="twice")
    await play.tell(message("A-1", leave("A-1")))
    await eventually(lambda: play.book("done"))
    assert sorted(line["status"] for line in await play.book("redeemed")) == [200, 409]
    assert len(await play.book("went on")) == 1


async def test_decisions_are_fetched_when_there_is_no_webhook(play):
    await play.order("A-1")
    play.desk.decisions = [message("A-1", leave("A-1")), {"order": "A-9", "token": None, "decision": "none"}]
    assert (await play.call("POST", "/play/poll/acme", {}))[1] == {"decisions": 2}
    await eventually(lambda: play.book("done"))
    assert [line["how"] for line in await play.book("leave came")] == ["poll"]
    assert [line["decision"] for line in await play.book("told")] == ["none"]


@pytest.mark.parametrize(
    ("mischief", "status", "phases"),
    [("", 200, ["RUNNING", "DONE"]), ("ignore", 200, ["FALLOUT"]), ("refuse", 405, ["FALLOUT"])],
)
async def test_what_a_patch_is_answered_and_what_it_does_are_two_things(play, mischief, status, phases):
    await play.order("A-1", mischief=mischief)
    answered, _, _ = await play.call("PATCH", "/orders/A-1", {"phase": "RUNNING"})
    assert answered == status
    assert (await play.call("GET", "/orders/A-1"))[1]["phase"] in phases
    assert len(await play.book("asked to go on")) == 1


async def test_a_patch_can_be_carried_out_without_an_answer(play):
    await play.order("A-1", mischief="hang_up")
    with pytest.raises(aiohttp.ClientError):
        await play.call("PATCH", "/orders/A-1", {"phase": "RUNNING"})
    assert (await play.call("GET", "/orders/A-1"))[1]["phase"] in ("RUNNING", "DONE")


async def test_every_change_is_a_new_version_and_an_old_one_is_refused(play):
    first = (await play.order("A-1"))["version"]
    _, _, headers = await play.call("GET", "/orders/A-1")
    assert headers["ETag"] == f'"{first}"'
    second = (await play.call("POST", "/play/orders/A-1/touch", {}))[1]["version"]
    assert second != first
    moved, _, _ = await play.call("PATCH", "/orders/A-1", {"phase": "RUNNING"}, **{"If-Match": f'"{first}"'})
    assert (moved, (await play.call("GET", "/orders/A-1"))[1]["phase"]) == (412, "FALLOUT")


async def test_a_world_without_it_has_none(tmp_path):
    world = World(WorldConfig(ledger_dir=str(tmp_path), systems={}))
    await world.start()
    assert world.order_manager_url == ""
    await world.stop()
