"""What the foreign-oms story plays on: the other order manager with its book, its accounts here, and the desk."""

from typing import Any
from urllib.parse import quote

from unstuck.rehearsal.door import Answer, Door, settle, wait_for
from unstuck.rehearsal.foreign_oms_cast import Cast, Order
from unstuck.rehearsal.stage import CASES, Desk, Stage, View

HASTY_S = 4


class OtherManager:
    """The stand-in, as its director sees it."""

    def __init__(self, url: str, within_s: float) -> None:
        self.url, self._door, self._within_s = url, Door(url), within_s

    def has(self, name: str, api: str, token: str, secret: str) -> None:
        """Let it report under a name."""
        account = {"name": name, "api": api, "token": token, "secret": secret}
        self._door.post("/play/accounts", account).must(200, f"the account {name}")

    def falls_out(self, order: Order) -> None:
        """Let an order fall out there."""
        self._door.post("/play/orders", order.body()).must(201, f"the order {order.ref}")

    def reports(self, order: Order, event: str) -> tuple[int, View]:
        """Have it report the failure; what it was answered."""
        said = self._door.post(f"/play/orders/{order.ref}/report", {"event": event}).must(200, "the report")
        return said["status"], said["answer"]

    def redeems(self, order: Order, **how: Any) -> list[int]:
        """Have it redeem its leave; the statuses it was answered."""
        answer = self._door.post(f"/play/orders/{order.ref}/redeem", how).must(200, "the redemption")
        return list(answer["statuses"])

    def touches(self, order: Order) -> None:
        """Let the order move to another version."""
        self._door.post(f"/play/orders/{order.ref}/touch", {}).must(200, "the touch")

    def fetches(self, account: str) -> int:
        """Have it fetch its decisions; how many came."""
        return int(self._door.post(f"/play/poll/{account}", {}).must(200, "the poll")["decisions"])

    def shows(self, order: Order) -> View:
        """The order as it shows itself."""
        view: View = self._door.get(f"/orders/{order.ref}").must(200, "the order")
        return view

    def leave(self, order: Order) -> View:
        """The leave that came for an order, word for word, once it has come."""
        what = f"leave for {order.ref}"
        path = f"/play/orders/{order.ref}/leave"
        came = wait_for(what, lambda: self._door.get(path), lambda a: a.status == 200, self._within_s)
        leave: View = came.body
        return leave

    def book(self, order: Order | None = None) -> list[View]:
        """What it wrote down, all or of one order."""
        lines = self._door.get("/play/book").must(200, "the book")
        return [line for line in lines if order is None or line["order"] == order.ref]

    def wrote(self, order: Order, what: str, count: int = 1) -> list[View]:
        """Its lines of a kind about an order, once there are so many, or as they are when time is up."""
        return settle(lambda: self.times(order, what), lambda lines: len(lines) >= count, self._within_s)

    def times(self, order: Order, what: str) -> list[View]:
        """Its lines of a kind about an order."""
        return [line for line in self.book(order) if line["what"] == what]


class Backstage:
    """Makes the accounts, and turns an order that fell out into a case under somebody's hands."""

    def __init__(self, stage: Stage, cast: Cast) -> None:
        self.stage, self.cast = stage, cast
        self.manager = OtherManager(stage.said["order_manager"], stage.within_s)
        self.tokens: dict[str, str] = {}
        self.cases: dict[str, Desk] = {}
        self._admin = stage.door("admin")

    def door_of(self, account: str) -> Door:
        """The API as an order manager of that name sees it."""
        return Door(self.stage.said["url"], self.tokens[account])

    def open(self) -> None:
        """Register the four sources; two hear by webhook, one fetches, one only knows PATCH."""
        cast = self.cast
        self._account(cast.heard, {}, webhook=True)
        self._account(cast.hasty, {"token_life_s": HASTY_S}, webhook=True)
        self._account(cast.fetching, {}, webhook=False)
        resume = {
            "url": f"{self.manager.url}/orders/{{order}}", "state_field": "phase", "expected": ["FALLOUT"],
            "to": "RUNNING", "reached": ["RUNNING", "DONE"], "settles_s": 1,
        }  # fmt: skip
        self._account(cast.mute, {"resume": resume}, webhook=False)

    def _account(self, name: str, settings: View, *, webhook: bool) -> None:
        path = f"/api/v1/sources/{quote(name)}"
        self._admin.put(path, {"title": f"the order manager {name}", "settings": settings}).must(201, "the source")
        key = self._admin.post(f"{path}/keys", {"holder": f"{name} itself"}).must(201, "its key")
        self.tokens[name] = key["token"]
        secret = ""
        if webhook:
            wish = {"name": "decisions", "url": f"{self.manager.url}/hooks/{name}", "kind": "decision"}
            secret = self.door_of(name).post("/api/v1/subscriptions", wish).must(201, "the subscription")["secret"]
        self.manager.has(name, self.stage.said["url"], self.tokens[name], secret)

    def falls_out(self, name: str) -> tuple[Order, Desk]:
        """An order that fell out and was reported; its case, in progress."""
        order = self.cast.orders[name]
        self.manager.falls_out(order)
        _, answer = self.manager.reports(order, f"{order.ref}-1")
        return order, self.take(name, str(answer.get("case", "")))

    def take(self, name: str, case_id: str) -> Desk:
        """The case of an order, once it is queued, taken."""
        self.stage.once_queued(case_id)
        desk = self.cases[name] = Desk(self.stage.door("fallout-manager"), case_id)
        desk.take()
        return desk

    def proven(self, desk: Desk) -> str:
        """Evidence that proves the repair."""
        piece = {"type": "vendor_request", "source": "vendor", "content": "repaired", "proves_resolution": True}
        return str(desk.do("evidence", piece)["evidence"]["id"])

    def resolved(self, desk: Desk, decision: str = "resume", mode: str | None = "RETRY_FAILED_STEP") -> View:
        """Proven, verified, decided; what the desk was answered."""
        evidence = self.proven(desk)
        desk.do("verify", {"evidence": [evidence]})
        return desk.do("resolve", {"decision": decision, "mode": mode, "evidence": [evidence]})

    def told(self, desk: Desk, what: str) -> list[View]:
        """The data of a case's events of a type."""
        kind = f"unstuck.fallout-case.{what}"
        return [event["data"] for event in desk.view()["timeline"] if event["type"] == kind]

    def once_told(self, desk: Desk, what: str) -> list[View]:
        """The same, once there are any, or none when time is up."""
        return settle(lambda: self.told(desk, what), bool, self.stage.within_s)

    def once_listed(self, account: str) -> list[View]:
        """The decisions that an order manager can fetch, once there are any."""
        look = self.door_of(account)
        path = f"/api/v1/sources/{account}/decisions"
        return settle(lambda: look.get(path).must(200, "the decisions")["decisions"], bool, self.stage.within_s)

    def cases_of(self, order: Order) -> list[View]:
        """Every case about an order of another manager."""
        found = self.stage.door("auditor").get(CASES, source=order.account, limit=500).must(200, "the case list")
        return [case for case in found["cases"] if case["order_ref"] == order.ref]

    def redeem_as(self, account: str, leave: View, version: str) -> Answer:
        """Redeem a leave under an account, whosever it is."""
        return self.door_of(account).post(leave["redeem"], {"token": leave["token"], "order_version": version})
