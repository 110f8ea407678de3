"""What can become true of a fallout case."""

from unstuck.kernel.event import EventType

DETECTED = EventType("fallout-case.detected", True, "a stop became a case, with its raw facts by digest")
REPEATED = EventType("fallout-case.repeated", False, "the same failure came again and was added here")
CLASSIFIED = EventType("fallout-case.classified", True, "code, domain, recoverability and owner were decided")
QUEUED = EventType("fallout-case.queued", False, "it waits in a queue")
ASSIGNED = EventType("fallout-case.assigned", True, "a person owns it")
RELEASED = EventType("fallout-case.released", True, "it went back to its queue")
STARTED = EventType("fallout-case.started", True, "somebody works on it")
WAITING = EventType("fallout-case.waiting", True, "it waits for somebody outside")
CONTINUED = EventType("fallout-case.continued", True, "the wait is over")
PROPOSED = EventType("fallout-case.correction-proposed", True, "a typed correction was chosen")
REJECTED = EventType("fallout-case.correction-rejected", True, "the correction was turned down or withdrawn")
APPLIED = EventType("fallout-case.correction-applied", True, "the correction was carried out")
ATTACHED = EventType("fallout-case.evidence-attached", True, "evidence was added, by digest")
VERIFYING = EventType("fallout-case.verifying", True, "the repair is being proven")
DISPROVED = EventType("fallout-case.disproved", True, "the repair did not hold; work goes on")
RESOLVED = EventType("fallout-case.resolved", True, "a decision was made, with its evidence and token")
SETTLED = EventType("fallout-case.settled-outside", True, "the outside settled it: a late answer or a read-back")
NOTED = EventType("fallout-case.noted", False, "somebody wrote a note")
ESCALATED = EventType("fallout-case.escalated", False, "it was made more visible; its state did not change")
REOPENED = EventType("fallout-case.reopened", True, "the resolution did not last")
CLOSED = EventType("fallout-case.closed", True, "done, with its audit complete")

ALL = (
    DETECTED,
    REPEATED,
    CLASSIFIED,
    QUEUED,
    ASSIGNED,
    RELEASED,
    STARTED,
    WAITING,
    CONTINUED,
    PROPOSED,
    REJECTED,
    APPLIED,
    ATTACHED,
    VERIFYING,
    DISPROVED,
    RESOLVED,
    SETTLED,
    NOTED,
    ESCALATED,
    REOPENED,
    CLOSED,
)
