"""Sensitive values never pass the mask, whatever JSON they come in; what is not sensitive passes as it is."""

import json
from typing import Any

import msgspec
import pytest
from core_lab import MINIMAL, PACK, law, long_law
from hypothesis import given
from hypothesis import strategies as st

from unstuck.policy.check import load
from unstuck.policy.masking import HIDDEN, Mask, Sensitive, bare
from unstuck.policy.pack import BadPack

SENSITIVE = Sensitive(fields=("address", "phone-number"))
SECRET = "SECRET-7f3a"
SPELLINGS = (
    "address",
    "Address",
    "ADDRESS",
    "phone_number",
    "phoneNumber",
    "Phone Number",
    "service.address",
    "ns:address",
)
NAMES = st.sampled_from(("id", "code", "note", "size", "a", "name", "value", "items", "state"))
PLAIN = st.none() | st.booleans() | st.integers(-1000, 1000) | st.text(alphabet='xyz €"\\{[', max_size=8)


def secret(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Values that hold the secret, plainly, in numbers beside it, or deep inside."""
    return (
        st.just(SECRET)
        | st.just([SECRET, 1])
        | st.just({"line": SECRET, "no": {"x": SECRET}})
        | st.just(f"at {SECRET}!")
    )


def hidden_in(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Every shape in which a sensitive field may come."""
    spelling = st.sampled_from(SPELLINGS)
    member = st.builds(lambda name, value: {name: value}, spelling, secret(inner))
    pair = st.builds(
        lambda name, key, value: {key: name, "value": value},
        spelling,
        st.sampled_from(("name", "what", "field")),
        secret(inner),
    )
    change = st.builds(lambda name, value: {"what": name, "before": value, "after": None}, spelling, secret(inner))
    in_text = st.builds(lambda found: json.dumps(found), member | pair)
    return member | pair | change | in_text


JSONS = st.recursive(
    PLAIN | hidden_in(PLAIN),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3) | hidden_in(inner),
    max_leaves=12,
)


@long_law
@given(JSONS)
def test_no_value_of_a_sensitive_field_is_shown(value: Any) -> None:
    mask = Mask(SENSITIVE)
    assert SECRET not in json.dumps(mask.value(value), ensure_ascii=False)
    assert SECRET not in Mask(SENSITIVE).body(json.dumps(value).encode()).decode()
    assert (SECRET in json.dumps(value)) <= bool(mask.met)


@long_law
@given(
    st.recursive(
        PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=12
    )
)
def test_what_is_not_sensitive_is_shown_byte_for_byte(value: Any) -> None:
    body = json.dumps([value], indent=1).encode()
    mask = Mask(SENSITIVE)
    assert (mask.body(body), mask.met) == (body, set())


@law
@given(JSONS)
def test_masking_twice_is_masking_once(value: Any) -> None:
    once = Mask(SENSITIVE).value(value)
    assert Mask(SENSITIVE).value(once) == once


@law
@given(st.binary(max_size=60))
def test_what_is_no_json_is_hidden_whole_unless_the_pack_says_otherwise(data: bytes) -> None:
    shown = Mask(SENSITIVE).body(data)
    assert shown == data or shown == HIDDEN.encode() or json.loads(shown) is not None
    open_minded = Sensitive(fields=("address",), texts="shown")
    assert Mask(open_minded).body(b"<p>" + data) == b"<p>" + data
    assert Mask(SENSITIVE).body(b"<p>" + data) == HIDDEN.encode()


@pytest.mark.parametrize(
    "body",
    [
        b'{"address": "SECRET-7f3a", "address": "x"}', b'{"x": {"address": "SECRET-7f3a"}, "x": 1}',  # given twice
        b'"SECRET-7f3a"', b'{"address": "SECRET-7f3a"', b"\xff\xfeSECRET-7f3a", b'{"address": NaN, "b": "SECRET-7f3a"}',
        b"[" * 5000 + b'{"address": "SECRET-7f3a"}' + b"]" * 5000, b'{"\\u0061ddress": "SECRET-7f3a"}',
        b'{"payload": "{\\"address\\": \\"SECRET-7f3a"}', b'{"payload": "<address>SECRET-7f3a</address>"}',
    ],
)  # fmt: skip
def test_bodies_made_to_get_past_it(body: bytes) -> None:
    mask = Mask(SENSITIVE)
    assert b"SECRET" not in mask.body(body)
    assert mask.met


def test_that_a_field_is_empty_is_no_secret() -> None:
    body = b'{"address":null,"phone_number":"","list":{"address":[]}}'
    mask = Mask(SENSITIVE)
    assert (mask.body(body), mask.met) == (body, set())
    assert Mask(SENSITIVE).value({"address": 0, "phoneNumber": False}) == {"address": HIDDEN, "phoneNumber": HIDDEN}


def test_without_sensitive_fields_nothing_is_hidden() -> None:
    for data in (b"<html>502</html>", b'{"address":"x"}', b"\xff"):
        assert Mask(Sensitive()).body(data) == data


def test_the_names_that_were_hidden_are_told_as_the_pack_spells_them() -> None:
    mask = Mask(SENSITIVE)
    mask.body(b'{"PhoneNumber":"1","x":[{"name":"address","value":"y"}]}')
    mask.body(b"no json")
    assert mask.met == {"address", "phone-number", "text"}
    assert bare("Phone_Number 2") == "phonenumber2"


@pytest.mark.parametrize(
    ("fields", "because"),
    [("[address, Address]", "the same field"), ('["--"]', "no name"), ("[a, b, A]", "same field")],
)
def test_a_pack_with_no_names_or_the_same_twice_is_refused(fields: str, because: str) -> None:
    text = MINIMAL["pack.yaml"].replace("fields: [address, number]", f"fields: {fields}")
    with pytest.raises(BadPack, match=because) as refused:
        load({**MINIMAL, "pack.yaml": text})
    (found,) = refused.value.findings
    assert (found.rule, found.file) == ("sensitive-field", "pack.yaml")


def test_the_shipped_pack_hides_where_people_live_and_how_to_reach_them() -> None:
    assert set(PACK.document.sensitive.fields) == {"address", "number"}
    roles = {name for name, role in PACK.document.roles.items() if "sensitive.reveal" in role.may}
    assert roles == {"repair-agent", "fallout-manager", "engineer"}
    assert msgspec.json.decode(Mask(PACK.document.sensitive).body(b'{"number":"+62 1"}')) == {"number": HIDDEN}
