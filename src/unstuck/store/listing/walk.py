"""A bounded walk over rows in the order of an index, and what of them matches: how every list is read.

The inner statement follows one index (several arms, each in the same order, are merged) and stops after `WALKED` rows;
the outer one keeps what matches. So no list costs more than that many rows, whatever is asked: a filter that few rows
match ends early with "not complete" and a place to go on from, never with a scan of everything.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from unstuck.store.unit import Unit

WALKED = 5000
Key = tuple[Any, ...]


class Clause(msgspec.Struct, frozen=True):
    """A condition with `{}` for each of its values."""

    text: str
    values: tuple[Any, ...] = ()


class Sort(msgspec.Struct, frozen=True):
    """The columns of an order; the last makes it total."""

    columns: tuple[str, ...]
    descending: bool = False

    @property
    def text(self) -> str:
        return ", ".join(f"{column} DESC" if self.descending else column for column in self.columns)

    def beyond(self, key: Key) -> Clause:
        """What comes after `key`."""
        marks = ", ".join("{}" for _ in self.columns)
        return Clause(f"({', '.join(self.columns)}) {'<' if self.descending else '>'} ({marks})", key)


class Walk(msgspec.Struct, frozen=True):
    """Where to walk (`arms`, each a set of conditions that one index serves, in the order `along`) and what to keep.

    `whole`: the arms are known to hold no more rows than a walk may read, so they may be shown in any order.
    `partial`: what led to the arms was cut short itself, so that not even a whole walk is everything.
    """

    table: str
    columns: str
    arms: tuple[tuple[Clause, ...], ...]
    along: Sort
    keep: tuple[Clause, ...]
    whole: bool = False
    partial: bool = False


class Page(msgspec.Struct, frozen=True):
    """Rows in order. `more`: there are further ones. `cut`: the walk ended before its end, at this key."""

    rows: Sequence[Any]
    more: bool
    cut: Key | None


class Statement:
    """Text with its values, numbered as they are met."""

    def __init__(self, *values: Any) -> None:
        self.values: list[Any] = list(values)

    def says(self, clauses: Sequence[Clause]) -> str:
        """All of these conditions, in SQL."""
        return " AND ".join(self._numbered(clause) for clause in clauses) or "true"

    def _numbered(self, clause: Clause) -> str:
        first = len(self.values) + 1
        self.values += clause.values
        return clause.text.format(*(f"${first + n}" for n in range(len(clause.values))))

    def walked(self, walk: Walk, columns: str, beyond: Sequence[Clause], limit: int, offset: int = 0) -> str:
        """The inner statement. Each arm has the order and the limit too, so that the planner needs no more of it."""
        bounded = f" ORDER BY {walk.along.text} LIMIT "
        arms = [f"SELECT {columns} FROM {walk.table} WHERE {self.says((*arm, *beyond))}{bounded}" for arm in walk.arms]
        if len(arms) == 1:
            return f"{arms[0]}{limit}"
        return " UNION ALL ".join(f"({arm}{offset + limit})" for arm in arms) + f"{bounded}{limit}"


async def page(unit: Unit, walk: Walk, sort: Sort, after: Key | None, limit: int) -> Page:
    """The first `limit` rows that match, after `after`."""
    text, values = page_statement(walk, sort, after, limit + 1)
    rows = await unit.conn.fetch(text, *values)
    if len(rows) > limit or walk.whole or not walk.keep:
        return Page(rows[:limit], len(rows) > limit, None)
    cut = await _cut(unit, walk, sort, after)
    return Page(rows, cut is not None, cut)


async def count(unit: Unit, walk: Walk, limit: int) -> tuple[int, bool]:
    """How many rows match, counted up to `limit` or as far as a walk goes; whether there may be more."""
    text, values = count_statement(walk, limit + 1)
    found: int = await unit.conn.fetchval(text, *values)
    if found > limit or walk.whole or not walk.keep:
        return min(found, limit), found > limit
    return found, await _cut(unit, walk, walk.along, None) is not None


async def sizes(unit: Unit, walks: Sequence[Walk]) -> list[int]:
    """How many rows the arms of each hold, counted up to one more than a walk may read."""
    text, values = sizes_statement(walks)
    return list(await unit.conn.fetchrow(text, *values))


def page_statement(walk: Walk, sort: Sort, after: Key | None, limit: int) -> tuple[str, list[Any]]:
    """The statement of a page, and its values."""
    statement, beyond = Statement(), () if after is None else (sort.beyond(after),)
    within = walk.along == sort
    inner = statement.walked(walk, walk.columns, beyond if within else (), WALKED)
    kept = statement.says(walk.keep if within else (*walk.keep, *beyond))
    text = f"SELECT * FROM ({inner}) AS walked WHERE {kept} ORDER BY {sort.text} LIMIT {limit}"
    return text, statement.values


def count_statement(walk: Walk, limit: int) -> tuple[str, list[Any]]:
    """The statement that counts what matches, up to `limit`, and its values."""
    statement = Statement()
    return f"SELECT {_counted(statement, walk, limit)}", statement.values


def counts_statement(walks: Sequence[Walk], limit: int) -> tuple[str, list[Any]]:
    """The statement that counts what matches each walk, up to `limit` (`n0`, `n1`, …), and its values.

    `more0`, `more1`, … say whether a walk ended before everything was looked at.
    """
    statement, parts = Statement(), list[str]()
    for n, walk in enumerate(walks):
        parts.append(f"{_counted(statement, walk, limit)} AS n{n}")
        parts.append(f"{_goes_on(statement, walk) if walk.keep else 'false'} AS more{n}")
    return f"SELECT {', '.join(parts)}", statement.values


def groups_statement(
    walk: Walk, sort: Sort, by: Sequence[str], sample: int, most: int, joined: str = ""
) -> tuple[str, list[Any]]:
    """The statement that counts what matches by the columns `by` (`many`), the largest first, and its values.

    With the `oldest` of each and the first few `ids` in the order `sort`; `further` says whether there is more than
    the walk may read. `joined` brings columns of other tables.
    """
    statement, keys = Statement(), ", ".join(by)
    inner = statement.walked(walk, walk.columns, (), WALKED)
    text = (
        f"SELECT {keys}, count(*) AS many, min(walked.detected_at) AS oldest,"
        f" (array_agg(walked.id ORDER BY {', '.join(f'walked.{c}' for c in sort.text.split(', '))}))[1:{sample}] AS ids,"
        f" {_goes_on(statement, walk)} AS further"
        f" FROM (SELECT * FROM ({inner}) AS seen WHERE {statement.says(walk.keep)}) AS walked {joined}"
        f" GROUP BY {keys} ORDER BY many DESC, {keys} LIMIT {most}"
    )
    return text, statement.values


def _counted(statement: Statement, walk: Walk, limit: int) -> str:
    columns = walk.columns if walk.keep else ", ".join(walk.along.columns)
    inner = statement.walked(walk, columns, (), WALKED if walk.keep else limit)
    kept = f"SELECT FROM ({inner}) AS walked WHERE {statement.says(walk.keep)} LIMIT {limit}"
    return f"(SELECT count(*) FROM ({kept}) AS found)"


def _goes_on(statement: Statement, walk: Walk) -> str:
    if walk.whole:
        return "false"
    rest = statement.walked(walk, ", ".join(walk.along.columns), (), 1, WALKED)
    return f"EXISTS ({rest} OFFSET {WALKED})"


def sizes_statement(walks: Sequence[Walk]) -> tuple[str, list[Any]]:
    """The statement that counts the arms, and its values.

    Each in the order of its index, or the planner reads the table from its (closed) beginning to find a few.
    """
    statement = Statement()
    inner = [statement.walked(walk, ", ".join(walk.along.columns), (), WALKED + 1) for walk in walks]
    counts = [f"(SELECT count(*) FROM ({arms}) AS held) AS n{n}" for n, arms in enumerate(inner)]
    return f"SELECT {', '.join(counts)}", statement.values


async def _cut(unit: Unit, walk: Walk, sort: Sort, after: Key | None) -> Key | None:
    """The key of the last row that a walk from `after` may read, when there is another one behind it."""
    statement, beyond = Statement(), () if after is None else (sort.beyond(after),)
    inner = statement.walked(walk, ", ".join(sort.columns), beyond, 2, WALKED - 1)
    rows = await unit.conn.fetch(f"{inner} OFFSET {WALKED - 1}", *statement.values)
    return tuple(rows[0]) if len(rows) == 2 else None
