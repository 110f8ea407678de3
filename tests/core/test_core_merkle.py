"""The tree against the definitions of RFC 6962, written down here once more, for every size up to 70."""

import random
from hashlib import sha256

import pytest

from unstuck.kernel.merkle import Frontier, Tile, consistency, inclusion, joined, node_hash, perfect
from unstuck.verifier import tree as verifier

Hashes = list[bytes]


def leaves(count: int) -> Hashes:
    return [sha256(f"{n}".encode()).digest() for n in range(count)]


def split(count: int) -> int:
    k = 1
    while k * 2 < count:
        k *= 2
    return k


def root(d: Hashes) -> bytes:
    """MTH(D)."""
    if len(d) < 2:
        return d[0] if d else sha256(b"").digest()
    k = split(len(d))
    return sha256(b"\x01" + root(d[:k]) + root(d[k:])).digest()


def path(m: int, d: Hashes) -> Hashes:
    """PATH(m, D[n])."""
    if len(d) == 1:
        return []
    k = split(len(d))
    return [*path(m, d[:k]), root(d[k:])] if m < k else [*path(m - k, d[k:]), root(d[:k])]


def subproof(m: int, d: Hashes, whole: bool) -> Hashes:
    """SUBPROOF(m, D[n], b)."""
    if m == len(d):
        return [] if whole else [root(d)]
    k = split(len(d))
    if m <= k:
        return [*subproof(m, d[:k], whole), root(d[k:])]
    return [*subproof(m - k, d[k:], False), root(d[:k])]


@pytest.mark.parametrize("size", range(1, 71))
def test_every_proof_is_the_one_of_the_rfc_and_is_accepted(size: int) -> None:
    d = leaves(size)
    whole = root(d)
    for n in range(size):
        proof = [root(d[span.low : span.high]) for span in inclusion(n, size)]
        assert proof == path(n, d)
        assert verifier.root_by_inclusion(n, size, d[n], proof) == whole
    for old in range(1, size + 1):
        proof = [root(d[span.low : span.high]) for span in consistency(old, size)]
        assert proof == subproof(old, d, True)
        assert verifier.is_consistent(old, size, root(d[:old]), whole, proof)


def test_a_proof_that_was_tampered_with_is_not_accepted() -> None:
    dice = random.Random(1)
    for _ in range(2000):
        size = dice.randint(2, 70)
        n, d = dice.randrange(size), leaves(size)
        proof = path(n, d)
        wrong = dice.choice(
            [proof[:-1], [*proof, d[0]], proof[::-1], [sha256(proof[0]).digest(), *proof[1:]], proof[1:]]
        )
        assert wrong == proof or verifier.root_by_inclusion(n, size, d[n], wrong) != root(d)
        assert verifier.root_by_inclusion(n, size, d[n - 1], proof) != root(d)
        old = dice.randint(1, size - 1)
        proof = subproof(old, d, True)
        for wrong in (proof[:-1], [*proof, d[0]], [sha256(proof[0]).digest(), *proof[1:]]):
            assert not verifier.is_consistent(old, size, root(d[:old]), root(d), wrong)
        assert not verifier.is_consistent(old, size, root(d[1 : old + 1]), root(d), proof)


@pytest.mark.parametrize(
    "ask", [lambda: inclusion(5, 5), lambda: inclusion(-1, 5), lambda: consistency(0, 5), lambda: consistency(6, 5)]
)
def test_what_is_not_in_a_tree_has_no_proof(ask: object) -> None:
    with pytest.raises(ValueError, match="a tree of 5 leaves"):
        ask()  # type: ignore[operator]


def test_the_tree_that_grows_is_the_tree_of_the_rfc_here_and_at_the_verifier() -> None:
    here, there, d = Frontier(), verifier.Tree(), leaves(70)
    for n, leaf in enumerate(d):
        assert here.root() == there.root() == root(d[:n])
        here.append(leaf)
        there.append(leaf)
    assert Frontier.unpack(70, here.packed()).root() == root(d)


def test_tiles_are_the_perfect_subtrees_of_256_leaves_and_of_256_tiles() -> None:
    tree, d = Frontier(), leaves(256 * 256 + 300)
    for leaf in d:
        tree.append(leaf)
    level = d
    for height in (8, 16):
        for _ in range(8):
            level = [node_hash(*pair) for pair in zip(level[::2], level[1::2], strict=False)]
        assert [tile for tile in tree.tiles if tile.height == height] == [
            Tile(height, n, h) for n, h in enumerate(level)
        ]
    assert len(tree.tiles) == 257 + 1


def test_a_span_is_made_of_perfect_subtrees_side_by_side() -> None:
    d = leaves(70)
    for size in range(1, 71):
        for span in {span for n in range(size) for span in inclusion(n, size)}:
            parts = perfect(span)
            assert sum(1 << height for height, _ in parts) == span.high - span.low
            roots = [root(d[n << height : (n + 1) << height]) for height, n in parts]
            assert joined(roots) == root(d[span.low : span.high])
