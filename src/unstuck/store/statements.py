"""SQL by name: each statement is a file in `sql/`, with its reason on top."""

from functools import cache
from importlib.resources import files


@cache
def sql(name: str) -> str:
    """The text of `sql/<name>.sql`."""
    return files("unstuck.store").joinpath("sql", f"{name}.sql").read_text()
