"""The English of the pages, by key: one catalogue (`texts/*.toml`), no sentence anywhere else."""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any


class NoSuchText(Exception):
    """A template names a text that the catalogue does not have."""


def text(key: str, **values: Any) -> str:
    """The text called `key`, with its `{values}` filled in; one with `one` and `other` is chosen by `n`.

    Nothing in it is markup: templates escape what comes back like any other text.
    """
    found = _catalogue().get(key)
    if found is None and "n" in values:
        found = _catalogue().get(f"{key}.{'one' if values['n'] == 1 else 'other'}")
    if found is None:
        raise NoSuchText(key)
    return found.format_map(values)


def has(key: str) -> bool:
    """Whether there is such a text: words of other systems have none and are shown as they are."""
    return key in _catalogue()


def word(kind: str, value: str) -> str:
    """What people call a value of ours (`word("state", "IN_PROGRESS")`); one without a name is shown as it is."""
    return _catalogue().get(f"{kind}.{value.removeprefix('unstuck.')}") or str(value)


@cache
def _catalogue() -> Mapping[str, str]:
    tables = [tomllib.loads(file.read_text("utf-8")) for file in files("unstuck.web.pages").joinpath("texts").iterdir()]
    return {key: said for table in tables for key, said in _flat("", table)}


def _flat(prefix: str, table: Mapping[str, Any]) -> list[tuple[str, str]]:
    out: list[tuple[str, str]] = []
    for name, value in table.items():
        out += _flat(f"{prefix}{name}.", value) if isinstance(value, dict) else [(f"{prefix}{name}", value)]
    return out
