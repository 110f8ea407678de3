"""What the triage queue reads beside its list: the rows to show, the numbers on its chips, groups, signs of life."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from unstuck.store.listing.case_list import DETECTED, NOT_RESOLVED, Wanted, walk_for
from unstuck.store.listing.look import Rows
from unstuck.store.listing.walk import Clause, Sort, Statement, Walk, counts_statement, groups_statement
from unstuck.store.statements import sql
from unstuck.store.unit import Unit

SHOWN = """id, number, version, state, order_id, item, step, reason, system, operation, raw_code, error, detected_at,
    touched_at, pack, code, domain, recoverability, queue, owner, repeats, resolution, resolved_by, resolved_at, source,
    order_ref, customer, correlation_id, severity_hint, category_hint, seq, task, attempt, raw_sha256, dedup_key,
    order_version, correction, unredeemed, order_number, external_id, order_customer, received_at, promised_at,
    order_state, plan, task_state, attempts, running, last_type, last_by, proven, marked"""
NEWEST = Sort(DETECTED, descending=True)
GROUPS = {
    "code": ("walked.code",),
    "boundary": ("walked.system", "walked.operation"),
    "queue": ("walked.queue",),
    "product": ("o.plan", "walked.item"),
}
WITH_ORDER = "LEFT JOIN orders o ON o.id = walked.order_id"


class Counted(msgspec.Struct, frozen=True):
    """How many there are; with `more` it is the least there are."""

    many: int
    more: bool = False


class Pulse(msgspec.Struct, frozen=True):
    """Signs of life. `leaves`: how many events are sealed; `silent`: sources overdue, and when each was last heard."""

    leaves: int
    last_event: datetime | None
    heard: int
    last_heard: datetime | None
    silent: tuple[tuple[str, datetime | None], ...]


async def rows(unit: Unit, ids: Sequence[UUID], fitting: Sequence[Clause] = ()) -> Rows:
    """These cases as the queue shows them, in no order; `fits` says whether one meets all of `fitting`."""
    statement = Statement(list(ids))
    text = f"SELECT {SHOWN}, ({statement.says(fitting)}) AS fits FROM ({sql('queue_rows')}) AS seen"
    found: Rows = await unit.conn.fetch(text, *statement.values)
    return found


async def numbered(unit: Unit, numbers: Sequence[int]) -> Rows:
    """The id and the order of the cases with these numbers."""
    query = "SELECT id, order_id FROM fallout_case WHERE number = ANY($1::bigint[])"
    found: Rows = await unit.conn.fetch(query, list(numbers))
    return found


async def history(unit: Unit, ids: Sequence[UUID], leaf: int) -> Rows:
    """What has happened to these cases, each in its order; `seen` says whether it was sealed below this leaf."""
    found: Rows = await unit.conn.fetch(sql("queue_history"), list(ids), leaf)
    return found


async def counts(unit: Unit, wanted: Sequence[Wanted], limit: int) -> list[Counted]:
    """How many cases each of these lists has, counted up to `limit`, in one statement."""
    walks = [await walk_for(unit, one, NEWEST) for one in wanted]
    row = await unit.conn.fetchrow(*_called(counts_statement(walks, limit + 1)))
    return [_counted(row[f"n{n}"], row[f"more{n}"], limit) for n in range(len(walks))]


async def open_cases(unit: Unit, limit: int) -> Counted:
    """How many cases are open, counted up to `limit`."""
    return (await counts(unit, [Wanted(states=NOT_RESOLVED)], limit))[0]


async def queues(unit: Unit, limit: int) -> dict[str, Counted]:
    """The queues that hold open cases, each counted up to `limit`."""
    found = await unit.conn.fetch(sql("queue_counts"), limit + 1)
    return {row["queue"]: _counted(row["many"], False, limit) for row in found}


async def groups(unit: Unit, walk: Walk, sort: Sort, by: str, sample: int, most: int) -> Rows:
    """What a list holds, by the columns of a group; see `groups_statement`."""
    joined = WITH_ORDER if by == "product" else ""
    found: Rows = await unit.conn.fetch(*_called(groups_statement(walk, sort, GROUPS[by], sample, most, joined)))
    return found


async def pulse(unit: Unit) -> Pulse:
    """Whether anything is heard at all."""
    row: Mapping[str, Any] = await unit.conn.fetchrow(sql("queue_pulse"))
    silent = tuple(zip(row["silent"], row["silent_heard"], strict=True))
    return Pulse(row["leaves"], row["last_event"], row["heard"], row["last_heard"], silent)


def _counted(many: int, goes_on: bool, limit: int) -> Counted:
    return Counted(min(many, limit), many > limit or goes_on)


def _called(statement: tuple[str, list[Any]]) -> tuple[Any, ...]:
    return statement[0], *statement[1]
