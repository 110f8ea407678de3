"""The smallest rules: canonical bytes, safe text, identifiers, the sealing tree, conditions."""

import json
from datetime import datetime, timedelta, timezone
from enum import StrEnum
from hashlib import sha256
from uuid import UUID

import pytest
import rfc8785
from core_lab import NOW, later, law, uid
from hypothesis import given
from hypothesis import strategies as st

from unstuck.kernel.canonical import digest, encode, encode_trusted, printable
from unstuck.kernel.condition import BadCondition, compiled, holds
from unstuck.kernel.ids import EPOCH, rfc3339, uuid7
from unstuck.kernel.merkle import Frontier, leaf_hash, node_hash
from unstuck.kernel.refusal import Forbidden, Invalid, Missing, Refused, Stale

LIMIT = 2**53
KEYS = st.text(st.characters(max_codepoint=127), max_size=5)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
CANONICAL = st.recursive(
    st.none() | st.booleans() | st.integers(1 - LIMIT, LIMIT - 1) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.tuples(inner) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=25,
)


class Colour(StrEnum):
    RED = "RED"


@law
@given(CANONICAL)
def test_canonical_bytes_are_those_of_rfc_8785(value):
    data = encode(value)
    assert data == rfc8785.dumps(value) == encode_trusted(value)
    assert encode(json.loads(data)) == data


@pytest.mark.parametrize(
    ("value", "where"),
    [
        (1.0, "/: a float"),
        (float("nan"), "/: a float"),
        ({"a": [0, {"b": 1.5}]}, "/a/1/b: a float"),
        (LIMIT, "/: an integer beyond"),
        (-LIMIT, "/: an integer beyond"),
        ({"é": 1}, "/: the key 'é' is not ASCII"),
        ({"a": {1: 2}}, "/a: the key 1 is not ASCII"),
        ([b"x"], "/0: bytes has no canonical form"),
        ({"at": NOW}, "/at: datetime has no canonical form"),
        ([uid(1)], "/0: UUID has no canonical form"),
        ({1, 2}, "/: set has no canonical form"),
        ("\ud800", "surrogates"),
    ],
)
def test_what_has_no_canonical_form_is_refused_and_named(value, where):
    with pytest.raises(ValueError, match=where):
        encode(value)


def test_an_enum_is_its_text_and_a_digest_is_sha_256():
    assert encode({"c": Colour.RED}) == b'{"c":"RED"}'
    assert digest(b"") == sha256(b"").hexdigest()


@law
@given(st.text(max_size=60), st.integers(1, 50))
def test_printable_text_is_one_safe_line(text, limit):
    clean = printable(text, limit)
    assert len(clean) <= limit
    assert clean.isprintable()
    clean.encode("utf-8")
    assert "\x00" not in clean and len(clean.splitlines()) <= 1
    if text.isprintable() and len(text) <= limit:
        assert clean == text


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("two\nlines\r\n.", "two�lines��."),
        ("nul\x00 bell\x07 esc\x1b[31m del\x7f c1\x9b", "nul� bell� esc�[31m del� c1�"),
        ("lone \udc80 surrogate", "lone � surrogate"),
        ("right \u202e to left, line \u2028 end", "right � to left, line � end"),
        ("Jl. Merdeka é 漢 😀", "Jl. Merdeka é 漢 😀"),
        ("x" * 11, "x" * 9 + "…"),
        ("x" * 10, "x" * 10),
    ],
)
def test_what_a_stranger_writes_cannot_break_out(text, clean):
    assert printable(text, 10 if set(text) == {"x"} else 40) == clean


CHANCE = st.integers(0, 2**74 - 1)
MOMENT = st.integers(0, 2**47).map(lambda ms: min(ms, 253_402_300_799_000))


@law
@given(MOMENT, CHANCE, st.integers(0, 999))
def test_a_uuid7_holds_its_millisecond_version_and_chance(ms, chance, micros):
    made = uuid7(EPOCH + timedelta(milliseconds=ms, microseconds=micros), chance)
    assert made.version == 7 and made.variant == "specified in RFC 4122"
    assert made.int >> 80 == ms
    assert (made.int >> 64 & 0xFFF) << 62 | made.int & (1 << 62) - 1 == chance


@law
@given(MOMENT, MOMENT, CHANCE, CHANCE)
def test_uuid7s_sort_by_time(one, other, chance, other_chance):
    a, b = (uuid7(EPOCH + timedelta(milliseconds=m), c) for m, c in ((one, chance), (other, other_chance)))
    if one != other:
        assert (a < b) == (one < other) == (str(a) < str(b))


def test_a_time_is_written_in_one_way():
    assert rfc3339(NOW) == "2026-03-14T09:00:00.000000Z"
    jakarta = datetime(2026, 3, 14, 16, 0, 0, 5, tzinfo=timezone(timedelta(hours=7)))
    assert rfc3339(jakarta) == "2026-03-14T09:00:00.000005Z"


def naive(leaves):
    """RFC 6962, 2.1, word for word."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return sha256(b"\x01" + naive(leaves[:k]) + naive(leaves[k:])).digest()


def test_the_frontier_has_the_root_of_the_whole_tree():
    leaves = [sha256(bytes([n])).digest() for n in range(70)]
    frontier = Frontier()
    for size in range(71):
        assert frontier.size == size
        assert frontier.root() == naive(leaves[:size]), size
        again = Frontier.unpack(size, frontier.packed())
        assert (again.size, again.nodes, again.root()) == (size, frontier.nodes, frontier.root())
        assert len(frontier.packed()) == 32 * size.bit_count()
        if size < 70:
            again.append(leaves[size])
            frontier.append(leaves[size])
            assert again.root() == frontier.root()


def test_a_frontier_of_the_wrong_size_is_refused():
    with pytest.raises(ValueError, match="a tree of 3 leaves has 2 perfect subtrees, not 1"):
        Frontier.unpack(3, b"\x00" * 32)


def test_any_change_of_any_leaf_is_seen_in_the_root():
    leaves = [sha256(bytes([n])).digest() for n in range(21)]
    roots = {naive([*leaves[:n], node_hash(leaves[n], b""), *leaves[n + 1 :]]) for n in range(21)} | {naive(leaves)}
    assert len(roots) == 22


EVENT = (uid(1), 3, NOW, later(1), "order.started", 1, "ana")


def test_a_leaf_is_its_envelope_and_its_data_and_cannot_be_cut_elsewhere():
    envelope = b'["00000000-0000-0000-0000-000000000001",3,"2026-03-14T09:00:00Z","2026-03-14T09:00:01Z","order.started",1,"ana"]'
    expected = sha256(b"\x00" + len(envelope).to_bytes(4, "big") + envelope + b"{}").digest()
    assert leaf_hash(EVENT, b"{}") == expected
    changed = [(*EVENT[:n], x, *EVENT[n + 1 :]) for n, x in enumerate((uid(2), 4, later(2), later(3), "x", 2, "budi"))]
    assert (
        len({leaf_hash(e, b"{}") for e in changed} | {expected, leaf_hash(EVENT, b"[]"), leaf_hash(EVENT, b"")}) == 10
    )


FACTS = (("attempt", "int"), ("message", "string"), ("late", "bool"))


@pytest.mark.parametrize(
    "expression",
    [
        "attempt ==",
        'attempt == "x"',
        "nobody == 1",
        "message + 1 == 2",
        "message",
        "attempt",
        "[late]",
        "late.foo()",
        "",
    ],
)
def test_a_condition_is_checked_before_it_is_ever_asked(expression):
    with pytest.raises(BadCondition, match=r"\S"):
        compiled(expression, FACTS)


@pytest.mark.parametrize(
    ("expression", "true"),
    [
        ('attempt > 2 && message.contains("busy")', True),
        ("late || attempt < 3", False),
        ("1 / (attempt - 3) == 1", False),
        ('message.matches("^line")', True),
    ],
)
def test_a_condition_holds_only_when_it_is_true(expression, true):
    assert holds(expression, FACTS, {"attempt": 3, "message": "line busy", "late": False}) is true


def test_a_condition_about_what_is_not_known_does_not_hold():
    assert not holds("late", FACTS, {"attempt": 3, "message": ""})


def test_a_pattern_that_would_run_for_ever_does_not():
    assert not holds('message.matches("(a+)+$")', FACTS, {"attempt": 1, "message": "a" * 5000 + "b", "late": True})


def test_refusals_name_their_rule():
    assert Stale("case FC-1", 7).rule == "if-match" and Stale("case FC-1", 7).current == 7
    assert "version 7" in str(Stale("case FC-1", 7))
    assert Missing("order 5").rule == "not-found"
    assert Invalid("no", (("/a", "b"),)).errors == (("/a", "b"),)
    assert isinstance(Forbidden("role", "no"), Refused)
    assert UUID(int=1) == uid(1)
