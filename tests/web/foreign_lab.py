"""An order manager that is not ours, and the desk that repairs what it reports: what the stories of both are told with."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from web_lab import CASES, Answer, House

from unstuck.app import keyring
from unstuck.config import Config
from unstuck.engine.relay import Relay
from unstuck.engine.resume import resume_round
from unstuck.service.elsewhere.decisions import KIND, decision_messages
from unstuck.service.order_work.fire import classify_due
from unstuck.simulator.config import OrderManagerConfig, WorldConfig
from unstuck.simulator.world import World
from unstuck.store.seal import seal

NUMBER = itertools.count(1)
PATCHED = {
    "url": "{url}/orders/{order}",
    "state_field": "phase",
    "expected": ["FALLOUT"],
    "to": "RUNNING",
    "settles_s": 0,
}


class Source:
    """A source with a token of its own."""

    def __init__(self, house: House, name: str, token: str) -> None:
        self.house, self.name, self.token = house, name, token

    @classmethod
    async def registered(cls, house: House, **settings: Any) -> "Source":
        name = f"oms-{next(NUMBER)}"
        answer = await house.call("PUT", f"/api/v1/sources/{name}", {"settings": settings}, who="admin")
        assert answer.status == 201, answer.raw
        key = await house.call("POST", f"/api/v1/sources/{name}/keys", {"holder": f"key of {name}"}, who="admin")
        return cls(house, name, key.json["token"])

    async def call(self, method: str, path: str, body: Any = None, **more: Any) -> Answer:
        headers = {"Authorization": f"Bearer {self.token}", **more.pop("headers", {})}
        return await self.house.call(method, path, body, who=None, headers=headers, **more)

    async def report(self, **more: Any) -> "Fallout":
        """Report a failure of an order of its own; the case, in progress at a desk."""
        ref = str(more.get("serviceOrderId") or f"so-{next(NUMBER)}")
        body = {
            "sourceSystem": self.name, "sourceEventId": f"evt-{next(NUMBER)}", "serviceOrderId": ref,
            "serviceOrderItemId": "line-1", "failedStepKey": "activate", "reasonCode": "REFUSED", "message": "no",
            "orderVersion": "v7", **more,
        }  # fmt: skip
        answer = await self.call("POST", "/api/v1/fallout-events", body)
        assert answer.status == 201, answer.raw
        return await Fallout(self, answer.json["case"], ref).take()

    async def decisions(self, after: int | None = None) -> list[Any]:
        query = "" if after is None else f"?after={after}"
        answer = await self.call("GET", f"/api/v1/sources/{self.name}/decisions{query}")
        assert answer.status == 200, answer.raw
        return list(answer.json["decisions"])

    async def leave(self) -> Any:
        """The one decision that waits for it, once it is sealed."""
        await sealed(self.house)
        (one,) = await self.decisions()
        return one

    async def redeem(self, leave: Any, version: str = "v7", *, text: str = "", **more: Any) -> Answer:
        body = {"token": text or leave["token"], "order_version": version}
        return await self.call("POST", leave["redeem"], body, **more)


class Fallout:
    """One case that a source reported, under the hands of an engineer."""

    def __init__(self, source: Source, case: str, ref: str) -> None:
        self.house, self.source, self.case, self.ref = source.house, source, case, ref
        self.at = f"{CASES}/{case}"

    async def take(self) -> "Fallout":
        await classify_due(self.house.ports, 500)
        await self.done("assign", {"to": "me"})
        await self.done("start")
        return self

    async def view(self) -> Any:
        return await self.house.get(self.at, "engineer")

    async def do(self, command: str, body: Any = None) -> Answer:
        version = (await self.view())["version"]
        return await self.house.call("POST", f"{self.at}/{command}", body or {}, who="engineer", version=version)

    async def done(self, command: str, body: Any = None) -> Any:
        answer = await self.do(command, body)
        assert answer.status in (200, 201), answer.raw
        return answer.json

    async def proven(self) -> str:
        """Evidence that proves the repair, and the case verified with it."""
        piece = {"type": "vendor_request", "source": "portal", "content": "line is up", "proves_resolution": True}
        evidence = str((await self.done("evidence", piece))["evidence"]["id"])
        await self.done("verify", {"evidence": [evidence]})
        return evidence

    async def resolved(self, decision: str = "resume", mode: str | None = "RETRY_FAILED_STEP") -> Any:
        """Resolved with proof; what the desk was answered."""
        evidence = await self.proven()
        body = {"decision": decision, "mode": mode if decision == "resume" else None, "evidence": [evidence]}
        return await self.done("resolve", body)

    async def told(self, what: str) -> list[Any]:
        """The data of the events of a type in the case's timeline."""
        return [e["data"] for e in (await self.view())["timeline"] if e["type"] == f"unstuck.fallout-case.{what}"]


async def sealed(house: House) -> None:
    """Everything that was committed has its leaf."""
    keys = keyring(Config(data=str(house.ports.blobs.path("0" * 64).parents[2])))
    while await seal(house.ports.store.pool, keys, house.clock(), None):
        pass


async def relayed(house: House) -> None:
    """Every sealed decision was sent to who subscribed."""
    await sealed(house)
    relay = Relay(house.ports, {KIND: decision_messages})
    while await relay.cycle():
        await relay.idle()


async def resumed(house: House, rounds: int = 10) -> None:
    """All that is due with order managers is done."""
    for _ in range(rounds):
        if not await resume_round(house.ports):
            return
        house.clock.jump(1)


class Manager:
    """The stand-in order manager of the simulator, over its sockets."""

    def __init__(self, url: str, client: aiohttp.ClientSession) -> None:
        self.url, self._client = url, client

    async def play(self, method: str, path: str, body: Any = None) -> Any:
        async with self._client.request(method, f"{self.url}/play/{path}", json=body) as answer:
            assert answer.status in (200, 201), await answer.text()
            return await answer.json()

    async def speaks_for(self, source: Source, secret: str = "") -> None:
        account = {"name": source.name, "api": source.house.url, "token": source.token, "secret": secret}
        await self.play("POST", "accounts", account)

    async def fallen(self, source: Source, **more: Any) -> Fallout:
        """An order of this source that fell out there, reported by it, its case in progress here."""
        ref = f"A-{next(NUMBER)}"
        await self.play("POST", "orders", {"ref": ref, "account": source.name, **more})
        said = await self.play("POST", f"orders/{ref}/report", {"event": f"e-{ref}"})
        assert said["status"] == 201, said
        return await Fallout(source, said["answer"]["case"], ref).take()

    async def book(self, ref: str) -> list[Any]:
        """What it wrote about an order, oldest first."""
        return [line for line in await self.play("GET", "book") if line["order"] == ref]

    async def wrote(self, ref: str, what: str, within_s: float = 5.0) -> list[Any]:
        """The lines of a kind about an order, once there are any."""
        loop = asyncio.get_running_loop()
        until = loop.time() + within_s
        while loop.time() < until:
            if lines := [line for line in await self.book(ref) if line["what"] == what]:
                return lines
            await asyncio.sleep(0.01)
        raise AssertionError(f"{ref}: never {what}; {await self.book(ref)}")


@asynccontextmanager
async def order_manager(folder: Path) -> AsyncIterator[Manager]:
    """A world with the other order manager in it."""
    world = World(WorldConfig(ledger_dir=str(folder), systems={}, order_manager=OrderManagerConfig(runs_ms=5)))
    await world.start()
    async with aiohttp.ClientSession() as client:
        yield Manager(world.order_manager_url, client)
    await world.stop()


def patched(manager: Manager, **more: Any) -> dict[str, Any]:
    """The settings of a source whose orders we resume by PATCH."""
    return {**PATCHED, "url": f"{manager.url}/orders/{{order}}", **more}
