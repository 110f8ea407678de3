"""Bringing a database to the schema of this release, and saying what a server is before trusting it."""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.abc import Traversable
from importlib.resources import files
from pathlib import Path
from typing import Any

import asyncpg

from unstuck.store.binaries import OLDEST_MAJOR

MIGRATIONS = files("unstuck.store") / "migrations"
FILE_NAME = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
LOCK_KEY = 0x756E737475636B  # "unstuck"
APP, PURGE = "unstuck_app", "unstuck_purge"
# A migration is one transaction, so it must not end it.
ENDS_TRANSACTION = re.compile(r"^\s*(BEGIN|START TRANSACTION|COMMIT|ROLLBACK)\s*;", re.IGNORECASE | re.MULTILINE)

CREATE_HISTORY = """
CREATE TABLE IF NOT EXISTS schema_migration (
    number     int PRIMARY KEY CHECK (number > 0),
    name       text NOT NULL,
    sha256     text NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    applied_at timestamptz NOT NULL
);
GRANT SELECT ON schema_migration TO {app_role}, {purge_role};
"""


class MigrationError(Exception):
    """The database and the migration files do not fit together; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file."""

    number: int
    name: str
    sql: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Roles:
    """Who the migrations grant to. With a single role both are the owner itself."""

    app: str = APP
    purge: str = PURGE

    def fill(self, sql: str) -> str:
        return sql.replace("{app_role}", _identifier(self.app)).replace("{purge_role}", _identifier(self.purge))


@dataclass(frozen=True, slots=True)
class Status:
    """Where a database stands against the files: by name, in order."""

    applied: tuple[str, ...]
    pending: tuple[str, ...]
    newer: tuple[str, ...]

    @property
    def is_current(self) -> bool:
        """Whether this release may run: nothing is missing. One release newer is allowed to run beside us."""
        return not self.pending


async def migrate(
    owner_url: str, directory: Traversable | Path = MIGRATIONS, *, single_role: bool = False
) -> list[str]:
    """Apply what is missing, each file in one transaction; return the names applied by this call."""
    migrations = read_migrations(directory)
    done: list[str] = []
    async with _connected(owner_url) as owner:
        roles = await _roles(owner, single_role)
        while (name := await _apply_next(owner, migrations, roles)) is not None:
            done.append(name)
    return done


async def check(url: str, directory: Traversable | Path = MIGRATIONS) -> Status:
    """Say which migrations a database has and lacks; raise where its history differs from the files."""
    migrations = read_migrations(directory)
    async with _connected(url) as connection, connection.transaction():
        applied = await _applied(connection)
    known = {each.number for each in migrations}
    _require_same_history(migrations, applied)
    return Status(
        applied=tuple(row["name"] for row in applied if row["number"] in known),
        pending=tuple(each.name for each in _pending(migrations, applied)),
        newer=tuple(row["name"] for row in applied if row["number"] not in known),
    )


def read_migrations(directory: Traversable | Path) -> tuple[Migration, ...]:
    """Read the numbered files in order; refuse gaps, duplicates and names that are not numbered."""
    names = sorted(each.name for each in directory.iterdir() if each.name.endswith(".sql"))
    found = tuple(_read(directory / name) for name in names)
    for expected, each in enumerate(found, start=1):
        if each.number != expected:
            what = "twice" if each.number < expected else f"but {expected:04} is missing"
            raise MigrationError(f"migration number {each.number:04} ({each.name}) is there {what}")
    return found


def _read(file: Traversable | Path) -> Migration:
    named = FILE_NAME.fullmatch(file.name)
    if named is None:
        raise MigrationError(f"{file.name} is not a migration: they are named NNNN_what_it_does.sql")
    content = file.read_bytes().replace(b"\r\n", b"\n")  # a checkout on Windows is the same file
    sql = content.decode()
    if ENDS_TRANSACTION.search(sql):
        raise MigrationError(f"{file.name} ends its own transaction; a migration is applied whole or not at all")
    return Migration(int(named[1]), file.name.removesuffix(".sql"), sql, hashlib.sha256(content).hexdigest())


async def _apply_next(owner: Any, migrations: Sequence[Migration], roles: Roles) -> str | None:
    """Apply one migration, or return None when none is missing.

    The lock ends with the transaction: a pooler cannot lose it, and a second migrator sees what we did.
    """
    async with owner.transaction():
        await owner.execute("SELECT pg_advisory_xact_lock($1)", LOCK_KEY)
        applied = await _applied(owner)
        _require_same_history(migrations, applied)
        _require_not_newer(migrations, applied)
        following = next(_pending(migrations, applied), None)
        if following is None:
            return None
        if following.number == 1:
            await owner.execute(roles.fill(CREATE_HISTORY))
        await _run(owner, following, roles)
    return following.name


async def _run(owner: Any, migration: Migration, roles: Roles) -> None:
    sql = roles.fill(migration.sql)
    try:
        await owner.execute(sql)
    except asyncpg.PostgresError as error:
        line = sql.count("\n", 0, int(getattr(error, "position", None) or 1)) + 1
        raise MigrationError(f"migration {migration.name} was rolled back: line {line}: {error}") from error
    await owner.execute(
        "INSERT INTO schema_migration (number, name, sha256, applied_at) VALUES ($1, $2, $3, now())",
        migration.number,
        migration.name,
        migration.sha256,
    )


async def _applied(connection: Any) -> list[Any]:
    if await connection.fetchval("SELECT to_regclass('schema_migration')") is None:
        return []
    rows: list[Any] = await connection.fetch("SELECT number, name, sha256 FROM schema_migration ORDER BY number")
    return rows


def _pending(migrations: Sequence[Migration], applied: Sequence[Any]) -> Iterator[Migration]:
    done = {row["number"] for row in applied}
    return (each for each in migrations if each.number not in done)


def _require_same_history(migrations: Sequence[Migration], applied: Sequence[Any]) -> None:
    numbers = [row["number"] for row in applied]
    if numbers != list(range(1, len(numbers) + 1)):
        raise MigrationError(f"the database records migrations {numbers}, which leave a gap; restore it from a backup")
    for migration, row in zip(migrations, applied, strict=False):
        if (migration.name, migration.sha256) != (row["name"], row["sha256"]):
            raise MigrationError(
                f"migration {row['name']} was applied with another content than {migration.name} has now; "
                "an applied migration is never edited: put the file back and add a new one"
            )


def _require_not_newer(migrations: Sequence[Migration], applied: Sequence[Any]) -> None:
    if len(applied) > len(migrations):
        raise MigrationError(
            f"the database is newer than this release: it has {applied[-1]['name']}, and the last migration "
            f"here is {migrations[-1].name if migrations else 'none'}; use the newer release"
        )


async def _roles(owner: Any, single_role: bool) -> Roles:
    if single_role:
        me = await owner.fetchval("SELECT current_user::text")
        return Roles(me, me)
    there = {row[0] for row in await owner.fetch("SELECT rolname FROM pg_roles")}
    missing = [role for role in (APP, PURGE) if role not in there]
    if missing:
        statements = "\n".join(f"  CREATE ROLE {role} LOGIN PASSWORD '…';" for role in missing)
        raise MigrationError(f"the database server lacks a role; run this as its administrator first:\n{statements}")
    return Roles()


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What a database server is, as far as our promises rest on it."""

    version: str
    major: int
    user: str
    superuser: bool
    may_create: bool
    is_replica: bool
    synchronous_commit: str
    synchronous_standbys: str
    standbys: int
    transaction_pooler: bool

    @property
    def single_role(self) -> bool:
        """Whether the role that works could also change the schema, so that only triggers guard history."""
        return self.superuser or self.may_create

    @property
    def refusal(self) -> str | None:
        """Why Unstuck does not run on this server, or None."""
        if self.major < OLDEST_MAJOR:
            return f"the server is PostgreSQL {self.version}; Unstuck needs {OLDEST_MAJOR} or newer"
        if self.transaction_pooler:
            return (
                "the URL leads to a pooler in transaction mode, which breaks LISTEN and prepared statements; "
                "connect to PostgreSQL itself, or to a pooler in session mode"
            )
        if self.is_replica:
            return "the server is a read-only replica; connect to the primary"
        return None

    @property
    def warnings(self) -> tuple[str, ...]:
        """What weakens a promise without breaking it, for /readyz."""
        told = {
            "append-only: trigger only (this role could change the schema)": self.single_role,
            "synchronous_commit is off: a crash can lose acknowledged commits": self.synchronous_commit == "off",
            "replicas follow asynchronously: a failover can lose acknowledged commits": (
                self.standbys > 0 and not self.synchronous_standbys
            ),
        }
        return tuple(sentence for sentence, holds in told.items() if holds)


FACTS = """
SELECT current_setting('server_version') AS version,
       current_setting('server_version_num')::int / 10000 AS major,
       current_user::text AS user,
       (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS superuser,
       coalesce(has_schema_privilege(current_schema(), 'CREATE'), false) AS may_create,
       pg_is_in_recovery() AS is_replica,
       current_setting('synchronous_commit') AS synchronous_commit,
       current_setting('synchronous_standby_names') AS synchronous_standbys,
       (SELECT count(*) FROM pg_stat_replication) AS standbys
"""


async def inspect_server(url: str) -> ServerFacts:
    """Ask a server what it is; `ServerFacts.refusal` says whether Unstuck may run on it."""
    async with _connected(url) as first, _connected(url) as second:
        async with first.transaction():
            facts = await first.fetchrow(FACTS)
        return ServerFacts(**facts, transaction_pooler=await _is_transaction_pooler(first, second))


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[Any]:
    # Without a statement cache asyncpg also works through a pooler, so that we live to name it.
    connection = await asyncpg.connect(url, statement_cache_size=0, timeout=10)
    try:
        yield connection
        await connection.close(timeout=10)
    finally:
        connection.terminate()  # after a failure: a goodbye might never be answered


async def _is_transaction_pooler(first: Any, second: Any) -> bool:
    """Whether our connections are moved between servers: `second` takes the one `first` was just using."""
    before = await _backend(first)
    async with second.transaction():
        taken = await second.fetchval("SELECT pg_backend_pid()")
        try:
            after = await asyncio.wait_for(_backend(first), timeout=2)
        except TimeoutError:
            first.terminate()  # it may never be answered
            return True  # a pool of one: `second` holds the only server there is
    return bool(taken == before or after != before)


async def _backend(connection: Any) -> int:
    async with connection.transaction():
        return int(await connection.fetchval("SELECT pg_backend_pid()"))
