"""The doors of the other order manager: its orders for whoever may change them, its webhook, and the strings of the play."""

import asyncio
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from unstuck.simulator.answers import answer, hang_up, no, raw
from unstuck.simulator.order_manager import Account, ForeignOrder, OrderLine, OrderManager
from unstuck.simulator.order_manager_proof import Unbelievable, check_webhook

T = TypeVar("T")


class Patch(msgspec.Struct, forbid_unknown_fields=True):
    """All that may be changed of an order from outside."""

    phase: str


class Reported(msgspec.Struct, forbid_unknown_fields=True):
    """Which event to report."""

    event: str


class Try(msgspec.Struct, forbid_unknown_fields=True):
    """How to redeem: by whom, how many at once, with which version, with a signature that was tampered with."""

    account: str = ""
    times: int = 1
    version: str | None = None
    spoiled: bool = False


class OrderManagerDoor:
    """Routes; what they mean is in `OrderManager`."""

    def __init__(self, manager: OrderManager) -> None:
        self.manager = manager

    def application(self) -> web.Application:
        """Orders, the webhook, and `/play/…` for who directs the scenario."""
        app = web.Application()
        app.add_routes(
            [
                web.get("/orders/{ref}", self.show),
                web.patch("/orders/{ref}", self.patch),
                web.post("/hooks/{account}", self.hook),
                web.post("/play/accounts", self.account),
                web.post("/play/orders", self.begin),
                web.post("/play/orders/{ref}/report", self.report),
                web.post("/play/orders/{ref}/redeem", self.redeem),
                web.post("/play/orders/{ref}/touch", self.touch),
                web.get("/play/orders/{ref}/leave", self.leave),
                web.post("/play/poll/{account}", self.poll),
                web.get("/play/book", self.book),
            ]
        )
        return app

    async def show(self, request: web.Request) -> web.StreamResponse:
        """One order, its version in the ETag."""
        order = self._order(request)
        await asyncio.sleep(order.said.slow_ms / 1000)
        return answer(200, order.shown(), {"ETag": f'"{order.version}"'})

    async def patch(self, request: web.Request) -> web.StreamResponse:
        """Ask an order to go on; what is answered and what happens are two things."""
        order, wanted = self._order(request), await _read(request, Patch)
        said, key = order.said, request.headers.get("X-Idempotency-Key", "")
        self.manager.write("asked to go on", said.ref, phase=wanted.phase, key=key, mischief=said.mischief)
        await asyncio.sleep(said.slow_ms / 1000)
        given = request.headers.get("If-Match", "").strip('"')
        if said.mischief == "refuse":
            return no(405, "NO_SUCH_METHOD", "orders are not changed like that")
        if given and given != order.version:
            return no(412, "MOVED", "the order has moved")
        if said.mischief != "ignore" and order.phase == "FALLOUT" and wanted.phase == "RUNNING":
            self.manager.go_on(order, "patch", "")
        if said.mischief == "hang_up":
            return hang_up(request)
        return answer(200, order.shown(), {"ETag": f'"{order.version}"'})

    async def hook(self, request: web.Request) -> web.StreamResponse:
        """A decision by webhook; without a good signature it is nobody's."""
        account = self.manager.accounts.get(request.match_info["account"])
        body = await request.read()
        if account is None:
            return no(404, "NO_ACCOUNT", "nobody of that name is here")
        try:
            message_id = check_webhook(account.secret, request.headers, body)
        except Unbelievable as doubt:
            self.manager.write("disbelieved", "", how="webhook", because=str(doubt))
            return no(401, "SIGNATURE", str(doubt))
        if message_id not in self.manager.heard:
            self.manager.heard.add(message_id)
            told: dict[str, Any] = msgspec.json.decode(body)
            await self.manager.told(account, told["data"], "webhook")
        return web.Response(status=204)

    async def account(self, request: web.Request) -> web.StreamResponse:
        """Report under this name from now on."""
        account = await _read(request, Account)
        self.manager.accounts[account.name] = account
        return answer(200, {"hook": f"/hooks/{account.name}"})

    async def begin(self, request: web.Request) -> web.StreamResponse:
        """An order that falls out at once."""
        order = self.manager.take(await _read(request, OrderLine))
        return answer(201, {**order.shown(), "version": order.version})

    async def report(self, request: web.Request) -> web.StreamResponse:
        """Have the failure of an order reported."""
        return answer(200, await self.manager.report(self._order(request), (await _read(request, Reported)).event))

    async def redeem(self, request: web.Request) -> web.StreamResponse:
        """Have the leave of an order redeemed, by as many at once as are wanted; the statuses."""
        order, how = self._order(request), await _read(request, Try)
        tries = (
            self.manager.redeem(order, account=how.account, version=how.version, spoiled=how.spoiled)
            for _ in range(how.times)
        )
        return answer(200, {"statuses": await asyncio.gather(*tries)})

    async def touch(self, request: web.Request) -> web.StreamResponse:
        """Let an order move without leaving its phase."""
        order = self._order(request)
        order.move(order.phase)
        return answer(200, {**order.shown(), "version": order.version})

    async def leave(self, request: web.Request) -> web.StreamResponse:
        """The leave that came for an order, word for word."""
        found = self.manager.leave.get(request.match_info["ref"])
        return no(404, "NO_LEAVE", "no leave came") if found is None else answer(200, found)

    async def poll(self, request: web.Request) -> web.StreamResponse:
        """Have decisions fetched."""
        account = self.manager.accounts[request.match_info["account"]]
        return answer(200, {"decisions": await self.manager.poll(account)})

    async def book(self, request: web.Request) -> web.StreamResponse:
        """Everything it did and was told."""
        return raw(200, self.manager.journal.as_json())

    def _order(self, request: web.Request) -> ForeignOrder:
        order = self.manager.orders.get(request.match_info["ref"])
        if order is None:
            raise web.HTTPNotFound(text="there is no such order")
        return order


async def _read(request: web.Request, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(await request.read(), type=kind)
    except msgspec.MsgspecError as problem:
        raise web.HTTPBadRequest(text=str(problem)) from problem
