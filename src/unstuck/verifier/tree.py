"""The hashes and proofs of RFC 6962, as somebody checks them who has only read the specification."""

from collections.abc import Iterable, Sequence
from hashlib import sha256


def leaf_hash(envelope: bytes, data: bytes) -> bytes:
    """The leaf of an event: the exact bytes of its envelope, whose length comes first, then those of its data."""
    return sha256(b"\x00" + len(envelope).to_bytes(4, "big") + envelope + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The node over two others."""
    return sha256(b"\x01" + left + right).digest()


def root_by_inclusion(n: int, size: int, leaf: bytes, proof: Iterable[bytes]) -> bytes | None:
    """The root that `proof` leads to from leaf `n` of a tree of `size` leaves; None when it has the wrong length."""
    at, last, node = n, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return None
        if at & 1 or at == last:
            node = node_hash(sibling, node)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            node = node_hash(node, sibling)
        at, last = at >> 1, last >> 1
    return node if last == 0 else None


def is_consistent(old: int, size: int, old_root: bytes, root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether `proof` shows that the tree of `size` leaves only adds to that of its first `old` ones."""
    if old == size or not 0 < old <= size:
        return old == size and old_root == root and not proof
    path = [*([old_root] if old & old - 1 == 0 else []), *proof]
    if not path:
        return False
    at, last = old - 1, size - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    first = second = path[0]
    for node in path[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            first, second = node_hash(node, first), node_hash(node, second)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            second = node_hash(second, node)
        at, last = at >> 1, last >> 1
    return last == 0 and (first, second) == (old_root, root)


class Tree:
    """A tree that grows leaf by leaf: the roots of its perfect subtrees, largest first."""

    def __init__(self) -> None:
        self.size = 0
        self._nodes: list[bytes] = []

    def append(self, leaf: bytes) -> None:
        at, node = self.size, leaf
        while at & 1:
            at, node = at >> 1, node_hash(self._nodes.pop(), node)
        self._nodes.append(node)
        self.size += 1

    def root(self) -> bytes:
        if not self._nodes:
            return sha256(b"").digest()
        node = self._nodes[-1]
        for left in reversed(self._nodes[:-1]):
            node = node_hash(left, node)
        return node
