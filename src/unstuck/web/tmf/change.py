"""A change of a service order as a partner asks for it: what it may say, and what that means here (tmf.md §2.1, §3.3)."""

from typing import Any

import msgspec

from unstuck.kernel.refusal import Invalid, Refused
from unstuck.kernel.strict import plain
from unstuck.order.tmf import LEGAL
from unstuck.web.tmf.projection import FITS

WORDS = (
    "note", "externalReference", "description", "priority", "requestedCompletionDate", "requestedStartDate",
    "orderRelationship",
)  # fmt: skip
PLAN = ("serviceOrderItem", "orderItem", "relatedParty")
REASON = "asked by a change of its state"


class Change(msgspec.Struct, frozen=True):
    """What is wanted: another state (None: no word of it), and words, as canonical bytes, empty without any."""

    state: str | None
    words: bytes
    promise: bool
    reason: str

    @property
    def go_on(self) -> bool:
        """Whether the order is asked to go on."""
        return self.state == "inProgress"

    def require_possible(self, shown: str, plan_has_promise: bool) -> None:
        """Refuse a state that a partner cannot set, and a date that the plan carries."""
        if self.promise and plan_has_promise:
            raise _revision("requestedCompletionDate")
        if self.state is None or self.go_on or self.state == shown:
            return
        because = f"a service order that is {shown} does not become {self.state} by a change{_instead(self.state)}"
        raise Refused("life-cycle", because)


def read_change(body: bytes) -> Change:
    """Read a merge patch; refused by name is every field that nobody may set."""
    data = _object(body)
    fixed = sorted(data.keys() - {"state", *WORDS, *PLAN})
    if fixed:
        because = f"not to be changed: {', '.join(fixed)[:400]}; what can be is state, {', '.join(WORDS)}"
        raise Invalid(because)
    if planned := [name for name in PLAN if name in data]:
        raise _revision(", ".join(planned))
    if "state" in data and data["state"] not in LEGAL:
        raise Invalid(f"state is one of {', '.join(LEGAL)}")
    words = {name: data[name] for name in WORDS if name in data}
    for name, value in words.items():
        if value is not None and not FITS[name](value):
            raise Invalid(f"{name} does not have the shape that TMF641 gives it")
    return Change(
        state=data.get("state"),
        words=msgspec.json.encode(words, order="sorted") if words else b"",
        promise="requestedCompletionDate" in words,
        reason=_reason(words.get("note")),
    )


def _object(body: bytes) -> dict[str, Any]:
    data = plain(body)
    if not isinstance(data, dict) or not data:
        raise Invalid("a change is a JSON object with at least one field")
    return data


def _reason(notes: Any) -> str:
    """What the partner notes with the change is why it is made."""
    texts = [note["text"] for note in notes or ()]
    plain = "".join(c if c.isprintable() else " " for c in texts[-1]).strip()[:4000] if texts else ""
    return plain or REASON


def _instead(state: str) -> str:
    return "; POST a cancelServiceOrder instead" if "ancel" in state else "; only inProgress can be asked for"


def _revision(what: str) -> Refused:
    because = f"{what} is part of the plan: changing it is a revision, which waits for amendment"
    return Refused("revision-waits-for-amendment", because)
