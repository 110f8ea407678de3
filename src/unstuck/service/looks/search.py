"""One box for everything that can be called by a name, or by what a system said when it failed (workbench: search).

Names are looked up, and so are open cases by what we call their failure; error texts are looked for in the newest cases,
as far as one walk goes. So a search costs the same however much there is, and says when it has not looked at everything.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec

from unstuck.fallout.classify import TRIAGE
from unstuck.kernel.actor import Actor
from unstuck.kernel.ids import as_id, as_number, rfc3339
from unstuck.kernel.refusal import Invalid
from unstuck.policy.grant import may
from unstuck.policy.pack import Pack
from unstuck.service.looks import lists
from unstuck.service.looks.lists import Shape
from unstuck.service.messages import found_openly, veiled
from unstuck.service.ports import Ports
from unstuck.store.listing import search as store
from unstuck.store.listing.case_list import NOT_RESOLVED, Wanted
from unstuck.store.listing.walk import WALKED
from unstuck.store.unit import Unit

LONGEST = 200
SHOWN = 20  # of each kind; who needs more has the lists
MEANT = 3  # letters from which on a part of a code or of its title is enough
AROUND = 70  # characters of a long text on either side of what was found
UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
Why = Literal[
    "number", "id", "external_id", "customer", "order", "call", "callback", "report", "correlation", "error", "code"
]
Kind = Literal["order", "case"]
PREFIX = {"order": "ORD-", "case": "FC-"}


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was found: what it is, why it is here, and the text that matched, cut around the match.

    Of `parts`, every second one is what was looked for.
    """

    kind: Kind
    name: str
    state: str
    why: Why
    parts: tuple[str, ...]
    at: Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})] | None


class Group(msgspec.Struct, frozen=True):
    """What was found of one kind; `more`: not all of it is shown."""

    name: Literal["orders", "cases", "messages"]
    hits: tuple[Hit, ...]
    more: bool


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a search. `looked_at` is how many of the newest cases were read when that was not all of them."""

    q: str
    groups: tuple[Group, ...]
    looked_at: int | None


async def find(ports: Ports, text: str, actor: Actor) -> Found:
    """Everything this actor may see that is called `text`, or failed with words like it."""
    wanted = asked(text)
    groups: list[Group] = []
    complete = True
    pack = ports.book.current
    orders, cases = (may(actor, permission, pack) for permission in ("order.read", "case.read"))
    async with ports.store.reading(ports.now()) as unit:
        if wanted and orders:
            groups.append(_group("orders", await _orders(unit, wanted)))
        if wanted and cases:
            hits, complete = await _cases(ports, unit, wanted, _titles(pack))
            groups.append(_group("cases", hits))
        if wanted:
            rows = await store.messages_called(unit, wanted, sorted(pack.document.targets), SHOWN + 1)
            groups.append(_group("messages", list(_messages(rows, wanted, orders, cases))))
    filled = tuple(group for group in groups if group.hits)
    return Found(q=wanted, groups=filled, looked_at=None if complete else WALKED)


async def straight_to(ports: Ports, text: str, actor: Actor) -> tuple[Kind, str] | None:
    """The one order or case that bears this number or id; None when it is no such name, or nobody bears it."""
    wanted = asked(text)
    order, case = as_number(wanted, "ORD-"), as_number(wanted, "FC-")
    if order is None and case is None and as_id(wanted) is None:
        return None
    async with ports.store.reading(ports.now()) as unit:
        row = await store.bearer(unit, order, case, wanted)
    if row is None or not may(actor, f"{row['kind']}.read", ports.book.current):
        return None
    return row["kind"], f"{PREFIX[row['kind']]}{row['number']}"


def asked(text: str) -> str:
    """What was typed, without blanks around it; Invalid when it can be no name and no error text."""
    wanted = text.strip()
    if len(wanted) > LONGEST:
        raise Invalid(f"a search is at most {LONGEST} characters", (("/q", f"{len(wanted)} characters are too many"),))
    if UNSEEN.search(wanted):
        raise Invalid("a search is printable text", (("/q", "has characters that cannot be seen"),))
    return wanted


def parts(text: str, wanted: str) -> tuple[str, ...]:
    """The text cut where it matches: every second part is what was looked for. Long texts are cut around the first."""
    first = re.search(re.escape(wanted), text, re.IGNORECASE)
    if first is None:
        return (_short(text, 2 * AROUND),)
    start, end = max(0, first.start() - AROUND), first.end() + AROUND
    shown = ("…" if start else "") + text[start:end] + ("…" if end < len(text) else "")
    return tuple(re.split(f"({re.escape(wanted)})", shown, flags=re.IGNORECASE))


async def _orders(unit: Unit, wanted: str) -> list[Hit]:
    number = _digits(wanted) if as_number(wanted, "ORD-") is None else as_number(wanted, "ORD-")
    return [_order(row, wanted, number) for row in await store.orders_called(unit, wanted, number, SHOWN + 1)]


def _order(row: Any, wanted: str, number: int | None) -> Hit:
    name = f"ORD-{row['number']}"
    why, text = _why(
        wanted,
        ("number", name if row["number"] == number else ""),
        ("id", str(row["id"])),
        ("external_id", row["external_id"]),
        ("customer", row["customer"]),
    )
    at = rfc3339(row["received_at"])
    return Hit(kind="order", name=name, state=row["state"], why=why, parts=parts(text, wanted), at=at)


async def _cases(ports: Ports, unit: Unit, wanted: str, titles: Mapping[str, str]) -> tuple[list[Hit], bool]:
    newest = Shape("-detected_at", limit=SHOWN + 1)
    numbered = await store.case_numbered(unit, number) if (number := _digits(wanted)) is not None else ()
    rows, told = await lists.case_rows(unit, Wanted(text=wanted), newest)
    coded, _ = await lists.case_rows(unit, Wanted({"code": _codes(wanted, titles)}, NOT_RESOLVED), newest)
    rows = await found_openly(unit, ports, rows, wanted)
    found = sorted((*rows, *coded), key=lambda row: (row["detected_at"], row["id"]), reverse=True)
    once = {row["id"]: row for row in (*numbered, *found)}
    shown = await veiled(unit, ports, list(once.values()))
    return [_case(row, wanted, number, titles) for row in shown], bool(told["complete"])


def _titles(pack: Pack) -> dict[str, str]:
    """What our codes are called; the first title of a code counts, as on the page of a case."""
    return {row.code: row.title for row in (TRIAGE, *reversed(pack.fallout.mappings))}


def _codes(wanted: str, titles: Mapping[str, str]) -> tuple[str, ...]:
    """The codes that may be meant: that very one, which an older pack may have given, and those called like that."""
    near = wanted.lower()
    called = [code for code, title in titles.items() if near in code.lower() or near in title.lower()]
    return tuple(sorted({wanted, wanted.upper(), *(called if len(wanted) >= MEANT else ())}))


def _case(row: Any, wanted: str, number: int | None, titles: Mapping[str, str]) -> Hit:
    name = f"FC-{row['number']}"
    why, text = _why(
        wanted,
        ("number", name if row["number"] == number or name == wanted.upper() else ""),
        ("id", str(row["id"])),
        ("order", row["order_ref"]),
        ("customer", row["customer"]),
        ("error", row["raw_code"]),
        ("error", row["raw_message"]),
        ("code", row["code"]),
        ("code", titles.get(row["code"], "")),
    )
    at = rfc3339(row["detected_at"])
    return Hit(kind="case", name=name, state=row["state"], why=why, parts=parts(text, wanted), at=at)


def _why(wanted: str, *fields: tuple[Why, str]) -> tuple[Why, str]:
    """The first field that is what was looked for, else the first that holds it; of a case of a named order, the order."""
    near = wanted.lower()
    exact = next((field for field in fields if field[1].lower() == near), None)
    held = next((field for field in fields if field[1] and near in field[1].lower()), None)
    return exact or held or ("order", wanted)


def _messages(rows: Sequence[Any], wanted: str, orders: bool, cases: bool) -> Iterator[Hit]:
    for row in rows:
        at = rfc3339(row["at"]) if row["at"] else None
        if row["order_number"] is not None and orders:
            name, state = f"ORD-{row['order_number']}", row["order_state"]
            yield Hit(kind="order", name=name, state=state, why=row["kind"], parts=parts(wanted, wanted), at=at)
        elif row["case_number"] is not None and cases:
            name, state = f"FC-{row['case_number']}", row["case_state"]
            yield Hit(kind="case", name=name, state=state, why=row["kind"], parts=parts(wanted, wanted), at=at)


def _group(name: Literal["orders", "cases", "messages"], hits: Sequence[Hit]) -> Group:
    return Group(name, tuple(hits[:SHOWN]), len(hits) > SHOWN)


def _digits(wanted: str) -> int | None:
    """A bare number, as people say it on the telephone."""
    return int(wanted) if wanted.isascii() and wanted.isdecimal() and len(wanted) < 19 else None


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}…"
