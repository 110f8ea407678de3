"""`unstuck policy …`: the policy pack."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from unstuck.cli.orders import Json
from unstuck.cli.said import NO, WRONG_USE, fail, show

app = typer.Typer(no_args_is_help=True, help="The policy pack.")
Where = Annotated[str, typer.Argument(help="A folder, or the name of a shipped pack.")]


@app.command()
def check(pack: Where = "minimal", as_json: Json = False) -> None:
    """Every finding with file, line and rule; exit 1 when there is one. Example: unstuck policy check my-pack/"""
    from unstuck.app import read_pack
    from unstuck.policy.check import load
    from unstuck.policy.pack import BadPack

    if "/" in pack and not Path(pack).is_dir():
        fail(f"{pack} is no folder", WRONG_USE)
    try:
        files = read_pack(pack)
    except FileNotFoundError:
        fail(f"{pack} is neither a folder nor a shipped pack", WRONG_USE)
    if not files:
        fail(f"{pack} holds no *.yaml", WRONG_USE)
    try:
        loaded = load(files)
    except BadPack as bad:
        findings = [msgspec.to_builtins(f) for f in bad.findings]
        show({"ok": False, "findings": findings}, as_json, "\n".join(map(str, bad.findings)))
        raise typer.Exit(NO) from None
    said = {"ok": True, "findings": [], "name": loaded.document.name, "hash": loaded.hash}
    show(said, as_json, f"{loaded.document.name}: no findings")
