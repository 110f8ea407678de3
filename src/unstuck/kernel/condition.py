"""Conditions that users write in a policy pack: CEL, behind one small door.

Types are checked when the pack is loaded; the library bounds what an expression may cost.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Protocol, cast

TYPES = {"string": "STRING", "int": "INT", "bool": "BOOL"}


class Compiled(Protocol):
    """An expression that was checked and can be evaluated."""

    def eval(self, *, data: dict[str, Any]) -> Any: ...


class BadCondition(ValueError):
    """The expression does not compile; the sentence says why."""


@lru_cache(maxsize=1024)
def compiled(expression: str, variables: tuple[tuple[str, str], ...]) -> Compiled:
    """Check `expression` against its variables (name, type of TYPES) and prepare it."""
    from cel_expr_python import cel  # 50 MB: only packs with conditions pay for it

    env = cel.NewEnv(variables={name: getattr(cel.Type, TYPES[kind]) for name, kind in variables})
    try:
        ready = env.compile(expression)
    except (RuntimeError, ValueError) as error:
        raise BadCondition(str(error).splitlines()[0]) from error
    if ready.return_type() != cel.Type.BOOL:
        raise BadCondition(f"a condition is true or false, and {expression!r} is neither")
    return cast(Compiled, ready)


def holds(expression: str, variables: tuple[tuple[str, str], ...], facts: Mapping[str, Any]) -> bool:
    """Whether `expression` is true of `facts`; anything but true is false."""
    return compiled(expression, variables).eval(data=dict(facts)).value() is True
