"""What must be seen, and what was: a page of expectations as a table, a sheet on which a run writes them down."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from unstuck.rehearsal.table import rows

NOT_YET = "not yet"


class Missed(Exception):
    """The story cannot go on, because something it needs was not seen."""


class Expectation(msgspec.Struct, frozen=True):
    """One line of a page. What is not built yet is never judged."""

    id: str
    text: str
    built: bool


class Page(msgspec.Struct, frozen=True):
    """The expectations of a scenario, in the order of the specification."""

    lines: tuple[Expectation, ...]

    @classmethod
    def parse(cls, table: str) -> "Page":
        """Read a Markdown table of `id`, `when` (`now` or `not yet`) and `must be seen`."""
        lines = tuple(_expectation(*cells) for cells in rows(table, "id", "when", "must be seen"))
        if len({line.id for line in lines}) != len(lines):
            raise ValueError("every expectation has an id of its own")
        return cls(lines)


def _expectation(id_: str, when: str, text: str) -> Expectation:
    if when not in ("now", NOT_YET) or not text:
        raise ValueError(f"{id_} is judged now or not yet, and says what must be seen")
    return Expectation(id_, text, when == "now")


class Sheet:
    """What one run saw of a page."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self._seen: dict[str, tuple[bool, str]] = {}
        self._notes: dict[str, str] = {}
        self._why_not: dict[str, str] = {}
        self._judged = {line.id for line in page.lines if line.built}

    def saw(self, id_: str, ok: bool, seen: object) -> None:
        """Judge an expectation, once, with what was really seen."""
        if id_ not in self._judged or id_ in self._seen:
            raise ValueError(f"{id_} is not to be judged, or was already")
        self._seen[id_] = (ok, str(seen))

    def note(self, id_: str, words: str) -> None:
        """Add to the text of a line what was seen of it, without judging it."""
        self._notes[id_] = words

    def part(self, act: Callable[[], None], first: str, last: str) -> None:
        """Play the part that judges the lines `first` to `last`; those it breaks off before count as missed."""
        try:
            act()
        except Missed as missed:
            self._broke_off(str(missed), first, last)
        except (LookupError, TypeError, ValueError) as surprise:
            self._broke_off(f"an answer is not of the shape that was promised ({surprise!r})", first, last)

    def _broke_off(self, because: str, first: str, last: str) -> None:
        ids = [line.id for line in self.page.lines]
        for id_ in ids[ids.index(first) : ids.index(last) + 1]:
            self._why_not.setdefault(id_, because)

    def lines(self) -> list[dict[str, Any]]:
        """Every line of the page with `ok` and `seen`."""
        return [self._line(line) for line in self.page.lines]

    def _line(self, line: Expectation) -> dict[str, Any]:
        text = f"{line.text} ({self._notes[line.id]})" if line.id in self._notes else line.text
        if not line.built:
            return {"id": line.id, "text": text, "ok": None, "seen": NOT_YET}
        because = self._why_not.get(line.id, "the story ended before")
        ok, seen = self._seen.get(line.id, (False, f"not reached: {because}"))
        return {"id": line.id, "text": text, "ok": ok, "seen": seen}


def verdict(lines: Sequence[dict[str, Any]]) -> bool | None:
    """Whether all that is built was seen; None when nothing was judged."""
    judged = [line["ok"] for line in lines if line["ok"] is not None]
    return all(judged) if judged else None
