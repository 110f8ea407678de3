"""The life cycles of an order, its items and its tasks: three tables, kept apart (mission A1, A2)."""

from enum import StrEnum

from unstuck.kernel.machine import Machine


class OrderState(StrEnum):
    """Seed 002's order states."""

    NOT_STARTED = "NOT_STARTED"
    IN_PROGRESS = "IN_PROGRESS"
    SUSPENDED = "SUSPENDED"
    WAITING_FOR_REVISION = "WAITING_FOR_REVISION"
    AMENDING = "AMENDING"
    FAILED = "FAILED"
    CANCELLING = "CANCELLING"
    CANCELLED = "CANCELLED"
    ABORTED = "ABORTED"
    COMPLETED = "COMPLETED"


class OrderAction(StrEnum):
    """What can happen to an order."""

    START = "START"
    SUSPEND = "SUSPEND"
    RESUME = "RESUME"
    AWAIT_REVISION = "AWAIT_REVISION"
    CONTINUE = "CONTINUE"
    AMEND = "AMEND"
    AMENDED = "AMENDED"
    FAIL = "FAIL"
    RESOLVE = "RESOLVE"
    CANCEL = "CANCEL"
    CANCELLED = "CANCELLED"
    ABORT = "ABORT"
    COMPLETE = "COMPLETE"


ORDER = Machine.parse(
    "order",
    OrderState,
    OrderAction,
    """
    | from                                              | action         | to                                                     |
    |---------------------------------------------------|----------------|--------------------------------------------------------|
    | NOT_STARTED                                       | START          | IN_PROGRESS                                            |
    | IN_PROGRESS                                       | SUSPEND        | SUSPENDED                                              |
    | SUSPENDED                                         | RESUME         | IN_PROGRESS                                            |
    | IN_PROGRESS                                       | AWAIT_REVISION | WAITING_FOR_REVISION                                   |
    | WAITING_FOR_REVISION                              | CONTINUE       | IN_PROGRESS                                            |
    | IN_PROGRESS WAITING_FOR_REVISION SUSPENDED FAILED | AMEND          | AMENDING                                               |
    | AMENDING                                          | AMENDED        | IN_PROGRESS                                            |
    | NOT_STARTED IN_PROGRESS WAITING_FOR_REVISION      | FAIL           | FAILED                                                 |
    | SUSPENDED                                         | FAIL           | FAILED                                                 |
    | FAILED                                            | RESOLVE        | NOT_STARTED IN_PROGRESS WAITING_FOR_REVISION SUSPENDED |
    | NOT_STARTED IN_PROGRESS SUSPENDED                 | CANCEL         | CANCELLING                                             |
    | WAITING_FOR_REVISION FAILED                       | CANCEL         | CANCELLING                                             |
    | CANCELLING                                        | CANCELLED      | CANCELLED                                              |
    | NOT_STARTED IN_PROGRESS SUSPENDED                 | ABORT          | ABORTED                                                |
    | WAITING_FOR_REVISION FAILED AMENDING              | ABORT          | ABORTED                                                |
    | IN_PROGRESS                                       | COMPLETE       | COMPLETED                                              |
    """,
)


class ItemState(StrEnum):
    """Where one order item stands. BLOCKED is its own fallout; waiting for another item is not."""

    NOT_STARTED = "NOT_STARTED"
    IN_PROGRESS = "IN_PROGRESS"
    BLOCKED = "BLOCKED"
    COMPLETED = "COMPLETED"
    CANCELLED = "CANCELLED"


class TaskState(StrEnum):
    """Where one task stands. That it is being called right now is operational (its lease), not a state."""

    PENDING = "PENDING"
    READY = "READY"
    WAITING_CALLBACK = "WAITING_CALLBACK"
    UNKNOWN = "UNKNOWN"
    FAILED = "FAILED"
    COMPLETED = "COMPLETED"
    CANCELLED = "CANCELLED"


class TaskAction(StrEnum):
    """What can happen to a task."""

    RELEASE = "RELEASE"
    RETRY = "RETRY"
    ACCEPT = "ACCEPT"
    CONFIRM = "CONFIRM"
    REFUSE = "REFUSE"
    LOSE = "LOSE"
    ASK = "ASK"
    PROVE_ABSENT = "PROVE_ABSENT"
    RESUME = "RESUME"
    SKIP = "SKIP"
    REPLAN = "REPLAN"
    CANCEL = "CANCEL"


TASK = Machine.parse(
    "task",
    TaskState,
    TaskAction,
    """
    | from                                 | action       | to               |
    |--------------------------------------|--------------|------------------|
    | PENDING                              | RELEASE      | READY            |
    | READY                                | RETRY        | READY            |
    | READY UNKNOWN                        | ACCEPT       | WAITING_CALLBACK |
    | READY WAITING_CALLBACK UNKNOWN       | CONFIRM      | COMPLETED        |
    | READY WAITING_CALLBACK UNKNOWN       | REFUSE       | FAILED           |
    | READY WAITING_CALLBACK               | LOSE         | UNKNOWN          |
    | UNKNOWN                              | ASK          | UNKNOWN          |
    | UNKNOWN                              | PROVE_ABSENT | READY FAILED     |
    | FAILED UNKNOWN                       | RESUME       | READY            |
    | FAILED UNKNOWN                       | SKIP         | COMPLETED        |
    | PENDING FAILED                       | REPLAN       | PENDING READY    |
    | PENDING READY FAILED UNKNOWN         | CANCEL       | CANCELLED        |
    """,
)

TASK_IS_OVER = TASK.final()
ORDER_IS_OVER = ORDER.final()
