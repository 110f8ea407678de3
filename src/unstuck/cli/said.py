"""How commands speak: one JSON document or text on stdout, progress on stderr, one sentence for an error."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import typer

DONE, NO, WRONG_USE, COULD_NOT = 0, 1, 2, 3


def fail(sentence: str, code: int = COULD_NOT) -> NoReturn:
    """Say in one sentence what is wrong and what to do, and end with `code`."""
    print(f"unstuck: {sentence}", file=sys.stderr)
    raise typer.Exit(code)


def show(value: Any, as_json: bool, text: str = "") -> None:
    """Print the one document, or its text for people."""
    print(json.dumps(value, indent=None, ensure_ascii=False, default=str) if as_json else text or _plain(value))


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Rows for people, as wide as they need to be."""
    if not rows:
        return "nothing"
    cells = [[str(row.get(name) if row.get(name) is not None else "") for name in columns] for row in rows]
    widths = [max(len(c) for c in column) for column in zip(columns, *cells, strict=True)]
    lines = [columns, *cells]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in lines)


def progress(text: str) -> None:
    """A line of progress, when somebody watches."""
    if sys.stderr.isatty():
        print(text, file=sys.stderr)


def _plain(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)
