"""Every sentence that says no, or what to do next, names steps by their titles and states by words, never by our codes."""

import re
from itertools import product

import pytest
from core_lab import PACK, case, evidence, facts

from unstuck.fallout.ending import Standing, endings
from unstuck.fallout.lifecycle import CaseState
from unstuck.kernel.actor import Actor
from unstuck.kernel.refusal import Refused
from unstuck.order.lifecycle import OrderState
from unstuck.order.lifecycle import TaskState as Is
from unstuck.policy.grant import allowed
from unstuck.policy.suggestion import suggest
from unstuck.repair.correction import ActionCode, plan, require_safe
from unstuck.repair.resume import require_proof
from unstuck.repair.token import ResumeMode
from unstuck.repair.wording import step_names

TITLES = {"1.account": "Create the billing account", "1.activate": "Activate fiber", "2.activate": "Activate voice"}
KEY_OR_CODE = re.compile(
    r"\b\d+\.[a-z]|\b[A-Z]{2,}_[A-Z_]+\b|\b(?:UNKNOWN|FAILED|READY|PENDING|COMPLETED|CANCELLED|VERIFYING|QUEUED|ASSIGNED|CLOSED)\b|provisioning"
)
EVERY_STEP = [*product(Is, ("", "found", "absent"), "ABC", (False, True))]


def no(check, *given) -> str:
    """The sentence of a refusal, empty when there is none."""
    try:
        check(*given)
    except Refused as refusal:
        return refusal.because
    return ""


@pytest.mark.parametrize(("state", "proven", "kind", "running"), EVERY_STEP)
def test_no_sentence_about_a_step_shows_a_key_or_a_code(state, proven, kind, running) -> None:
    step = facts(task_state=state, proven=proven, kind=kind, running=running, titles=TITLES)
    said = [no(require_safe, action, step) for action in ActionCode]
    said += [no(require_proof, mode, step, marked) for mode, marked in product(ResumeMode, (False, True))]
    said += list(plan(ActionCode.CANCEL_ITEM, {}, step).left_outside)
    said += [change["what"] for change in plan(ActionCode.CANCEL_ITEM, {}, step).changes]
    engineer = Actor("ana", frozenset({"engineer"}))
    for stands in CaseState:
        found = suggest(case(stands), step)
        said.append(found.because if found else "")
        said += [verdict.because for verdict in allowed(case(stands), step, engineer, PACK).verdicts.values()]
        standing = Standing(case(stands), step, OrderState.IN_PROGRESS, True, False, False)
        said += [ending.because for ending in endings(standing)]
    assert [text for text in said if KEY_OR_CODE.search(text)] == []
    assert any("Activate fiber" in text for text in said)


def test_the_key_stands_beside_a_title_that_two_steps_have_and_beside_no_other() -> None:
    names = step_names([("1.activate", "Activate fiber"), ("2.activate", "Activate fiber"), ("1.ship", "Ship")])
    assert names == {
        "1.activate": "Activate fiber (1.activate)", "2.activate": "Activate fiber (2.activate)", "1.ship": "Ship",
    }  # fmt: skip


@pytest.mark.parametrize("state", [Is.UNKNOWN, Is.FAILED])
def test_what_a_read_back_found_is_not_said_to_be_unknown(state) -> None:
    step = facts(task_state=state, evidence=(evidence("found"),), titles=TITLES)
    when = f"{evidence().captured_at:%Y-%m-%d %H:%M} UTC"
    for mode in (ResumeMode.REPLAN_FROM_STEP, ResumeMode.RETRY_FAILED_STEP):
        because = no(require_proof, mode, step, False)
        assert f"Activate fiber is done outside: the read-back of {when} found it" in because
        assert "read back first" not in because and "skip the step" in because
    cancelled = no(require_proof, ResumeMode.CANCEL_ITEM, step, False)
    assert cancelled == no(require_safe, ActionCode.CANCEL_ITEM, step)
    if state is Is.UNKNOWN:  # what failed and was found stays outside, and that is said before it is cancelled
        assert when in cancelled and "cancelling would have to undo it there" in cancelled


def test_a_step_that_was_marked_as_done_is_said_to_be_that() -> None:
    because = no(require_proof, ResumeMode.REPLAN_FROM_STEP, facts(kind="C", titles=TITLES), True)
    assert "Activate fiber was marked as done outside" in because


def test_what_is_unknown_is_still_read_back_first() -> None:
    step = facts(titles=TITLES)
    for mode in (ResumeMode.REPLAN_FROM_STEP, ResumeMode.CANCEL_ITEM):
        assert no(require_proof, mode, step, False) == "Activate fiber may have an effect outside; read back first"
