"""Benchmarks: one private PostgreSQL, every side on it in turn, measured from outside.

    python bench/run.py engine [--orders N] [--runs 5] [--sides floor,pgqueuer,…]

Standard library only. The peers live in bench/.venv, made from peers.txt when it is missing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import pwd
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import venv
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


@dataclass(frozen=True, slots=True)
class Side:
    """A side's script is `sides/<name>_side.py`; slow ones get a share of the orders, figures are per order."""

    name: str
    share: float = 1.0
    own: bool = False  # runs in the project's interpreter and may create roles

    @property
    def script(self) -> Path:
        return BENCH / "sides" / f"{self.name}_side.py"


ENGINE = (
    Side("unstuck", own=True),
    Side("floor"),
    Side("bare"),
    Side("pgqueuer", share=0.25),
    Side("dbos", share=0.1),
    Side("procrastinate", share=0.25),
)
FIGURES = (
    "cpu_ms_per_order",
    "python_cpu_ms",
    "pg_cpu_ms",
    "commits_per_order",
    "wal_bytes_per_order",
    "orders_per_second",
)


# The peers' environment


def ensure_env(path: Path) -> Path:
    """Return the interpreter of the peers' environment, made again whenever peers.txt changed."""
    wanted = (BENCH / "peers.txt").read_text()
    python, stamp = path / "bin" / "python", path / "peers.txt"
    if not (python.exists() and stamp.exists() and stamp.read_text() == wanted):
        print(f"making {path} from peers.txt", flush=True)
        venv.create(path, with_pip=True, clear=True)
        install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([python, *install, "-r", BENCH / "peers.txt"], check=True)
        stamp.write_text(wanted)
    return python


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

    def wait_until(self, question: str, limit_s: float = 30) -> None:
        """Ask until the answer is true."""
        deadline = time.monotonic() + limit_s
        while self.sql(question) != "t":
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


# One side, one run


@dataclass(frozen=True, slots=True)
class Outcome:
    figures: dict[str, float]
    config: object


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


def measure(pg: Server, database: str, command: list[str | Path], orders: int) -> Outcome:
    """Run the work phase; the figures cover exactly what lies between go and done."""
    commits = f"SELECT xact_commit FROM pg_stat_database WHERE datname = '{database}'"
    worker = Worker(command, Path(pg.sockets) / "side.log")
    try:
        config = worker.hear("ready")[0].get("config", {})
        commits_before, wal_before = int(pg.sql(commits)), pg.sql("SELECT pg_current_wal_lsn()")
        python_before, pg_before = cpu_ms(worker.process.pid), cpu_ms(pg.pid)
        start = worker.go()
        said, end = worker.hear("done")
        python, postgres = cpu_ms(worker.process.pid) - python_before, cpu_ms(pg.pid) - pg_before
        wal = int(pg.sql(f"SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '{wal_before}')::bigint"))
        worker.end()
        checked = said if "orders" in said else worker.hear("orders")[0]
        if checked["orders"] != orders or checked.get("calls", 6 * orders) != 6 * orders:
            raise SystemExit(f"{database}: {checked} instead of {orders} orders and six calls each")
        worker.process.wait()
    finally:
        worker.stop()
    # A backend reports its commits when it ends at the latest.
    pg.wait_until(
        f"SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE datname = '{database}' AND backend_type = 'client backend')"
    )
    figures = {
        "cpu_ms_per_order": (python + postgres) / orders,
        "python_cpu_ms": python / orders,
        "pg_cpu_ms": postgres / orders,
        "commits_per_order": (int(pg.sql(commits)) - commits_before) / orders,
        "wal_bytes_per_order": wal / orders,
        "orders_per_second": orders / (end - start),
    }
    return Outcome(figures, config)


def run_side(pg: Server, side: Side, python: Path, orders: int, run: int) -> Outcome:
    """Load and work on a database of its own, which is dropped afterwards."""
    database = f"{side.name}_{run}"
    pg.sql(f"CREATE DATABASE {database} OWNER bench")
    try:
        # Every side starts just after a checkpoint, so none pays for the pages another one left dirty.
        pg.sql("CHECKPOINT")
        command: list[str | Path] = [python, "-m", f"sides.{side.script.stem}", "--dsn", pg.dsn(database, "bench")]
        if side.own:
            command += ["--admin-dsn", pg.dsn(database, "postgres")]
        load = [*command, "--phase", "load", "--orders", str(orders)]
        loaded = subprocess.run(load, cwd=BENCH, capture_output=True, text=True, timeout=PHASE_LIMIT_S)
        if loaded.returncode != 0:
            raise SystemExit(f"{side.name} cannot load:\n{loaded.stderr[-4000:]}")
        pg.sql("ANALYZE", database)
        return measure(pg, database, [*command, "--phase", "work"], orders)
    finally:
        pg.sql(f"DROP DATABASE {database} WITH (FORCE)")


# The report


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


def summary(outcomes: list[Outcome], orders: int) -> dict[str, object]:
    """Medians as the figures, their spread beside them."""
    by_name = {name: [outcome.figures[name] for outcome in outcomes] for name in FIGURES}
    return {
        **{name: round(statistics.median(values), 4) for name, values in by_name.items()},
        "spread": {name: [round(min(values), 4), round(max(values), 4)] for name, values in by_name.items()},
        "orders": orders,
        "runs": len(outcomes),
        "config": outcomes[0].config,
    }


def ratios(sides: dict[str, dict[str, object]]) -> dict[str, float]:
    """unstuck / other, of the median CPU an order takes."""
    if "unstuck" not in sides:
        return {}
    cost = {name: float(str(side["cpu_ms_per_order"])) for name, side in sides.items()}
    return {f"vs_{name}": round(cost["unstuck"] / cost[name], 4) for name in cost if name != "unstuck"}


def table(sides: dict[str, dict[str, object]]) -> str:
    """Median (min-max) of every figure; orders differ because slow sides get fewer of them."""
    rows = [["side", "orders x runs", *FIGURES]]
    for name, side in sides.items():
        spread = side["spread"]
        assert isinstance(spread, dict)
        cells = [f"{side[figure]:.4g} ({spread[figure][0]:.4g}-{spread[figure][1]:.4g})" for figure in FIGURES]
        rows.append([name, f"{side['orders']} x {side['runs']}", *cells])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def engine(options: argparse.Namespace) -> None:
    """Execute the plan on every side, run 1 of each, then run 2 of each, and so on."""
    sides = chosen(options.sides)
    peers = ensure_env(options.venv)
    orders = {side.name: max(1, round(options.orders * side.share)) for side in sides}
    done: dict[str, list[Outcome]] = {side.name: [] for side in sides}
    with server() as pg:
        about = machine(pg)
        print(json.dumps(about), flush=True)
        for run in range(1, options.runs + 1):
            for side in sides:
                python = options.python if side.own else peers
                outcome = run_side(pg, side, python, orders[side.name], run)
                if run == 1:
                    print(f"{side.name}: {orders[side.name]} orders, {json.dumps(outcome.config)}", flush=True)
                done[side.name].append(outcome)
                cost = outcome.figures["cpu_ms_per_order"]
                print(f"run {run} {side.name}: {cost:.3f} CPU ms an order", flush=True)
    report: dict[str, object] = {"name": "engine", "machine": about}
    report["sides"] = measured = {name: summary(outcomes, orders[name]) for name, outcomes in done.items()}
    report["ratios"] = ratios(measured)
    print(f"\nmedian (min-max), per order; figures are per order, so slow sides execute fewer\n{table(measured)}")
    print(json.dumps(report["ratios"]))
    (BENCH / "out").mkdir(exist_ok=True)
    (BENCH / "out" / "engine.json").write_text(json.dumps(report, indent=2) + "\n")


def chosen(names: str) -> tuple[Side, ...]:
    """The named sides; without names, every one whose script is there."""
    known = {side.name: side for side in ENGINE}
    if names:
        wanted = names.split(",")
        if missing := [name for name in wanted if name not in known or not known[name].script.exists()]:
            raise SystemExit(f"no such side: {', '.join(missing)} (known: {', '.join(known)})")
        return tuple(known[name] for name in wanted)
    for side in ENGINE:
        if not side.script.exists():
            print(f"no {side.script.name}: {side.name} is left out", flush=True)
    return tuple(side for side in ENGINE if side.script.exists())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--venv", type=Path, default=os.environ.get("UNSTUCK_BENCH_VENV", BENCH / ".venv"))
    parser.add_argument("--python", type=Path, default=PROJECT / ".venv" / "bin" / "python", help="runs unstuck")
    names = parser.add_subparsers(dest="name", required=True)
    named = names.add_parser("engine", help=engine.__doc__)
    named.add_argument("--orders", type=int, default=2000, help="of the fast sides; slow ones get a share")
    named.add_argument("--runs", type=int, default=5)
    named.add_argument("--sides", default="", help=",".join(side.name for side in ENGINE))
    named.set_defaults(bench=engine)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # so that the server is stopped too
    options.bench(options)


if __name__ == "__main__":
    main()
