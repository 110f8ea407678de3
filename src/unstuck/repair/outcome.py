"""What came back from a foreign call, and what it proves. The types carry the rule: only `Absent` may be re-sent."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

import msgspec


class Result(StrEnum):
    """What one call proves."""

    DONE = "done"  # the effect is there
    ACCEPTED = "accepted"  # it will come; a callback will say
    REFUSED = "refused"  # proven not done
    BUSY = "busy"  # proven not done, and worth another try
    UNSENT = "unsent"  # our bytes never reached the socket
    UNKNOWN = "unknown"  # nobody can say
    FOUND = "found"  # a read-back saw the effect
    ABSENT = "absent"  # a read-back saw none
    SILENT = "silent"  # the read-back itself got no answer


class CallKind(StrEnum):
    """A call either sends the command or asks about it."""

    SEND = "send"
    ASK = "ask"


class Outcome(msgspec.Struct):
    """What one attempt brought, exactly as it came; `code` and `message` are the target's own words.

    `effects` counts what a read-back saw. `retry_after_s` is the target's wish.
    """

    result: Result
    at: datetime
    status: int = 0
    code: str = ""
    message: str = ""
    reference: str = ""
    body: bytes = b""
    effects: int = 0
    retry_after_s: float = 0.0


class Call(msgspec.Struct):
    """One intent on record: which order and task, which identity, which attempt, which way."""

    order_id: UUID
    task: int
    attempt: int
    identity: int
    kind: CallKind
    key: str
    target: str
    operation: str
    body: bytes
    ask_by: tuple[str, ...]
    reply_s: float
    may_query_key: bool
