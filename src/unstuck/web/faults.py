"""Everything that is wrong with a body at once, each with its JSON pointer. Runs only when something is wrong."""

import re
from collections.abc import Iterator
from datetime import datetime
from enum import Enum
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec

from unstuck.kernel.ids import can_be_kept
from unstuck.kernel.strict import pointed

ITEMS = (list, tuple, set, frozenset)
STEP = re.compile(r"\.([^.\[]+)|\[(\d+)\]")
Fault = tuple[str, str]


def faults(value: Any, kind: Any, at: str = "") -> Iterator[Fault]:
    """Pointer and sentence of each place where `value` does not fit `kind`."""
    inner = list(_inside(value, kind, at))
    if inner:
        yield from inner
        return
    try:
        fitting = msgspec.convert(value, type=kind)
    except msgspec.ValidationError as error:
        because, _, path = str(error).partition(" - at `$")
        below = "".join(f"/{name or number}" for name, number in STEP.findall(path))
        yield at + below, _sentence(kind) or because
        return
    if isinstance(fitting, datetime) and not can_be_kept(fitting):
        yield at, "a time between the years 1 and 9999"


def whole_floats(value: Any) -> Any:
    """`value` with 5.0 as 5: the same number in JSON Schema, and not for us."""
    match value:
        case dict():
            return {name: whole_floats(inner) for name, inner in value.items()}
        case list():
            return [whole_floats(inner) for inner in value]
        case float() if value.is_integer():
            return int(value)
    return value


def _inside(value: Any, kind: Any, at: str) -> Iterator[Fault]:
    kind = _bare(kind)
    if isinstance(value, dict) and isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        yield from _fields(value, kind, at)
    elif isinstance(value, list) and get_origin(kind) in ITEMS:
        for number, item in enumerate(value):
            yield from faults(item, get_args(kind)[0], f"{at}/{number}")


def _fields(value: dict[str, Any], kind: type[msgspec.Struct], at: str) -> Iterator[Fault]:
    known = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    for name, field in known.items():
        if name in value:
            yield from faults(value[name], field.type, at + pointed(name))
        elif field.required:
            yield at + pointed(name), "is missing"
    config = kind.__struct_config__
    for name in value.keys() - known.keys() if config.forbid_unknown_fields else ():
        if name != config.tag_field:
            yield at + pointed(name), f"is not known here; there are {', '.join(known) or 'no fields'}"


def _bare(kind: Any) -> Any:
    """The type under its annotations, and the only real one of an optional."""
    if get_origin(kind) is Annotated:
        return _bare(get_args(kind)[0])
    if get_origin(kind) in (Union, UnionType):
        real = [part for part in get_args(kind) if part not in (type(None), msgspec.UnsetType)]
        return _bare(real[0]) if len(real) == 1 else kind
    return kind


def _sentence(kind: Any) -> str:
    """What would fit, in words, where the type knows them."""
    if get_origin(kind) in (Union, UnionType):
        return next(filter(None, map(_sentence, get_args(kind))), "")
    if get_origin(kind) is Annotated:
        notes = [note.description for note in kind.__metadata__ if isinstance(note, msgspec.Meta)]
        return next(filter(None, notes), "")
    if get_origin(kind) is Literal:
        return f"one of {', '.join(map(str, get_args(kind)))}"
    if isinstance(kind, type) and issubclass(kind, Enum):
        return f"one of {', '.join(str(member.value) for member in kind)}"
    return ""
