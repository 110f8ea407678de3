"""TMF630's query language: equality on any attribute, dotted paths, comma for or, comparisons, regular expressions.

What has a column goes to the database (`pushed`); the rest is decided on the resource as it is shown (`fits`).
Regular expressions are RE2's: no pattern makes it slow.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from unstuck.kernel.condition import compiled
from unstuck.kernel.refusal import Invalid
from unstuck.order.dialect import at
from unstuck.store.listing.service_orders import COLUMNS, Found

OPERATORS = ("gte", "lte", "gt", "lt", "regex", "eq")
SIGNS = ((">=", "gte"), ("<=", "lte"), (">", "gt"), ("<", "lt"))
TIMES = ("orderDate", "completionDate")
OURS = ("fields", "offset", "limit", "sort")
MANY, LONG, PAGE, PAGE_LIMIT = 20, 400, 100, 500
REGEX = (("text", "string"), ("pattern", "string"))


class Condition(msgspec.Struct, frozen=True):
    """One condition: true when any value at `path` stands so to any of `values`."""

    path: str
    operator: str
    values: tuple[str, ...]


class Search(msgspec.Struct, frozen=True):
    """What a list was asked for. `sort` are attributes, each with whether the largest comes first."""

    conditions: tuple[Condition, ...]
    fields: str | None
    sort: tuple[tuple[str, bool], ...]
    offset: int
    limit: int


def search(query: str) -> Search:
    """Read a query string; Invalid says which parameter cannot be meant."""
    pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=10 * MANY, errors="replace")
    own = {name: value for name, value in pairs if name in OURS}
    return Search(
        conditions=conditions((name, value) for name, value in pairs if name not in OURS),
        fields=own.get("fields"),
        sort=tuple(_way(part) for part in own.get("sort", "").split(",") if part.strip(" +-")),
        offset=_number(own, "offset", 0, 10_000_000),
        limit=_number(own, "limit", PAGE, PAGE_LIMIT),
    )


def conditions(pairs: Iterable[tuple[str, str]]) -> tuple[Condition, ...]:
    """The conditions that these parameters are."""
    read = tuple(_condition(name, value) for name, value in pairs)
    if len(read) > MANY:
        raise Invalid(f"at most {MANY} conditions can be asked at once")
    return read


def pushed(asked: Search) -> tuple[Found, tuple[Condition, ...]]:
    """What the database can decide, and the conditions that only the resource itself can."""
    found, rest = Found(), []
    for condition in asked.conditions:
        if not _push(condition, found):
            rest.append(condition)
    found.oldest_first = asked.sort == (("orderDate", False),)
    return found, tuple(rest)


def needs_walk(asked: Search, rest: Sequence[Condition]) -> bool:
    """Whether orders must be read to be chosen or put in order."""
    return bool(rest) or asked.sort not in ((), (("orderDate", True),), (("orderDate", False),))


def fits(resource: Any, wanted: Iterable[Condition]) -> bool:
    """Whether every condition is true of the resource."""
    return all(any(_stands(condition, value) for value in at(resource, condition.path)) for condition in wanted)


class Backwards(msgspec.Struct, frozen=True):
    """A sort key the other way round."""

    value: Any

    def __lt__(self, other: "Backwards") -> bool:
        return bool(other.value < self.value)


def sort_key(resource: Any, sort: Iterable[tuple[str, bool]]) -> tuple[Any, ...]:
    """What puts resources in the order asked for; what has no value comes last."""
    return tuple(_key(next(iter(at(resource, path)), None), largest_first) for path, largest_first in sort)


def _key(value: Any, largest_first: bool) -> tuple[bool, Any]:
    comparable = _comparable(_text(value)) if isinstance(value, str | int | float) else (0, "")
    return not isinstance(value, str | int | float), Backwards(comparable) if largest_first else comparable


def _condition(name: str, value: str) -> Condition:
    if ">" in name or "<" in name:  # `a>=1` was split at the sign, `a>1` was not
        whole = f"{name}={value}" if name.endswith((">", "<")) else name
        sign, operator = next((sign, operator) for sign, operator in SIGNS if sign in whole)
        path, _, given = whole.partition(sign)
        return _checked(path, operator, (given,))
    path, _, operator = name.rpartition(".")
    if operator not in OPERATORS or not path:
        path, operator = name, "eq"
    return _checked(path, operator, (value,) if operator == "regex" else tuple(value.split(",")))


def _checked(path: str, operator: str, values: tuple[str, ...]) -> Condition:
    plain = tuple(_unquoted(value) for value in values)
    if max(len(path), *map(len, plain)) > LONG or not path or "\x00" in path + "".join(plain):
        raise Invalid(f"a filter is a name and a value of at most {LONG} characters each")
    if operator == "regex":
        _require_pattern(plain[0])
    return Condition(path, operator, plain)


def _unquoted(value: str) -> str:
    value = value.strip()
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'" else value


def _require_pattern(pattern: str) -> None:
    if not isinstance(_match("", pattern), bool):
        raise Invalid(f"{pattern[:80]!r} is no regular expression that can be used here (RE2)")


def _match(text: str, pattern: str) -> Any:
    return compiled("text.matches(pattern)", REGEX).eval(data={"text": text[:4000], "pattern": pattern}).value()


def _push(condition: Condition, found: Found) -> bool:
    path, operator, values = condition.path, condition.operator, condition.values
    if path == "state" and operator == "eq":
        found.states.append(list(values))
        return True
    times = [_moment(value) for value in values]
    if path in TIMES:
        if None in times:
            raise Invalid(f"{path} is compared with an RFC 3339 time, not {values[0][:80]!r}")
        if operator == "eq":
            found.equal.append((path, times))
        elif operator != "regex" and times[0] is not None:
            found.compare.append((path, operator, times[0]))
        return operator != "regex"
    if path in COLUMNS and operator == "eq":
        found.equal.append((path, list(values)))
        return True
    return False


def _stands(condition: Condition, value: Any) -> bool:
    if isinstance(value, dict | list) or value is None:
        return False
    text = _text(value)
    match condition.operator:
        case "eq":
            return text in condition.values or _same_moment(text, condition.values)
        case "regex":
            return _match(text, condition.values[0]) is True
    left, right = _comparable(text), _comparable(condition.values[0])
    if left[0] != right[0]:
        return False
    return bool(
        {
            "gt": left > right,
            "gte": left >= right,
            "lt": left < right,
            "lte": left <= right,
        }[condition.operator]
    )


def _same_moment(text: str, values: Iterable[str]) -> bool:
    at = _moment(text)
    return at is not None and any(_moment(value) == at for value in values)


def _comparable(text: str) -> tuple[int, Any]:
    """Numbers with numbers, times with times, texts with texts."""
    try:
        return 1, float(text)
    except ValueError:
        moment = _moment(text)
        return (2, moment) if moment else (3, text)


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _text(value: Any) -> str:
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)


def _way(part: str) -> tuple[str, bool]:
    part = part.strip()  # the plus of a query string is a blank
    return part.lstrip("+-"), part.startswith("-")


def _number(own: dict[str, str], name: str, otherwise: int, most: int) -> int:
    text = own.get(name, "")
    if name not in own:
        return otherwise
    if not (text.isascii() and text.isdigit() and len(text) < 12 and int(text) <= most):
        raise Invalid(f"{name} is a number from 0 to {most}, not {text[:40]!r}")
    return int(text)
