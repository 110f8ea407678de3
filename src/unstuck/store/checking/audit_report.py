"""What an audit says: counts, and a sentence for everything that is not as the history has it."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

FINDINGS_KEPT = 1000
# What a fold, a decoder or a comparison does on a value that nobody of ours wrote.
BROKEN = (LookupError, ValueError, TypeError, AttributeError, OverflowError, RecursionError, msgspec.MsgspecError)


class Finding(msgspec.Struct, frozen=True):
    """One thing that is not as it was recorded: which check found it, where, in a sentence."""

    what: str
    where: str
    because: str


class Report(msgspec.Struct):
    """The answer of an audit. `sealed` events are vouched for by a signed checkpoint that fits; the rest is *unsealed*.

    `rows` counts what was compared, by table. `held_elsewhere` is the part of `sealed` that a checkpoint kept outside this database vouches for.
    """

    events: int = 0
    sealed: int = 0
    held_elsewhere: int = 0
    orders: int = 0
    cases: int = 0
    other_streams: int = 0
    payloads: int = 0
    files: int = 0
    found: int = 0
    findings: list[Finding] = []
    rows: Counter[str] = msgspec.field(default_factory=Counter)

    @property
    def unsealed(self) -> int:
        """Events that no checkpoint covers yet: the open tail, never called verified."""
        return max(self.events - self.sealed, 0)

    @property
    def ok(self) -> bool:
        return self.found == 0

    def add(self, what: str, where: object, because: str) -> None:
        """One more finding; all are counted, the first ones are kept."""
        self.found += 1
        if len(self.findings) < FINDINGS_KEPT:
            self.findings.append(Finding(what, str(where), because))


class Table(NamedTuple):
    """A table as the audit compares it: what identifies a row, and whether rows may exist that no event names."""

    name: str
    key: tuple[str, ...]
    may_have_more: bool = False


Rows = dict[Any, Mapping[str, Any]]


def keyed(table: Table, rows: Iterable[Any]) -> Rows:
    """Rows of the database by their key: a tuple, or the bare value when it is one column."""
    if len(table.key) == 1:
        (name,) = table.key
        return {row[name]: row for row in rows}
    return {tuple([row[name] for name in table.key]): row for row in rows}


def compare(report: Report, table: Table, implied: Rows, actual: Rows) -> None:
    """Hold every row against what the history implies: none missing, none more, no column different."""
    for key, columns in implied.items():
        row = actual.get(key)
        if row is None:
            report.add("missing-row", _place(table, key), "the history has it, the table does not")
            continue
        for name, value in columns.items():
            if row[name] != value:
                report.add(
                    "column", f"{_place(table, key)} {name}", f"is {row[name]!s:.80}, the history says {value!s:.80}"
                )
    if not table.may_have_more:
        for key in actual.keys() - implied.keys():
            report.add("forged-row", _place(table, key), "no event of the history made it")


def _place(table: Table, key: Any) -> str:
    parts = key if isinstance(key, tuple) else (key,)
    return f"{table.name} {' '.join(map(str, parts))}"
