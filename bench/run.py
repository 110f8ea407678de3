"""Benchmarks: one private PostgreSQL, every side on it in turn, measured from outside.

    python bench/run.py engine [--orders N] [--runs 5] [--sides floor,pgqueuer,…]
    python bench/run.py intake | commands | queue | pages | verify [--help]

Standard library only. The peers live in bench/.venv, made from peers.txt when it is missing.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from commands import commands
from ground import BENCH, PHASE_LIMIT_S, PROJECT, Server, Worker, cpu_ms, machine, server
from intake import intake
from verify import verify


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


# One side, one run


@dataclass(frozen=True, slots=True)
class Outcome:
    figures: dict[str, float]
    config: object


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


def among_millions(options: argparse.Namespace, script: str, *, log: bool = False) -> tuple[dict[str, object], Any]:
    """What `script` says of a database with a million open and ten million closed cases, and of which machine."""
    with server() as pg:
        about = machine(pg)
        print(json.dumps(about), flush=True)
        pg.sql("ALTER SYSTEM SET max_wal_size = '16GB'")
        pg.sql("SELECT pg_reload_conf()")
        pg.sql("CREATE DATABASE queue OWNER bench")
        command = [options.python, BENCH / script, "--dsn", pg.dsn("queue", "bench")]
        command += ["--admin-dsn", pg.dsn("queue", "postgres"), *(["--log", pg.sockets / "log"] if log else [])]
        for name in ("open", "closed", "requests", "readers", "runs"):
            command += [f"--{name}", str(getattr(options, name))]
        said = subprocess.run(command, cwd=BENCH, check=True, stdout=subprocess.PIPE, text=True).stdout
    return about, json.loads(said)


def pages(options: argparse.Namespace) -> None:
    """Every page at a million open and ten million closed cases (about ten minutes)."""
    about, figures = among_millions(options, "pages.py", log=True)
    headline = {name: figures[name] for name in ("p50_ms", "p95_ms", "p99_ms", "max_ms")}
    print(f"\npages: {json.dumps(headline)}, slowest {json.dumps(figures['slowest'])}")
    for kind, times in figures["kinds"].items():
        print(
            f"  {kind:28} {times['p50_ms']:9.2f} {times['p95_ms']:9.2f} {times['p99_ms']:9.2f} {times['max_ms']:9.2f} ms"
        )
    print(f"slowest statement: {json.dumps(figures['slowest_statement'])}")
    report = {"name": "pages", "machine": about, "sides": {"unstuck": figures}}
    (BENCH / "out").mkdir(exist_ok=True)
    (BENCH / "out" / "pages.json").write_text(json.dumps(report, indent=2) + "\n")


def queue(options: argparse.Namespace) -> None:
    """List and case view at a million open and ten million closed cases (about ten minutes)."""
    about, sides = among_millions(options, "queues.py")
    names = ("list_p50_ms", "list_p99_ms", "view_p50_ms", "view_p99_ms")
    ratios = {f"{name}_vs_floor": round(sides["unstuck"][name] / sides["floor"][name], 2) for name in names}
    report = {
        "name": "queue",
        "machine": about,
        "sides": sides,
        "ratios": {"vs_floor": ratios["list_p99_ms_vs_floor"], **ratios},
    }
    for side, figures in sides.items():
        print(
            f"\n{side}: {json.dumps({name: figures[name] for name in names})}, slowest {json.dumps(figures['slowest'])}"
        )
        for kind, times in figures["kinds"].items():
            print(f"  {kind:34} {times['p50_ms']:9.2f} {times['p99_ms']:9.2f} {times['max_ms']:9.2f} ms")
    (BENCH / "out").mkdir(exist_ok=True)
    (BENCH / "out" / "queue.json").write_text(json.dumps(report, indent=2) + "\n")


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
    for bench, readers, runs in ((queue, 4, 5), (pages, 2, 3)):
        named = names.add_parser(bench.__name__, help=bench.__doc__)
        sizes = {"open": 1_000_000, "closed": 10_000_000, "requests": 3000, "readers": readers, "runs": runs}
        for name, otherwise in sizes.items():
            named.add_argument(f"--{name}", type=int, default=otherwise)
        named.set_defaults(bench=bench)
    named = names.add_parser("verify", help=verify.__doc__)
    named.add_argument("--orders", type=int, default=6000)
    named.add_argument("--runs", type=int, default=5)
    named.set_defaults(bench=verify)
    named = names.add_parser("intake", help=intake.__doc__)
    named.add_argument("--seconds", type=float, default=2, help="of every load")
    named.add_argument("--burst", type=int, default=100_000, help="events; 0 for none")
    named.add_argument("--runs", type=int, default=5)
    named.set_defaults(bench=intake)
    named = names.add_parser("commands", help=commands.__doc__)
    named.add_argument("--seconds", type=float, default=4, help="of every load")
    named.add_argument("--cases", type=int, default=10_000)
    named.add_argument("--runs", type=int, default=5)
    named.set_defaults(bench=commands)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # so that the server is stopped too
    options.bench(options)


if __name__ == "__main__":
    main()
