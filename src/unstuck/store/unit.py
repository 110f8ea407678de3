"""One transaction: what is read under its locks, and the one way to record what was decided."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from unstuck.fallout.case import Case
from unstuck.fallout.lifecycle import CaseState
from unstuck.kernel.refusal import Missing
from unstuck.order.lifecycle import ItemState, OrderState, TaskState
from unstuck.order.plan import OrderDraft
from unstuck.order.state import Order, Task
from unstuck.repair.evidence import Evidence, EvidenceType
from unstuck.repair.token import ResumeToken
from unstuck.store.record import record
from unstuck.store.rows import Changes, CorrectionRow, Timer
from unstuck.store.statements import sql

TASK_STATES = {state.value: state for state in TaskState}
ITEM_STATES = {state.value: state for state in ItemState}
# A killed server says so in several ways; asyncpg itself stumbles (InternalClientError) over a connection it cut.
# A full disk or no connection left is an InsufficientResourcesError: to wait out, not to die of.
AWAY = (
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)

CONNECT_S = 60.0
ABANDONED_MS = 20_000  # no transaction of a server or worker waits for anybody but the database


def is_away(error: BaseException) -> bool:
    """Whether the database is away or full, and not our question wrong (asyncpg's InterfaceError says both)."""
    return isinstance(error, AWAY) and not isinstance(error, ValueError)


class Lapsed(msgspec.Struct, frozen=True):
    """A task that looks abandoned: its lease is over, or its callback overdue."""

    order_id: UUID
    task: int
    attempt: int
    what: str


class Unit:
    """A transaction in the making. Orders are locked first, then cases, ids in order."""

    def __init__(self, conn: asyncpg.Connection, now: datetime) -> None:
        self.conn, self.now = conn, now

    async def orders(self, ids: Sequence[UUID]) -> dict[UUID, tuple[Order, list[Task]]]:
        """Lock these orders and read them with their tasks; unknown ids are left out."""
        locked = await self.conn.fetch(sql("lock_orders"), sorted(ids))
        orders: dict[UUID, tuple[Order, list[Task]]] = {row["id"]: (_order(row), []) for row in locked}
        for row in await self.conn.fetch(sql("load_tasks"), list(orders)):
            orders[row["order_id"]][1].extend(_tasks(row))
        return orders

    async def peek(self, order_id: UUID) -> tuple[Order, list[Task]]:
        """One order with its tasks, not locked: to look at."""
        row = await self.conn.fetchrow("SELECT * FROM orders WHERE id = $1", order_id)
        if row is None:
            raise Missing(f"order {order_id}")
        loaded = await self.conn.fetch(sql("load_tasks"), [order_id])
        return _order(row), [task for tasks in loaded for task in _tasks(tasks)]

    async def order(self, order_id: UUID) -> tuple[Order, list[Task]]:
        """One order, locked; Missing when there is none."""
        found = await self.orders([order_id])
        if order_id not in found:
            raise Missing(f"order {order_id}")
        return found[order_id]

    async def case(self, case_id: UUID) -> Case:
        """One case, locked (its order must be locked before, when the command may touch it)."""
        row = await self.conn.fetchrow("SELECT * FROM fallout_case WHERE id = $1 FOR UPDATE", case_id)
        if row is None:
            raise Missing(f"case {case_id}")
        return case_of(row)

    async def cases(self, ids: Sequence[UUID]) -> list[Case]:
        """These cases, locked, in the order of their ids."""
        query = "SELECT * FROM fallout_case WHERE id = ANY($1) ORDER BY id FOR UPDATE"
        return [case_of(row) for row in await self.conn.fetch(query, list(ids))]

    async def order_of_case(self, case_id: UUID) -> UUID | None:
        """The order a case is about, None while that is not ours; it never changes but by a link."""
        found = await self.conn.fetchrow("SELECT order_id FROM fallout_case WHERE id = $1", case_id)
        if found is None:
            raise Missing(f"case {case_id}")
        order_id: UUID | None = found["order_id"]
        return order_id

    async def open_cases(self, order_ids: Sequence[UUID]) -> list[Case]:
        """The open cases of these orders, locked."""
        return [case_of(row) for row in await self.conn.fetch(sql("open_cases"), list(order_ids))]

    async def pick(self, statement: str, room: Mapping[str, int]) -> list[tuple[UUID, Task]]:
        """Tasks to call now, at most `room` for each target; locked until the intent is committed."""
        if not room:
            return []
        rows = await self.conn.fetch(sql(statement), list(room), list(room.values()), self.now)
        return [(row["order_id"], _picked(row)) for row in rows]

    async def commands(self, wanted: Sequence[tuple[UUID, int, int]]) -> list[tuple[str, bytes, str]]:
        """Key, body and plan id of each (order, task, identity), in that order."""
        if not wanted:
            return []
        return [tuple(row) for row in await self.conn.fetch(sql("load_commands"), *zip(*wanted, strict=True))]

    async def recorded(self, calls: Sequence[tuple[UUID, int, int]]) -> set[tuple[UUID, int, int]]:
        """Which of these (order, task, attempt) have their outcome on record."""
        if not calls:
            return set()
        rows = await self.conn.fetch(
            "SELECT o.order_id, o.task, o.attempt FROM outcome o"
            " JOIN unnest($1::uuid[], $2::smallint[], $3::int[]) AS u(order_id, task, attempt)"
            " USING (order_id, task, attempt)",
            *zip(*calls, strict=True),
        )
        return {tuple(row) for row in rows}

    async def draft(self, order_id: UUID) -> OrderDraft:
        """The order as intake understood it."""
        body = await self.conn.fetchval("SELECT body FROM order_draft WHERE order_id = $1", order_id)
        return msgspec.json.decode(body, type=OrderDraft)

    async def evidence(self, case_id: UUID) -> tuple[Evidence, ...]:
        """The evidence of a case, oldest first."""
        rows = await self.conn.fetch("SELECT * FROM evidence WHERE case_id = $1 ORDER BY captured_at, id", case_id)
        return tuple(evidence_of(row) for row in rows)

    async def correction(self, correction_id: UUID) -> CorrectionRow:
        """One correction, locked."""
        row = await self.conn.fetchrow("SELECT * FROM correction WHERE id = $1 FOR UPDATE", correction_id)
        if row is None:
            raise Missing(f"correction {correction_id}")
        return CorrectionRow(**row)

    async def corrections(self, case_id: UUID) -> list[CorrectionRow]:
        """The corrections of a case, oldest first."""
        rows = await self.conn.fetch("SELECT * FROM correction WHERE case_id = $1 ORDER BY proposed_at", case_id)
        return [CorrectionRow(**row) for row in rows]

    async def token(self, token_id: UUID) -> ResumeToken:
        """One resume token."""
        body = await self.conn.fetchval("SELECT body FROM resume_token WHERE id = $1", token_id)
        if body is None:
            raise Missing(f"resume token {token_id}")
        return msgspec.json.decode(body, type=ResumeToken)

    async def order_of_key(self, key: str) -> tuple[UUID, int, int] | None:
        """The order, task and identity that a command key names."""
        row = await self.conn.fetchrow("SELECT order_id, task, identity FROM command WHERE key = $1", key)
        return (row["order_id"], row["task"], row["identity"]) if row else None

    async def known_order(self, source: str, external_id: str) -> tuple[UUID, str]:
        """The order that has this source's external id, and the digest of the bytes it came with."""
        row = await self.conn.fetchrow(sql("known_order"), source, external_id)
        if row is None:
            raise Missing(f"order {external_id} of {source}")
        return row["id"], row["sha256"]

    async def keep_intake(self, raw: UUID, log: tuple[Any, ...], sha256: str, truncated: bool, body: bytes) -> None:
        """Write what came in, as it came: `log` is channel, source, answer, because, order, media type, size."""
        query = "INSERT INTO intake VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
        await self.conn.execute(query, raw, self.now, *log, sha256, truncated, body)

    async def keep_callback(self, system: str, event_id: str, row: tuple[Any, ...]) -> bool:
        """Write a callback once for each event id; whether it is new. `row`: key, order, task, status, verdict, …"""
        query = "INSERT INTO callback VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING"
        return bool(await self.conn.execute(query, system, event_id, self.now, *row) == "INSERT 0 1")

    async def keep_token(self, token_id: UUID, name: str, sha256: str, roles: Sequence[str], source: str) -> None:
        """Write an API token; the same secret again changes its name and roles."""
        await self.conn.execute(
            "INSERT INTO api_token (id, name, sha256, roles, created_at, source) VALUES ($1, $2, $3, $4, $5, $6)"
            " ON CONFLICT (sha256) DO UPDATE SET name = excluded.name, roles = excluded.roles",
            token_id, name, sha256, list(roles), self.now, source,
        )  # fmt: skip

    async def due_timers(self, kind: str, limit: int) -> list[Timer]:
        """Timers that are due, taken by this transaction: its record clears them."""
        return [Timer(*row) for row in await self.conn.fetch(sql("due_timers"), self.now, limit, kind)]

    async def timers(self, kind: str, limit: int) -> list[Timer]:
        """Timers that are due, only looked at."""
        query = "SELECT subject, kind, epoch, due, task FROM timer WHERE kind = $1 AND due <= $2 ORDER BY due LIMIT $3"
        return [Timer(*row) for row in await self.conn.fetch(query, kind, self.now, limit)]

    async def clear(self, timer: Timer) -> bool:
        """Take a timer away; whether it was still there."""
        query = "DELETE FROM timer WHERE subject = $1 AND kind = $2 AND epoch = $3 RETURNING true"
        return bool(await self.conn.fetchval(query, timer.subject, timer.kind, timer.epoch))

    async def record(self, changes: Changes) -> None:
        """Write what was decided, with its events."""
        await record(self.conn, changes, self.now)


class Session(asyncpg.Connection):  # type: ignore[misc]  # asyncpg has no types
    """A session on which nobody leaves anything behind (locks, cursors, settings): all of that ends with the transaction.

    So nothing is reset when it goes back to the pool, which would be one more statement for every other.
    """

    def get_reset_query(self) -> str:
        """Nothing."""
        return ""


class Pool(asyncpg.Pool):  # type: ignore[misc]  # asyncpg has no types
    """Connections for whom nobody waits longer than `patience_s`, neither to get one nor to give it back."""

    def __init__(self, url: str, patience_s: float | None, **options: Any) -> None:
        super().__init__(url, **options)
        self._patience_s = patience_s

    def acquire(self, *, timeout: float | None = None) -> Any:
        """A connection, as an awaitable or for `async with`."""
        return super().acquire(timeout=timeout or self._patience_s)


class Store:
    """The database behind one pool of connections."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self.pool = pool
        # A unit may read a plan or a pack over a connection of its own: if units held all of them, each would wait
        # for the others for ever. So the last one is never a unit's.
        self._units = asyncio.Semaphore(max(pool.get_max_size() - 1, 1))

    @asynccontextmanager
    async def unit(self, now: datetime) -> AsyncIterator[Unit]:
        """A transaction that commits when the block ends and rolls back when it raises."""
        async with self._units, self.pool.acquire() as conn:
            async with conn.transaction():
                yield Unit(conn, now)

    @asynccontextmanager
    async def reading(self, now: datetime) -> AsyncIterator[Unit]:
        """One consistent view to read from."""
        async with self._units, self.pool.acquire() as conn:
            async with conn.transaction(isolation="repeatable_read", readonly=True):
                yield Unit(conn, now)

    async def lapsed(self, now: datetime, limit: int) -> list[Lapsed]:
        """Tasks that look abandoned; whether they are is decided under their order's lock."""
        return [Lapsed(*row) for row in await self.pool.fetch(sql("lapsed"), now, limit)]

    async def plan_body(self, plan_id: str) -> bytes:
        """The body of a plan."""
        body: bytes | None = await self.pool.fetchval("SELECT body FROM plan WHERE id = $1", plan_id)
        if body is None:
            raise Missing(f"plan {plan_id}")
        return body

    async def pack_files(self, pack: str) -> bytes:
        """The files of a policy pack, as stored."""
        body: bytes | None = await self.pool.fetchval("SELECT files FROM policy_pack WHERE hash = $1", pack)
        if body is None:
            raise Missing(f"policy pack {pack}")
        return body

    async def keep_pack(self, pack: str, name: str, files: bytes, now: datetime) -> None:
        """Store a policy pack under its hash, once."""
        await self.pool.execute(
            "INSERT INTO policy_pack (hash, name, files, stored_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
            pack, name, files, now,
        )  # fmt: skip


async def connect(url: str, *, size: int = 8, patience_s: float | None = None) -> Store:
    """Open the pool. Plans are generic: worker statements are many times repeated with the same shape.

    A statement, a new connection and the turn for one are waited for `patience_s` each: a server that is gone without
    a word is noticed like one that says so (TimeoutError). The server ends a transaction whose client is gone so.
    """
    settings = {"application_name": "unstuck", "timezone": "UTC"}
    if patience_s is not None:
        settings["idle_in_transaction_session_timeout"] = str(ABANDONED_MS)
    pool = await Pool(
        url,
        patience_s,
        min_size=1,
        max_size=size,
        max_queries=50_000,
        max_inactive_connection_lifetime=300.0,
        loop=None,
        connection_class=Session,
        record_class=asyncpg.Record,
        server_settings=settings,
        command_timeout=patience_s,
        timeout=patience_s or CONNECT_S,
    )
    return Store(pool)


def _order(row: Any) -> Order:
    return Order(
        id=row["id"],
        number=row["number"],
        state=OrderState(row["state"]),
        version=row["version"],
        seq=row["seq"],
        pack=row["pack"],
        plan=row["plan"],
        item_states=tuple(ITEM_STATES[s] for s in row["item_states"]),
        failed_from=OrderState(row["failed_from"]) if row["failed_from"] else None,
        finished_at=row["finished_at"],
        prio=row["prio"],
    )


def _tasks(row: Any) -> list[Task]:
    columns = (row[k] for k in ("no", "state", "identity", "attempt", "tries", "asks", "lease", "sent_at", "due"))
    return [
        Task(no, TASK_STATES[state], identity, attempt, tries, asks, due, lease, None, sent_at, None)
        for no, state, identity, attempt, tries, asks, lease, sent_at, due in zip(*columns, strict=True)
    ]


def _picked(row: Any) -> Task:
    return Task(
        no=row["no"],
        state=TASK_STATES[row["state"]],
        identity=row["identity"],
        attempt=row["attempt"],
        tries=row["tries"],
        asks=row["asks"],
        sent_at=row["sent_at"],
        since=row["since"],
    )


def case_of(row: Any) -> Case:
    """The case a row holds."""
    values = dict(row)
    values.pop("raw", None)
    values["state"] = CaseState(values["state"])
    return Case(**values)


def evidence_of(row: Any) -> Evidence:
    """The evidence a row holds."""
    values = dict(row)
    values.pop("case_id")
    values["type"] = EvidenceType(values["type"])
    return Evidence(**values)


Conflict = asyncpg.UniqueViolationError
