"""A value that is hidden as a field is hidden in sentences too, in whatever spelling; what is no value of it is shown."""

import json

import pytest
from core_lab import law, long_law
from hypothesis import given
from hypothesis import strategies as st

from unstuck.policy.masking import HIDDEN, MANY, TEXT, Mask, Sensitive

SENSITIVE = Sensitive(fields=("address", "number"))
LETTERS = st.text(alphabet="abcXYZ0123456789äß", min_size=4, max_size=12)
BETWEEN = st.sampled_from(("", " ", ", ", "-", ". ", "\n", "/", " (", "_"))


def told(text: str, *fields: object) -> str:
    mask = Mask(SENSITIVE)
    mask.learn([json.dumps({"address": field}).encode() for field in fields])
    return mask.sentence(text)


@long_law
@given(LETTERS, st.lists(BETWEEN, min_size=12, max_size=12), st.text(max_size=20), st.text(max_size=20))
def test_no_spelling_of_a_hidden_value_is_shown(value: str, between: list[str], before: str, after: str) -> None:
    written = "".join(letter + gap for letter, gap in zip(value, between, strict=False))
    shown = told(f"{before} {written} {after}", value)
    assert written.strip() not in shown and value not in shown


@law
@given(st.text(max_size=40))
def test_a_sentence_that_repeats_nothing_is_shown_as_it_is(text: str) -> None:
    assert told(text, "Jl. Rahasia 77") == text or "rahasia" in text.lower()
    assert told(text) == text


@pytest.mark.parametrize(
    ("field", "said", "shown"),
    [
        ("Hauptstr. 5", "refused for address HAUPTSTR 5, try later", "refused for address •••, try later"),
        ("+62215550142", "no line for tel:62 21-555 0142", "no line for tel:•••"),
        ({"street": "Jl. Baru", "no": 12}, "at 12 Jl.Baru; code E12, 4.12", "at ••• •••; code E12, 4.12"),
        (["Jl. Baru 1", "Jl. Baru 12"], "Jl. Baru 12 and Jl. Baru 1", "••• and •••"),
        ("Jl. Baru 1", 'not at Jl. Baru 1, try "Jl. Baru 12"', 'not at •••, try "Jl. Baru 12"'),
        (None, "nothing here", "nothing here"),
        ("—", "a — b", "a — b"),
    ],
)
def test_what_a_system_says_of_it_is_hidden(field: object, said: str, shown: str) -> None:
    assert told(said, field) == shown


def test_sentences_inside_of_bodies_are_masked_as_well() -> None:
    mask = Mask(SENSITIVE)
    mask.learn([b'{"address":"Jl. Baru 1"}'])
    assert json.loads(mask.body(b'{"message":"no jl baru 1","code":"E1"}')) == {"message": f"no {HIDDEN}", "code": "E1"}
    assert mask.met == {"address"}


@pytest.mark.parametrize(
    "body",
    [b'{"address":"Jl. Ba', b'{"address":"a","address":"b"}', json.dumps([{"address": str(n)} for n in range(MANY + 1)]).encode()],
)  # fmt: skip
def test_when_the_values_are_not_known_no_sentence_is_shown(body: bytes) -> None:
    mask = Mask(SENSITIVE)
    mask.learn([body])
    assert (mask.sentence("refused for Jl. Baru"), mask.met) == (HIDDEN, {TEXT})
    assert mask.sentence("HTTP_502") == "HTTP_502"


def test_an_error_page_says_nothing_of_values_and_hides_no_sentence() -> None:
    mask = Mask(SENSITIVE)
    mask.learn([b"<html>Bad gateway</html>", b"[warn] gateway", b""])
    assert mask.sentence("Bad gateway") == "Bad gateway"


def test_without_sensitive_fields_every_sentence_is_shown() -> None:
    mask = Mask(Sensitive())
    mask.learn([b'{"address":"Jl. Baru 1"}'])
    assert mask.sentence("at Jl. Baru 1") == "at Jl. Baru 1"
