"""Identifiers and names. Time and chance are arguments: the core makes neither."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# The first and the last moment of the calendar mean "without end" to the database, which gives back another time.
EARLIEST, LATEST = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)


def uuid7(at: datetime, chance: int) -> UUID:
    """A UUIDv7 (RFC 9562) of the millisecond `at` and 74 random bits `chance`."""
    ms = (at - EPOCH) // timedelta(milliseconds=1)  # by whole numbers: a float lands a millisecond early
    value = (ms & (1 << 48) - 1) << 80 | 0x7 << 76 | (chance >> 62 & 0xFFF) << 64
    return UUID(int=value | 0b10 << 62 | chance & (1 << 62) - 1)


def rfc3339(at: datetime) -> str:
    """UTC, microseconds, `Z`: the one way a time is written in events and answers."""
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def can_be_kept(at: datetime) -> bool:
    """Whether a time that somebody names is one that can be kept and shown in every zone."""
    return EARLIEST <= at < LATEST


def as_number(text: str, prefix: str) -> int | None:
    """The number in a name like FC-1042, None when it is no such name."""
    digits = text[len(prefix) :]
    fits = text.upper().startswith(prefix) and digits.isascii() and digits.isdecimal() and len(digits) < 19
    return int(digits) if fits else None


def as_id(text: str) -> UUID | None:
    """The id that a text is, None when it is none."""
    try:
        return UUID(text)
    except ValueError:
        return None
