"""The address of the list of orders, read: what is wanted of it. What cannot be read is told and left out."""

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlencode

import msgspec

from unstuck.service.looks.lists import Shape
from unstuck.store.listing.order_list import WantedOrders
from unstuck.web.api.listing import OrderQuery, order_filters
from unstuck.web.faults import faults
from unstuck.web.pages.texts import text
from unstuck.web.pages.triage.queue_query import Complaint

PATH = "/orders"
FILTERS = ("q", "state", "customer", "source", "external_id", "received_after", "received_before")
SHOWS = (*FILTERS, "sort")
IGNORED = ("done",)
PAGE = 100


class AskedOrders(msgspec.Struct, frozen=True):
    """What is asked for; `given` is what of the address could be read."""

    wanted: WantedOrders
    shape: Shape
    given: dict[str, str]
    complaints: tuple[Complaint, ...]

    @property
    def filtered(self) -> bool:
        """Whether anything is left out of the list on purpose."""
        return any(name in self.given for name in FILTERS)

    def address(self, **changes: str) -> str:
        """The same list with something else in its address; empty takes it out. Begins at the first page."""
        asked = {name: self.given[name] for name in SHOWS if name in self.given} | changes
        said = urlencode({name: value for name, value in asked.items() if value})
        return f"{PATH}?{said}" if said else PATH


def read(pairs: Iterable[tuple[str, str]]) -> AskedOrders:
    """The query of an address; empty values are none."""
    given: dict[str, str] = {}
    complaints: list[Complaint] = []
    for name, words in pairs:
        value = _value(name, words.strip())
        if not value or name in IGNORED:
            continue
        if because := _fault(name, value, given):
            complaints.append(Complaint(name[:80], words[:200], because))
        else:
            given[name] = value
    query = msgspec.convert(given, OrderQuery, strict=False)
    shape = Shape(query.sort, query.after or "", PAGE)
    return AskedOrders(order_filters(query), shape, given, tuple(complaints))


def _fault(name: str, value: str, given: dict[str, str]) -> str:
    if name in given:
        return text("queue.twice")
    found: Any = next(faults({name: value}, OrderQuery), None)
    return found[1] if found else ""


def _value(name: str, words: str) -> str:
    if name == "state":
        return words.upper()
    if name in ("received_after", "received_before") and len(words) == len("2026-11-03"):
        return f"{words}T00:00:00Z"
    return words
