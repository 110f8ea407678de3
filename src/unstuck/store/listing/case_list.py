"""Which index a list of cases is read along. The indexes are those of migrations 0004, 0010 and 0013.

A filter with an index of its own is walked in the order of that index; when few cases are behind it, all of them are
read and may be sorted in any way. Of several such filters the one with the fewest cases is taken. What has no index
(system, reason, item, other domains than those of revenue, text) is looked for on the way: either it is in many cases
and found soon, or the walk ends before its end and says so.
"""

from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from uuid import UUID

import msgspec

from unstuck.fallout.lifecycle import CASE_IS_RESOLVED, CaseState
from unstuck.kernel.ids import as_id, as_number
from unstuck.store.listing.walk import WALKED, Clause, Sort, Walk, sizes
from unstuck.store.statements import sql
from unstuck.store.unit import Unit

RESOLVED = tuple(state.value for state in CaseState if state in CASE_IS_RESOLVED)
NOT_RESOLVED = tuple(state.value for state in CaseState if state not in CASE_IS_RESOLVED)
SELDOM = (
    "DETECTED", "CLASSIFIED", "WAITING_CUSTOMER", "WAITING_PARTNER", "WAITING_VENDOR", "WAITING_FIELD",
    "WAITING_INCIDENT", "CORRECTION_PROPOSED", "APPROVAL_REQUIRED", "CORRECTION_APPLIED", "VERIFYING",
)  # fmt: skip
# Word for word the conditions of the partial indexes: the planner uses one only when it can prove its condition.
OPEN = Clause(f"state NOT IN ({', '.join(map(repr, RESOLVED))})")
CLOSED = Clause(f"state IN ({', '.join(map(repr, RESOLVED))})")
SELDOM_MET = Clause(f"state IN ({', '.join(map(repr, SELDOM))})")
DETECTED = ("detected_at", "id")
UNOWNED = ("DETECTED", "CLASSIFIED", "QUEUED")
IS_UNOWNED = Clause(f"state IN ({', '.join(map(repr, UNOWNED))})")
REVENUE = ("billing", "pricing")
OF_REVENUE = Clause(f"domain IN ({', '.join(map(repr, REVENUE))})")
# True of every case: what opens an index to the walk in its order, and to no other statement.
KEYS = {
    DETECTED: Clause("number <> -1"),
    ("touched_at", "id"): Clause("number <> -2"),
    ("number",): Clause("number <> -3"),
}
SORTS = {"detected_at": DETECTED, "touched_at": ("touched_at", "id"), "number": ("number",)}
OF_OPEN_CASES = ("owner", "code", "queue")
SEARCHED = ("raw_message", "raw_code", "code")
UNKNOWN_OUTCOME = "unknown_outcome"
IS_UNKNOWN = Clause(f"recoverability = '{UNKNOWN_OUTCOME}'")  # a literal: only so does the planner take the index
# The offer of the ordered item, as the plan has it in its canonical bytes: ["1","fiber-internet"].
OF_PRODUCT = """EXISTS (SELECT FROM orders o JOIN plan p ON p.id = o.plan, unnest({}::text[]) AS product(name)
    WHERE o.id = order_id AND position(
        convert_to('[' || to_json(item) || ',' || to_json(product.name) || ']', 'UTF8') IN p.body) > 0)"""
COLUMNS = """id, number, state, version, order_id, item, step, reason, system, operation, raw_code, raw_message,
    detected_at, touched_at, code, domain, recoverability, queue, owner, repeats, resolution, resolved_by, resolved_at,
    source, order_ref, order_version, customer, correlation_id, category_hint, severity_hint"""
Arms = tuple[tuple[Clause, ...], ...]


class Wanted(msgspec.Struct, frozen=True):
    """What a list of cases is asked for. `equals`: columns (and `product`), and the values of which each must have one.

    `orders`: about one of these; `since` and `before` bound the time of detection, the end excluded.
    """

    equals: dict[str, tuple[str, ...]] = {}
    states: tuple[str, ...] = ()
    orders: tuple[UUID, ...] | None = None
    since: datetime | None = None
    before: datetime | None = None
    text: str = ""

    @property
    def open(self) -> bool:
        """Whether open cases are asked for."""
        return not self.states or not set(self.states).isdisjoint(NOT_RESOLVED)

    @property
    def closed(self) -> bool:
        """Whether cases that are over are asked for."""
        return not self.states or not set(self.states).isdisjoint(RESOLVED)

    @property
    def whole(self) -> tuple[str, ...]:
        """`states`, when they are all the open ones, all the others, or both: then the arms say it."""
        asked = set(self.states)
        sides = (set(NOT_RESOLVED), set(RESOLVED))
        return ("states",) if all(side <= asked or side.isdisjoint(asked) for side in sides) else ()


async def walk_for(unit: Unit, wanted: Wanted, sort: Sort) -> Walk:
    """The walk that finds what is wanted in the order `sort`."""
    named = await _named(unit, wanted.text) if wanted.text else []
    keep = _conditions(wanted, searched=bool(wanted.text and not named))
    along = Sort(DETECTED, sort.descending)
    few = named or await _of_rare_sources(unit, wanted)
    if few is not None:
        arm = (Clause("id = ANY({}::uuid[])", (few[:WALKED],)),)
        return _walk(wanted, (arm,), along, keep, whole=True, partial=len(few) > WALKED)
    walks = [_walk(wanted, arms, along, keep, implied) async for implied, arms in driven(unit, wanted)]
    if walks and (len(walks) > 1 or sort != along):
        held = await sizes(unit, walks)
        if min(held) <= WALKED:
            return msgspec.structs.replace(walks[held.index(min(held))], whole=True)
    if walks and sort == along:
        return walks[0]
    return _walk(wanted, _everything(wanted, sort), sort, keep, _met_by_everything(wanted, sort))


async def conditions(unit: Unit, wanted: Wanted) -> tuple[Clause, ...]:
    """What is wanted, as conditions on rows that one has already: to ask whether they match, never to find them."""
    named = await _named(unit, wanted.text) if wanted.text else []
    keep = _conditions(wanted, searched=bool(wanted.text and not named))
    if named:
        keep["text"] = Clause("id = ANY({}::uuid[])", (named,))
    return (*keep.values(), *_period(wanted))


async def _of_rare_sources(unit: Unit, wanted: Wanted) -> list[UUID] | None:
    """The cases of sources that seldom report, which need no index: None when no such source is asked for."""
    sources = list(wanted.equals.get("source", ()))
    if not sources or "" in sources or await unit.conn.fetchval(sql("count_reports"), sources, WALKED + 1) > WALKED:
        return None
    return [row["case_id"] for row in await unit.conn.fetch(sql("cases_of_sources"), sources, WALKED)]


async def _named(unit: Unit, text: str) -> list[UUID]:
    """The cases that people mean by a name."""
    numbers = (as_number(text, "FC-"), as_id(text), as_number(text, "ORD-"))
    return [row["id"] for row in await unit.conn.fetch(sql("cases_named"), text, *numbers, WALKED + 1)]


async def driven(unit: Unit, wanted: Wanted) -> AsyncIterator[tuple[tuple[str, ...], Arms]]:
    """Filters with an index of their own: the arms that walk it, and the filters that are met by that."""
    if wanted.orders is not None:
        yield ("orders",), ((_conditions(wanted, searched=False)["orders"],),)
    if customers := list(wanted.equals.get("customer", ())):
        arms = await _of_customers(unit, customers)
        if arms:
            yield ("customer",), arms
    if wanted.closed:
        return
    for column in OF_OPEN_CASES:
        if column in wanted.equals:
            yield (column, *wanted.whole), tuple(_of(column, value) for value in wanted.equals[column])
    if wanted.equals.get("recoverability") == (UNKNOWN_OUTCOME,):
        yield ("recoverability", *wanted.whole), ((OPEN, IS_UNKNOWN),)
    if set(wanted.equals.get("domain", ())) == set(REVENUE):
        yield ("domain", *wanted.whole), ((OPEN, OF_REVENUE),)
    if set(wanted.states) == set(UNOWNED):
        yield ("states",), ((IS_UNOWNED,),)
    if set(wanted.states) <= set(SELDOM):
        yield ("states",), tuple((SELDOM_MET, Clause("state = {}", (state,))) for state in wanted.states)


async def _of_customers(unit: Unit, customers: list[str]) -> Arms:
    """Cases that name the customer, and those of the customer's orders; nothing for customers of too many orders."""
    orders = await unit.conn.fetch(sql("orders_of_customers"), customers, WALKED + 1)
    if len(orders) > WALKED:
        return ()
    named = tuple((Clause("customer = {}", (name,)), Clause("customer <> ''")) for name in customers)
    ids = [row["id"] for row in orders]
    own = Clause("order_id = ANY({}::uuid[]) AND customer <> ALL({}::text[])", (ids, customers))
    return (*named, (own,)) if ids else named


def _of(column: str, value: str) -> tuple[Clause, ...]:
    return OPEN, Clause(f"{column} = {{}}", (value,)), Clause(f"{column} <> ''")


def _everything(wanted: Wanted, sort: Sort) -> Arms:
    """All open cases, all that are over, or both; of the open ones only those of a filter with an index."""
    if sort.columns == SORTS["number"] and wanted.closed:
        return ((),)
    key = KEYS[sort.columns]
    column = next((c for c in OF_OPEN_CASES if c in wanted.equals), None) if sort.columns == DETECTED else None
    opened = [_of(column, value) for value in wanted.equals[column]] if column else [(OPEN, key)]
    return (*(opened if wanted.open else ()), *(((CLOSED, key),) if wanted.closed else ()))


def _met_by_everything(wanted: Wanted, sort: Sort) -> tuple[str, ...]:
    """By number, cases that are over have no index of their own: only all cases, or the open ones."""
    return wanted.whole if sort.columns != SORTS["number"] or not (wanted.states and wanted.closed) else ()


def _walk(
    wanted: Wanted, arms: Arms, along: Sort, keep: dict[str, Clause], implied: tuple[str, ...] = (), **how: bool
) -> Walk:  # fmt: skip
    """The arms with the period, which the order of detection serves, and what is left to be kept."""
    period = tuple(_period(wanted))
    by_time = along.columns == DETECTED
    kept = tuple(clause for name, clause in keep.items() if name not in implied)
    arms = tuple((*arm, *period) for arm in arms) if by_time else arms
    return Walk("fallout_case", COLUMNS, arms, along, kept if by_time else (*kept, *period), **how)


def _period(wanted: Wanted) -> Iterator[Clause]:
    if wanted.since:
        yield Clause("detected_at >= {}", (wanted.since,))
    if wanted.before:
        yield Clause("detected_at < {}", (wanted.before,))


def _conditions(wanted: Wanted, *, searched: bool) -> dict[str, Clause]:
    """Every filter as a condition, by its name."""
    out = {name: Clause(f"{name} = ANY({{}}::text[])", (list(values),)) for name, values in wanted.equals.items()}
    if "customer" in out:
        own = "EXISTS (SELECT FROM orders o WHERE o.id = order_id AND o.customer = ANY({}::text[]))"
        out["customer"] = Clause(f"({out['customer'].text} OR {own})", out["customer"].values * 2)
    if "product" in out:
        out["product"] = Clause(OF_PRODUCT, out["product"].values)
    if wanted.orders is not None:
        out["orders"] = Clause("order_id = ANY({}::uuid[])", (list(wanted.orders),))
    if wanted.states:
        out["states"] = Clause("state = ANY({}::text[])", (list(wanted.states),))
    if searched:
        found = " OR ".join(f"strpos(lower({column}), lower({{}})) > 0" for column in SEARCHED)
        out["text"] = Clause(f"({found})", (wanted.text,) * len(SEARCHED))
    return out
