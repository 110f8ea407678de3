"""`commands`: what people do with cases over HTTP, beside bare compare-and-set updates of one row."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

from ground import BENCH, Server, Worker, machine, server
from intake import DUE, measured
from product import Figures, Product, drive, prepare, product, summary, table

CLIENTS = (8, 16)
LOADED_S = 60
BY_BENCH = "SELECT count(*) FROM event WHERE by = 'bench'"


def commands(options: argparse.Namespace) -> None:
    """Operator commands on 10,000 cases: If-Match, policy, audit, a key on every second (two minutes)."""
    with server() as pg:
        about = machine(pg)
        print(json.dumps(about), flush=True)
        prepare(pg, options.python)
        with product(pg, options.python, "commands", worker=True) as unstuck:
            load(unstuck, options.cases)
            runs = [one_run(unstuck, options, number) for number in range(1, options.runs + 1)]
    sides = {
        side: {**loads["clients_16"], **loads} for side, loads in ((s, summary([r[s] for r in runs])) for s in runs[0])
    }
    report = {"name": "commands", "machine": about, "sides": sides, "ratios": ratios(sides)}
    for side, found in sides.items():
        print(f"{side}\n{table(found)}")
    print(json.dumps(report["ratios"]))
    (BENCH / "out").mkdir(exist_ok=True)
    (BENCH / "out" / "commands.json").write_text(json.dumps(report, indent=2) + "\n")


def load(unstuck: Product, cases: int) -> None:
    """Report the failures whose cases are worked on, and wait until they are in their queues."""
    events = cases + cases // 9 + 1  # every tenth event is one that came before
    drive(unstuck, "array", "--events", str(events), "--prefix", "case", per="event")
    unstuck.pg.wait_until(f"SELECT ({DUE}) = 0", LOADED_S, unstuck.database)
    ids = unstuck.sql(f"SELECT id FROM fallout_case WHERE state = 'QUEUED' ORDER BY number LIMIT {cases}")
    if len(ids.split()) != cases:
        raise SystemExit(f"{cases} cases should be in a queue, and {len(ids.split())} are")
    (unstuck.folder / "cases").write_text(ids)
    unstuck.sql("ANALYZE")


def one_run(unstuck: Product, options: argparse.Namespace, number: int) -> dict[str, dict[str, Figures]]:
    """Both sides at every number of clients."""
    run: dict[str, dict[str, Figures]] = {"unstuck": {}, "floor": {}}
    for clients in CLIENTS:
        run["unstuck"][f"clients_{clients}"] = commanded(unstuck, clients, options.seconds, f"{number}-{clients}")
        run["floor"][f"clients_{clients}"] = updated(unstuck.pg, unstuck.python, clients, options.seconds)
    for side, loads in run.items():
        print(f"run {number} {side}\n{table(loads)}", flush=True)
    return run


def commanded(unstuck: Product, clients: int, seconds: float, prefix: str) -> Figures:
    """Visits to cases; every command that was acknowledged left its event, and none was refused."""
    before = int(unstuck.sql(BY_BENCH))
    arguments = ("--clients", clients, "--seconds", seconds, "--prefix", prefix, "--cases", unstuck.folder / "cases")
    found = drive(unstuck, "commands", *map(str, arguments), per="command")
    recorded = int(unstuck.sql(BY_BENCH)) - before
    if found["refused"] or recorded != found["commands"]:
        raise SystemExit(f"{found['commands']:.0f} commands done, {found['refused']:.0f} refused, {recorded} on record")
    return found


def updated(pg: Server, python: Path, clients: int, seconds: float) -> Figures:
    """One `UPDATE … WHERE version =` a transaction."""
    pg.sql("CREATE DATABASE bare OWNER bench")
    command = [python, "-m", "sides.door_floor", "--floor", "update", "--dsn", pg.dsn("bare", "bench")]
    command += ["--clients", str(clients), "--seconds", str(seconds)]
    floor = Worker(command, Path(pg.sockets) / "floor.log")
    try:
        return measured(pg, floor, "command")
    finally:
        floor.stop()
        pg.sql("DROP DATABASE bare WITH (FORCE)")


def ratios(sides: Mapping[str, Mapping[str, object]]) -> dict[str, float]:
    """unstuck / floor, CPU a command, by medians."""
    found = {}
    for clients in CLIENTS:
        name = f"clients_{clients}"
        own, floor = sides["unstuck"][name], sides["floor"][name]
        assert isinstance(own, dict) and isinstance(floor, dict)
        found[f"{name}_vs_floor"] = round(own["cpu_ms_per_command"] / floor["cpu_ms_per_command"], 2)
    return {"vs_floor": found["clients_16_vs_floor"], **found}
