"""The address of the triage queue, read: what is wanted of it. What cannot be read is told and left out."""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlencode

import msgspec

from unstuck.kernel.actor import Actor
from unstuck.service.looks.queue_page import Place
from unstuck.service.looks.queue_views import OPEN, VIEWS, WIDE, Filter, View, default_for, filtered, narrowed
from unstuck.web.api.listing import CaseStates, Cursor, Text, Values
from unstuck.web.faults import faults
from unstuck.web.pages.texts import text

SORTS = ("detected_at", "-detected_at", "touched_at", "-touched_at", "number", "-number")
FILTERS = (
    "state", "queue", "owner", "code", "system", "operation", "domain", "reason", "recoverability", "source", "customer",
    "item", "product", "since", "until", "q",
)  # fmt: skip
EQUAL = FILTERS[:-3]
SHOWS = ("view", *FILTERS, "group", "sort", "columns")  # what of an address says what is shown; the rest says where
IGNORED = ("done", "on", "from")
GROUPS = ("code", "boundary", "product", "queue")
UNGROUPED = "none"
Moment = Annotated[
    datetime, msgspec.Meta(tz=True, description="a day like 2026-11-03, or a time like 2026-11-03T08:15:00Z")
]


def _one_of(known: Iterable[str]) -> msgspec.Meta:
    return msgspec.Meta(pattern=f"^({'|'.join(known)})$(?!\n)", description=f"one of {', '.join(known)}")


ViewName = Annotated[str, _one_of(VIEWS)]
SortName = Annotated[str, _one_of(SORTS)]
GroupName = Annotated[str, _one_of((*GROUPS, UNGROUPED))]
ColumnsName = Annotated[str, _one_of(("wide",))]


class QueueQuery(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Everything the queue may be asked for."""

    view: ViewName | None = None
    state: CaseStates | None = None
    queue: Values | None = None
    owner: Values | None = None
    code: Values | None = None
    system: Values | None = None
    operation: Values | None = None
    domain: Values | None = None
    reason: Values | None = None
    recoverability: Values | None = None
    source: Values | None = None
    customer: Values | None = None
    item: Values | None = None
    product: Values | None = None
    since: Moment | None = None
    until: Moment | None = None
    q: Text | None = None
    group: GroupName | None = None
    sort: SortName | None = None
    columns: ColumnsName | None = None
    after: Cursor | None = None
    before: Cursor | None = None


class Complaint(msgspec.Struct, frozen=True):
    """A part of the address that was left out: its name, what it said, and what would be right."""

    name: str
    given: str
    because: str


class Asked(msgspec.Struct, frozen=True):
    """What is asked for, by whom. `wanted` is None when the view and the filters have nothing in common."""

    view: View
    wanted: Filter | None
    place: Place
    given: dict[str, str]
    wide: bool
    complaints: tuple[Complaint, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return WIDE if self.wide else self.view.columns

    @property
    def ungrouped(self) -> str:
        """What an address says of the group to show rows: nothing where the view shows them anyway."""
        return UNGROUPED if self.view.group else ""

    @property
    def filters(self) -> dict[str, str]:
        """The filters beside the view, as they were given."""
        return {name: self.given[name] for name in FILTERS if name in self.given}

    def address(self, path: str = "/queue", **changes: str) -> str:
        """The address of the same list with something else in it; empty takes it out. Begins at its first page."""
        asked = {name: self.given[name] for name in SHOWS if name in self.given} | changes
        said = urlencode({name: value for name, value in asked.items() if value})
        return f"{path}?{said}" if said else path


def read(pairs: Iterable[tuple[str, str]], who: Actor) -> Asked:
    """The query of an address; empty values are none."""
    given: dict[str, Any] = {}
    said: dict[str, str] = {}
    complaints: list[Complaint] = []
    for name, words in pairs:
        if not words.strip() or name in IGNORED:
            continue
        value = _value(name, words.strip())
        if because := _fault(name, value, given):
            complaints.append(Complaint(name[:80], words[:200], because))
        else:
            given[name], said[name] = value, words
    query = msgspec.convert(given, QueueQuery)
    view = VIEWS[query.view] if query.view else default_for(who)
    sort = query.sort or view.sort
    equal = {name: words.split(",") for name in EQUAL if (words := getattr(query, name))}
    wanted = filtered(equal, who, query.since, query.until, query.q or "")
    place = Place(sort, query.after or "", "" if query.after else query.before or "", _group(query, view))
    return Asked(view, narrowed(view, wanted, who), place, said, query.columns == "wide", tuple(complaints))


def _group(query: QueueQuery, view: View) -> str:
    group = query.group or view.group
    return "" if group == UNGROUPED or query.after or query.before else group


def _fault(name: str, value: Any, given: dict[str, Any]) -> str:
    """Why this part cannot be taken, in words; empty when it can."""
    if name not in QueueQuery.__struct_fields__:
        return text("queue.no_filter", known=", ".join(QueueQuery.__struct_fields__))
    if name in given:
        return text("queue.twice")
    found = next(faults({name: value}, QueueQuery), None)
    return text("queue.takes", because=found[1]) if found else ""


def _value(name: str, words: str) -> Any:
    if name == "state":
        return ",".join(part if part == OPEN else part.upper() for part in words.split(","))
    if name in ("since", "until") and len(words) == len("2026-11-03"):
        return f"{words}T00:00:00Z"
    return words
