"""What the verifier says, and its own command line."""

import argparse
import json
import sys
from pathlib import Path

from unstuck.verifier.archive import Json
from unstuck.verifier.check import held_in, verify
from unstuck.verifier.note import BadNote


def told(report: Json) -> str:
    """A report for people."""
    whose = (
        "signed by a key you gave"
        if report["trusted"]
        else "signed by the key inside the export, which proves nothing about who made it: give --key"
    )
    counts = (
        f"{'verified' if report['ok'] else str(report['found']) + ' finding(s)'}: {report['sealed']} of "
        f"{report['events']} events in {report['streams']} streams sealed by checkpoint {report['checkpoint']} "
        f"({report['unsealed']} unsealed), up to {report['held_elsewhere']} vouched for by a checkpoint held "
        f"elsewhere; {report['payloads']} payloads enclosed, {report['absent']} absent"
    )
    findings = [f"  {f['what']}  {f['where']}: {f['because']}" for f in report["findings"]]
    return "\n".join([counts, whose, *findings])


def main() -> int:
    """The command line of this file alone."""
    parser = argparse.ArgumentParser(description="Checks an audit export of Unstuck, without Unstuck.")
    parser.add_argument("export", type=Path)
    parser.add_argument("--key", action="append", help="a verifier key you hold; several allowed")
    parser.add_argument("--checkpoint", action="append", type=Path, default=[], help="a checkpoint you hold")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    try:
        report = verify(asked.export, asked.key, [held_in(path) for path in asked.checkpoint])
    except BadNote as error:
        sys.stderr.write(f"verify: {error}\n")
        return 2
    except (OSError, UnicodeDecodeError) as error:
        sys.stderr.write(f"verify: a file cannot be read ({error})\n")
        return 3
    sys.stdout.write((json.dumps(report) if asked.json else told(report)) + "\n")
    return 0 if report["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
