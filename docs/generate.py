"""The reference pages, made from the code: `python docs/generate.py` writes them, a test fails when one is behind."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import typer

from unstuck.cli.main import app
from unstuck.config import SECRETS, Config
from unstuck.fallout.lifecycle import CASE
from unstuck.fallout.published import DECLARED, PREFIX, TABLE, Row, known_types
from unstuck.kernel.machine import Machine
from unstuck.order.lifecycle import ORDER, TASK

ROOT = Path(__file__).resolve().parent
SOURCE = ROOT.parent / "src" / "unstuck"
NOTE = "\n_Made from the code by `python docs/generate.py`._\n"
REFUSALS = {"Refused": 0, "Forbidden": 0, "Verdict": 0}


def pages() -> dict[str, str]:
    """Every reference page by its file name."""
    return {
        "states.md": "# Life cycles\n" + NOTE + "".join(map(_machine, (ORDER, TASK, CASE))),
        "events.md": "# Events\n" + NOTE + _events(),
        "published-events.md": "# Published events\n" + NOTE + _published(),
        "settings.md": "# Settings\n" + NOTE + _settings(),
        "commands.md": "# Commands\n" + NOTE + _commands(),
        "refusals.md": "# Refusals\n" + NOTE + _refusals(),
    }


def _machine(machine: Machine) -> str:  # type: ignore[type-arg]
    rows = "".join(f"| {a} | {b} | {c} |\n" for a, b, c in machine.edges())
    diagram = f"```mermaid\n{machine.mermaid()}\n```\n"
    return f"\n## {machine.name.capitalize()}\n\n{diagram}\n| from | action | to |\n|---|---|---|\n{rows}"


def _events() -> str:
    intro = (
        "\nWhat goes out, and under which type: published-events.md. A decisive event moves the version that `If-Match` is compared"
        " with.\n\n| type | v | decisive | means |\n|---|---|---|---|\n"
    )
    return intro + "".join(f"| `{e.name}` | {e.v} | {'yes' if e.decisive else ''} | {e.says} |\n" for e in DECLARED)


PUBLISHED = """
Events go out as CloudEvents 1.0 (structured JSON) to the receivers registered at `/api/v1/subscriptions`, and live at
`/api/v1/stream`. `subject` is the case or order, `id` its stream and number there, `sequence` the event's place in the
sealed history. `data` names every id there is of case, order, item, step, customer, correction, evidence and resume
token (never the token), who did it and when, and the facts of the event; what people wrote and raw payloads stay
inside. Messages are signed as Standard Webhooks says, arrive at least once (drop what you have by its id) and, for one
case or order, in order.

## By the names of the specifications

An event that is not built yet names the capability it waits for.

| name | type | when |
|---|---|---|
"""


def _published() -> str:
    seeds = sorted({seed for row in TABLE for seed in row.seeds})
    named = ((seed, row) for seed in seeds for row in TABLE if seed in row.seeds)
    by_name = "".join(f"| {seed} | `{PREFIX}{row.type}` | {_when(row)} |\n" for seed, row in named)
    rows = {PREFIX + row.type: f"{_when(row)} | `{row.event}`" for row in reversed(TABLE) if row.event}
    plain = {PREFIX + event.name: f"{event.says} | `{event.name}`" for event in DECLARED}
    built = ((kind, rows.get(kind) or plain.get(kind)) for kind in known_types())
    by_type = "".join(f"| `{kind}` | {says} |\n" for kind, says in built if says)
    return f"{PUBLISHED}{by_name}\n## Every type\n\n| type | when | of our event |\n|---|---|---|\n{by_type}"


def _when(row: Row) -> str:
    return row.says if row.event else f"{row.says} (waits for {row.waits})"


def _settings() -> str:
    intro = (
        "\nDefaults, then `unstuck.toml`, then `UNSTUCK_*`, then flags. A secret can come as `UNSTUCK_…_FILE`.\n\n"
        "| setting | environment | default | secret |\n|---|---|---|---|\n"
    )
    plain = Config()
    rows = (
        f"| `{name}` | `UNSTUCK_{name.upper()}` | `{getattr(plain, name)!r}` | {'yes' if name in SECRETS else ''} |\n"
        for name in Config.__struct_fields__
    )
    return intro + "".join(rows)


def _commands() -> str:
    group = typer.main.get_command(app)
    return "".join(f"\n## `unstuck {name}`\n\n{command.help or ''}\n" for name, command in _leaves(group, ""))


def _leaves(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield name.strip(), command
        return
    for part in sorted(inner):
        yield from _leaves(inner[part], f"{name} {part}")


def _refusals() -> str:
    found: dict[str, tuple[str, str]] = {
        "if-match": ("… has moved on to version …; read it again and decide on that", "kernel/refusal.py"),
        "not-found": ("… is not known here", "kernel/refusal.py"),
        "valid-input": ("says what is wrong, with JSON pointers", "kernel/refusal.py"),
    }
    for path in sorted(SOURCE.rglob("*.py")):
        for rule, sentence in _raised(ast.parse(path.read_text())):
            found.setdefault(rule, (sentence, path.relative_to(SOURCE).as_posix()))
    rows = "".join(f"| `{rule}` | {text} | `{where}` |\n" for rule, (text, where) in sorted(found.items()))
    intro = "\nThe `rule` of a problem, what it says, and where it lives. `…` stands for what the case fills in.\n\n"
    return f"{intro}| rule | sentence | in |\n|---|---|---|\n{rows}"


def _raised(tree: ast.AST) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in REFUSALS and len(node.args) >= 2:
            rule, because = node.args[:2]
            if isinstance(rule, ast.Constant) and isinstance(rule.value, str):
                yield rule.value, _sentence(because)


def _sentence(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
    return "…"


def main() -> None:
    """Write every page."""
    folder = ROOT / "reference"
    folder.mkdir(exist_ok=True)
    for name, text in pages().items():
        (folder / name).write_text(text)
    sys.stdout.write(f"wrote {len(pages())} pages\n")


if __name__ == "__main__":
    main()
