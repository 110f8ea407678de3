"""Values that are hidden where they stand as fields, found again in what systems say about them in sentences. Pure.

A system repeats a value in its own spelling: upper and lower case, blanks and punctuation do not make it another value.
What it leaves out or paraphrases is not found: that is why a sentence is no place to keep a secret.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

SHORT = 3  # letters and digits: a house number is looked for as a word of its own
WORDS = re.compile(r"[^\W_]+")
BESIDE = r"[\w./:-]"  # what makes a short value a part of something else
NO_DIGIT_BEFORE, NO_DIGIT_AFTER = r"(?<!\d)", r"(?!\d)"


class Repeats:
    """Values, each with the field it was hidden in; `mark` is shown in their place."""

    def __init__(self, mark: str) -> None:
        self._mark = mark
        self._fields: dict[str, tuple[str, str]] = {}  # by the letters of the value: as they are looked for, the field

    def __len__(self) -> int:
        return len(self._fields)

    def learn(self, values: Mapping[str, str]) -> None:
        """Look for these values too; what has no letter or digit cannot be found again."""
        for value, field in values.items():
            if letters := _letters(value):
                self._fields[letters.lower()] = (letters, field)

    def hidden_in(self, text: str) -> tuple[str, set[str]]:
        """The text without the values that it repeats, and the fields of those."""
        inside = _letters(text).lower() if self._fields else ""
        near = [found for lowered, found in self._fields.items() if lowered in inside]
        met = {field for letters, field in near if re.search(_pattern(letters), text, re.IGNORECASE)}
        if not met:
            return text, met
        longest = sorted((letters for letters, _ in near), key=len, reverse=True)
        return re.sub("|".join(map(_pattern, longest)), self._mark, text, flags=re.IGNORECASE), met


def texts_of(value: Any) -> Iterator[str]:
    """Every text and number in a decoded JSON value."""
    match value:
        case dict():
            for inner in value.values():
                yield from texts_of(inner)
        case list() | tuple():
            for inner in value:
                yield from texts_of(inner)
        case str() | int() | float() if not isinstance(value, bool):
            yield str(value)


def _pattern(letters: str) -> str:
    if len(letters) <= SHORT:
        return rf"(?<!{BESIDE}){re.escape(letters)}(?!{BESIDE}*[^\W_])"
    inner = r"[\W_]*".join(map(re.escape, letters))
    # Of a longer number nothing is a value: house 1 is not house 12.
    return rf"{NO_DIGIT_BEFORE if letters[0].isdigit() else ''}{inner}{NO_DIGIT_AFTER if letters[-1].isdigit() else ''}"


def _letters(text: str) -> str:
    return "".join(WORDS.findall(text))
