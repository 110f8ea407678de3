"""`unstuck case …`: fallout cases through the API. Without --version a command decides on the case as it is now."""

import base64
import json
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from unstuck.cli.http import Api
from unstuck.cli.orders import Json, Token, Url
from unstuck.cli.said import WRONG_USE, fail, show, table

app = typer.Typer(no_args_is_help=True, help="Fallout cases.")
Version = Annotated[int | None, typer.Option("--version", help="The version you decided on (If-Match).")]
CASES = "/api/v1/fallout-cases"
SECTIONS = {
    "corrections": ("action", "state", "result", "reason_code", "reason", "proposed_by"),
    "evidence": ("type", "says", "source", "captured_by", "proves_resolution", "sha256"),
    "timeline": ("seq", "at", "type", "by"),
}


@app.command("open")
def open_case(
    order: str,
    reason_code: str,
    seen: str,
    item: Annotated[str, typer.Option()] = "",
    step: Annotated[str, typer.Option()] = "",
    url: Url = None,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """Open a case on an order that stands still. Example: unstuck case open ORD-1001 customer_called "no light" """
    body = {"order": order, "reason_code": reason_code, "seen": seen, "item": item, "step": step}
    taken = Api(url, token).call("POST", CASES, body)
    show(taken, as_json, f"{taken['number']}  {taken['was']}")


@app.command("list")
def list_cases(
    order: Annotated[str | None, typer.Option()] = None,
    state: Annotated[str, typer.Option(help="A state, `open`, or `all`.")] = "open",
    queue: Annotated[str | None, typer.Option()] = None,
    limit: Annotated[int, typer.Option()] = 20,
    url: Url = None,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """Cases, newest first. Example: unstuck case list --queue FIXED_ACTIVATION_L2"""
    wanted = None if state == "all" else state
    found = Api(url, token).get(CASES, order_id=order, state=wanted, queue=queue, limit=limit)
    rows = table(found["cases"], ("number", "state", "code", "step", "system", "queue", "owner"))
    silent = ", ".join(found["silent_sources"])
    show(
        found,
        as_json,
        f"{rows}\n\nnot heard for too long, their failures would be missing: {silent}" if silent else rows,
    )


@app.command("show")
def show_case(case: str, url: Url = None, token: Token = None, as_json: Json = False) -> None:
    """One case: what happened, what may be done and what not. Example: unstuck case show FC-1001"""
    found = Api(url, token).get(f"{CASES}/{quote(case)}")
    show(found, as_json, _text(found))


@app.command()
def reveal(case: str, reason: str, url: Url = None, token: Token = None, as_json: Json = False) -> None:
    """A case with what is masked, once; that you looked and why is kept. Example: unstuck case reveal FC-1001 "asked" """
    found = Api(url, token).call("POST", f"{CASES}/{quote(case)}/reveal", {"reason": reason})
    said = table(found["attempts"], ("task", "attempt", "kind", "request", "reply"))
    show(found, as_json, f"{_text(found)}\n\nwhat was said: {found['raw']['body']}\n\n{said}")


@app.command()
def assign(
    case: str, to: str = "me", version: Version = None, url: Url = None, token: Token = None, as_json: Json = False
) -> None:
    """Take or give a case. Example: unstuck case assign FC-1001"""
    _command(url, token, case, "assign", {"to": to}, version, as_json)


@app.command()
def start(case: str, version: Version = None, url: Url = None, token: Token = None, as_json: Json = False) -> None:
    """Begin to work on a case. Example: unstuck case start FC-1001"""
    _command(url, token, case, "start", {}, version, as_json)


@app.command()
def note(
    case: str, text: str, version: Version = None, url: Url = None, token: Token = None, as_json: Json = False
) -> None:
    """Write a note. Example: unstuck case note FC-1001 "called the customer" """
    _command(url, token, case, "notes", {"note": text}, version, as_json)


@app.command()
def release(
    case: str, note: str, version: Version = None, url: Url = None, token: Token = None, as_json: Json = False
) -> None:
    """Put a case back into its queue. Example: unstuck case release FC-1001 "shift ends" """
    _command(url, token, case, "release", {"note": note}, version, as_json)


@app.command()
def wait(
    case: str, on: str, note: str, version: Version = None, url: Url = None, token: Token = None, as_json: Json = False
) -> None:
    """Wait for customer, partner, vendor, field or incident. Example: unstuck case wait FC-1001 customer "asked" """
    _command(url, token, case, "wait", {"on": on, "note": note}, version, as_json)


@app.command("continue")
def go_on(
    case: str, note: str, version: Version = None, url: Url = None, token: Token = None, as_json: Json = False
) -> None:
    """The wait is over. Example: unstuck case continue FC-1001 "customer answered" """
    _command(url, token, case, "continue", {"note": note}, version, as_json)


@app.command()
def escalate(
    case: str,
    to: str,
    reason: str,
    version: Version = None,
    url: Url = None,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """Make a case more visible. Example: unstuck case escalate FC-1001 vendor "no answer for a day" """
    _command(url, token, case, "escalate", {"to": to, "reason": reason}, version, as_json)


@app.command()
def close(case: str, version: Version = None, url: Url = None, token: Token = None, as_json: Json = False) -> None:
    """Close a resolved case. Example: unstuck case close FC-1001"""
    _command(url, token, case, "close", {}, version, as_json)


@app.command()
def verify(
    case: str,
    note: str = "",
    version: Version = None,
    url: Url = None,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """Say that the repair is being proven, by all evidence of the case. Example: unstuck case verify FC-1001"""
    shown = Api(url, token).get(f"{CASES}/{quote(case)}")
    proving = [e["id"] for e in shown["evidence"] if e["proves_resolution"]]
    _command(url, token, case, "verify", {"evidence": proving, "note": note}, version, as_json)


@app.command()
def reopen(
    case: str, reason: str, version: Version = None, url: Url = None, token: Token = None, as_json: Json = False
) -> None:
    """The resolution did not last. Example: unstuck case reopen FC-1001 "still no service" """
    _command(url, token, case, "reopen", {"reason": reason}, version, as_json)


Input = Annotated[str, typer.Option("--input", help="The action's input as JSON.")]


@app.command()
def preview(
    case: str,
    action: str,
    reason_code: str,
    reason: str,
    given: Input = "{}",
    url: Url = None,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """What a correction would do. Example: unstuck case preview FC-1001 read_back outcome_unknown "look first" """
    body = _proposal(action, reason_code, reason, given)
    show(Api(url, token).call("POST", f"{CASES}/{quote(case)}/corrections/preview", body), as_json)


@app.command()
def repair(
    case: str,
    action: str,
    reason_code: str,
    reason: str,
    given: Input = "{}",
    version: Version = None,
    url: Url = None,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """Propose a correction and apply it. Example: unstuck case repair FC-1001 read_back outcome_unknown "ask it" """
    api = Api(url, token)
    proposed = api.command(case, "corrections", _proposal(action, reason_code, reason, given), version)
    done = api.command(case, f"corrections/{proposed['correction']['id']}/apply", {}, proposed["version"])
    show(done, as_json, f"{done['number']}  {done['state']}  {action}: {done['correction']['result']}")


@app.command()
def evidence(
    case: str,
    kind: str,
    file: Path,
    source: str,
    proves: Annotated[bool, typer.Option("--proves-resolution")] = False,
    version: Version = None,
    url: Url = None,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """Attach a file. Example: unstuck case evidence FC-1001 vendor_request mail.txt "vendor portal" --proves-resolution"""
    if not file.is_file():
        fail(f"{file} is no file", WRONG_USE)
    content = base64.b64encode(file.read_bytes()).decode()
    body = {"type": kind, "source": source, "content_base64": content, "proves_resolution": proves}
    done = Api(url, token).command(case, "evidence", body, version)
    show(done, as_json, f"evidence {done['evidence']['id']}  sha256 {done['evidence']['sha256']}")


@app.command()
def resolve(
    case: str,
    decision: str,
    mode: Annotated[str | None, typer.Option(help="For resume: from where.")] = None,
    note: str = "",
    version: Version = None,
    url: Url = None,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """Resolve with all evidence that proves it. Example: unstuck case resolve FC-1001 resume --mode SKIP_STEP_ALREADY_DONE"""
    api = Api(url, token)
    shown = api.get(f"{CASES}/{quote(case)}")
    proving = [e["id"] for e in shown["evidence"] if e["proves_resolution"]]
    body = {"decision": decision, "mode": mode, "evidence": proving, "note": note}
    done = api.command(case, "resolve", body, version or shown["version"])
    show(done, as_json, f"{done['number']}  {done['state']}")


def _command(
    url: str | None, token: str | None, case: str, name: str, body: dict[str, Any], version: int | None, as_json: bool
) -> None:
    done = Api(url, token).command(case, name, body, version)
    show(done, as_json, f"{done['number']}  {done['state']}  version {done['version']}")


def _proposal(action: str, reason_code: str, reason: str, given: str) -> dict[str, Any]:
    try:
        return {"action": action, "reason_code": reason_code, "reason": reason, "input": json.loads(given)}
    except ValueError as error:
        fail(f"--input is not JSON ({error})", WRONG_USE)


def _text(case: dict[str, Any]) -> str:
    head = f"{case['number']}  {case['state']}  version {case['version']}  {case['code']}: {case['title']}"
    state = f" ({case['task_state']})" if case["task_state"] else ""
    where = f"order {case['order_number']}, step {case['step']}{state}, queue {case['queue']}"
    raw = f"raw: {case['system']} said {case['raw']['code']!r} {case['raw']['message']!r}"
    refusals = [a for a in case["refused_actions"] if a["rule"] != "life-cycle"]
    refused = [{"action": a["action"], "why not": a["because"]} for a in refusals]
    allowed = ", ".join(a["action"] for a in case["allowed_actions"]) or "nothing"
    parts = [
        f"{head}\n{where}\n{raw}\n\nallowed: {allowed}",
        table(refused, ("action", "why not")) if refused else "",
        *(_section(case[name], columns) for name, columns in SECTIONS.items()),
    ]
    return "\n\n".join(part for part in parts if part)


def _section(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> str:
    return table(rows, columns) if rows else ""
