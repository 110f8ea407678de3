"""What a demo offers a visitor to try: a few cases, as its own process wrote them down."""

from pathlib import Path

import msgspec

FILE = "demo.json"  # in the data directory


class Try(msgspec.Struct, frozen=True):
    """A case to try: which of the demo's stories it tells, its number, and whether somebody has done it."""

    name: str
    number: str
    done: bool


class _Written(msgspec.Struct, frozen=True):
    cases: tuple[Try, ...]


def nothing_to_try() -> tuple[Try, ...]:
    """Where no demo runs."""
    return ()


def written_in(path: Path) -> tuple[Try, ...]:
    """What the demo's file says now; nothing before it is there. It is replaced as a whole, so never half written."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Written).cases
    except FileNotFoundError:
        return ()
