"""Fields that nobody reads without a reason: which they are, and what is shown in their place (mission K1). Pure.

A value is sensitive by the name of its field, at any depth: a member of an object, a pair that names its field
(`{"name": "address", "value": …}`, a row of a difference), JSON inside a text. What cannot be read as JSON may hold
anything, so it is hidden as a whole unless the pack says otherwise. A sentence that a system said is shown, without the
values that are hidden in the bodies beside it.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

import msgspec

from unstuck.kernel.refusal import Refused
from unstuck.kernel.strict import plain
from unstuck.policy.repeats import Repeats, texts_of

HIDDEN = "•••"
TEXT = "text"  # what is said to be hidden when it was no JSON
EMPTY: tuple[Any, ...] = (None, "", [], {})  # that there is nothing is no secret
PATH = re.compile(r"[./:\[\]]")
NAME = re.compile(r"[\w\s./:\[\]$@-]{1,100}")
STRUCTURED = ("{", "[", "<")
FILES = "files"  # what is said to be hidden when somebody attached files
MANY = 200  # values; bodies with more of them are ones that nobody meant well


class Sensitive(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The section of the pack. Case, blanks and separators in the names of `fields` do not count.

    `texts`: bodies that are no JSON. `reveals_per_hour`: how often one person may look behind.
    """

    fields: tuple[str, ...] = ()
    texts: Literal["hidden", "shown"] = "hidden"
    reveals_per_hour: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 20


class Mask:
    """Hides what is sensitive in what passes through it, and remembers in `met` which fields it hid."""

    def __init__(self, sensitive: Sensitive) -> None:
        self._names = {bare(name): name for name in sensitive.fields}
        self._hides_texts = bool(self._names) and sensitive.texts == "hidden"
        self._sensitive = sensitive
        self._hid: dict[str, str] = {}  # each value that was hidden, with its field
        self._unread = False  # something was hidden whose values are not known
        self._repeats, self._blind = Repeats(HIDDEN), False
        self.met: set[str] = set()

    @property
    def hides(self) -> bool:
        """Whether there is anything that it would hide."""
        return bool(self._names)

    def learn(self, bodies: Iterable[bytes]) -> None:
        """Hide the sensitive values of these bodies in sentences too."""
        beside = Mask(self._sensitive)
        for body in bodies:
            beside.body(body)
        self._repeats.learn(beside._hid)
        self._blind |= beside._unread or len(self._repeats) > MANY

    def sentence(self, text: str) -> str:
        """What a system said, without the values that were learned. When some could not be read, nothing of it is shown."""
        shown = self._inside(text) if text.lstrip().startswith(STRUCTURED) else text
        if self._blind and " " in text.strip():
            self.met.add(TEXT)
            return HIDDEN
        clean, met = self._repeats.hidden_in(shown)
        self.met |= met
        return clean

    def body(self, data: bytes) -> bytes:
        """A body as it may be shown; the very same bytes when nothing in it is sensitive."""
        if not self._names or not data.strip():
            return data
        try:
            value = plain(data)
        except Refused:  # also when a name is given twice: one of the two values would pass unseen
            return self._text(data)
        if not isinstance(value, dict | list):
            return self._text(data)
        shown = self.value(value)
        return data if shown == value else msgspec.json.encode(shown)

    def value(self, value: Any) -> Any:
        """A decoded JSON value as it may be shown."""
        match value:
            case dict():
                return self._object(value)
            case list() | tuple():
                return [self.value(inner) for inner in value]
            case str():
                return self.sentence(value)
        return value

    def _object(self, value: Mapping[str, Any]) -> dict[str, Any]:
        spoken_of = next(filter(None, map(self._named, value.values())), "")
        return {name: self._member(name, inner, spoken_of) for name, inner in value.items()}

    def _member(self, name: str, inner: Any, spoken_of: str) -> Any:
        hidden = self._known(name) or ("" if self._named(inner) else spoken_of)
        if not hidden or inner in EMPTY:
            return self.value(inner)
        self.met.add(hidden)
        self._hid |= dict.fromkeys(texts_of(inner), hidden)
        return HIDDEN

    def _inside(self, text: str) -> str:
        """JSON in a text is masked like any other; what only looks structured is hidden when it names a field."""
        if not self._names:
            return text
        try:
            value = plain(text.encode())
        except (Refused, UnicodeEncodeError):
            named = next((field for name, field in self._names.items() if name in bare(text)), "")
            self.met.update((named,) if named else ())
            self._unread |= bool(named)
            return HIDDEN if named else text
        shown = self.value(value)
        return text if shown == value else msgspec.json.encode(shown).decode()

    def _text(self, data: bytes) -> bytes:
        text = data.decode("utf-8", "replace")
        self._unread |= text.lstrip().startswith(("{", "[")) and any(name in bare(text) for name in self._names)
        if self._hides_texts:
            self.met.add(TEXT)
            return HIDDEN.encode()
        shown = self.sentence(text)
        return data if shown == text else shown.encode()

    def _named(self, value: Any) -> str:
        """The sensitive field that a value names, empty when it names none."""
        return self._known(value) if isinstance(value, str) and NAME.fullmatch(value) else ""

    def _known(self, name: str) -> str:
        """The sensitive field that this name is, also at the end of a path; empty for any other."""
        return self._names.get(bare(name)) or self._names.get(bare(PATH.split(name)[-1])) or ""


def bare(name: str) -> str:
    """A field's name as it is compared: letters and digits alone."""
    return "".join(c for c in name.casefold() if c.isalnum())
