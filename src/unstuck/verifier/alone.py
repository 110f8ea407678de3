"""The verifier as one file that needs nothing of Unstuck: its modules one after the other."""

import re
from importlib.resources import files

PARTS = ("tree", "note", "archive", "check", "command")
OURS = re.compile(r"^from unstuck\.verifier\.\w+ import [^\n(]*\n", re.MULTILINE)
INTRO = '''"""Checks an audit export of Unstuck with nothing of Unstuck: this file, Python 3.11 and `cryptography` are enough.

    python verify.py EXPORT [--key 'name+id+key'] [--checkpoint FILE] [--json]

A key that you hold from elsewhere is what makes the answer worth something; a checkpoint that you hold from
elsewhere is what nobody can have rewritten. Take this file from elsewhere, too: the copy inside an export is as
trustworthy as whoever made the export. Exit 0: it holds. 1: it does not. 2: a key or checkpoint cannot be read.
3: the file cannot be read.
"""
'''


def text() -> str:
    """The source of `verify.py`."""
    folder = files("unstuck.verifier")
    parts = (OURS.sub("", folder.joinpath(f"{name}.py").read_text()).strip() for name in PARTS)
    return "\n\n\n".join([INTRO.strip(), *parts]) + "\n"
