"""`unstuck source …`: who reports failures, with which tokens; and reports from the shell."""

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from unstuck.cli.http import Api
from unstuck.cli.orders import Json, Token, Url
from unstuck.cli.said import NO, WRONG_USE, fail, show, table

app = typer.Typer(no_args_is_help=True, help="Systems that report failures.")
SOURCES, EVENTS = "/api/v1/sources", "/api/v1/fallout-events"
A_CALL = 500  # reports: each call is one to a few transactions, and a broken one costs no more than these


@app.command("list")
def list_sources(url: Url = None, token: Token = None, as_json: Json = False) -> None:
    """Who reported or is registered, and who is silent. Example: unstuck source list"""
    found = Api(url, token).get(SOURCES)
    columns = ("name", "title", "registered", "heartbeat_s", "last_heard", "silent_since")
    show(found, as_json, table(found["sources"], columns))


@app.command("register")
def register(
    name: str,
    title: Annotated[str, typer.Option()] = "",
    heartbeat_s: Annotated[int | None, typer.Option(help="Seconds it may be silent.")] = None,
    url: Url = None,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """Register a source or change it. Example: unstuck source register oms --title "Order manager" --heartbeat-s 300"""
    api = Api(url, token)
    known = {one["name"]: one for one in api.get(SOURCES)["sources"]}
    before = known.get(name, {})
    version = before["version"] if before.get("registered") else None
    body = {"title": title, "heartbeat_s": heartbeat_s, "settings": before.get("settings", {})}
    made = api.call("PUT", f"{SOURCES}/{quote(name, safe='')}", body, version=version)
    show(made, as_json, f"{name} is registered, version {made['version']}")


@app.command("key")
def key(name: str, holder: str, url: Url = None, token: Token = None, as_json: Json = False) -> None:
    """A token that speaks for this source alone. Example: unstuck source key oms "the order manager" """
    made = Api(url, token).call("POST", f"{SOURCES}/{quote(name, safe='')}/keys", {"holder": holder})
    show(made, as_json, f"{made['token']}\n(shown this once; from now on only such tokens report for {name})")


@app.command("report")
def report(
    file: Annotated[Path, typer.Argument(help="One failure, an array, or NDJSON; `-` is stdin.")],
    url: Url = None,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """Report failures from a file; each event counts once. Example: unstuck source report failures.ndjson"""
    api = Api(url, token)
    lines = _lines(file)
    results: list[Any] = []
    for start in range(0, len(lines), A_CALL):
        body = b"[" + b",".join(lines[start : start + A_CALL]) + b"]"
        results += api.call("POST", EVENTS, body)["results"]
    refused = [(n, one) for n, one in enumerate(results, 1) if one["status"] > 201]
    counts = {was: sum(one.get("was", "refused") == was for one in results) for was in WAS}
    said = ", ".join(f"{count} {was}" for was, count in counts.items() if count)
    why = [f"  item {n}: {one['detail']} [{one['rule']}] {one.get('pointer', '')}" for n, one in refused]
    show({"results": results, "counts": counts}, as_json, "\n".join([said, *why]))
    if refused:
        raise typer.Exit(NO)


WAS = ("new", "joined", "reopened", "known", "refused")


def _lines(file: Path) -> list[bytes]:
    import msgspec

    try:
        data = typer.get_binary_stream("stdin").read() if str(file) == "-" else file.read_bytes()
        if data.lstrip()[:1] == b"[":
            return [bytes(one) for one in msgspec.json.decode(data, type=list[msgspec.Raw])]
        return [bytes(one) for one in msgspec.json.Decoder(msgspec.Raw).decode_lines(data)]
    except (OSError, msgspec.DecodeError) as error:
        fail(f"{file} cannot be read as JSON ({error}); give one object, an array, or one object a line", WRONG_USE)
