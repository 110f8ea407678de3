"""A small downstream world, a client of it and a receiver of its callbacks, over real sockets."""

import asyncio
import base64
import hmac
import json
import time
from hashlib import sha256

import aiohttp
from aiohttp import web

from unstuck.simulator.config import load
from unstuck.simulator.world import World

SECRET = b"a secret of the tests, thirty-two"
ORDER = {"customer": "C1", "service": "S", "item": 1}
GROUP = "customer=C1|service=S|item=1"
DROPPED = ("dropped", None)


async def eventually(look, *, within_s=5.0):
    """Wait until `look()` (plain or async) gives something true; return it."""
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        seen = look()
        seen = await seen if asyncio.iscoroutine(seen) else seen
        if seen:
            return seen
        await asyncio.sleep(0.005)
    raise AssertionError("it never came")


class Receiver:
    """Takes callbacks, checks each signature, answers with the statuses it is given, then 204."""

    def __init__(self):
        self.statuses, self.heard, self.ids = [], [], []

    async def start(self):
        app = web.Application()
        app.router.add_post("/callbacks/{system}", self.hear)
        self.runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self.runner.addresses[0][1]}/callbacks"

    async def hear(self, request):
        body = await request.read()
        message_id, stamp = request.headers["webhook-id"], request.headers["webhook-timestamp"]
        content = f"{message_id}.{stamp}.".encode() + body
        digest = base64.b64encode(hmac.new(SECRET, content, sha256).digest()).decode()
        valid = request.headers["webhook-signature"] == f"v1,{digest}" and abs(time.time() - int(stamp)) < 5
        message = json.loads(body)
        self.heard.append((request.match_info["system"], valid and message["id"] == message_id, message))
        return web.Response(status=self.statuses.pop(0) if self.statuses else 204)

    def words(self):
        """(system, signature valid, status, reference) of all that was heard, in order."""
        return [(system, valid, told["status"], told["reference"]) for system, valid, told in self.heard]


class Lab:
    """One system called `sys` unless told otherwise; started again over the same folder by `restart`."""

    def __init__(self, folder, receiver, client):
        self.folder, self.receiver, self.client, self.world = folder, receiver, client, None

    async def start(self, *rules, kind="A", mode="sync", **settings):
        system = {"kind": kind, "mode": mode, "latency_ms": [0, 2], "callback_after_ms": [0, 5]}
        self.config = {
            "ledger_dir": str(self.folder),
            "callback_url": self.receiver.url,
            "callback_secret": "whsec_" + base64.b64encode(SECRET).decode(),
            "systems": {"sys": {**system, "group_by": ["customer", "service", "item"]}},
            "faults": list(rules),
            **settings,
        }
        await self.restart()
        return self

    async def restart(self, **changes):
        if self.world is not None:
            await self.world.stop()
        self.config.update(changes)
        self.world = World(load(None, self.config))
        self.urls = await self.world.start()

    async def call(self, key="k1", payload=ORDER, *, operation="activate", system="sys", within_s=5.0):
        """Status and body of the reply, or DROPPED, or TimeoutError."""
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        headers = {} if key is None else {"Idempotency-Key": key}
        limit = aiohttp.ClientTimeout(total=within_s)
        url = f"{self.urls[system]}/{operation}"
        try:
            async with self.client.post(url, data=body, headers=headers, timeout=limit) as reply:
                self.headers = reply.headers
                raw = await reply.read()
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            return DROPPED
        try:
            return reply.status, json.loads(raw)
        except ValueError:
            return reply.status, raw

    async def ask(self, system="sys", **query):
        async with self.client.get(f"{self.urls[system]}/effects", params=query) as reply:
            return reply.status, await reply.json()

    async def admin(self, method, path, **body):
        extra = {"json": body} if body else {}
        async with self.client.request(method, self.world.admin_url + path, **extra) as reply:
            return reply.status, await reply.json()

    async def count(self, group=GROUP, system="sys"):
        """Effects of one group, as the oracle sees them."""
        _, told = await self.admin("GET", "/ledger")
        return told["effects"][system].get(group, 0)

    async def effects(self):
        return (await self.admin("GET", "/ledger/sys"))[1]

    async def faults(self):
        return [line["fault"] for line in (await self.admin("GET", "/faults"))[1]]

    def attempts(self):
        """(attempt, status seen, outcome) of every delivery on file."""
        lines = (self.folder / "callbacks.ndjson").read_text().splitlines()
        return [(line["attempt"], line["seen"], line["outcome"]) for line in map(json.loads, lines)]
