"""What people are told of steps and their states: titles and words, never our keys and codes. Pure."""

from collections.abc import Iterable, Mapping

from unstuck.order.lifecycle import TaskState
from unstuck.repair.token import ResumeMode

STATE_OF_STEP: Mapping[TaskState, str] = {
    TaskState.PENDING: "waits for other steps",
    TaskState.READY: "is about to be sent",
    TaskState.WAITING_CALLBACK: "waits for its target to report back",
    TaskState.UNKNOWN: "has an unknown outcome",
    TaskState.FAILED: "failed",
    TaskState.COMPLETED: "is done",
    TaskState.CANCELLED: "is cancelled",
}
WAY_ON: Mapping[ResumeMode, str] = {
    ResumeMode.RETRY_FAILED_STEP: "do the failed step again",
    ResumeMode.SKIP_STEP_ALREADY_DONE: "resume and skip the step",
    ResumeMode.REPLAN_FROM_STEP: "go on from this step, with all that follows",
    ResumeMode.CANCEL_ITEM: "cancel the item",
    ResumeMode.COMPENSATE_AND_CLOSE: "undo what was done, then end",
}


def step_names(titles: Iterable[tuple[str, str]]) -> dict[str, str]:
    """What each step is called, from pairs of key and title; the key stands beside a title that two steps have."""
    known = list(titles)
    alike = [title for _, title in known]
    return {key: title if alike.count(title) == 1 else f"{title} ({key})" for key, title in known}
