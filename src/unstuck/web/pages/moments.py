"""Moments in words: how long ago or how far ahead, and exactly when."""

from datetime import UTC, datetime

from unstuck.web.pages.texts import text

UNITS = (("days", 86400), ("hours", 3600), ("minutes", 60))


def ago(at: str | datetime, now: datetime) -> str:
    """How long ago something was, or how far ahead it is, in the largest whole unit."""
    seconds = int((now - moment(at)).total_seconds())
    if abs(seconds) < 5:
        return text("time.now")
    ahead = "" if seconds > 0 else "in_"
    for unit, size in UNITS:
        if abs(seconds) >= size:
            return text(f"time.{ahead}{unit}", n=abs(seconds) // size)
    return text(f"time.{ahead}seconds", n=abs(seconds))


def exact(at: str | datetime) -> str:
    """The moment to the second, in UTC, as people read it."""
    return moment(at).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def iso(at: str | datetime) -> str:
    """The moment as programs read it."""
    return moment(at).isoformat()


def moment(at: str | datetime) -> datetime:
    """The moment itself, however it was given."""
    return datetime.fromisoformat(at) if isinstance(at, str) else at
