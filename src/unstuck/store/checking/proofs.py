"""Proofs out of the stored tree: each reads a few hundred rows, however large the tree is."""

from collections import OrderedDict

import asyncpg

from unstuck.kernel.merkle import TILE_HEIGHT, Span, consistency, inclusion, joined, node_hash, perfect

WIDTH = 1 << TILE_HEIGHT
BLOCKS_KEPT, ROOTS_KEPT = 256, 50_000
LEAVES = "SELECT hash FROM leaf WHERE n >= $1 AND n < $2 ORDER BY n"
TILES = "SELECT hash FROM tile WHERE height = $3 AND n >= $1 AND n < $2 ORDER BY n"
Levels = list[list[bytes]]


class NoTree(LookupError):
    """The stored tree has a hole: leaves are missing, or their tiles were not made yet."""


class Proofs:
    """Proofs within the tree of the first `size` leaves, as one transaction sees it. Keeps what it read, up to 10 MB."""

    def __init__(self, conn: asyncpg.Connection, size: int) -> None:
        self._conn, self._size = conn, size
        self._blocks: OrderedDict[tuple[int, int], Levels] = OrderedDict()
        self._roots: dict[Span, bytes] = {}

    async def inclusion(self, n: int) -> list[bytes]:
        """That leaf `n` is in the tree; from the leaf upwards."""
        return [self._roots.get(span) or await self._root(span) for span in inclusion(n, self._size)]

    async def consistency(self, old: int) -> list[bytes]:
        """That the tree only adds to that of its first `old` leaves."""
        return [self._roots.get(span) or await self._root(span) for span in consistency(old, self._size)]

    async def _root(self, span: Span) -> bytes:
        root = joined([await self._node(height, n) for height, n in perfect(span)])
        if span.high - span.low >= WIDTH:  # smaller ones are cheap, and there are as many as leaves
            if len(self._roots) >= ROOTS_KEPT:
                self._roots.clear()
            self._roots[span] = root
        return root

    async def _node(self, height: int, n: int) -> bytes:
        """The root of the n-th perfect subtree of that height, out of the block of 256 that it is in."""
        level = height % TILE_HEIGHT
        block, at = divmod(n, WIDTH >> level)
        levels = self._blocks.get((height - level, block))
        if levels is None:
            levels = await self._read(height - level, block)
        if at >= len(levels[level]):
            raise NoTree(f"the stored tree has no subtree {n} of height {height}; start a worker, it makes what is due")
        return levels[level][at]

    async def _read(self, height: int, block: int) -> Levels:
        low, high = block * WIDTH, min((block + 1) * WIDTH, self._size >> height)
        query = (LEAVES, low, high) if height == 0 else (TILES, low, high, height)
        levels: Levels = [[row["hash"] for row in await self._conn.fetch(*query)]]
        while len(below := levels[-1]) > 1:
            levels.append([node_hash(*pair) for pair in zip(below[::2], below[1::2], strict=False)])
        levels += [[]] * (TILE_HEIGHT + 1 - len(levels))
        self._blocks[height, block] = levels
        if len(self._blocks) > BLOCKS_KEPT:
            self._blocks.popitem(last=False)
        return levels
