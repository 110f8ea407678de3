"""Failures that others report in the demo: an order manager of another make, systems that watch, and a person."""

from typing import Any
from urllib.parse import quote

import msgspec

from unstuck.rehearsal.door import Door
from unstuck.rehearsal.foreign_oms_cast import STEPS, Order
from unstuck.rehearsal.foreign_oms_stage import OtherManager
from unstuck.rehearsal.stage import CASES, View
from unstuck.rehearsal.table import rows

MANAGER = "northwind-oms"
HOLDER = "demo-northwind"
REPORTS = """
    | source          | order    | category | code                          | step           | message                                                     | until           |
    |-----------------|----------|----------|-------------------------------|----------------|-------------------------------------------------------------|-----------------|
    | access-control  | ACC-4410 |          | DUPLICATE_SUBSCRIBER_MISMATCH | add-subscriber | subscriber exists with another profile: 50M instead of 500M | QUEUED          |
    | resource-audit  | RES-1182 | RESOURCE | PORT_NOT_FREE                 | bind-port      | port 1/7/3 is patched to a line that nobody knows           | QUEUED          |
    | crm-sync        | CRM-7305 | DATA     | CONTACT_MISSING               | build-contact  | no contact person, and the field wants one                  | ASSIGNED        |
    | field-partner   | FLD-2209 | FIELD    | NO_ACCESS                     | visit          | nobody opened the door at the second visit                  | WAITING_PARTNER |
    | billing-check   | BIL-9034 | BILLING  | CHARGE_WITHOUT_SERVICE        | first-invoice  | a subscription is charged and has no active service         | QUEUED          |
"""
PERSON = ("PHN-3301", "CUSTOMER_CALLED", "the customer called: the router came, nobody switched the line on")
OPENING = {"NW-5001": "QUEUED", "NW-5002": "IN_PROGRESS", "NW-5003": "CLOSED"}
REFS = ("NW-", "PHN-", *(ref.partition("-")[0] + "-" for _, ref, *_ in rows(
    REPORTS, "source", "order", "category", "code", "step", "message", "until"
)))  # fmt: skip


class Report(msgspec.Struct, frozen=True):
    """A failure as a system that watches reports it, and how far its case is brought."""

    source: str
    order: str
    category: str
    code: str
    step: str
    message: str
    until: str

    def body(self) -> View:
        """It as the API takes it."""
        return {
            "sourceSystem": self.source,
            "sourceEventId": f"{self.order}-1",
            "serviceOrderId": self.order,
            "failedStepKey": self.step,
            "categoryHint": self.category,
            "reasonCode": self.code,
            "message": self.message,
        }


ALL = tuple(Report(*row) for row in rows(REPORTS, "source", "order", "category", "code", "step", "message", "until"))


class Elsewhere:
    """Everybody who reports. The order manager forgets when it is restarted, and is told again who it is."""

    def __init__(self, url: str, manager_url: str, admin: Door, reporter: Door, helpdesk: Door) -> None:
        self._url, self._admin, self._reporter, self._helpdesk = url, admin, reporter, helpdesk
        self._manager = OtherManager(manager_url, 5)

    def open(self) -> None:
        """Register the order manager, give it a token, and have it report again what it had reported."""
        path = f"/api/v1/sources/{quote(MANAGER)}"
        if self._admin.get(path).status == 404:
            self._admin.put(path, {"title": "Northwind, an order manager of another make"}).must(201, "the source")
        for key in self._admin.get(path).must(200, "the source")["keys"]:
            if key["name"] == HOLDER and not key["revoked_at"]:
                self._admin.delete(f"{path}/keys/{key['id']}").must(204, "the old key")
        key = self._admin.post(f"{path}/keys", {"holder": HOLDER}).must(201, "its key")
        self._manager.has(MANAGER, self._url, key["token"], "")
        listed = self._admin.get(CASES, source=MANAGER, state="open", limit=100).must(200, "the case list")
        for case in listed["cases"]:
            self.falls_out(case["order_ref"], f"again-{key['id']}")

    def falls_out(self, ref: str, event: str = "1") -> str:
        """An order of the other manager falls out and is reported; the id of its case."""
        order = Order(ref, MANAGER, "L1", STEPS[int(ref.rpartition("-")[2]) % len(STEPS)])
        self._manager.falls_out(order)
        status, answer = self._manager.reports(order, f"{ref}-{event}")
        return str(answer["case"]) if status in (200, 201) else ""

    def fetch(self) -> None:
        """Let the order manager fetch what was decided about its orders; it goes on by itself."""
        self._manager.fetches(MANAGER)

    def report(self, report: Report) -> str:
        """A system that watches reports; the id of the case."""
        body: Any = self._reporter.post("/api/v1/fallout-events", report.body()).body
        return str(body["case"])

    def calls(self) -> str:
        """A person opens a case; its id."""
        order, code, seen = PERSON
        body: Any = self._helpdesk.post(CASES, {"order": order, "reason_code": code, "seen": seen}).body
        return str(body["case"])
