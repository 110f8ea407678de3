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
NOTED = EventType("order.outcome-noted", False, "an outcome came that changes nothing: late, repeated or contradicting")

ALL = (RECEIVED, DECOMPOSED, STARTED, ADVANCED, FAILED, COMPLETED, REPAIRED, CORRECTED, JEOPARDY, NOTED)
