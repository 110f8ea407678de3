"""The product as it is run: `unstuck serve` and a worker, each a process of its own, under load from another.

Standard library only; what costs is read per process, so the clients are in no figure.
"""

from __future__ import annotations

import os
import signal
import socket
import statistics
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ground import BENCH, Server, Worker, cpu_ms

TOKEN = "unst_bench_0123456789abcdefghij"
TEMPLATE = "door"
READY_S = 30
Figures = dict[str, float]


@dataclass
class Product:
    """The processes of one Unstuck on a database of its own, and where they listen."""

    pg: Server
    python: Path
    database: str
    folder: Path
    port: int
    parts: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, part: str, *arguments: str) -> None:
        """Start `unstuck <part>`."""
        environment = {
            "UNSTUCK_DATABASE_URL": self.pg.dsn(self.database, "bench"),
            "UNSTUCK_DATA": str(self.folder),
        }
        with (self.folder / f"{part}.log").open("ab") as log:
            self.parts[part] = subprocess.Popen(
                [self.python, "-m", "unstuck.cli.main", part, *arguments],
                cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=os.environ | environment,
            )  # fmt: skip

    def stop(self, part: str) -> None:
        """End a part cleanly; a part that ended by itself before ends the bench."""
        process = self.parts.pop(part)
        if process.poll() is not None:
            raise SystemExit(f"{part} ended by itself:\n{(self.folder / f'{part}.log').read_text()[-4000:]}")
        process.send_signal(signal.SIGTERM)
        process.wait()

    def await_ready(self) -> None:
        """Return when the server answers."""
        until = time.monotonic() + READY_S
        while time.monotonic() < until and self.parts["serve"].poll() is None:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=2):
                    return
            except OSError:
                time.sleep(0.05)
        raise SystemExit(f"the server did not start:\n{(self.folder / 'serve.log').read_text()[-4000:]}")

    def sql(self, statement: str) -> str:
        return self.pg.sql(statement, self.database)

    def cpu(self) -> Figures:
        """CPU milliseconds each part and PostgreSQL have used so far."""
        return {"pg": cpu_ms(self.pg.pid), **{name: cpu_ms(part.pid) for name, part in self.parts.items()}}

    def writes(self) -> int:
        """Transactions that wrote something, so far: those are the ones that wait for the disk."""
        return int(self.sql("SELECT pg_snapshot_xmax(pg_current_snapshot())"))


@contextmanager
def product(pg: Server, python: Path, database: str, *, worker: bool) -> Iterator[Product]:
    """An Unstuck that is ready, on a fresh copy of the template; gone at the end."""
    pg.sql(f"CREATE DATABASE {database} TEMPLATE {TEMPLATE} OWNER bench")
    with tempfile.TemporaryDirectory(prefix="unstuck-bench-") as folder:
        running = Product(pg, python, database, Path(folder), free_port())
        try:
            running.start("serve", "--port", str(running.port))
            if worker:
                running.start("worker")
            running.await_ready()
            pg.sql("CHECKPOINT")
            yield running
        finally:
            for process in running.parts.values():
                process.kill()
                process.wait()
            pg.sql(f"DROP DATABASE {database} WITH (FORCE)")


def prepare(pg: Server, python: Path) -> None:
    """The migrated database that every product starts from, with one token."""
    pg.sql(f"CREATE DATABASE {TEMPLATE} OWNER bench")
    run_side(python, "door_setup", "--dsn", pg.dsn(TEMPLATE, "bench"), "--token", TOKEN)


def run_side(python: Path, name: str, *arguments: str) -> None:
    """Run a script of `sides/` to its end."""
    done = subprocess.run([python, "-m", f"sides.{name}", *arguments], cwd=BENCH, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{name} failed:\n{done.stderr[-4000:]}")


def drive(unstuck: Product, load: str, *arguments: str, per: str) -> Figures:
    """Put a load on the product; what it took for each `per` that the clients count."""
    clients = Worker(clients_command(unstuck.python, unstuck.port, load, *arguments), unstuck.folder / "clients.log")
    try:
        clients.hear("ready")
        wrote, before = unstuck.writes(), unstuck.cpu()
        clients.go()
        said = numbers(clients.hear("done")[0])
        after, wrote = unstuck.cpu(), unstuck.writes() - wrote - 1
    finally:
        clients.stop()
    for part, process in unstuck.parts.items():
        if process.poll() is not None:
            raise SystemExit(f"{part} died under load:\n{(unstuck.folder / f'{part}.log').read_text()[-4000:]}")
    spent = {name: after[name] - before[name] for name in before}
    return figures(said, spent, per) | {f"writes_per_{per}": wrote / said["done"]}


def clients_command(python: Path, port: int, load: str, *arguments: str) -> list[str | Path]:
    """The command of the clients' process."""
    return [python, "-m", "sides.door_clients", "--port", str(port), "--token", TOKEN, "--load", load, *arguments]


def figures(said: Mapping[str, float], spent: Mapping[str, float], per: str) -> Figures:
    """Rates and costs for one of what was `done`; the worker's CPU stands beside, it is not what a caller waits for."""
    done = said["done"]
    own = {f"{name}_cpu_ms_per_{per}": value / done for name, value in spent.items()}
    kept = {name: value for name, value in said.items() if name not in ("done", "seconds")}
    total = sum(value for name, value in spent.items() if name != "worker") / done
    return {"per_second": done / said["seconds"], f"{per}s": done, **kept, f"cpu_ms_per_{per}": total, **own}


def summary(runs: Sequence[Mapping[str, Figures]]) -> dict[str, dict[str, object]]:
    """By load: the median of every figure, with its spread and the number of runs beside."""
    shown: dict[str, dict[str, object]] = {}
    for load in dict.fromkeys(name for run in runs for name in run):
        taken = [run[load] for run in runs if load in run]
        values = {name: [one[name] for one in taken] for name in taken[0]}
        spread = {name: [round(min(found), 4), round(max(found), 4)] for name, found in values.items()}
        medians = {name: round(statistics.median(found), 4) for name, found in values.items()}
        shown[load] = {**medians, "spread": spread, "runs": len(taken)}
    return shown


def table(loads: Mapping[str, object]) -> str:
    """The medians of every load, one a line."""
    lines = []
    for load, found in loads.items():
        if not isinstance(found, dict) or load == "spread":
            continue  # the headline's own figures stand among the loads too
        cells = [f"{name} {value:.4g}" for name, value in found.items() if isinstance(value, float)]
        lines.append(f"  {load:<18} {'  '.join(cells)}")
    return "\n".join(lines)


def numbers(line: Mapping[str, object]) -> Figures:
    """What a process said in numbers."""
    return {name: float(value) for name, value in line.items() if isinstance(value, int | float)}


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
