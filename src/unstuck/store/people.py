"""Rows of people, their sessions, and the tries to sign in."""

from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

from unstuck.kernel.person import Person
from unstuck.store.statements import sql
from unstuck.store.unit import Store, Unit

COLUMNS = "id, name, roles, demo, made_at, disabled_at, version, seq"


async def person_of(unit: Unit, id: UUID) -> tuple[Person, str]:
    """A person who is there, with the digest of their password; locked."""
    row = await unit.conn.fetchrow(f"SELECT {COLUMNS}, password FROM person WHERE id = $1 FOR UPDATE", id)
    return _person(row), row["password"]


async def find_person(unit: Unit, folded: str) -> tuple[Person, str] | None:
    """The person of that name, with the digest of their password."""
    row = await unit.conn.fetchrow(f"SELECT {COLUMNS}, password FROM person WHERE folded = $1", folded)
    return (_person(row), row["password"]) if row else None


async def people(unit: Unit) -> list[Person]:
    """All of them, by name."""
    return [_person(row) for row in await unit.conn.fetch(f"SELECT {COLUMNS} FROM person ORDER BY folded")]


async def are_any(unit: Unit) -> bool:
    """Whether anybody may sign in at all."""
    return bool(await unit.conn.fetchval("SELECT EXISTS (SELECT FROM person)"))


async def has_worked(unit: Unit) -> bool:
    """Whether this database has ever held an order or a case."""
    query = "SELECT EXISTS (SELECT FROM orders) OR EXISTS (SELECT FROM fallout_case)"
    return bool(await unit.conn.fetchval(query))


async def hold_name(unit: Unit, folded: str) -> None:
    """Until this transaction ends nobody else gives out that name, as a person's or a token's."""
    number = int.from_bytes(sha256(b"name\0" + folded.encode()).digest()[:8], "big", signed=True)
    await unit.conn.execute("SELECT pg_advisory_xact_lock($1)", number)


async def is_of_a_token(unit: Unit, name: str) -> bool:
    """Whether an API token was ever given out under that name."""
    query = "SELECT EXISTS (SELECT FROM api_token WHERE lower(name) = lower($1))"
    return bool(await unit.conn.fetchval(query, name))


async def keep_session(unit: Unit, digest: str, person: UUID, until: datetime) -> None:
    """A session that begins now."""
    query = "INSERT INTO session (sha256, person, made_at, seen_at, until) VALUES ($1, $2, $3, $3, $4)"
    await unit.conn.execute(query, digest, person, unit.now, until)


async def end_session(unit: Unit, digest: str) -> UUID | None:
    """End it; whose it was, None when there was none."""
    found: UUID | None = await unit.conn.fetchval("DELETE FROM session WHERE sha256 = $1 RETURNING person", digest)
    return found


async def end_sessions(unit: Unit, person: UUID) -> None:
    """End all of a person's."""
    await unit.conn.execute("DELETE FROM session WHERE person = $1", person)


async def session_holders(
    store: Store, digests: Sequence[str], now: datetime, idle_since: datetime
) -> dict[str, tuple[Person, datetime]]:
    """Who is behind these sessions, and when each was last used; those that ended are left out."""
    rows = await store.pool.fetch(sql("session_holders"), list(digests), now, idle_since)
    return {row["sha256"]: (_person(row), row["seen_at"]) for row in rows}


async def use_sessions(store: Store, digests: Sequence[str], now: datetime) -> None:
    """Note that these sessions are used."""
    await store.pool.execute("UPDATE session SET seen_at = $2 WHERE sha256 = ANY($1)", list(digests), now)


async def take_try(unit: Unit, subject: str, since: datetime) -> list[datetime]:
    """Count one more try of this name or address; all of them after `since`, this one last."""
    return list(await unit.conn.fetchval(sql("take_try"), subject, unit.now, since))


async def give_back_try(unit: Unit, subject: str, at: datetime) -> None:
    """One of them has succeeded."""
    await unit.conn.execute("UPDATE sign_in_tries SET times = array_remove(times, $2) WHERE subject = $1", subject, at)


async def forget_tries(unit: Unit, subject: str) -> None:
    """None of them counts any more."""
    await unit.conn.execute("DELETE FROM sign_in_tries WHERE subject = $1", subject)


async def forget_ended(store: Store, now: datetime, before: datetime, limit: int) -> int:
    """Drop sessions that are over and tries from before that time, at most `limit` of each; how many."""
    done = [
        await store.pool.execute(sql("forget_sessions"), now, limit),
        await store.pool.execute(sql("forget_tries"), before, limit),
    ]
    return sum(int(said.rpartition(" ")[2]) for said in done)


async def keep_link(unit: Unit, digest: str, until: datetime) -> None:
    """The one link that makes the first administrator: an earlier one counts no more."""
    await unit.conn.execute("DELETE FROM sign_up WHERE used_at IS NULL")
    await unit.conn.execute("INSERT INTO sign_up (sha256, until) VALUES ($1, $2)", digest, until)


async def use_link(unit: Unit, digest: str) -> bool:
    """Use it up; whether it counted until now."""
    query = "UPDATE sign_up SET used_at = $2 WHERE sha256 = $1 AND used_at IS NULL AND until > $2"
    return bool(await unit.conn.execute(query, digest, unit.now) == "UPDATE 1")


async def link_counts(store: Store, digest: str, now: datetime) -> bool:
    """Whether this link can still be used."""
    query = "SELECT EXISTS (SELECT FROM sign_up WHERE sha256 = $1 AND used_at IS NULL AND until > $2)"
    return bool(await store.pool.fetchval(query, digest, now))


def _person(row: Any) -> Person:
    return Person(
        **{name: row[name] for name in Person.__struct_fields__ if name != "roles"}, roles=tuple(row["roles"])
    )
