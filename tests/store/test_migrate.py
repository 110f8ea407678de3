"""Migrations apply once, in order, whole; and a server is known before it is trusted. On PostgreSQL 15 and 18."""

import asyncio
import itertools
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest

from unstuck.store import binaries
from unstuck.store.binaries import find_binaries
from unstuck.store.migrate import MIGRATIONS, MigrationError, check, inspect_server, migrate, read_migrations
from unstuck.store.server import EmbeddedServer, Urls

FIRST = "CREATE TABLE widget (id int PRIMARY KEY);\nGRANT SELECT ON widget TO {app_role};\n"
SECOND = "INSERT INTO widget VALUES (1);\n"
THIRD = "GRANT DELETE ON widget TO {purge_role};\n"
NUMBER = itertools.count(1)


@pytest.fixture(
    scope="module", params=[pytest.param(15, id="pg15"), pytest.param(18, id="pg18", marks=pytest.mark.pg18)]
)
def server(request: pytest.FixtureRequest) -> Iterator[EmbeddedServer]:
    wheel = binaries._supported(binaries._wheel_directories(), "wheel")
    programs = find_binaries(None, os.environ) if request.param == 15 else next(wheel)
    directory = Path(tempfile.mkdtemp(prefix="unstuck-test-"))
    directory.chmod(0o755)
    with EmbeddedServer.start(directory / "data", programs, settings={"shared_buffers": "16MB"}) as started:
        yield started
    shutil.rmtree(directory)


@pytest.fixture
def urls(server: EmbeddedServer) -> Urls:
    return server.create_database(f"migrate_{next(NUMBER)}")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "0001_widgets.sql").write_text(FIRST)
    (tmp_path / "0002_first_widget.sql").write_text(SECOND)
    (tmp_path / "README.md").write_text("not a migration")
    return tmp_path


async def ask(url: str, question: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()


async def test_what_is_missing_is_applied_once_and_in_order(urls: Urls, folder: Path) -> None:
    assert (await check(urls.owner, folder)).pending == ("0001_widgets", "0002_first_widget")
    assert await migrate(urls.owner, folder) == ["0001_widgets", "0002_first_widget"]
    assert await migrate(urls.owner, folder) == []
    (folder / "0003_purge.sql").write_text(THIRD)
    assert not (await check(urls.app, folder)).is_current
    assert await migrate(urls.owner, folder) == ["0003_purge"]
    status = await check(urls.app, folder)  # the working role may ask as well
    assert (status.applied, status.is_current) == (("0001_widgets", "0002_first_widget", "0003_purge"), True)
    assert await ask(urls.app, "SELECT count(*) FROM widget") == 1
    assert await ask(urls.owner, "SELECT count(*) FROM schema_migration WHERE applied_at <= now()") == 3


async def test_the_working_role_cannot_migrate(urls: Urls, folder: Path) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await migrate(urls.app, folder)
    await migrate(urls.owner, folder)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await ask(urls.app, "DELETE FROM schema_migration")


async def test_a_changed_file_is_refused(urls: Urls, folder: Path) -> None:
    await migrate(urls.owner, folder)
    (folder / "0001_widgets.sql").write_text(FIRST + "-- harmless\n")
    (folder / "0003_purge.sql").write_text(THIRD)
    for refused in (migrate, check):
        with pytest.raises(MigrationError, match=r"0001_widgets was applied with another content.*never edited"):
            await refused(urls.owner, folder)
    assert await ask(urls.owner, "SELECT max(number) FROM schema_migration") == 2


async def test_a_renamed_file_is_refused_but_line_ends_of_windows_are_not(urls: Urls, folder: Path) -> None:
    await migrate(urls.owner, folder)
    (folder / "0001_widgets.sql").write_bytes(FIRST.replace("\n", "\r\n").encode())
    assert await migrate(urls.owner, folder) == []
    (folder / "0001_widgets.sql").rename(folder / "0001_gadgets.sql")
    with pytest.raises(MigrationError, match="0001_gadgets"):
        await migrate(urls.owner, folder)


@pytest.mark.parametrize(
    ("name", "because"),
    [
        ("0004_later.sql", "0004.*0003 is missing"),
        ("0002_twin.sql", "0002.*twice"),
        ("0000_zero.sql", "0000.*twice"),
        ("hotfix.sql", "hotfix.sql is not a migration"),
    ],
)
def test_a_wrong_number_is_refused(folder: Path, name: str, because: str) -> None:
    (folder / name).write_text("SELECT 1")
    with pytest.raises(MigrationError, match=because):
        read_migrations(folder)


async def test_a_database_from_a_newer_release_is_refused(urls: Urls, folder: Path) -> None:
    await migrate(urls.owner, folder)
    (folder / "0002_first_widget.sql").unlink()
    with pytest.raises(MigrationError, match="newer than this release: it has 0002_first_widget"):
        await migrate(urls.owner, folder)
    status = await check(urls.app, folder)  # two adjacent releases may run together
    assert (status.newer, status.is_current) == (("0002_first_widget",), True)


async def test_history_with_a_hole_is_refused(urls: Urls, folder: Path) -> None:
    await migrate(urls.owner, folder)
    await ask(urls.owner, "DELETE FROM schema_migration WHERE number = 1")
    with pytest.raises(MigrationError, match="gap"):
        await migrate(urls.owner, folder)


async def test_a_failing_migration_leaves_nothing_of_itself(urls: Urls, folder: Path) -> None:
    (folder / "0003_half.sql").write_text("CREATE TABLE half ();\nSELECT nonsense;\n")
    with pytest.raises(MigrationError, match=r"0003_half was rolled back: line 2: .*nonsense"):
        await migrate(urls.owner, folder)
    assert await ask(urls.owner, "SELECT to_regclass('half')") is None
    assert (await check(urls.owner, folder)).pending == ("0003_half",)


async def test_a_migration_that_cannot_be_recorded_leaves_nothing_either(urls: Urls, folder: Path) -> None:
    unrecordable = "CREATE TABLE half ();\nALTER TABLE schema_migration ADD CHECK (number <> 3);\n"
    (folder / "0003_half.sql").write_text(unrecordable)
    with pytest.raises(asyncpg.CheckViolationError):
        await migrate(urls.owner, folder)
    assert await ask(urls.owner, "SELECT to_regclass('half')") is None


def test_a_migration_may_not_end_its_transaction_but_may_define_functions(folder: Path) -> None:
    body = "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$\nBEGIN\n  NULL;\nEND;\n$$;\n"
    (folder / "0003_function.sql").write_text(body)
    assert len(read_migrations(folder)) == 3
    (folder / "0003_function.sql").write_text(body + "commit;\n")
    with pytest.raises(MigrationError, match="ends its own transaction"):
        read_migrations(folder)


async def test_two_migrators_at_once_apply_each_file_once(urls: Urls, folder: Path) -> None:
    for number in range(3, 9):
        (folder / f"{number:04}_more.sql").write_text(f"SELECT pg_sleep(0.02); INSERT INTO widget VALUES ({number})")
    shares = await asyncio.gather(*(migrate(urls.owner, folder) for _ in range(4)))
    assert sorted(itertools.chain(*shares)) == [each.name for each in read_migrations(folder)]
    assert await ask(urls.owner, "SELECT count(*) FROM widget") == 7


async def test_missing_roles_are_named_with_the_sql_that_makes_them(
    urls: Urls, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unstuck.store.migrate.PURGE", "purge_of_another_house")
    with pytest.raises(MigrationError, match=r"CREATE ROLE purge_of_another_house LOGIN PASSWORD"):
        await migrate(urls.owner, folder)
    assert await ask(urls.owner, "SELECT to_regclass('schema_migration')") is None


async def test_with_a_single_role_it_is_its_own_grantee(urls: Urls, folder: Path) -> None:
    (folder / "0003_purge.sql").write_text(THIRD)
    assert len(await migrate(urls.owner, folder, single_role=True)) == 3
    granted = "SELECT has_table_privilege('unstuck_app', 'widget', 'SELECT')"
    assert await ask(urls.owner, granted) is False


async def test_the_shipped_migrations_are_well_numbered_and_apply(urls: Urls) -> None:
    shipped = [each.name for each in read_migrations(MIGRATIONS)]
    assert await migrate(urls.owner) == shipped
    assert (await check(urls.app)).is_current


async def test_facts_of_a_good_server(server: EmbeddedServer, urls: Urls) -> None:
    facts = await inspect_server(urls.app)
    assert (facts.major, facts.user, facts.synchronous_commit) == (server.major, "unstuck_app", "on")
    assert (facts.single_role, facts.transaction_pooler, facts.refusal, facts.warnings) == (False, False, None, ())


async def test_what_weakens_a_promise_is_told(server: EmbeddedServer, urls: Urls) -> None:
    assert (await inspect_server(urls.owner)).warnings[0].startswith("append-only: trigger only")
    assert (await inspect_server(server.superuser_url)).single_role
    await ask(server.superuser_url, "ALTER ROLE unstuck_purge SET synchronous_commit = off")
    try:
        assert "synchronous_commit is off" in (await inspect_server(urls.purge)).warnings[0]
    finally:
        await ask(server.superuser_url, "ALTER ROLE unstuck_purge RESET synchronous_commit")
    facts = await inspect_server(urls.app)
    assert "asynchronously" in replace(facts, standbys=1).warnings[0]
    assert "15 or newer" in str(replace(facts, version="14.9", major=14).refusal)
    assert "read-only replica" in str(replace(facts, is_replica=True).refusal)


async def test_a_pooler_in_transaction_mode_is_refused_even_with_one_server(urls: Urls) -> None:
    for size in (1, 5):
        async with transaction_pooler(urls.app, size) as pooled:
            facts = await inspect_server(pooled)
            assert facts.transaction_pooler
            assert "transaction mode" in str(facts.refusal)


@asynccontextmanager
async def transaction_pooler(url: str, size: int) -> AsyncIterator[str]:
    """The part of PgBouncer that matters: servers go back to a common pool at the end of each transaction."""
    parts = urlsplit(url)
    place = parse_qs(parts.query)["host"][0]
    pool = Pool(f"{place}/.s.PGSQL.5432", size)
    with tempfile.TemporaryDirectory() as door:
        listening = await asyncio.start_unix_server(pool.serve, f"{door}/.s.PGSQL.5432")
        try:
            yield url.replace(place, door)
        finally:
            listening.close()
            await pool.close()
            await listening.wait_closed()


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Pool:
    """Clients sign in on a connection of their own, which then joins the pool (of the first `size`)."""

    def __init__(self, target: str, size: int) -> None:
        self.target = target
        self.size = size
        self.idle: asyncio.LifoQueue[Streams] = asyncio.LifoQueue()
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            startup = await packet(reader)
            if len(startup) != 16:  # those are requests to cancel
                await self.client((reader, writer), startup)
        writer.close()

    async def client(self, client: Streams, startup: bytes) -> None:
        server = await asyncio.open_unix_connection(self.target)
        self.writers.append(server[1])
        server[1].write(startup)
        await self.sign_in(client, server)
        if len(self.writers) // 2 <= self.size:
            self.idle.put_nowait(server)
        while (request := await message(client[0]))[:1] != b"X":
            await self.transaction(request, client)

    async def sign_in(self, client: Streams, server: Streams) -> None:
        while (answer := await message(server[0]))[:1] != b"Z":
            client[1].write(answer)
            if answer[:1] == b"R" and answer[5:9] in (b"\0\0\0\x0a", b"\0\0\0\x0b"):
                server[1].write(await message(client[0]))
        client[1].write(answer)

    async def transaction(self, request: bytes, client: Streams) -> None:
        server = await self.idle.get()
        server[1].write(request)
        more = asyncio.ensure_future(self.forward(client[0], server[1]))
        while (answer := await message(server[0])) != b"Z\0\0\0\x05I":
            client[1].write(answer)
        more.cancel()
        await asyncio.wait([more])
        self.idle.put_nowait(server)
        client[1].write(answer)

    async def forward(self, client: asyncio.StreamReader, server: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while (request := await message(client))[:1] != b"X":
                server.write(request)

    async def close(self) -> None:
        for writer in self.writers:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for writer in self.writers), return_exceptions=True)


async def packet(reader: asyncio.StreamReader) -> bytes:
    length = await reader.readexactly(4)
    return length + await reader.readexactly(int.from_bytes(length, "big") - 4)


async def message(reader: asyncio.StreamReader) -> bytes:
    return await reader.readexactly(1) + await packet(reader)
