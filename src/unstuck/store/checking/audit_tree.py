"""The sealed part of the history: every leaf holds its event, and the tree of all leaves is the one that was signed."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import asyncpg

from unstuck.kernel.merkle import Frontier, Tile
from unstuck.store.checking.audit_report import Report
from unstuck.store.seal import hash_of
from unstuck.store.statements import sql
from unstuck.verifier.note import BadNote, Keys

BATCH = 5000
BEFORE_ALL = -(2**63)
Progress = Callable[[str, int], None]


class Claims:
    """What checkpoints say of the tree, by its size: who says it, and the root."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._at: dict[int, list[tuple[str, bytes, bool]]] = {}

    def add(self, who: str, size: int, root: bytes, vouched: bool) -> None:
        self._at.setdefault(size, []).append((who, root, vouched))

    def meet(self, tree: Frontier) -> None:
        """The tree has grown: hold it against what is said of this size."""
        for who, root, vouched in self._at.pop(tree.size, ()):
            if tree.root() != root:
                because = "the tree of these leaves has another root: a leaf at or below it was changed"
                self._report.add("checkpoint", f"{who} {tree.size}", because)
                continue
            if vouched:
                self._report.sealed = tree.size
            if vouched and who == ELSEWHERE:
                self._report.held_elsewhere = tree.size

    def unmet(self, size: int) -> None:
        """The tree is complete: what is said of a larger one shows that leaves are gone."""
        for claimed, said in sorted(self._at.items()):
            for who, _root, _vouched in said:
                self._report.add("truncated", f"{who} {claimed}", f"it sealed {claimed} events, {size} are left")


HERE, ELSEWHERE = "checkpoint", "checkpoint held elsewhere"


async def check_tree(
    conn: asyncpg.Connection, report: Report, keys: Keys | None, elsewhere: Iterable[str], progress: Progress
) -> None:
    """Rebuild the tree leaf by leaf; every checkpoint, here or elsewhere, must fit it."""
    state = await conn.fetchrow("SELECT *, below::text AS low FROM seal")
    below = state["low"] if state else "0"
    claims = await _claims(conn, report, keys, elsewhere)
    tree = Frontier()
    claims.meet(tree)
    await _grow(conn, report, tree, claims, below, progress)
    claims.unmet(tree.size)
    await _check_tiles(conn, report, tree)
    for row in await conn.fetch(sql("audit_without_leaf"), below):
        report.add("event-without-leaf", f"event {row['stream']} {row['seq']}", "it was not there when it was sealed")
    if state is None or (state["size"], state["frontier"]) != (tree.size, tree.packed()):
        report.add("seal", "seal", f"the sealer's own record is not that of a tree of {tree.size} leaves")


async def _claims(conn: asyncpg.Connection, report: Report, keys: Keys | None, elsewhere: Iterable[str]) -> Claims:
    claims = Claims(report)
    for row in await conn.fetch("SELECT size, root, note FROM checkpoint ORDER BY size"):
        _claim(claims, report, HERE, row["note"], keys, (row["size"], row["root"]))
    for note in elsewhere:
        _claim(claims, report, ELSEWHERE, note, keys, None)
    return claims


def _claim(claims: Claims, report: Report, who: str, note: str, keys: Keys | None, row: Any) -> None:
    try:
        if keys is None:
            raise BadNote("the keys on record are not those of a history, so nothing vouches for it")
        signed, vouched = keys.read(note)
    except BadNote as bad:
        report.add("signature", f"{who} {row[0] if row else ''}".strip(), str(bad))
        return
    if row and row != (signed.size, signed.root):
        report.add("checkpoint", f"{who} {row[0]}", f"its note was signed for size {signed.size} or another root")
    claims.add(who, signed.size, signed.root, vouched)


async def _grow(
    conn: asyncpg.Connection, report: Report, tree: Frontier, claims: Claims, below: str, progress: Progress
) -> None:
    def read_after(n: int) -> asyncio.Task[list[Any]]:
        return asyncio.create_task(conn.fetch(sql("audit_leaves"), n, below, BATCH))

    reading = read_after(BEFORE_ALL)
    while rows := await reading:
        reading = read_after(rows[-1]["n"])
        await asyncio.sleep(0)  # the question is out: the server reads while we hash
        for row in rows:
            _check_leaf(report, row, tree.size)
            tree.append(row["hash"])
            claims.meet(tree)
        progress("leaves", tree.size)


async def _check_tiles(conn: asyncpg.Connection, report: Report, tree: Frontier) -> None:
    """Hold the parts of the tree that are stored against those its leaves make: one for each 256 leaves."""
    made = set(tree.tiles)
    stored = {Tile(*row) for row in await conn.fetch("SELECT height, n, hash FROM tile")}
    for tile in sorted(made ^ stored):
        because = "its leaves make it, and it is not stored" if tile in made else "it is not what its leaves make"
        report.add("tile", f"tile {tile.height} {tile.n}", because)


def _check_leaf(report: Report, row: Any, n: int) -> None:
    if row["at"] is None:
        return report.add("event-missing", _named(row), f"leaf {row['n']} has sealed it and it is gone")
    if hash_of(row) != row["hash"]:
        report.add("event-changed", _named(row), f"it is not what leaf {row['n']} has sealed")
    if row["n"] != n:
        report.add("leaf-number", f"leaf {row['n']}", f"in the order of the tree it would be leaf {n}")
    if not row["settled"]:
        report.add("event-unsettled", _named(row), "it is sealed, yet says it was written after the sealer's bound")
    return None


def _named(row: Any) -> str:
    return f"event {row['stream']} {row['seq']}"
