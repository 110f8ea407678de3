"""What a proof leaves behind: a line for a person, and `proof/out/<P>.json`, whose runs add up on one commit."""

import json
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from proof.stack import HOME

ALWAYS = ("kills", "faults", "lost", "doubled", "invisible")
RUNS_KEPT = 500


def commit() -> str:
    """The commit of the working tree; `+` when it has changes that are not committed."""
    head = _git("rev-parse", "HEAD")
    return head + ("+" if head and _git("status", "--porcelain", "--untracked-files=no") else "")


def keep(folder: Path, promise: str, *, ok: bool, seed: int, scale: str, counts: dict[str, Any]) -> dict[str, Any]:
    """Add a run to what is known of a promise on this commit; runs of another commit start a new sum."""
    now = commit()
    before = _before(folder / f"{promise}.json")
    runs = before.get("runs", []) if before.get("commit") == now else []
    run = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "scale": scale, "seed": seed, "ok": ok, **counts}
    runs = [*runs, run][-RUNS_KEPT:]
    said = {
        "promise": promise,
        "ok": all(one["ok"] for one in runs),
        "seed": seed,
        "commit": now,
        **dict.fromkeys(ALWAYS, 0),
        **_sums(runs),
        "runs": runs,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{promise}.json").write_text(json.dumps(said, indent=1) + "\n")
    return said


def line(promise: str, ok: bool, counts: dict[str, Any]) -> str:
    """One line for a person."""
    shown = " · ".join(f"{name.replace('_', ' ')} {value}" for name, value in counts.items() if _is_number(value))
    return f"{promise:<4} {'holds ' if ok else 'BROKEN'}  {shown}"


def _sums(runs: Sequence[dict[str, Any]]) -> dict[str, float]:
    names = dict.fromkeys(name for run in runs for name, value in run.items() if _is_number(value) and name != "seed")
    return {name: round(sum(run.get(name, 0) for run in runs), 3) for name in names}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _before(path: Path) -> dict[str, Any]:
    try:
        known: dict[str, Any] = json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return known


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=HOME, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""
