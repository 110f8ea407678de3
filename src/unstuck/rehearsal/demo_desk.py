"""The colleagues of the demo: they take, repair and close cases through the API, and leave yours alone."""

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

import msgspec

from unstuck.rehearsal.demo_cast import SHOP, TRIES
from unstuck.rehearsal.demo_elsewhere import REFS
from unstuck.rehearsal.demo_step import Step, next_step
from unstuck.rehearsal.door import Door
from unstuck.rehearsal.sheet import Missed
from unstuck.rehearsal.stage import CASES, Desk, View

ORDERS = "/api/v1/orders"
MANAGER_OF_ALL = "demo-salma"  # who may move whole orders
LEFT_FOR_YOU = 15  # cases that stay in the queue for whoever looks
HANDS = 3  # cases that one colleague has at a time
MOVES = 16  # more than any case needs from the queue to the end
OVER = "RESOLVED_RESUME,RESOLVED_CANCEL,RESOLVED_NONE"
TAKEN = (200, 201)
SHORT, LONG = (4.0, 12.0), (40.0, 120.0)  # seconds between two looks at the same case


class Row(msgspec.Struct, frozen=True):
    """What the colleagues know of a case before they open it."""

    id: str
    state: str
    owner: str
    code: str
    order_id: str
    order_ref: str


class Colleagues:
    """All of them; `doors` are their accounts. A case that was moved, or could not be, is left alone for a while."""

    def __init__(self, doors: Mapping[str, Door], random: Random, clock: Callable[[], float]) -> None:
        self._doors, self._random, self._clock = doors, random, clock
        self._look = doors[MANAGER_OF_ALL]
        self._ours: dict[str, bool] = {}
        self._rests: dict[str, float] = {}

    def open_count(self) -> int:
        """How many cases are open, whosever they are."""
        return int(self._look.get(CASES, state="open", limit=1, count="true").must(200, "the count")["count"])

    def bring(self, case_id: str, until: str, name: str) -> None:
        """Work on a case of the beginning until it is in that state; on one that is nobody's or a colleague's."""
        wait = until.removeprefix("WAITING_") if until.startswith("WAITING_") else ""
        for _ in range(MOVES):
            case = self._view(case_id)
            if case["state"] == until or case["owner"] not in ("", *self._doors):
                return
            step = next_step(case, wait)
            self._rest(case_id, LONG)
            if step is None or not self._do(case["owner"] or name, case, step):
                return

    def move(self) -> bool:
        """One of them does one thing, at most; whether there was anything to do."""
        now = self._clock()
        self._rests = {case: until for case, until in self._rests.items() if until > now}
        rows = [row for row in self._own() if row.id not in self._rests]
        if not rows:
            return False
        row = self._random.choice(rows)
        case = self._view(row.id)
        if case["owner"] not in self._doors:
            return False
        waited = any(entry["type"].endswith(".waiting") for entry in case["timeline"])
        wait = "" if waited or self._random.random() > 0.2 else self._random.choice(("CUSTOMER", "PARTNER", "FIELD"))
        step = next_step(case, wait)
        done = step is not None and self._do(case["owner"], case, step)
        self._rest(row.id, SHORT if done and not wait else LONG)
        return True

    def take(self) -> bool:
        """One of them who has a hand free takes a case of the demo's own from the queue; whether there was one."""
        busy = [row.owner for row in self._own() if not row.state.startswith("RESOLVED")]
        free = [name for name in self._doors if busy.count(name) < HANDS]
        waiting = self._list(state="QUEUED", sort="detected_at")
        self._random.shuffle(waiting)
        row = next(filter(self._is_ours, waiting), None) if len(waiting) > LEFT_FOR_YOU else None
        if not free or row is None:
            return False
        name = MANAGER_OF_ALL if row.code == "FAILED_BY_HAND" else self._random.choice(free)
        case = self._view(row.id)
        return case["state"] == "QUEUED" and not case["owner"] and self._do(name, case, Step("assign", {"to": "me"}))

    def fail_by_hand(self, order_id: str, reason: str) -> None:
        """Declare an order failed, while it can be."""
        self._order_command(order_id, "fail", reason)

    def _rest(self, case_id: str, span_s: tuple[float, float]) -> None:
        self._rests[case_id] = self._clock() + self._random.uniform(*span_s)

    def _own(self) -> list[Row]:
        owners = ",".join(self._doors)
        return self._list(state="open", owner=owners) + self._list(state=OVER, owner=owners, sort="-touched_at")

    def _list(self, **query: Any) -> list[Row]:
        fields = ",".join(Row.__struct_fields__)
        answer = self._look.get(CASES, limit=100, fields=fields, **query).must(200, "the case list")
        rows = [{**case, "order_id": case["order_id"] or ""} for case in answer["cases"]]
        return msgspec.convert(rows, list[Row])

    def _is_ours(self, row: Row) -> bool:
        """Whether it came from the demo and is none to try: what somebody else orders is theirs to repair."""
        if row.owner:
            return False
        if not row.order_id:
            return row.order_ref.startswith(REFS)
        if row.order_id not in self._ours:
            order = self._look.get(f"{ORDERS}/{row.order_id}").must(200, "the order")
            self._ours[row.order_id] = order["source"] == SHOP and order["external_id"] not in TRIES.values()
        return self._ours[row.order_id]

    def _view(self, case_id: str) -> View:
        return Desk(self._look, case_id).view()

    def _do(self, name: str, case: View, step: Step) -> bool:
        """Send a command as somebody; whether it was taken. A refusal is no accident: somebody was faster."""
        if step.command == "evidence" and case["reason"] == "failed_by_hand":
            self._order_command(case["order_id"], "resolve-failure", "the visit is confirmed after all")
        answer = Desk(self._doors[name], case["id"]).send(step.command, step.body, case["version"])
        if answer.status >= 500 or answer.status in (401, 429):
            raise Missed(f"{step.command} was answered {answer.status} {answer.why()}")
        return answer.status in TAKEN

    def _order_command(self, order_id: str, command: str, reason: str) -> None:
        order = self._look.get(f"{ORDERS}/{order_id}").must(200, "the order")
        self._look.post(f"{ORDERS}/{order_id}/{command}", {"reason": reason}, order["version"])
