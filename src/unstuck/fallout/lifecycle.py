"""The life cycle of a fallout case: one table (mission D1, seed 003 §6)."""

from enum import StrEnum

from unstuck.kernel.machine import Machine


class CaseState(StrEnum):
    """Where a case stands. RESOLVED_NONE: settled outside, duplicate of another, or no fallout at all."""

    DETECTED = "DETECTED"
    CLASSIFIED = "CLASSIFIED"
    QUEUED = "QUEUED"
    ASSIGNED = "ASSIGNED"
    IN_PROGRESS = "IN_PROGRESS"
    WAITING_CUSTOMER = "WAITING_CUSTOMER"
    WAITING_PARTNER = "WAITING_PARTNER"
    WAITING_VENDOR = "WAITING_VENDOR"
    WAITING_FIELD = "WAITING_FIELD"
    WAITING_INCIDENT = "WAITING_INCIDENT"
    CORRECTION_PROPOSED = "CORRECTION_PROPOSED"
    APPROVAL_REQUIRED = "APPROVAL_REQUIRED"
    CORRECTION_APPLIED = "CORRECTION_APPLIED"
    VERIFYING = "VERIFYING"
    RESOLVED_RESUME = "RESOLVED_RESUME"
    RESOLVED_CANCEL = "RESOLVED_CANCEL"
    RESOLVED_COMPENSATE = "RESOLVED_COMPENSATE"
    RESOLVED_NONE = "RESOLVED_NONE"
    CLOSED = "CLOSED"


class CaseAction(StrEnum):
    """What can happen to a case."""

    CLASSIFY = "CLASSIFY"
    ROUTE = "ROUTE"
    ASSIGN = "ASSIGN"
    RELEASE = "RELEASE"
    START = "START"
    WAIT = "WAIT"
    CONTINUE = "CONTINUE"
    PROPOSE = "PROPOSE"
    APPROVE = "APPROVE"
    REJECT = "REJECT"
    APPLY = "APPLY"
    VERIFY = "VERIFY"
    DISPROVE = "DISPROVE"
    RESOLVE = "RESOLVE"
    SETTLE = "SETTLE"
    RETURN = "RETURN"
    REOPEN = "REOPEN"
    CLOSE = "CLOSE"


CASE = Machine.parse(
    "fallout case",
    CaseState,
    CaseAction,
    """
    | from                                                          | action   | to                                                                              |
    |---------------------------------------------------------------|----------|---------------------------------------------------------------------------------|
    | DETECTED                                                      | CLASSIFY | CLASSIFIED                                                                      |
    | CLASSIFIED                                                    | ROUTE    | QUEUED                                                                          |
    | QUEUED ASSIGNED                                               | ASSIGN   | ASSIGNED                                                                        |
    | IN_PROGRESS                                                   | ASSIGN   | IN_PROGRESS                                                                     |
    | ASSIGNED IN_PROGRESS                                          | RELEASE  | QUEUED                                                                          |
    | ASSIGNED                                                      | START    | IN_PROGRESS                                                                     |
    | IN_PROGRESS                                                   | WAIT     | WAITING_CUSTOMER WAITING_PARTNER WAITING_VENDOR WAITING_FIELD WAITING_INCIDENT  |
    | WAITING_CUSTOMER WAITING_PARTNER WAITING_VENDOR WAITING_FIELD | CONTINUE | IN_PROGRESS                                                                     |
    | WAITING_INCIDENT                                              | CONTINUE | IN_PROGRESS                                                                     |
    | IN_PROGRESS VERIFYING                                         | PROPOSE  | CORRECTION_PROPOSED APPROVAL_REQUIRED                                           |
    | APPROVAL_REQUIRED                                             | APPROVE  | CORRECTION_PROPOSED                                                             |
    | APPROVAL_REQUIRED CORRECTION_PROPOSED                         | REJECT   | IN_PROGRESS                                                                     |
    | CORRECTION_PROPOSED                                           | APPLY    | CORRECTION_APPLIED                                                              |
    | CORRECTION_APPLIED IN_PROGRESS                                | VERIFY   | VERIFYING                                                                       |
    | CORRECTION_APPLIED VERIFYING                                  | DISPROVE | IN_PROGRESS                                                                     |
    | VERIFYING                                                     | RESOLVE  | RESOLVED_RESUME RESOLVED_CANCEL RESOLVED_COMPENSATE RESOLVED_NONE               |
    | IN_PROGRESS                                                   | RESOLVE  | RESOLVED_NONE                                                                   |
    | DETECTED CLASSIFIED QUEUED ASSIGNED IN_PROGRESS               | SETTLE   | RESOLVED_NONE                                                                   |
    | WAITING_CUSTOMER WAITING_PARTNER WAITING_VENDOR WAITING_FIELD | SETTLE   | RESOLVED_NONE                                                                   |
    | WAITING_INCIDENT CORRECTION_PROPOSED APPROVAL_REQUIRED        | SETTLE   | RESOLVED_NONE                                                                   |
    | CORRECTION_APPLIED VERIFYING                                  | SETTLE   | RESOLVED_NONE                                                                   |
    | RESOLVED_RESUME RESOLVED_CANCEL RESOLVED_COMPENSATE           | RETURN   | IN_PROGRESS                                                                     |
    | RESOLVED_RESUME RESOLVED_CANCEL RESOLVED_COMPENSATE CLOSED    | REOPEN   | QUEUED                                                                          |
    | RESOLVED_NONE                                                 | REOPEN   | QUEUED                                                                          |
    | RESOLVED_RESUME RESOLVED_CANCEL RESOLVED_COMPENSATE           | CLOSE    | CLOSED                                                                          |
    | RESOLVED_NONE                                                 | CLOSE    | CLOSED                                                                          |
    """,
)

STATE_OF_CASE = {
    **{state: state.replace("_", " ").lower() for state in CaseState},
    **{state: "resolved" for state in CaseState if state.startswith("RESOLVED_")},
    CaseState.DETECTED: "not looked at yet",
    CaseState.QUEUED: "not assigned to anybody",
    CaseState.WAITING_CUSTOMER: "waiting for the customer",
    CaseState.WAITING_PARTNER: "waiting for the partner",
    CaseState.WAITING_VENDOR: "waiting for the vendor",
    CaseState.WAITING_FIELD: "waiting for the field",
    CaseState.WAITING_INCIDENT: "waiting for an incident to be over",
    CaseState.CORRECTION_PROPOSED: "at a correction that is proposed",
    CaseState.APPROVAL_REQUIRED: "waiting for approval",
    CaseState.CORRECTION_APPLIED: "at a correction that is carried out",
    CaseState.VERIFYING: "being verified",
}
CASE_IS_RESOLVED = frozenset(s for s in CaseState if s.startswith("RESOLVED_") or s is CaseState.CLOSED)
