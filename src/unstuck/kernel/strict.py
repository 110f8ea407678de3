"""JSON of strangers: refused when every reader would understand something else by it, or nobody could pass it on."""

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

import msgspec

from unstuck.kernel.refusal import Invalid, Refused

NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, json.JSONDecodeError)
DEPTH_LIMIT = 64  # levels; what can be decoded here must also be encoded later, from deeper in the stack


def plain(data: bytes) -> Any:
    """A JSON text as plain values; refused when a name is given twice in one object, or it is nested too deeply."""
    try:
        msgspec.json.decode(data)  # the stricter reader: no NaN, no lone surrogates, no numbers out of range
        value = json.loads(data, object_pairs_hook=distinct)
    except NOT_JSON as error:
        raise not_json(error) from error
    require_shallow(value)
    return value


def not_json(error: Exception, what: str = "the body") -> Refused:
    """The refusal of what no reader can read."""
    return Refused("not-json", f"{what} is not JSON ({error})")


def distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of these pairs (the `object_pairs_hook` of a decoder); refused when a name is given twice."""
    value = dict(pairs)
    if len(value) < len(pairs):
        twice = next(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)
        raise Refused("one-name-once", f"{pointed(twice)[:200]} is given twice in the same object; which one counts?")
    return value


def require_shallow(value: Any) -> None:
    """Refuse a decoded JSON value that is nested too deeply; of an object the names that are."""
    if depth(value) <= DEPTH_LIMIT:
        return
    named = value.items() if isinstance(value, dict) else ()
    deep = [pointed(name) for name, inner in named if depth(inner) >= DEPTH_LIMIT] or [""]
    raise Invalid("the body is nested too deeply", tuple((at, f"at most {DEPTH_LIMIT} levels") for at in deep))


def depth(value: Any) -> int:
    """How deeply a decoded JSON value is nested; a plain value is one level."""
    level, levels = [value], 0
    while level:
        levels += 1
        level = [inner for outer in level for inner in _inside(outer)]
    return levels


def pointed(name: str) -> str:
    """A name as a step of a JSON pointer (RFC 6901)."""
    return "/" + name.replace("~", "~0").replace("/", "~1")


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
