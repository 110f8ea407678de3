"""What can become true of an order."""

from unstuck.kernel.event import EventType

RECEIVED = EventType("order.received", True, "an order was acknowledged and kept, with the digest of its bytes")
DECOMPOSED = EventType("order.decomposed", True, "it became a plan; the digests of all command bodies are named")
STARTED = EventType("order.started", False, "its first tasks may be sent")
ADVANCED = EventType("order.advanced", False, "tasks moved: what they became, by which reply, what follows")
FAILED = EventType("order.failed", True, "nothing of it can go on; resolving returns it to the state it failed from")
COMPLETED = EventType("order.completed", True, "every item is over")
REPAIRED = EventType("order.repaired", True, "a resume token was redeemed: the task it names moved")
CORRECTED = EventType("order.corrected", True, "a task got a new business identity with corrected data")
JEOPARDY = EventType("order.jeopardy-raised", False, "a task is later than expected; no state changed")
SUSPENDED = EventType("order.suspended", True, "nothing new of it is sent; what was under way ends")
RESUMED = EventType("order.resumed", True, "it goes on from where it was suspended")
RESOLVED = EventType(
    "order.failure-resolved", True, "its failure was declared resolved: it is again what it was before"
)
CANCELLED = EventType("order.cancelled", True, "it was called off before anything of it had been sent")
ABORTED = EventType(
    "order.aborted", True, "it ended as it stood; what exists or may exist outside is listed, nothing is undone"
)
ANNOTATED = EventType("order.annotated", False, "words were added that change no plan")
ASSESSED = EventType("order.cancellation-assessed", False, "somebody asked to cancel it, and was answered")
NOTED = EventType("order.outcome-noted", False, "an outcome came that changes nothing: late, repeated or contradicting")

ALL = (
    RECEIVED,
    DECOMPOSED,
    STARTED,
    ADVANCED,
    FAILED,
    COMPLETED,
    REPAIRED,
    CORRECTED,
    JEOPARDY,
    SUSPENDED,
    RESUMED,
    RESOLVED,
    CANCELLED,
    ABORTED,
    ANNOTATED,
    ASSESSED,
    NOTED,
)
