"""Lists of cases and orders: pages by keyset, filtered, counted up to a limit, honest about what was not looked at."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from unstuck.kernel.canonical import digest
from unstuck.kernel.ids import rfc3339
from unstuck.kernel.refusal import Invalid
from unstuck.service.looks.shown import CasePage, OrderPage
from unstuck.service.looks.views import case_shown, order_shown
from unstuck.service.messages import found_openly, veiled
from unstuck.service.ports import Ports
from unstuck.store.listing import case_list, look, order_list
from unstuck.store.listing.walk import Key, Page, Sort, Walk, count, page
from unstuck.store.unit import Unit

COUNTED = 1000
KEYS = {"id": UUID, "number": int, "detected_at": datetime, "touched_at": datetime, "received_at": datetime}


class Shape(msgspec.Struct, frozen=True):
    """How a list is to be shown: `sort` is a name with `-` before it for the last first, `after` a cursor or empty."""

    sort: str
    after: str = ""
    limit: int = 50
    fields: tuple[str, ...] = ()
    counted: bool = False


async def cases(ports: Ports, wanted: case_list.Wanted, shape: Shape) -> CasePage:
    """A page of cases, with the sources that are silent: without them an empty list would look like good health."""
    async with ports.store.reading(ports.now()) as unit:
        rows, told = await case_rows(unit, wanted, shape)
        open_ones = await found_openly(unit, ports, rows, wanted.text)
        if shape.counted:
            told["count"] -= len(rows) - len(open_ones)
        shown = await veiled(unit, ports, open_ones)
        silent = await look.silent_sources(unit)
    return CasePage(cases=_rows(map(case_shown, shown), shape), silent_sources=silent, **told)


async def case_rows(unit: Unit, wanted: case_list.Wanted, shape: Shape) -> tuple[Sequence[Any], dict[str, Any]]:
    """The rows of a page of cases, and what is said of it beside them (the fields of `Extent`)."""
    sort, after = _place(wanted, shape, case_list.SORTS)
    walk = await case_list.walk_for(unit, wanted, sort)
    found = await page(unit, walk, sort, after, shape.limit)
    return found.rows, await _told(unit, wanted, walk, found, sort, shape)


def turned(shape: Shape, after: str = "") -> Shape:
    """The same list from its other end."""
    name = shape.sort.removeprefix("-")
    return msgspec.structs.replace(shape, sort=name if name != shape.sort else f"-{name}", after=after)


def cursor_at(wanted: case_list.Wanted, shape: Shape, row: Any) -> str:
    """The cursor of the page that begins behind this row."""
    columns = case_list.SORTS[shape.sort.removeprefix("-")]
    return _cursor(wanted, shape, tuple(row[column] for column in columns))


async def orders(ports: Ports, wanted: order_list.WantedOrders, shape: Shape) -> OrderPage:
    """A page of orders."""
    sort, after = _place(wanted, shape, order_list.SORTS)
    async with ports.store.reading(ports.now()) as unit:
        walk = await order_list.walk_for(unit, wanted, sort)
        found = await page(unit, walk, sort, after, shape.limit)
        told = await _told(unit, wanted, walk, found, sort, shape)
    return OrderPage(orders=_rows(map(order_shown, found.rows), shape), **told)


async def _told(unit: Unit, wanted: Any, walk: Walk, found: Page, sort: Sort, shape: Shape) -> dict[str, Any]:
    """What is said of a page beside its rows."""
    last = found.cut or (tuple(found.rows[-1][column] for column in sort.columns) if found.more else None)
    told: dict[str, Any] = {
        "next": _cursor(wanted, shape, last) if last else None,
        "more": found.more,
        "complete": found.cut is None and not walk.partial,
    }
    if shape.counted:
        told["count"], told["more_than"] = await _count(unit, walk, found, shape)
    return told


async def _count(unit: Unit, walk: Walk, found: Page, shape: Shape) -> tuple[int, bool]:
    """A first page that is not full has counted what its walk met."""
    if not shape.after and (found.cut or not found.more):
        return len(found.rows), found.cut is not None
    return await count(unit, walk, COUNTED)


def _rows(rows: Any, shape: Shape) -> list[Any]:
    if not shape.fields:
        return list(rows)
    names = dict.fromkeys(("id", *shape.fields))
    return [{name: getattr(row, name) for name in names} for row in rows]


def _place(wanted: Any, shape: Shape, sorts: dict[str, tuple[str, ...]]) -> tuple[Sort, Key | None]:
    sort = Sort(sorts[shape.sort.removeprefix("-")], shape.sort.startswith("-"))
    return sort, _key(wanted, shape, sort) if shape.after else None


def _cursor(wanted: Any, shape: Shape, key: Key) -> str:
    """Where the next page begins, bound to the filters and the order it was made for."""
    values = [rfc3339(value) if isinstance(value, datetime) else value for value in key]
    return urlsafe_b64encode(msgspec.json.encode([_bound(wanted, shape), *values])).decode().rstrip("=")


def _key(wanted: Any, shape: Shape, sort: Sort) -> Key:
    try:
        given = urlsafe_b64decode(shape.after + "=" * (-len(shape.after) % 4))
        bound, *values = msgspec.json.decode(given, type=list[Any])
        kinds = [KEYS[column] for column in sort.columns]
        key: Key = tuple(msgspec.convert(value, kind) for value, kind in zip(values, kinds, strict=True))
    except (ValueError, TypeError) as error:
        raise _no_cursor("no cursor of ours") from error
    if bound != _bound(wanted, shape):
        raise _no_cursor("of another list: keep filters and sort as they were, or start without it")
    return key


def _no_cursor(because: str) -> Invalid:
    return Invalid("take `after` from `next` of the page before", (("/after", because),))


def _bound(wanted: Any, shape: Shape) -> str:
    return digest(msgspec.json.encode([shape.sort, type(wanted).__name__, wanted], order="sorted"))[:16]
