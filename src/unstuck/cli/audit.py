"""`unstuck audit …`: prove it."""

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer

from unstuck.cli.orders import Json
from unstuck.cli.parts import database_of
from unstuck.cli.said import NO, WRONG_USE, fail, progress, show
from unstuck.config import from_environment

app = typer.Typer(no_args_is_help=True, help="The history and its proof.")


@app.callback()
def prove() -> None:
    """The history and its proof."""


@app.command()
def verify(
    checkpoint: Annotated[list[Path] | None, typer.Option(help="A checkpoint held elsewhere; several allowed.")] = None,
    key: Annotated[list[str] | None, typer.Option(help="A verifier key; default is this instance's own.")] = None,
    data: Annotated[str | None, typer.Option(help="The data directory of a running Unstuck.")] = None,
    as_json: Json = False,
) -> None:
    """Is the history the one that was sealed? Exit 1 when not. Example: unstuck audit verify --data .data"""
    from unstuck.app import audit, signer
    from unstuck.store.notes import BadNote

    settings, _ = from_environment({"data": data})
    url = database_of(settings)
    notes = [_read(path) for path in checkpoint or ()]
    keys = key or [signer(settings).verifier()]
    try:
        report = asyncio.run(audit(settings, url, keys, notes, _watched))
    except BadNote as error:
        fail(f"a checkpoint or key cannot be read: {error}", WRONG_USE)
    show(report, as_json, _text(report))
    if not report["ok"]:
        raise typer.Exit(NO)


def _watched(stage: str, done: int) -> None:
    progress(f"{stage}: {done}")


def _read(path: Path) -> str:
    if not path.is_file():
        fail(f"{path} is no file", WRONG_USE)
    return path.read_text()


def _text(report: dict[str, Any]) -> str:
    head = "verified" if report["ok"] else f"{report['found']} finding(s)"
    counts = (
        f"{head}: {report['sealed']} of {report['events']} events sealed ({report['unsealed']} unsealed), "
        f"{report['held_elsewhere']} vouched for by a checkpoint held elsewhere; "
        f"{report['orders']} orders and {report['cases']} cases folded, {report['payloads']} payloads, "
        f"{report['files']} files"
    )
    return "\n".join([counts, *(f"  {f['what']}  {f['where']}: {f['because']}" for f in report["findings"])])
