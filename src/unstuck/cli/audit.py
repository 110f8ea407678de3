"""`unstuck audit …`: prove it, here or on a machine that has nothing of ours."""

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime
from getpass import getuser
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
import typer

from unstuck.cli.orders import Json
from unstuck.cli.parts import database_of
from unstuck.cli.said import NO, WRONG_USE, fail, progress, show
from unstuck.config import from_environment

app = typer.Typer(no_args_is_help=True, help="The history and its proof.")
T = TypeVar("T")
Data = Annotated[str | None, typer.Option(help="The data directory of a running Unstuck.")]
Held = Annotated[
    list[Path] | None, typer.Option(help="A checkpoint held elsewhere, or an export that has one; several allowed.")
]


@app.callback()
def prove() -> None:
    """The history and its proof."""


@app.command()
def verify(
    export: Annotated[Path | None, typer.Option(help="An export to verify; needs no database.")] = None,
    checkpoint: Held = None,
    key: Annotated[
        list[str] | None,
        typer.Option(help="A verifier key you hold. Without: no key for an export, this instance's own else."),
    ] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Is the history the one that was sealed? Exit 1 when not. Example: unstuck audit verify --export case.tar"""
    from unstuck.verifier.command import told
    from unstuck.verifier.note import BadNote

    notes = [_read(path) for path in checkpoint or ()]
    try:
        report = _offline(export, key, notes) if export else _in_database(data, key, notes)
    except BadNote as error:
        fail(f"a key cannot be read: {error}", WRONG_USE)
    show(report, as_json, told(report) if export else _text(report))
    if not report["ok"]:
        raise typer.Exit(NO)


@app.command("export")
def export_history(
    out: Annotated[Path, typer.Option(help="The file to write.")],
    case: Annotated[str | None, typer.Option(help="One case with its order: an id or FC-1042.")] = None,
    order: Annotated[str | None, typer.Option(help="One order with its cases: an id or ORD-1042.")] = None,
    since: Annotated[datetime | None, typer.Option(help="What was recorded at that time (UTC) or later.")] = None,
    until: Annotated[datetime | None, typer.Option(help="What was recorded before that time (UTC).")] = None,
    everything: Annotated[bool, typer.Option("--all", help="The whole history.")] = False,
    payloads: Annotated[bool, typer.Option(help="Also the payloads and evidence that events name.")] = False,
    checkpoint: Held = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Write events with their proofs into one file. Example: unstuck audit export --case FC-1042 --out case.tar"""
    from unstuck.app import keyring
    from unstuck.store.blobs import FileBlobs
    from unstuck.store.checking.export import NoKey, Scope, export, view
    from unstuck.store.checking.proofs import NoTree
    from unstuck.verifier.note import BadNote, Checkpoint

    kind, name = _scope(case, order, since, until, everything)
    if not out.parent.is_dir():
        fail(f"{out.parent} is no folder", WRONG_USE)
    settings, _ = from_environment({"data": data})
    url, blobs = database_of(settings), FileBlobs(settings.data_dir / "evidence")
    try:
        joining = tuple(Checkpoint(_read(path)).size for path in checkpoint or ())
    except BadNote as error:
        fail(f"a checkpoint cannot be read: {error}", WRONG_USE)
    scope = Scope(kind, name, _utc(since), _utc(until), payloads, joining)

    async def run() -> dict[str, Any]:
        async with view(url) as conn:
            return await export(conn, keyring(settings), blobs, scope, out, datetime.now(UTC), _watched)

    try:
        made = _done(run())
    except (NoKey, NoTree) as error:
        fail(str(error))
    text = (
        f"{made['file']}: {made['events']} events ({made['unsealed']} of them unsealed), {made['payloads']} payloads, "
    )
    show(made, as_json, f"{text}up to checkpoint {made['checkpoint']}; the key to verify it with: {made['key']}")


@app.command("rotate-key")
def rotate_key(data: Data = None, as_json: Json = False) -> None:
    """Replace the signing key; the old one signs the change, then nothing more. Example: unstuck audit rotate-key"""
    from unstuck.app import keyring, open_ports
    from unstuck.service.history.audit import RotatedKey
    from unstuck.service.history.audit import rotate_key as rotate

    settings, _ = from_environment({"data": data})
    url = database_of(settings)

    async def run() -> RotatedKey:
        async with open_ports(settings, url, size=2) as ports:
            return await rotate(ports, keyring(settings), f"person:{getuser()}")

    rotated = _done(run())
    show(
        msgspec.to_builtins(rotated),
        as_json,
        f"from checkpoint sizes above {rotated.after} on only this key signs; tell it to those who verify: {rotated.new}",
    )


@app.command()
def verifier() -> None:
    """Print the verifier as one file that needs nothing of Unstuck. Example: unstuck audit verifier > verify.py"""
    from unstuck.verifier.alone import text

    print(text(), end="")


def _offline(export: Path, key: list[str] | None, notes: list[str]) -> dict[str, Any]:
    from unstuck.verifier.check import verify

    if not export.is_file():
        fail(f"{export} is no file", WRONG_USE)
    return verify(export, key, notes)


def _in_database(data: str | None, key: list[str] | None, notes: list[str]) -> dict[str, Any]:
    from unstuck.app import audit, keyring

    settings, _ = from_environment({"data": data})
    url = database_of(settings)
    return _done(audit(settings, url, key or keyring(settings).verifiers(), notes, _watched))


def _scope(case: str | None, order: str | None, since: object, until: object, everything: bool) -> tuple[str, str]:
    asked = [
        kind
        for kind, given in (("case", case), ("order", order), ("time", since or until), ("all", everything))
        if given
    ]
    if len(asked) != 1:
        fail("give one of --case, --order, --all, or a period by --since and --until", WRONG_USE)
    return asked[0], case or order or ""


def _utc(at: datetime | None) -> datetime | None:
    return at.replace(tzinfo=at.tzinfo or UTC) if at else None


def _done(work: Coroutine[Any, Any, T]) -> T:
    from unstuck.store.unit import AWAY

    try:
        return asyncio.run(work)
    except AWAY as error:
        fail(f"the database cannot be reached ({error}); start it, or check UNSTUCK_DATABASE_URL")


def _watched(stage: str, done: int) -> None:
    progress(f"{stage}: {done}")


def _read(path: Path) -> str:
    from unstuck.verifier.check import held_in
    from unstuck.verifier.note import BadNote

    if not path.is_file():
        fail(f"{path} is no file", WRONG_USE)
    try:
        return held_in(path)
    except BadNote as error:
        fail(f"{path}: {error}", WRONG_USE)


def _text(report: dict[str, Any]) -> str:
    head = "verified" if report["ok"] else f"{report['found']} finding(s)"
    counts = (
        f"{head}: {report['sealed']} of {report['events']} events sealed ({report['unsealed']} unsealed), "
        f"{report['held_elsewhere']} vouched for by a checkpoint held elsewhere; "
        f"{report['orders']} orders and {report['cases']} cases folded, {report['payloads']} payloads, "
        f"{report['files']} files"
    )
    return "\n".join([counts, *(f"  {f['what']}  {f['where']}: {f['because']}" for f in report["findings"])])
