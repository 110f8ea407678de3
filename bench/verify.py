"""What the audit costs: hash and seal, fold and compare, export, verify offline; each beside the floor under it.

The history is that of orders which the engine has executed; five runs over it, every phase in turn. Standard
library only; the phases run in `sides/verify_side.py`, in the project's interpreter.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from ground import BENCH, PHASE_LIMIT_S, Server, Worker, cpu_ms, machine, server

# Phase, its floor, and what is to be reached, in rows a second of CPU.
PHASES = (
    ("hash", "digest", 100_000),
    ("seal", "read", None),
    ("tree", "read", None),
    ("fold", "fold_floor", 20_000),
    ("export_whole", "read", None),
    ("export_proven", "read", None),
    ("verify_whole", "file", None),
    ("verify_proven", "file", None),
)
IN_TURN = (
    "reset", "read", "digest", "hash", "seal", "tree", "fold_floor", "fold", "export_whole", "export_proven", "file",
    "verify_whole", "verify_proven",
)  # fmt: skip
Figures = dict[str, list[float]]


def verify(options: argparse.Namespace) -> None:
    """Seal, fold, export and verify the history of executed orders (about two minutes)."""
    with server() as pg, tempfile.TemporaryDirectory(prefix="unstuck-bench-") as folder:
        about = machine(pg)
        print(json.dumps(about), flush=True)
        make_history(pg, options)
        command = [options.python, "-m", "sides.verify_side", "--folder", folder]
        command += ["--dsn", pg.dsn("verify", "bench"), "--admin-dsn", pg.dsn("verify", "postgres")]
        worker = Worker(command, Path(folder) / "side.log")
        try:
            worker.hear("ready")
            measured, counted = run_phases(pg, worker, options.runs)
            worker.end()
            worker.process.wait()
        finally:
            worker.stop()
    report(about, measured, counted, options)


def make_history(pg: Server, options: argparse.Namespace) -> None:
    """Orders, submitted and executed by the engine; in no figure."""
    pg.sql("CREATE DATABASE verify OWNER bench")
    side = [options.python, "-m", "sides.unstuck_side", "--dsn", pg.dsn("verify", "bench")]
    side += ["--admin-dsn", pg.dsn("verify", "postgres"), "--phase"]
    subprocess.run([*side, "load", "--orders", str(options.orders)], cwd=BENCH, check=True, timeout=PHASE_LIMIT_S)
    worker = Worker([*side, "work"], Path(pg.sockets) / "side.log")
    try:
        worker.hear("ready")
        worker.go()
        worker.hear("done")
        worker.end()
        worker.process.wait()
    finally:
        worker.stop()


def run_phases(pg: Server, worker: Worker, runs: int) -> tuple[dict[str, Figures], dict[str, dict[str, int]]]:
    """Rows a second, by the clock and by CPU (ours and PostgreSQL's), of every phase in every run."""
    measured: dict[str, Figures] = {phase: {"per_second": [], "per_cpu_second": []} for phase in IN_TURN[1:]}
    counted: dict[str, dict[str, int]] = {}
    for run in range(1, runs + 1):
        for phase in IN_TURN:
            before, start = cpu_ms(worker.process.pid) + cpu_ms(pg.pid), time.monotonic()
            assert worker.process.stdin is not None
            worker.process.stdin.write(f"{phase}\n")
            worker.process.stdin.flush()
            said, end = worker.hear("phase")
            spent = cpu_ms(worker.process.pid) + cpu_ms(pg.pid) - before
            if phase != "reset":
                rows = int(str(said["rows"]))
                counted[phase] = {name: int(str(said[name])) for name in ("rows", "bytes", "events") if name in said}
                measured[phase]["per_second"].append(rows / (end - start))
                measured[phase]["per_cpu_second"].append(rows / max(spent, 10) * 1000)
        print(f"run {run} of {runs}", flush=True)
    return measured, counted


def report(
    about: dict[str, object],
    measured: dict[str, Figures],
    counted: dict[str, dict[str, int]],
    options: argparse.Namespace,
) -> None:
    """Print the table and write bench/out/verify.json."""
    sides: dict[str, dict[str, object]] = {"unstuck": {}, "floor": {}}
    ratios: dict[str, float] = {}
    print(f"\n{'':14} {'rows/s':>12} {'rows/CPU s':>12} {'(min-max)':>24} {'floor':>12} {'x floor':>8}  target")
    for phase, floor, target in PHASES:
        ours, under = figures(measured[phase]), figures(measured[floor])
        sides["unstuck"][phase] = {**ours, **counted[phase], "target_per_cpu_second": target}
        sides["floor"][phase] = {**under, **counted[floor], "is": floor}
        ratio = ratios[phase] = round(float(str(under["per_cpu_second"])) / float(str(ours["per_cpu_second"])), 2)
        low, high = min(measured[phase]["per_cpu_second"]), max(measured[phase]["per_cpu_second"])
        spread = f"({low:,.0f}-{high:,.0f})"
        said = (
            "" if target is None else f"{target:,} {'reached' if ours['per_cpu_second'] >= target else 'NOT reached'}"
        )
        print(
            f"{phase:14} {ours['per_second']:12,.0f} {ours['per_cpu_second']:12,.0f} {spread:>24}"
            f" {under['per_cpu_second']:12,.0f} {ratio:8.2f}  {said}"
        )
    whole = {"name": "verify", "machine": about, "orders": options.orders, "runs": options.runs, "sides": sides}
    (BENCH / "out").mkdir(exist_ok=True)
    (BENCH / "out" / "verify.json").write_text(
        json.dumps({**whole, "ratios": {"vs_floor": ratios["seal"], **ratios}}, indent=2) + "\n"
    )


def figures(runs: Figures) -> dict[str, float]:
    """Medians."""
    return {name: round(statistics.median(values)) for name, values in runs.items()}
