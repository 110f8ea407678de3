"""What a task's state means beside those it waits for: whether it waits its turn, or cannot come to it."""

from collections.abc import Sequence

from unstuck.order.lifecycle import TaskState

STOPPED = frozenset({TaskState.FAILED, TaskState.UNKNOWN})


def blocked(states: Sequence[TaskState], after: Sequence[Sequence[int]]) -> frozenset[int]:
    """The tasks that wait, however indirectly, for one that has stopped: nothing comes to them by itself."""
    waiting = {no for no, state in enumerate(states) if state is TaskState.PENDING}
    found: set[int] = set()
    while fresh := {
        no for no in waiting - found if any(states[n] in STOPPED or n in found for n in after[no])
    }:  # one column of the plan further each time
        found |= fresh
    return frozenset(found)
