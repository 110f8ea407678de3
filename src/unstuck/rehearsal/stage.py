"""What a story plays on: the product's API as one role or another, the world's own books, and what was looked at."""

import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from unstuck.rehearsal.cast import Wanted
from unstuck.rehearsal.door import Answer, Door, settle, wait_for
from unstuck.rehearsal.sheet import Missed

SERVICE_ORDER = "/tmf-api/serviceOrdering/v4/serviceOrder"
CASES = "/api/v1/fallout-cases"
View = dict[str, Any]


class Stage:
    """A running private stack. Every look at an order is remembered, for what must never be seen."""

    def __init__(self, said: View, *, wait_s: float, run_s: float) -> None:
        self._wait_s, self._until = wait_s, time.monotonic() + run_s
        self.world = World(Door(said["admin"]))
        self.submitted: dict[str, Wanted] = {}
        self.looks: dict[str, list[View]] = {}
        self.said = said
        self._url, self._tokens = said["url"], said["tokens"]
        self._reader = self.door("auditor")

    @property
    def within_s(self) -> float:
        """How long a wait may take: a run in which much is missing must end, too."""
        return max(1.0, min(self._wait_s, self._until - time.monotonic()))

    def door(self, role: str) -> Door:
        """The API as the demo account of a role."""
        return Door(self._url, self._tokens[role])

    def submit(self, wanted: Wanted) -> str:
        """Send an order in; its id."""
        taken = self.door("integration").post(SERVICE_ORDER, wanted.body()).must(201, f"order {wanted.external_id}")
        order_id = str(taken["id"])
        self.submitted[order_id] = wanted
        return order_id

    def order(self, order_id: str) -> View:
        """The order as the native API shows it now."""
        view: View = self._reader.get(f"/api/v1/orders/{order_id}").must(200, "the order view")
        self.looks.setdefault(order_id, []).append(view)
        return view

    def service_order(self, order_id: str) -> View:
        """The order as TM Forum clients see it now."""
        view: View = self._reader.get(f"{SERVICE_ORDER}/{order_id}").must(200, "the TMF641 view")
        return view

    def cases(self, order_id: str) -> list[View]:
        """Every case of an order, whatever its state."""
        return list(self._reader.get(CASES, order_id=order_id, limit=500).must(200, "the case list")["cases"])

    def all_cases(self) -> list[View]:
        """Every case of the whole run."""
        return list(self._reader.get(CASES, limit=500).must(200, "the case list")["cases"])

    def case(self, case_id: str) -> View:
        """A case as an auditor sees it."""
        view: View = self._reader.get(f"{CASES}/{case_id}").must(200, "the case view")
        return view

    def queued_case(self, order_id: str) -> View:
        """Wait until the order has a case that was classified and routed."""
        what = f"a classified case on order {self.submitted[order_id].external_id}"
        seen = wait_for(what, lambda: self._queued(order_id), bool, self.within_s)
        return seen[0]

    def once_queued(self, case_id: str) -> View:
        """Wait until a case was classified and routed."""
        looking = ("DETECTED", "CLASSIFIED")
        return wait_for(
            "a classified case", lambda: self.case(case_id), lambda c: c["state"] not in looking, self.within_s
        )

    def completed(self, order_id: str) -> View:
        """The order once it is completed, or as it is when time is up."""
        return settle(lambda: self.order(order_id), lambda o: o["state"] == "COMPLETED", self.within_s)

    def until_done(self, order_id: str, kinds: Sequence[str]) -> View:
        """The order once its tasks of these types are completed, or as it is when time is up."""
        return settle(
            lambda: self.order(order_id),
            lambda order: all(task(order, kind)["state"] == "COMPLETED" for kind in kinds),
            self.within_s,
        )

    def _queued(self, order_id: str) -> list[View]:
        return [case for case in self.cases(order_id) if case["state"] not in ("DETECTED", "CLASSIFIED")]


class Desk:
    """One case under the hands of one person."""

    def __init__(self, door: Door, case_id: str) -> None:
        self._door, self._path = door, f"{CASES}/{quote(case_id)}"

    def view(self) -> View:
        """The case as this person sees it, with what they may do."""
        view: View = self._door.get(self._path).must(200, "the case view")
        return view

    def send(self, command: str, body: View, version: int | None) -> Answer:
        """A command, whatever the answer."""
        return self._door.post(f"{self._path}/{command}", body, version)

    def do(self, command: str, body: View) -> View:
        """A command on the case as it is now, that must be taken."""
        answer = self.send(command, body, self.view()["version"])
        if answer.status not in (200, 201):
            raise Missed(f"{command} was answered {answer.status} {answer.why()}")
        taken: View = answer.body
        return taken

    def take(self) -> None:
        """Assign it to oneself and begin."""
        self.do("assign", {"to": "me"})
        self.do("start", {})

    def propose(self, action: str, reason_code: str) -> Answer:
        """Propose a correction, whatever the answer."""
        return self.send("corrections", proposal(action, reason_code), self.view()["version"])

    def preview(self, action: str, reason_code: str) -> Answer:
        """What a correction would do."""
        return self.send("corrections/preview", proposal(action, reason_code), None)

    def repair(self, action: str, reason_code: str) -> View:
        """Propose a correction and apply it; the applied correction."""
        proposed = self.do("corrections", proposal(action, reason_code))["correction"]
        applied: View = self.do(f"corrections/{proposed['id']}/apply", {})["correction"]
        return applied

    def evidence(self, evidence_id: str) -> Answer:
        """The bytes of a piece of evidence."""
        return self._door.get(f"{self._path}/evidence/{evidence_id}")


class World:
    """The simulator's own books: what really happened."""

    def __init__(self, admin: Door) -> None:
        self._admin = admin

    def ledger(self) -> dict[str, dict[str, int]]:
        """Effects per system and business key, as the simulator groups them."""
        effects: dict[str, dict[str, int]] = self._admin.get("/ledger").must(200, "the ledger")["effects"]
        return effects

    def effects(self, system: str) -> list[View]:
        """Every effect of a system, in order."""
        return list(self._admin.get(f"/ledger/{system}").must(200, "the ledger"))

    def of_group(self, system: str, group: str) -> list[View]:
        """The effects of a system under one business key, in order."""
        return [effect for effect in self.effects(system) if label(effect["group"]) == group]

    def calls(self) -> dict[tuple[str, str], int]:
        """Every call that ever arrived, whatever became of it."""
        arrived = self._admin.get("/calls").must(200, "the calls")
        return {(system, operation): n for system, own in arrived.items() for operation, n in own.items()}

    def struck(self, customer: str) -> list[View]:
        """The fault plan's own lines about a customer, in order."""
        lines = self._admin.get("/faults").must(200, "the fault lines")
        return [line for line in lines if line["group"].get("customer") == customer]


def proposal(action: str, reason_code: str) -> View:
    """The body of a proposal."""
    reason = "rehearsed: look before anything is sent again"
    return {"action": action, "reason_code": reason_code, "reason": reason, "input": {}}


def label(group: View) -> str:
    """A business key as the simulator writes it: `customer=C-1|service=fiber|item=1`."""
    return "|".join(f"{name}={value}" for name, value in group.items())


def task(order: View, kind: str) -> View:
    """The task of a type in an order that has one of it."""
    found = [t for t in order["graph"]["tasks"] if t["type"] == kind]
    if len(found) != 1:
        raise Missed(f"the order has {len(found)} tasks of type {kind}")
    return dict(found[0])
