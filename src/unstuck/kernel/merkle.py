"""The tree that seals the history: RFC 6962 hashes over event leaves, appended through a compact frontier."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from hashlib import sha256
from uuid import UUID

from unstuck.kernel.canonical import encode_trusted


def leaf_hash(fields: Sequence[str | int | UUID | datetime], data: bytes) -> bytes:
    """Hash of one event: its envelope (stream, seq, at, recorded_at, type, v, by) as JSON, then its data bytes.

    Times are RFC 3339 in UTC with `Z`; the fraction has six digits and is left out when it is zero.
    """
    envelope = encode_trusted(fields)
    return sha256(b"\x00" + len(envelope).to_bytes(4, "big") + envelope + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of an inner node (RFC 6962, 2.1)."""
    return sha256(b"\x01" + left + right).digest()


class Frontier:
    """The right edge of a growing tree: the roots of its perfect subtrees, largest first. O(log n) state."""

    def __init__(self, size: int = 0, nodes: Iterable[bytes] = ()) -> None:
        self.size = size
        self.nodes = list(nodes)
        if len(self.nodes) != size.bit_count():
            raise ValueError(f"a tree of {size} leaves has {size.bit_count()} perfect subtrees, not {len(self.nodes)}")

    def append(self, leaf: bytes) -> None:
        """Add one leaf on the right."""
        merges, node = _trailing_ones(self.size), leaf
        for _ in range(merges):
            node = node_hash(self.nodes.pop(), node)
        self.nodes.append(node)
        self.size += 1

    def root(self) -> bytes:
        """The root of the tree as it stands; the hash of nothing for an empty one."""
        if not self.nodes:
            return sha256(b"").digest()
        node = self.nodes[-1]
        for left in reversed(self.nodes[:-1]):
            node = node_hash(left, node)
        return node

    def packed(self) -> bytes:
        """The nodes, 32 bytes each: what is stored beside the size."""
        return b"".join(self.nodes)

    @classmethod
    def unpack(cls, size: int, packed: bytes) -> "Frontier":
        """The frontier that `packed` was made of."""
        return cls(size, (packed[i : i + 32] for i in range(0, len(packed), 32)))


def _trailing_ones(number: int) -> int:
    return ((number + 1) & -(number + 1)).bit_length() - 1
