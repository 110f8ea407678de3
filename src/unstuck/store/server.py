"""The embedded database server: made, started, adopted, watched, stopped by one supervisor per directory."""

import asyncio
import contextlib
import fcntl
import hashlib
import os
import re
import secrets
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import IO, Any, Self

import asyncpg

from unstuck.store.binaries import (
    Account,
    Binaries,
    ServerError,
    cluster_major,
    find_binaries,
    forget_reused_pid,
    postmaster_of,
    quit_all,
    readable_to,
    server_account,
)

OWNER, APP, PURGE, SUPERUSER = "unstuck_owner", "unstuck_app", "unstuck_purge", "postgres"
ROLES = (OWNER, APP, PURGE)
DATABASE = "unstuck"
PORT = 5432  # only the name of the socket file: nothing listens on the network
SOCKET_ROOT = Path("/tmp")  # a socket's path is limited to 107 bytes, and TMPDIR may be long
START_WAIT_S = 120
SOCKET_WAIT_S = 5
ORPHAN_WAIT_S = 20
ORPHAN_GRACE_S = 3
LOG_FILES_KEPT = 8

SETTINGS = MappingProxyType(
    {
        "shared_buffers": "256MB",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "logging_collector": "on",
        "log_directory": "log",
        # Rotation by size reopens a file of the same name, so only names that differ can be capped.
        "log_filename": "postgresql-%Y%m%d-%H%M%S.log",
        "log_rotation_age": "1d",
        "log_rotation_size": "10MB",
        # Parameters and DETAIL lines ("Failing row contains ...") may quote personal data.
        "log_parameter_max_length_on_error": "0",
        "log_error_verbosity": "terse",
    }
)
# Ours alone: where the server listens, how it is recognised, and what makes a commit durable.
RESERVED = frozenset(
    {
        *("listen_addresses", "unix_socket_directories", "unix_socket_permissions", "port", "hba_file"),
        *("cluster_name", "update_process_title", "data_directory", "password_encryption"),
        *("fsync", "full_page_writes", "synchronous_commit"),
    }
)


@dataclass(frozen=True, slots=True)
class Urls:
    """One database as each of the three roles sees it."""

    owner: str
    app: str
    purge: str


class EmbeddedServer:
    """A running PostgreSQL of our own under `<data_dir>/pg`, reachable only through a private socket.

    `start` makes the cluster when there is none, and adopts a server that a killed supervisor left running.
    """

    def __init__(self, data_dir: Path, account: Account, binaries: Binaries, settings: Mapping[str, str]) -> None:
        self.data_dir = data_dir
        self.cluster = data_dir / "pg"
        self.major = binaries.major
        self.binaries = binaries
        self.adopted = False
        self.took_ms = 0
        self._account = account
        self._settings = settings
        self._passwords = _passwords(data_dir / "secrets", may_create=cluster_major(self.cluster) is None)
        self._key = _key(self.cluster, self._passwords[SUPERUSER])
        self._socket_dir = SOCKET_ROOT / f"unstuck-{self._key}"
        self._socket = self._socket_dir / f".s.PGSQL.{PORT}"
        self._lock: IO[str] | None = None

    @classmethod
    def start(
        cls,
        data_dir: Path,
        binaries: Binaries | None = None,
        *,
        settings: Mapping[str, str] = MappingProxyType({}),
    ) -> Self:
        """Bring the server of this data directory up and prove it by connecting."""
        began = time.monotonic()
        data_dir = _prepared(data_dir)
        with contextlib.ExitStack() as undo:
            account = server_account(data_dir / "pg")
            lock = undo.enter_context(_locked(data_dir / "lock"))
            account.require_reach(data_dir)
            programs = binaries or find_binaries(data_dir, os.environ)
            programs.require_major(cluster_major(data_dir / "pg"))
            programs = readable_to(account, programs, data_dir / "binaries")
            server = cls(data_dir, account, programs, _checked(settings))
            server._come_up()
            server._lock = lock
            undo.pop_all()
        server.took_ms = round((time.monotonic() - began) * 1000)
        return server

    @classmethod
    def urls_in(cls, data_dir: Path) -> Urls:
        """Where the database of a data directory answers while its Unstuck runs; starts and locks nothing."""
        data_dir = data_dir.expanduser().resolve()
        cluster = data_dir / "pg"
        if cluster_major(cluster) is None:
            raise ServerError(f"{data_dir} holds no database; name the data directory of a running Unstuck with --data")
        passwords = _passwords(data_dir / "secrets", may_create=False)
        at = f"{DATABASE}?host={SOCKET_ROOT}/unstuck-{_key(cluster, passwords[SUPERUSER])}&port={PORT}"
        return Urls(*(f"postgresql://{role}:{passwords[role]}@/{at}" for role in ROLES))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    @property
    def urls(self) -> Urls:
        return self._urls(DATABASE)

    @property
    def owner_url(self) -> str:
        """Owns the schema: migrations only."""
        return self.urls.owner

    @property
    def app_url(self) -> str:
        return self.urls.app

    @property
    def superuser_url(self) -> str:
        """For backup and for tests of the server itself; no part of the product works through it."""
        return self._url(SUPERUSER, "postgres")

    @property
    def pid(self) -> int | None:
        """The postmaster's process id, or None when it is not running."""
        return postmaster_of(self.cluster)

    def is_running(self) -> bool:
        """Whether the server lives and its socket is still there to be reached."""
        return self.pid is not None and self._socket.exists()

    def restart_if_dead(self) -> bool:
        """Bring a dead server back; to be called by whoever watches it. Also keeps the logs capped."""
        self._prune_logs()
        if self.is_running():
            return False
        self._halt()
        self._come_up()
        return True

    def stop(self) -> None:
        """Stop cleanly and let go of the data directory; harmless when already stopped."""
        if self._lock is None:
            return
        self._halt()
        self._prune_logs()
        with contextlib.suppress(OSError):
            self._socket_dir.rmdir()
        self._lock.close()
        self._lock = None

    def create_database(self, name: str, *, template: str = "template0") -> Urls:
        """Create one more database of unstuck_owner, e.g. for a test; `template` may be a migrated one."""
        self._as_superuser(lambda admin: _create_database(admin, name, template))
        return self._urls(name)

    def drop_database(self, name: str) -> None:
        """Drop a database made by `create_database`, ending its connections."""
        self._as_superuser(lambda admin: admin.execute(f"DROP DATABASE IF EXISTS {_name(name)} WITH (FORCE)"))

    def _come_up(self) -> None:
        if cluster_major(self.cluster) is None:
            self._make_cluster()
        _private_directory(self._socket_dir, self._account)
        self._prune_logs()
        self.adopted = self._adopt()
        if not self.adopted:
            self._forget_the_dead()
            self._write_settings()
            self._launch()
        with contextlib.ExitStack() as undo:
            undo.callback(self._halt)
            self._as_superuser(self._provision)
            undo.pop_all()

    def _forget_the_dead(self) -> None:
        """Clear away the process numbers of a killed server: the kernel may have handed them on."""
        forget_reused_pid(self.cluster, self._account)
        for name in (self._socket.name, f"{self._socket.name}.lock"):
            self._socket.with_name(name).unlink(missing_ok=True)

    def _make_cluster(self) -> None:
        """Make the cluster under another name first: what a killed initdb left is never taken for whole."""
        making = self.data_dir / "pg.making"
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(0o700)
        os.chown(making, self._account.uid, self._account.gid)
        with _readable_secret(self._passwords[SUPERUSER], self._account) as password_file:
            made = self._account.run(
                self.binaries.program("initdb"),
                *("-D", str(making), "-U", SUPERUSER, f"--pwfile={password_file}", "--auth=scram-sha-256"),
                *("--encoding=UTF8", "--locale=C", "--data-checksums", "--no-instructions"),
            )
        if made.returncode != 0:
            raise ServerError(f"initdb could not make a database in {self.data_dir}: {made.stderr.strip()}")
        self._account.write(making / "pg_hba.conf", "local all all scram-sha-256\n")
        main = (making / "postgresql.conf").read_text()
        include = "\n# Unstuck rewrites unstuck.conf at every start.\ninclude 'unstuck.conf'\n"
        self._account.write(making / "postgresql.conf", main + include)
        try:
            making.rename(self.cluster)
        except OSError as error:
            raise ServerError(f"{self.cluster} is in the way: it holds files but no database") from error
        _sync_directory(self.data_dir)

    def _write_settings(self) -> None:
        ours = {
            "listen_addresses": "",
            "unix_socket_directories": str(self._socket_dir),
            "unix_socket_permissions": "0700",
            "port": str(PORT),
            "cluster_name": f"unstuck-{self._key}",
        }
        chosen = {**SETTINGS, **self._settings, **ours}
        lines = (f"{name} = '{_quoted(value)}'\n" for name, value in sorted(chosen.items()))
        self._account.write(self.cluster / "unstuck.conf", "".join(lines))

    def _launch(self) -> None:
        began = time.monotonic()
        while (started := self._start_once()) != "":
            waited = time.monotonic() - began
            if self.pid is not None or "still in use" not in started or waited > ORPHAN_WAIT_S:
                raise ServerError(f"the database server in {self.cluster} did not start: {started}")
            # Backends of a killed postmaster hold its memory until they notice; a busy one never does.
            if waited > ORPHAN_GRACE_S:
                quit_all(f"postgres: unstuck-{self._key}: ")
            time.sleep(0.2)

    def _start_once(self) -> str:
        """Return "" when the server accepts connections, else what went wrong."""
        log = self.cluster / "startup.log"
        log.unlink(missing_ok=True)
        done = self._pg_ctl("start", "-w", "-t", str(START_WAIT_S), "-l", str(log))
        if done.returncode == 0:
            return ""
        return "\n".join(
            [done.stderr.strip(), *_tail(log), *(line for last in self._logs()[-1:] for line in _tail(last))]
        )

    def _halt(self) -> None:
        if self.pid is None:
            return
        if self._pg_ctl("stop", "-m", "fast", "-w", "-t", "60").returncode != 0 and self.pid is not None:
            self._pg_ctl("stop", "-m", "immediate", "-w", "-t", "30")

    def _pg_ctl(self, verb: str, *options: str) -> subprocess.CompletedProcess[str]:
        return self._account.run(self.binaries.program("pg_ctl"), verb, "-D", str(self.cluster), *options)

    def _adopt(self) -> bool:
        """Take over a server left running by a killed supervisor, once it answers to our password."""
        began = time.monotonic()
        while self.pid is not None:
            try:
                self._as_superuser(lambda admin: admin.execute("SELECT 1"))
                return True
            except (OSError, asyncpg.OperatorInterventionError, asyncpg.PostgresConnectionError) as error:
                self._await_answer(time.monotonic() - began, error)
        return False

    def _await_answer(self, waited: float, error: Exception) -> None:
        if waited > START_WAIT_S:
            raise ServerError(
                f"process {self.pid} serves {self.cluster} but does not answer on {self._socket_dir} "
                f"({error}); stop it with: pg_ctl stop -D {self.cluster}"
            )
        if waited > SOCKET_WAIT_S and not self._socket.exists():
            self._halt()  # someone swept the socket away; only a fresh start makes a new one
        time.sleep(0.1)

    async def _provision(self, admin: Any) -> None:
        """Make what a first start cut short may have left out: the roles, then the database."""
        # A failing statement is logged with its text, and this one holds passwords.
        await admin.execute("SET log_min_error_statement = 'panic'; SET log_statement = 'none'")
        there = {row[0] for row in await admin.fetch("SELECT rolname FROM pg_roles")}
        for role in ROLES:
            if role not in there:
                await admin.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{self._passwords[role]}'")
        if DATABASE not in {row[0] for row in await admin.fetch("SELECT datname FROM pg_database")}:
            await _create_database(admin, DATABASE, "template0")
        await admin.execute("REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC")
        await admin.execute(_only_for_us(DATABASE))

    def _as_superuser(self, work: Callable[[Any], Coroutine[Any, Any, object]]) -> None:
        async def connected() -> None:
            admin = await self._superuser()
            try:
                await work(admin)
            finally:
                await admin.close()

        # A thread of its own: the caller may be running an event loop already.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, connected()).result()

    async def _superuser(self) -> Any:
        try:
            return await asyncpg.connect(self.superuser_url, timeout=10)
        except asyncpg.InvalidPasswordError as error:
            kept = self.data_dir / "secrets"
            raise ServerError(f"{kept} does not hold the passwords of {self.cluster}; restore both together") from error

    def _urls(self, database: str) -> Urls:
        return Urls(*(self._url(role, database) for role in ROLES))

    def _url(self, role: str, database: str) -> str:
        return f"postgresql://{role}:{self._passwords[role]}@/{database}?host={self._socket_dir}&port={PORT}"

    def _logs(self) -> list[Path]:
        return sorted(self.cluster.glob("log/postgresql-*.log"))

    def _prune_logs(self) -> None:
        if old := self._logs()[:-LOG_FILES_KEPT]:
            self._account.run("rm", "-f", *map(str, old))


def _tail(log: Path) -> list[str]:
    return log.read_text(errors="replace").splitlines()[-5:] if log.exists() else []


async def _create_database(admin: Any, name: str, template: str) -> None:
    await admin.execute(f"CREATE DATABASE {_name(name)} OWNER {OWNER} TEMPLATE {_name(template)}")
    await admin.execute(_only_for_us(name))


def _only_for_us(database: str) -> str:
    on = f"ON DATABASE {database}"
    return f"REVOKE ALL {on} FROM PUBLIC; GRANT CONNECT {on} TO {APP}, {PURGE}"


def _name(name: str) -> str:
    if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", name):
        raise ServerError(f"{name!r} is not a database name: lower-case letters, digits and _ only, at most 63")
    return name


def _checked(settings: Mapping[str, str]) -> Mapping[str, str]:
    for name, value in settings.items():
        if name in RESERVED:
            raise ServerError(
                f"{name} is not yours to set: the embedded server keeps commits durable and stays private"
            )
        if not re.fullmatch(r"[a-z_]+(\.[a-z_]+)?", name) or "\n" in value:
            raise ServerError(f"{name!r} is not a PostgreSQL setting")
    return settings


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "''")


def _prepared(data_dir: Path) -> Path:
    data_dir = data_dir.expanduser().resolve()
    # pg_ctl hands the path to a shell inside double quotes.
    if set(str(data_dir)) & set('"$`\\\n'):
        raise ServerError(f"the data directory {data_dir} has a character in its name that pg_ctl cannot take")
    try:
        if not data_dir.exists():
            data_dir.mkdir(parents=True)
            data_dir.chmod(0o711)
    except PermissionError as error:
        raise ServerError(f"may not make the data directory {data_dir}; choose another with DATA=") from error
    return data_dir


def _locked(path: Path) -> IO[str]:
    """Hold the data directory as long as this process lives; the kernel lets go however it dies."""
    try:
        lock = path.open("a+")
    except PermissionError as error:
        raise ServerError(f"may not write in the data directory {path.parent}; choose another with DATA=") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        with lock:
            lock.seek(0)
            holder = lock.read().strip()
        raise ServerError(
            f"the data directory {path.parent} is in use by another Unstuck, process {holder}; "
            "stop that one, or give this one its own with DATA="
        ) from error
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


def _passwords(directory: Path, *, may_create: bool) -> Mapping[str, str]:
    directory.mkdir(mode=0o700, exist_ok=True)
    return {role: _password(directory / role, may_create) for role in (SUPERUSER, *ROLES)}


def _password(path: Path, may_create: bool) -> str:
    if not path.exists():
        if not may_create:
            raise ServerError(f"{path}, a password of the existing database, is missing; restore it from a backup")
        descriptor, half_written = tempfile.mkstemp(dir=path.parent)  # 0600 from the start
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(24))
            file.flush()
            os.fsync(file.fileno())
        os.rename(half_written, path)
    return path.read_text()


def _key(cluster: Path, password: str) -> str:
    """Name this cluster on this machine, in a way nobody can guess and so nobody can occupy beforehand."""
    return hashlib.sha256(f"{cluster}\n{password}".encode()).hexdigest()[:16]


def _private_directory(path: Path, account: Account) -> None:
    """Make the socket's directory, or refuse one that is not the server's alone: others could pose as it."""
    with contextlib.suppress(FileExistsError):
        path.mkdir(0o700)
    if path.lstat().st_uid == os.geteuid():  # just made, or left so by a crash right here
        os.chown(path, account.uid, account.gid, follow_symlinks=False)
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != account.uid or status.st_mode & 0o077:
        raise ServerError(f"{path} is not a private directory of user {account.name}; remove it, then start again")


@contextlib.contextmanager
def _readable_secret(secret: str, account: Account) -> Iterator[Path]:
    """Lend a secret to the server's user in a file for as long as initdb runs."""
    directory = Path(tempfile.mkdtemp(prefix="unstuck-", dir=SOCKET_ROOT))
    try:
        path = directory / "password"
        path.write_text(secret)
        for each in (path, directory):
            os.chown(each, account.uid, account.gid)
        yield path
    finally:
        shutil.rmtree(directory)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
