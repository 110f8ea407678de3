"""The ground every bench stands on: a private PostgreSQL, processes, and what they cost as seen from outside.

Standard library only.
"""

from __future__ import annotations

import json
import os
import platform
import pwd
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

BENCH = Path(__file__).resolve().parent
PROJECT = BENCH.parent
POSTGRES = Path(os.environ.get("UNSTUCK_PG_BIN", "/usr/lib/postgresql/15/bin"))
TICKS_MS = 1000 / os.sysconf("SC_CLK_TCK")
PHASE_LIMIT_S = 900

# Durability is the same for every side and read back from the server before anything is measured.
SETTINGS = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "shared_buffers": "1GB",
}


# The server


@dataclass(frozen=True, slots=True)
class Server:
    """A private PostgreSQL, reached over a socket in a directory only its owner can enter."""

    pid: int
    sockets: Path

    def dsn(self, database: str, user: str) -> str:
        return f"postgresql://{user}@/{database}?host={quote(str(self.sockets), safe='')}"

    def sql(self, statement: str, database: str = "postgres") -> str:
        psql = [POSTGRES / "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", self.sockets, "-U", "postgres"]
        run = subprocess.run([*psql, "-d", database, "-c", statement], check=True, stdout=subprocess.PIPE, text=True)
        return run.stdout.strip()

    def wait_until(self, question: str, limit_s: float = 30, database: str = "postgres") -> None:
        """Ask until the answer is true."""
        deadline = time.monotonic() + limit_s
        while self.sql(question, database) != "t":
            if time.monotonic() > deadline:
                raise SystemExit(f"still not true after {limit_s} s: {question}")
            time.sleep(0.05)


def postgres_user() -> dict[str, int]:
    """PostgreSQL refuses to run as root: then it runs as `postgres`."""
    if os.geteuid() != 0:
        return {}
    account = pwd.getpwnam("postgres")
    return {"user": account.pw_uid, "group": account.pw_gid}


@contextmanager
def server() -> Iterator[Server]:
    """Start a server on new data in the temporary directory; stop it and remove the data in the end."""
    account = postgres_user()
    root = Path(tempfile.mkdtemp(prefix="unstuck-bench-"))
    process: subprocess.Popen[bytes] | None = None
    try:
        if account:
            os.chown(root, account["user"], account["group"])
        initdb = [POSTGRES / "initdb", "-D", root / "data", "-U", "postgres", "-A", "trust"]
        initdb += ["-E", "UTF8", "--no-locale"]
        subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, cwd=root, **account)
        settings = SETTINGS | {"listen_addresses": "", "unix_socket_directories": str(root)}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with (root / "log").open("wb") as log:
            postgres = [POSTGRES / "postgres", "-D", root / "data", *options]
            process = subprocess.Popen(postgres, stderr=log, stdout=log, cwd=root, **account)
        ready = [POSTGRES / "pg_isready", "-q", "-h", root, "-U", "postgres"]
        while subprocess.run(ready, check=False).returncode != 0:
            if process.poll() is not None:
                raise SystemExit((root / "log").read_text())
            time.sleep(0.1)
        started = Server(process.pid, root)
        for name, value in SETTINGS.items():
            if (found := started.sql(f"SHOW {name}")) != value:
                raise SystemExit(f"{name} is {found}, not {value}")
        started.sql("CREATE ROLE bench LOGIN")
        yield started
    finally:
        if process is not None:
            process.send_signal(signal.SIGINT)  # fast shutdown
            process.wait()
        shutil.rmtree(root, ignore_errors=True)


# CPU of a process and everything below it


def stat_of(pid: int) -> tuple[int, int] | None:
    """Parent and ticks used so far, those of its children that have ended included."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(fields[1]), sum(map(int, fields[11:15]))


def below(root: int) -> dict[int, int]:
    """Ticks by process, for `root` and every descendant."""
    stats = {int(entry): stat for entry in os.listdir("/proc") if entry.isdigit() and (stat := stat_of(int(entry)))}
    found, size = {root}, 0
    while len(found) > size:
        size = len(found)
        found |= {pid for pid, (parent, _) in stats.items() if parent in found}
    return {pid: stats[pid][1] for pid in found}


def cpu_ms(root: int) -> float:
    """CPU of the tree below `root`. A process that ends while we look would be counted twice: look again."""
    before, after = below(root), below(root)
    while before.keys() != after.keys():
        before, after = after, below(root)
    return sum(after.values()) * TICKS_MS


# A process that is told when


class Worker:
    """A side's process in its work phase: one JSON object a line, everything else it prints is ignored."""

    def __init__(self, command: list[str | Path], errors: Path) -> None:
        self.errors = errors
        with errors.open("wb") as stderr:
            self.process = subprocess.Popen(
                command, cwd=BENCH, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, text=True
            )
        self.timer = threading.Timer(PHASE_LIMIT_S, self.process.kill)
        self.timer.start()

    def hear(self, key: str) -> tuple[dict[str, object], float]:
        """Wait for the line that carries `key`; return it and when it came."""
        assert self.process.stdout is not None
        for text in self.process.stdout:
            now = time.monotonic()
            if text.startswith("{") and key in (line := json.loads(text)):
                return line, now
        raise SystemExit(f"the side ended before it said {key!r}:\n{self.errors.read_text()[-4000:]}")

    def go(self) -> float:
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return time.monotonic()

    def end(self) -> None:
        """Closing stdin tells the side that the figures are taken."""
        assert self.process.stdin is not None
        self.process.stdin.close()

    def stop(self) -> None:
        self.timer.cancel()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def machine(pg: Server) -> dict[str, object]:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": cpu[0] if cpu else platform.machine(),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "postgresql": pg.sql("SHOW server_version"),
        "settings": SETTINGS,
        "load_at_start": round(os.getloadavg()[0], 2),
    }
