"""The tree that seals the history: RFC 6962 hashes over event leaves, appended through a compact frontier."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from hashlib import sha256
from typing import NamedTuple
from uuid import UUID

from unstuck.kernel.canonical import encode_trusted

TILE_HEIGHT = 8


def leaf_hash(fields: Sequence[str | int | UUID | datetime], data: bytes) -> bytes:
    """Hash of one event: its envelope (stream, seq, at, recorded_at, type, v, by) as JSON, then its data bytes.

    Times are RFC 3339 in UTC with `Z`; the fraction has six digits and is left out when it is zero.
    """
    envelope = encode_trusted(fields)
    return sha256(b"\x00" + len(envelope).to_bytes(4, "big") + envelope + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of an inner node (RFC 6962, 2.1)."""
    return sha256(b"\x01" + left + right).digest()


class Tile(NamedTuple):
    """The root of a perfect subtree of 2^height leaves, the n-th of that height; stored for heights 8, 16, 24 …"""

    height: int
    n: int
    root: bytes


class Span(NamedTuple):
    """The leaves from `low` up to, not including, `high`: the subtree whose root a proof needs."""

    low: int
    high: int


def inclusion(n: int, size: int) -> list[Span]:
    """What proves that leaf `n` is in the tree of `size` leaves: roots from the leaf upwards (RFC 6962, 2.1.1)."""
    if not 0 <= n < size:
        raise ValueError(f"a tree of {size} leaves has no leaf {n}")
    low, high, path = 0, size, []
    while high - low > 1:
        middle = low + _split(high - low)
        if n < middle:
            path.append(Span(middle, high))
            high = middle
        else:
            path.append(Span(low, middle))
            low = middle
    return path[::-1]


def consistency(old: int, size: int) -> list[Span]:
    """What proves that the tree of `size` leaves only adds to that of its first `old` ones (RFC 6962, 2.1.2)."""
    if not 0 < old <= size:
        raise ValueError(f"a tree of {size} leaves grew from no tree of {old} leaves")
    low, high, path = 0, size, []
    while high != old:
        middle = low + _split(high - low)
        if old <= middle:
            path.append(Span(middle, high))
            high = middle
        else:
            path.append(Span(low, middle))
            low = middle
    return [*([Span(low, high)] if low else []), *path[::-1]]


def perfect(span: Span) -> list[tuple[int, int]]:
    """The perfect subtrees that a span of a tree is made of: height and number of each, left to right."""
    low, parts = span.low, []
    while low < span.high:
        room = span.high - low
        height = min(room.bit_length() - 1, (low & -low).bit_length() - 1 if low else room.bit_length())
        parts.append((height, low >> height))
        low += 1 << height
    return parts


def joined(roots: Sequence[bytes]) -> bytes:
    """The root over perfect subtrees that stand side by side, largest first; the hash of nothing over none."""
    if not roots:
        return sha256(b"").digest()
    node = roots[-1]
    for left in reversed(roots[:-1]):
        node = node_hash(left, node)
    return node


class Frontier:
    """The right edge of a growing tree: the roots of its perfect subtrees, largest first. O(log n) state.

    `tiles` are those completed since the caller last took them away.
    """

    def __init__(self, size: int = 0, nodes: Iterable[bytes] = ()) -> None:
        self.size = size
        self.nodes = list(nodes)
        self.tiles: list[Tile] = []
        if len(self.nodes) != size.bit_count():
            raise ValueError(f"a tree of {size} leaves has {size.bit_count()} perfect subtrees, not {len(self.nodes)}")

    def append(self, leaf: bytes) -> None:
        """Add one leaf on the right."""
        merges, node = _trailing_ones(self.size), leaf
        for height in range(1, merges + 1):
            node = node_hash(self.nodes.pop(), node)
            if height % TILE_HEIGHT == 0:
                self.tiles.append(Tile(height, self.size >> height, node))
        self.nodes.append(node)
        self.size += 1

    def root(self) -> bytes:
        """The root of the tree as it stands; the hash of nothing for an empty one."""
        return joined(self.nodes)

    def packed(self) -> bytes:
        """The nodes, 32 bytes each: what is stored beside the size."""
        return b"".join(self.nodes)

    @classmethod
    def unpack(cls, size: int, packed: bytes) -> "Frontier":
        """The frontier that `packed` was made of."""
        return cls(size, (packed[i : i + 32] for i in range(0, len(packed), 32)))


def _trailing_ones(number: int) -> int:
    return ((number + 1) & -(number + 1)).bit_length() - 1


def _split(count: int) -> int:
    """The largest power of two below `count`."""
    return 1 << (count - 1).bit_length() - 1
