"""`intake`: failure events over HTTP until they are on disk and filed, beside raw COPY and an HTTP server without database."""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from ground import BENCH, Server, Worker, cpu_ms, machine, server
from product import Figures, Product, drive, figures, free_port, numbers, prepare, product, summary, table

SINGLE = (1, 8, 16, 64)
BULK = ("array", "ndjson")
BATCHES = 40
CALM_EVENTS, CALM_RATE = 100, 50
CLASSIFY_S = 3
CLASSIFIED_S = 120
DUE = "SELECT count(*) FROM timer WHERE kind = 'classify'"
Run = dict[str, dict[str, Figures]]


def intake(options: argparse.Namespace) -> None:
    """Single and bulk failure events, a burst, how soon they are seen, and what the floors cost (four minutes)."""
    with server() as pg:
        about = machine(pg)
        print(json.dumps(about), flush=True)
        prepare(pg, options.python)
        runs = [one_run(pg, options, number) for number in range(1, options.runs + 1)]
        burst = with_burst(pg, options) if options.burst else {}
    sides = {side: side_of([run[side] for run in runs], headline) for side, headline in HEADLINES.items()}
    if burst:
        sides["unstuck"]["burst"] = burst
    report = {"name": "intake", "machine": about, "sides": sides, "ratios": ratios(sides)}
    for side, found in sides.items():
        print(f"{side}\n{table(found)}")
    print(json.dumps(report["ratios"]))
    (BENCH / "out").mkdir(exist_ok=True)
    (BENCH / "out" / "intake.json").write_text(json.dumps(report, indent=2) + "\n")


HEADLINES = {"unstuck": "single_16", "unstuck_alone": "single_16", "floor": "copy", "floor_http": "single_16"}


def one_run(pg: Server, options: argparse.Namespace, number: int) -> Run:
    """Everything once: the server alone, then with a worker that seals and classifies beside it, then the floors."""
    run: Run = {}
    with product(pg, options.python, f"alone_{number}", worker=False) as unstuck:
        run["unstuck_alone"] = reported(unstuck, options.seconds) | {"classify": classified(unstuck)}
    with product(pg, options.python, f"both_{number}", worker=True) as unstuck:
        calm = drive(
            unstuck, "calm", "--events", str(CALM_EVENTS), "--rate", str(CALM_RATE), "--prefix", "c", per="event"
        )
        run["unstuck"] = {"calm": calm, **reported(unstuck, options.seconds)}
    run["floor"] = {"copy": copied(pg, options.python, f"copy_{number}")}
    run["floor_http"] = answered(pg, options.python, options.seconds)
    for side, loads in run.items():
        print(f"run {number} {side}\n{table(loads)}", flush=True)
    return run


def reported(unstuck: Product, seconds: float) -> dict[str, Figures]:
    """Every load of failure events; each must be found in the database, once."""
    found = {}
    for name, load, clients in (*((f"single_{n}", "single", n) for n in SINGLE), *((b, b, 1) for b in BULK)):
        ready = 4000 if load == "single" else BATCHES
        arguments = ("--clients", clients, "--seconds", seconds, "--prefix", name, "--ready-made", ready)
        found[name] = drive(unstuck, load, *map(str, arguments), per="event")
        require_filed(unstuck, name, int(found[name]["events"]))
    return found


def require_filed(unstuck: Product, prefix: str, acknowledged: int) -> None:
    """What was acknowledged is filed: every event once, the tenth of them being one that came before."""
    filed = int(unstuck.sql(f"SELECT count(*) FROM failure_event WHERE event_id LIKE '{prefix}-%'"))
    wanted = acknowledged - acknowledged // 10
    if filed != wanted:
        raise SystemExit(f"{prefix}: {acknowledged} acknowledged, so {wanted} should be filed, and {filed} are")


def classified(unstuck: Product) -> Figures:
    """How fast a worker that starts now classifies what waits."""
    unstuck.start("worker")
    waiting = int(unstuck.sql(DUE))
    while (before := int(unstuck.sql(DUE))) == waiting:
        time.sleep(0.02)
    began, spent = time.monotonic(), unstuck.cpu()
    time.sleep(CLASSIFY_S)
    left, seconds, after = int(unstuck.sql(DUE)), time.monotonic() - began, unstuck.cpu()
    done = before - left
    spent = {name: after[name] - spent[name] for name in spent}
    return {
        "per_second": done / seconds,
        "cpu_ms_per_case": (spent["worker"] + spent["pg"]) / done,
        "worker_cpu_ms_per_case": spent["worker"] / done,
        "pg_cpu_ms_per_case": spent["pg"] / done,
    }


def copied(pg: Server, python: Path, database: str) -> Figures:
    """The same bytes by COPY, 500 a transaction."""
    pg.sql(f"CREATE DATABASE {database} OWNER bench")
    command = [python, "-m", "sides.door_floor", "--floor", "copy", "--dsn", pg.dsn(database, "bench")]
    floor = Worker([*command, "--batches", str(BATCHES)], Path(pg.sockets) / "floor.log")
    try:
        return measured(pg, floor, "event")
    finally:
        floor.stop()
        pg.sql(f"DROP DATABASE {database} WITH (FORCE)")


def measured(pg: Server, floor: Worker, per: str) -> Figures:
    """What a floor costs between go and done: its own process and PostgreSQL."""
    floor.hear("ready")
    before = {"python": cpu_ms(floor.process.pid), "pg": cpu_ms(pg.pid)}
    floor.go()
    said = numbers(floor.hear("done")[0])
    after = {"python": cpu_ms(floor.process.pid), "pg": cpu_ms(pg.pid)}
    return figures(said, {name: after[name] - before[name] for name in before}, per)


def answered(pg: Server, python: Path, seconds: float) -> dict[str, Figures]:
    """The same requests to the same HTTP stack, which answers at once."""
    with tempfile.TemporaryDirectory(prefix="unstuck-bench-") as folder:
        stack = Product(pg, python, "postgres", Path(folder), free_port())
        command = [python, "-m", "sides.door_floor", "--floor", "http", "--port", str(stack.port)]
        stack.parts["serve"] = subprocess.Popen(command, cwd=BENCH)
        try:
            await_port(stack.port)
            loads = ("--clients", "16", "--seconds", str(seconds), "--prefix", "h", "--ready-made", "4000")
            return {"single_16": drive(stack, "single", *loads, per="event")}
        finally:
            stack.parts["serve"].kill()
            stack.parts["serve"].wait()


def await_port(port: int, limit_s: float = 30) -> None:
    """Return when something answers HTTP there."""
    until = time.monotonic() + limit_s
    while time.monotonic() < until:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2).close()
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"nothing answers on port {port}")


def with_burst(pg: Server, options: argparse.Namespace) -> dict[str, object]:
    """So many failures at once that nobody could look at them: how long until they are filed, and until classified."""
    with product(pg, options.python, "burst", worker=True) as unstuck:
        began = time.monotonic()
        loads = ("--events", options.burst, "--clients", 2, "--prefix", "burst", "--ready-made", 2 * BATCHES)
        found = drive(unstuck, "array", *map(str, loads), per="event")
        absorbed = time.monotonic() - began
        if found["refused"]:
            raise SystemExit(f"{found['refused']:.0f} calls of the burst were refused")
        require_filed(unstuck, "burst", options.burst)
        unstuck.pg.wait_until(f"SELECT ({DUE}) = 0", CLASSIFIED_S, unstuck.database)
        return {
            **found,
            "absorbed_s": round(absorbed, 1),
            "classified_s": round(time.monotonic() - began, 1),
            "runs": 1,
        }


def side_of(runs: list[dict[str, Figures]], headline: str) -> dict[str, object]:
    """A side of the report: the figures of its headline load, and every load by name."""
    loads = summary(runs)
    return {**loads[headline], **loads}


def ratios(sides: Mapping[str, Mapping[str, object]]) -> dict[str, float]:
    """unstuck / floor, CPU an event, by medians: bulk beside COPY, single beside the HTTP stack alone."""
    cost = {side: {load: found["cpu_ms_per_event"] for load, found in loads.items() if isinstance(found, dict) and "cpu_ms_per_event" in found} for side, loads in sides.items()}  # fmt: skip
    own = cost["unstuck_alone"]
    return {
        "vs_floor": round(own["array"] / cost["floor"]["copy"], 2),
        "ndjson_vs_floor": round(own["ndjson"] / cost["floor"]["copy"], 2),
        "single_16_vs_floor_http": round(own["single_16"] / cost["floor_http"]["single_16"], 2),
    }
