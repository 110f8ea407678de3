"""`unstuck scenario …`: scenarios over real sockets, with what must be seen in each."""

import signal
from typing import Annotated, Any, NoReturn

import typer

from unstuck.cli.said import COULD_NOT, NO, WRONG_USE, fail, progress, show, table
from unstuck.rehearsal.catalogue import SCENARIOS
from unstuck.rehearsal.play import SPEED, Report, chosen, passed
from unstuck.rehearsal.play import run as play
from unstuck.rehearsal.stack import NotStarted

app = typer.Typer(no_args_is_help=True, help="Scenarios that must run.")
MARKS = {True: "✓", False: "✗", None: "·"}
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


@app.command("list")
def list_scenarios(as_json: Json = False) -> None:
    """Every scenario, what it is about and whether it can be played. Example: unstuck scenario list"""
    listed = [{"name": s.name, "built": s.built, "what": s.what} for s in SCENARIOS]
    rows = [{**row, "built": "built" if row["built"] else "not yet"} for row in listed]
    show({"scenarios": listed}, as_json, table(rows, ("name", "built", "what")))


@app.command()
def run(
    name: Annotated[str, typer.Argument(help="A scenario, or all.")],
    seed: Annotated[int, typer.Option(help="Changes names, values, times and order; never the story.")] = 1,
    speed: Annotated[float, typer.Option(min=0.1, max=50, help="By how much the clocks run faster.")] = SPEED,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the run's folder: database, ledgers, logs.")] = False,
    as_json: Json = False,
) -> None:
    """Play a scenario on a private stack; exit 1 when something was not seen. Example: unstuck scenario run fiber --seed 2"""
    scenarios = chosen(name)
    if not scenarios:
        fail(f"there is no scenario {name!r}; `unstuck scenario list` names them", WRONG_USE)
    signal.signal(signal.SIGTERM, _interrupt)  # so that the private stack is stopped, too
    try:
        reports = [play(scenario, seed, speed, keep, progress) for scenario in scenarios]
    except NotStarted as error:
        fail(str(error), COULD_NOT)
    show({"scenarios": reports}, as_json, "\n".join(_text(report) for report in reports))
    if not passed(reports):
        raise typer.Exit(NO)


def _interrupt(_number: int, _frame: Any) -> NoReturn:
    raise KeyboardInterrupt


def _text(report: Report) -> str:
    lines = report["expectations"]
    if not lines:
        return f"{report['name']}: not yet"
    seen, open_ = sum(line["ok"] is True for line in lines), sum(line["ok"] is None for line in lines)
    head = f"{report['name']} (seed {report['seed']}): {seen} of {len(lines) - open_} seen"
    head += f", {open_} not yet, {report['seconds']} s"
    kept = [f"kept in {report['kept']}"] if "kept" in report else []
    return "\n".join([head, *(f"  {MARKS[line['ok']]} {line['id']}  {_line(line)}" for line in lines), *kept])


def _line(line: dict[str, Any]) -> str:
    return f"{line['text']}: {line['seen']}" if line["ok"] is not True else str(line["text"])
