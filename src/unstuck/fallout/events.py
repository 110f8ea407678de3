"""What can become true of a fallout case."""

from unstuck.kernel.event import EventType

DETECTED = EventType("fallout-case.detected", True, "a stop became a case, with its raw facts by digest")
LINKED = EventType("fallout-case.order-linked", True, "the order it is about was found")
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
RESUME_REDEEMED = EventType(
    "fallout-case.resume-redeemed", True, "the order manager took the token, or was seen to go on"
)
RESUME_REFUSED = EventType("fallout-case.resume-refused", False, "somebody tried to redeem a token and was refused")
RESUME_ATTEMPTED = EventType("fallout-case.resume-attempted", False, "its order manager is about to be asked to go on")
RESUME_EXPIRED = EventType("fallout-case.resume-expired", True, "nobody redeemed the token in its time; work goes on")
RESUME_IGNORED = EventType(
    "fallout-case.resume-ignored", True, "asked to go on, its order manager did not; work goes on"
)
RESUME_STALE = EventType("fallout-case.resume-stale", True, "its order was not as it was decided on; work goes on")
SETTLED = EventType("fallout-case.settled-outside", True, "the outside settled it: a late answer or a read-back")
NOTED = EventType("fallout-case.noted", False, "somebody wrote a note")
ESCALATED = EventType("fallout-case.escalated", False, "it was made more visible; its state did not change")
REVEALED = EventType("fallout-case.revealed", False, "somebody looked at masked values, and said why")
FILE_GIVEN = EventType("fallout-case.file-given", False, "somebody was given a file that may hold masked values")
REOPENED = EventType("fallout-case.reopened", True, "the resolution did not last")
CLOSED = EventType("fallout-case.closed", True, "done, with its audit complete")

ALL = (
    DETECTED,
    LINKED,
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
    RESUME_REDEEMED,
    RESUME_REFUSED,
    RESUME_ATTEMPTED,
    RESUME_EXPIRED,
    RESUME_IGNORED,
    RESUME_STALE,
    SETTLED,
    NOTED,
    ESCALATED,
    REVEALED,
    FILE_GIVEN,
    REOPENED,
    CLOSED,
)
