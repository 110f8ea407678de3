"""Canonical JSON and digests: the bytes that the audit hashes.

msgspec's deterministic order gives the bytes of RFC 8785 as long as keys are ASCII, numbers are integers
within 2^53 and there are no floats; `encode` refuses what would break that.
"""

from hashlib import sha256
from typing import Any

import msgspec

_ENCODER = msgspec.json.Encoder(order="deterministic")
_LIMIT = 2**53


def encode(value: Any) -> bytes:
    """Return the canonical bytes of `value`; ValueError names the first thing that has no canonical form."""
    _require_canonical(value, "")
    return _ENCODER.encode(value)


def encode_trusted(value: Any) -> bytes:
    """`encode` for values made by our own code (ASCII keys, no floats): the check costs more than the work."""
    return _ENCODER.encode(value)


def digest(data: bytes) -> str:
    """The SHA-256 of `data`, 64 hex digits."""
    return sha256(data).hexdigest()


def printable(text: str, limit: int = 500) -> str:
    """Text of a stranger, made safe to store and show on one line; the raw bytes are kept elsewhere.

    Control characters (NUL would abort a whole batch in PostgreSQL) and lone surrogates become U+FFFD.
    """
    begin = text[: limit + 1]
    clean = begin if begin.isprintable() else "".join(c if c.isprintable() else "�" for c in begin)
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def _require_canonical(value: Any, where: str) -> None:
    match value:
        case bool() | None | str():
            return
        case int():
            if not -_LIMIT < value < _LIMIT:
                raise ValueError(f"{where or '/'}: an integer beyond 2^53 has no canonical form")
        case float():
            raise ValueError(f"{where or '/'}: a float has no canonical form; use an integer or a string")
        case dict():
            for key, inner in value.items():
                if not (isinstance(key, str) and key.isascii()):
                    raise ValueError(f"{where or '/'}: the key {key!r} is not ASCII text")
                _require_canonical(inner, f"{where}/{key}")
        case list() | tuple():
            for index, inner in enumerate(value):
                _require_canonical(inner, f"{where}/{index}")
        case _:
            raise ValueError(f"{where or '/'}: {type(value).__name__} has no canonical form")
