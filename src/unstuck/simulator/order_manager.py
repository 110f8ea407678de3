"""An order manager of another make: own states, own names, versions that only it understands, and its own book.

Its orders run by themselves until one falls out. Then it reports the failure, waits for a decision and goes on with
leave alone: it redeems its token first. What it did and was told is written down here, to judge by.
"""

import asyncio
import secrets
from collections.abc import Callable
from typing import Annotated, Any, Literal

import aiohttp
import msgspec
from msgspec import Meta

from unstuck.simulator.config import OrderManagerConfig
from unstuck.simulator.ledger import Journal, now
from unstuck.simulator.order_manager_proof import Unbelievable, read_token

Phase = Literal["OPEN", "RUNNING", "FALLOUT", "DONE", "CANCELLED"]
Habit = Literal["redeem", "hold", "twice"]
Mischief = Literal["", "ignore", "refuse", "hang_up"]
ATTEMPT_S = 20.0
CANCELLING = ("CANCEL_ITEM", "COMPENSATE_AND_CLOSE")


class Account(msgspec.Struct):
    """Under which name it reports to whom: API address, its token, the secret of its webhook."""

    name: str
    api: str
    token: str
    secret: str = ""


class OrderLine(msgspec.Struct, forbid_unknown_fields=True):
    """An order as it is set up: whose it is, its one line, where it falls out, how its manager behaves about it.

    `habit`: redeem leave at once, hold it until told, or redeem it twice. `mischief` is what a PATCH meets: answered with
    200 and ignored, refused, or carried out and the connection cut. `slow_ms` goes before every answer about it.
    """

    ref: str
    account: str
    line: str = "L1"
    falls_out_at: str = "line-up"
    habit: Habit = "redeem"
    mischief: Mischief = ""
    slow_ms: Annotated[float, Meta(ge=0, le=60_000)] = 0


class ForeignOrder:
    """One order; every change of it makes a new version, which is a word without meaning to others."""

    def __init__(self, said: OrderLine) -> None:
        self.said = said
        self.phase: Phase = "OPEN"
        self.count = 0
        self.version = ""
        self.move("RUNNING")

    def move(self, phase: Phase) -> None:
        """Go to a phase, as a new version."""
        self.phase, self.count = phase, self.count + 1
        self.version = f"r{self.count}-{secrets.token_hex(4)}"

    def shown(self) -> dict[str, Any]:
        """The order as it shows itself."""
        line = {"no": self.said.line, "stuckAt": self.said.falls_out_at if self.phase == "FALLOUT" else None}
        return {"ref": self.said.ref, "phase": self.phase, "lines": [line]}


class OrderManager:
    """All its orders and accounts, and its book."""

    def __init__(self, config: OrderManagerConfig, journal: Journal, spawn: Callable[[Any], Any]) -> None:
        self.config, self.journal, self._spawn = config, journal, spawn
        self.orders: dict[str, ForeignOrder] = {}
        self.accounts: dict[str, Account] = {}
        self.leave: dict[str, dict[str, Any]] = {}  # by order: the last decision with a token
        self.heard: set[str] = set()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=ATTEMPT_S)
        )

    async def close(self) -> None:
        await self._session.close()

    def write(self, what: str, order: str, **more: Any) -> None:
        """One line in the book."""
        self.journal.append({"at": now(), "what": what, "order": order, **more})

    def take(self, said: OrderLine) -> ForeignOrder:
        """Begin an order, which runs until it falls out."""
        order = self.orders[said.ref] = ForeignOrder(said)
        order.move("FALLOUT")
        self.write("fell out", said.ref, at_step=said.falls_out_at, version=order.version)
        return order

    async def report(self, order: ForeignOrder, event_id: str) -> dict[str, Any]:
        """Tell of the failure; what was answered."""
        said = order.said
        body = {
            "sourceSystem": said.account,
            "sourceEventId": event_id,
            "correlationId": f"corr-{said.ref}",
            "serviceOrderId": said.ref,
            "serviceOrderItemId": said.line,
            "failedStepKey": said.falls_out_at,
            "categoryHint": "ACTIVATION",
            "reasonCode": "ACTIVATION_REFUSED",
            "message": "the access network said no",
            "severityHint": "HIGH",
            "orderVersion": order.version,
        }
        status, answer = await self.call(said.account, "POST", "/api/v1/fallout-events", body)
        self.write("reported", said.ref, event=event_id, status=status, version=order.version)
        return {"status": status, "answer": answer}

    async def told(self, account: Account, message: dict[str, Any], how: str) -> None:
        """A decision came, by `how`; leave is believed only when its signature is."""
        ref, text = message.get("order", ""), message.get("token")
        order = self.orders.get(ref)
        if order is None or text is None:
            self.write("told", ref, how=how, decision=message.get("decision"), because=message.get("because"))
            return
        try:
            claims = read_token(text, await self.keys(account), account.name)
            if claims["sub"] != ref or claims["jti"] != message["token_id"]:
                raise Unbelievable("the token is for another order")
        except Unbelievable as doubt:
            self.write("disbelieved", ref, how=how, because=str(doubt))
            return
        self.leave[ref] = message
        self.write(
            "leave came", ref, how=how, token=claims["jti"], mode=claims["mode"], version=claims["order_version"]
        )
        if order.said.habit != "hold":
            self._spawn(self._use(order, 2 if order.said.habit == "twice" else 1))

    async def _use(self, order: ForeignOrder, times: int) -> None:
        await asyncio.gather(*(self.redeem(order) for _ in range(times)))

    async def redeem(
        self, order: ForeignOrder, *, account: str = "", version: str | None = None, spoiled: bool = False
    ) -> int:
        """Redeem the leave of an order; when it is taken, the order goes on. The status of the answer."""
        leave = self.leave[order.said.ref]
        text = leave["token"]
        if spoiled:
            head, _, signature = text.rpartition(".")
            text = f"{head}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}"
        body = {"token": text, "order_version": order.version if version is None else version}
        status, answer = await self.call(account or order.said.account, "POST", leave["redeem"], body)
        rule = answer.get("rule", "") if isinstance(answer, dict) else ""
        self.write("redeemed", order.said.ref, token=leave["token_id"], status=status, rule=rule)
        if status == 200:
            self.go_on(order, "leave", str(leave["mode"]))
        return status

    def go_on(self, order: ForeignOrder, why: str, mode: str) -> None:
        """Run from the failed step, or be cancelled; an order that runs is done after a while."""
        order.move("CANCELLED" if mode in CANCELLING else "RUNNING")
        self.write("went on", order.said.ref, why=why, mode=mode, phase=order.phase, version=order.version)
        if order.phase == "RUNNING":
            self._spawn(self._finish(order))

    async def _finish(self, order: ForeignOrder) -> None:
        await asyncio.sleep(self.config.runs_ms / 1000)
        order.move("DONE")
        self.write("done", order.said.ref, version=order.version)

    async def poll(self, account: Account) -> int:
        """Fetch what was decided; how many decisions came."""
        status, answer = await self.call(account.name, "GET", f"/api/v1/sources/{account.name}/decisions", None)
        decisions = answer.get("decisions", []) if status == 200 else []
        for decision in decisions:
            await self.told(account, decision, "poll")
        return len(decisions)

    async def keys(self, account: Account) -> list[dict[str, Any]]:
        """The public keys of whom it reports to."""
        _, answer = await self.call(account.name, "GET", "/api/v1/audit/keys", None)
        return list(answer.get("keys", []))

    async def call(self, account: str, method: str, path: str, body: Any) -> tuple[int, Any]:
        """One call of the API under an account; status 0 when there was no answer."""
        who = self.accounts[account]
        headers = {"Authorization": f"Bearer {who.token}", "Content-Type": "application/json"}
        data = None if body is None else msgspec.json.encode(body)
        try:
            async with self._session.request(method, who.api + path, data=data, headers=headers) as answer:
                content = await answer.read()
                return answer.status, msgspec.json.decode(content) if content else {}
        except (aiohttp.ClientError, TimeoutError, OSError, msgspec.MsgspecError):
            return 0, {}
