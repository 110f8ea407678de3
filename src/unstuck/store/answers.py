"""Answers to commands that may be sent again: one for each principal and key, written with what the command did."""

from datetime import datetime
from hashlib import sha256

import asyncpg
import msgspec

from unstuck.store.statements import sql
from unstuck.store.unit import Store, Unit

UNDER_WAY = 0  # in the place of a status: the command has begun, and there is no answer yet


class Once(msgspec.Struct, frozen=True):
    """A command that its sender may send again: who, under which key, the digest of what was asked.

    `status` is what the door answers when it is done; nobody below the door reads it.
    """

    principal: str
    key: str
    digest: str
    status: int


class Answer(msgspec.Struct, frozen=True):
    """What was answered, and when; `status` UNDER_WAY says that it is being worked on."""

    digest: str
    status: int
    body: bytes
    at: datetime


async def lock(unit: Unit, once: Once) -> bool:
    """Hold this principal's key until the transaction ends; whether nobody else does."""
    name = sha256(f"{once.principal}\x00{once.key}".encode()).digest()
    number = int.from_bytes(name[:8], "big", signed=True)
    return bool(await unit.conn.fetchval("SELECT pg_try_advisory_xact_lock($1)", number))


async def find(of: asyncpg.Pool | asyncpg.Connection, once: Once, since: datetime) -> Answer | None:
    """The answer under this principal's key, unless it is from before `since`."""
    query = "SELECT digest, status, body, at FROM idempotency WHERE principal = $1 AND key = $2 AND at >= $3"
    row = await of.fetchrow(query, once.principal, once.key, since)
    return Answer(*row) if row else None


async def keep(unit: Unit, once: Once, status: int, body: bytes) -> None:
    """Write the answer, in the transaction of what it tells."""
    await unit.conn.execute(sql("keep_answer"), once.principal, once.key, once.digest, status, body, unit.now)


async def let_go(unit: Unit, once: Once) -> None:
    """Free the key of a command that had begun and was refused."""
    query = "DELETE FROM idempotency WHERE principal = $1 AND key = $2 AND status = $3"
    await unit.conn.execute(query, once.principal, once.key, UNDER_WAY)


async def forget(store: Store, before: datetime, limit: int) -> int:
    """Drop answers from before that time, at most `limit`; how many."""
    done: str = await store.pool.execute(sql("forget_answers"), before, limit)
    return int(done.rpartition(" ")[2])
