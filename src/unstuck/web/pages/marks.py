"""What a state looks like: a sign (its shape) and a tone (its colour). Its word is in the catalogue.

Colour is never the only sign: two states of one tone that could be confused have different shapes.
"""

from collections.abc import Mapping

import msgspec

TONES = ("neutral", "good", "warn", "bad", "info", "unknown")


class Mark(msgspec.Struct, frozen=True):
    """The look of one state."""

    sign: str
    tone: str


PLAIN = Mark("dot", "neutral")

_TABLE = """
    | sign    | tone    | states                                                                          |
    |---------|---------|---------------------------------------------------------------------------------|
    | unknown | unknown | UNKNOWN                                                                         |
    | new     | info    | DETECTED CLASSIFIED                                                             |
    | open    | warn    | QUEUED                                                                          |
    | open    | info    | READY                                                                           |
    | open    | neutral | PENDING NOT_STARTED                                                             |
    | person  | info    | ASSIGNED                                                                        |
    | half    | info    | IN_PROGRESS                                                                     |
    | clock   | neutral | WAITING_CUSTOMER WAITING_PARTNER WAITING_VENDOR WAITING_FIELD WAITING_INCIDENT  |
    | clock   | neutral | WAITING_FOR_REVISION                                                            |
    | clock   | info    | WAITING_CALLBACK                                                                |
    | pencil  | info    | CORRECTION_PROPOSED CORRECTION_APPLIED AMENDING                                 |
    | hand    | warn    | APPROVAL_REQUIRED                                                               |
    | lens    | info    | VERIFYING                                                                       |
    | check   | good    | RESOLVED_RESUME COMPLETED                                                       |
    | check   | neutral | RESOLVED_NONE CLOSED                                                            |
    | minus   | neutral | RESOLVED_CANCEL CANCELLED                                                       |
    | minus   | warn    | CANCELLING                                                                      |
    | undo    | neutral | RESOLVED_COMPENSATE                                                             |
    | pause   | warn    | SUSPENDED                                                                       |
    | bar     | bad     | BLOCKED                                                                         |
    | cross   | bad     | FAILED                                                                          |
    | stop    | bad     | ABORTED                                                                         |
"""


def mark(value: str) -> Mark:
    """The look of the state `value`, of whatever life cycle; what is no state of ours looks plain."""
    return _MARKS.get(value, PLAIN)


def _parse(table: str) -> Mapping[str, Mark]:
    rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in table.strip().splitlines()[2:]]
    return {state: Mark(sign, tone) for sign, tone, states in rows for state in states.split()}


_MARKS = _parse(_TABLE)
