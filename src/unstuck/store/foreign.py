"""Rows of orders that go on elsewhere: tokens that are out, tries to redeem them, managers that we ask."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec

from unstuck.fallout.case import Case
from unstuck.fallout.events import RESUME_REFUSED
from unstuck.fallout.lifecycle import CASE_IS_RESOLVED
from unstuck.store.statements import sql
from unstuck.store.unit import Unit

OVER = [state.value for state in CASE_IS_RESOLVED]


class Work(msgspec.Struct):
    """How far we are with asking an order manager to go on; `fence` says whose turn it is."""

    token: UUID
    step: Literal["LOOK", "SETTLE"]
    due: datetime
    fence: int
    way: int
    asked: int
    asked_at: datetime | None
    looks: int
    answer: str
    before: str


async def is_used(unit: Unit, token_id: UUID) -> bool:
    """Whether a token was redeemed."""
    return bool(await unit.conn.fetchval("SELECT true FROM resume_use WHERE token = $1", token_id))


async def refusals(unit: Unit, case_id: UUID, token_id: UUID) -> int:
    """How many refused tries to redeem this token are on record."""
    query = "SELECT data FROM event WHERE stream = $1 AND type = $2"
    rows = await unit.conn.fetch(query, case_id, RESUME_REFUSED.name)
    return sum(msgspec.json.decode(row["data"])["token"] == str(token_id) for row in rows)


async def stands_elsewhere(unit: Unit, case: Case) -> bool:
    """Whether another open case stands for the same failure."""
    query = "SELECT true FROM fallout_case WHERE dedup_key = $1 AND id <> $2 AND state <> ALL($3)"
    return bool(await unit.conn.fetchval(query, case.dedup_key, case.id, OVER))


async def decisions_of(unit: Unit, source: str, after: int, limit: int) -> Sequence[Any]:
    """What a source has not redeemed yet: leaf and case of each, and the event of its decision; after a leaf."""
    rows: Sequence[Any] = await unit.conn.fetch(sql("decisions_of"), source, unit.now, after, limit)
    return rows


async def claim_work(unit: Unit, lease: datetime, limit: int) -> list[Work]:
    """Take what is due until `lease`."""
    return [Work(*row) for row in await unit.conn.fetch(sql("claim_asking"), unit.now, lease, limit)]


async def is_ours(unit: Unit, work: Work) -> bool:
    """Whether nobody has claimed this work after us; its row is held."""
    query = "SELECT true FROM resume_work WHERE token = $1 AND fence = $2 FOR UPDATE"
    return bool(await unit.conn.fetchval(query, work.token, work.fence))


async def put_off(unit: Unit, work: Work) -> None:
    """Write what is next, and when; it must be ours."""
    await unit.conn.execute(
        "UPDATE resume_work SET step = $2, due = $3, way = $4, asked = $5, asked_at = $6, looks = $7, answer = $8,"
        " before = $9 WHERE token = $1",
        work.token, work.step, work.due, work.way, work.asked, work.asked_at, work.looks, work.answer, work.before,
    )  # fmt: skip


async def drop(unit: Unit, work: Work) -> None:
    """There is nothing left to do."""
    await unit.conn.execute("DELETE FROM resume_work WHERE token = $1", work.token)
