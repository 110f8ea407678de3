"""Typed corrections: what each would do, worked out once and used for preview and for apply alike (E1, E10)."""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NoReturn
from uuid import UUID

import msgspec

from unstuck.kernel.canonical import encode
from unstuck.kernel.refusal import Invalid, Refused
from unstuck.order.lifecycle import TaskState
from unstuck.repair.evidence import Evidence, EvidenceType
from unstuck.repair.policy import FieldRule, Target
from unstuck.repair.token import ResumeMode
from unstuck.repair.wording import STATE_OF_STEP, WAY_ON


class ActionCode(StrEnum):
    """The repairs that exist. Which are allowed here and now is policy's answer."""

    RETRY = "retry"
    RESEND_SAME_KEY = "resend_same_key"
    QUERY_BY_KEY = "query_by_key"
    READ_BACK = "read_back"
    CORRECT_DATA = "correct_data"
    MARK_DONE_OUTSIDE = "mark_done_outside"
    CANCEL_ITEM = "cancel_item"
    FORCE_COMPLETE = "force_complete"


ASKS = frozenset({ActionCode.QUERY_BY_KEY, ActionCode.READ_BACK})
SENDS = frozenset({ActionCode.RETRY, ActionCode.RESEND_SAME_KEY})
SKIP = WAY_ON[ResumeMode.SKIP_STEP_ALREADY_DONE]


class Facts(msgspec.Struct, frozen=True):
    """What a repair is decided on: the failed step as it stands, its target, what has been proven of it."""

    order_id: str
    order_state: str
    task: int
    task_key: str
    task_type: str
    task_state: TaskState
    attempt: int
    identity: int
    key: str
    target_name: str
    target: Target
    operation: str
    body: bytes
    running: bool
    item_tasks: tuple[tuple[str, str], ...]  # (task key, state) of the item and of all that waits for it
    evidence: tuple[Evidence, ...]
    correctable: Mapping[str, FieldRule]
    titles: Mapping[str, str] = {}  # what the steps are called, by their keys

    @property
    def step(self) -> str:
        """What the failed step is called."""
        return self.named(self.task_key)

    @property
    def stands(self) -> str:
        """Where the failed step stands, in words that follow its name."""
        return STATE_OF_STEP[self.task_state]

    def named(self, key: str) -> str:
        """What the step of this key is called."""
        return self.titles.get(key, key)

    @property
    def found_outside(self) -> str:
        """That the read-back found the effect, and when, as a part of a sentence."""
        found = [e for e in self.evidence if e.type is EvidenceType.READ_BACK and e.says == "found"]
        when = f" of {found[-1].captured_at:%Y-%m-%d %H:%M} UTC" if found else ""
        return f"{self.step} is done outside: the read-back{when} found it"

    @property
    def outcome_unknown(self) -> bool:
        """Unknown, and no read-back since has settled it."""
        return self.task_state is TaskState.UNKNOWN and not self.proven

    @property
    def proven(self) -> str:
        """What the last read-back of this step says: `found`, `absent` or nothing."""
        says = [e.says for e in self.evidence if e.type is EvidenceType.READ_BACK and e.says]
        return says[-1] if says else ""

    @property
    def done_outside(self) -> tuple[str, ...]:
        """The tasks of the item whose effect is there, whether we hold them for completed or not."""
        found = self.task_key if self.proven == "found" else ""
        return tuple(key for key, state in self.item_tasks if state == "COMPLETED" or key == found)


class RepairPlan(msgspec.Struct, frozen=True):
    """What an action will do: what changes, what is sent or asked, who is told, what stays outside for people."""

    changes: tuple[dict[str, Any], ...] = ()
    sends: tuple[dict[str, Any], ...] = ()
    notifies: tuple[str, ...] = ()
    left_outside: tuple[str, ...] = ()
    new_body: bytes = b""


def plan(action: ActionCode, given: Mapping[str, Any], facts: Facts) -> RepairPlan:
    """Work out what `action` would do. Touches nothing; raises Invalid for input it cannot take."""
    match action:
        case ActionCode.QUERY_BY_KEY | ActionCode.READ_BACK:
            by = {"key": facts.key} if action is ActionCode.QUERY_BY_KEY else {"fields": _decoded(facts.body)}
            return RepairPlan(sends=({"to": facts.target_name, "asks": facts.operation, **by},))
        case ActionCode.RETRY | ActionCode.RESEND_SAME_KEY:
            sent = {
                "to": facts.target_name,
                "sends": facts.operation,
                "key": facts.key,
                "body": _decoded(facts.body),
            }
            return RepairPlan(changes=(_moves(facts, "READY"),), sends=(sent,))
        case ActionCode.CORRECT_DATA:
            return _correct(given, facts)
        case ActionCode.MARK_DONE_OUTSIDE | ActionCode.FORCE_COMPLETE:
            return RepairPlan(changes=(_moves(facts, "COMPLETED"),))
        case ActionCode.CANCEL_ITEM:
            moves = tuple(
                {"what": facts.named(key), "before": state, "after": "CANCELLED"}
                for key, state in facts.item_tasks
                if state not in ("COMPLETED", "CANCELLED")
            )
            done = tuple(f"{facts.named(key)} is done outside and stays" for key in facts.done_outside)
            return RepairPlan(changes=moves, left_outside=done)


def require_safe(action: ActionCode, facts: Facts) -> None:
    """The rules that no policy may loosen: what is unknown is asked about, never repeated or declared done."""
    if action in ASKS:
        return _require_askable(action, facts)
    if facts.running:
        raise Refused("one-call-at-a-time", f"{facts.step} is being called right now; wait for its outcome")
    if action in SENDS:
        return _require_sendable(action, facts)
    if action is ActionCode.CANCEL_ITEM:
        require_cancellable(facts)
    if action in (ActionCode.MARK_DONE_OUTSIDE, ActionCode.FORCE_COMPLETE):
        return _require_provably_done(facts)
    if action is ActionCode.CORRECT_DATA:
        _require_dead_identity(facts)
    return None


def require_cancellable(facts: Facts) -> None:
    """Nothing that would be cancelled may be in flight or unknown."""
    for key, state in facts.item_tasks:
        if state == "UNKNOWN" and not (key == facts.task_key and facts.proven == "absent"):
            _refuse_cancelling(facts, key)
        if state in ("RUNNING", "WAITING_CALLBACK"):
            raise Refused("one-call-at-a-time", f"{facts.named(key)} is being done by its target; wait for its outcome")


def _refuse_cancelling(facts: Facts, key: str) -> NoReturn:
    if key == facts.task_key and facts.proven == "found":
        because = f"{facts.found_outside}; cancelling would have to undo it there, which is not built. Instead, {SKIP}"
        raise Refused("unknown-locks-cancel", because)
    raise Refused("unknown-locks-cancel", f"{facts.named(key)} may have an effect outside; read back first")


def _require_askable(action: ActionCode, facts: Facts) -> None:
    if facts.target.kind == "C":
        raise Refused("target-cannot-be-asked", f"{facts.target.title} neither honours our key nor can be asked")
    if action is ActionCode.QUERY_BY_KEY and facts.target.kind != "A":
        raise Refused("target-has-no-key", f"{facts.target.title} keeps no key of ours; use the read-back")


def _require_sendable(action: ActionCode, facts: Facts) -> None:
    if facts.task_state not in (TaskState.FAILED, TaskState.UNKNOWN):
        raise Refused("nothing-to-send", f"{facts.step} {facts.stands} and is not waiting for a repair")
    if facts.proven == "found":
        raise Refused("already-done-outside", f"{facts.found_outside}; do not send it again: {SKIP}")
    if action is ActionCode.RETRY and facts.outcome_unknown:
        raise Refused("unknown-locks-retry", f"nobody knows whether {facts.target.title} acted; read back first")
    if facts.outcome_unknown and facts.target.kind != "A":
        raise Refused("unknown-locks-retry", f"{facts.target.title} might act twice; read back first")


def _require_provably_done(facts: Facts) -> None:
    if facts.task_state not in (TaskState.FAILED, TaskState.UNKNOWN):
        raise Refused("nothing-to-mark", f"{facts.step} {facts.stands} and is not waiting for a repair")
    if facts.task_state is TaskState.UNKNOWN and facts.target.kind != "C" and facts.proven != "found":
        raise Refused("unknown-locks-force-complete", "a read-back must find the effect before it is called done")


def _require_dead_identity(facts: Facts) -> None:
    if not facts.correctable:
        raise Refused("nothing-to-correct", f"{facts.step} has no field that may be corrected")
    if facts.proven == "found":
        raise Refused("already-done-outside", f"{facts.found_outside}; new data would add another")
    if facts.task_state is TaskState.FAILED or (facts.task_state is TaskState.UNKNOWN and facts.proven == "absent"):
        return
    raise Refused("identity-may-be-live", "corrected data needs a new identity; the old one is not proven dead")


def _correct(given: Mapping[str, Any], facts: Facts) -> RepairPlan:
    fields = given.get("fields")
    if not isinstance(fields, Mapping) or not fields:
        raise Invalid("name the fields to correct", (("/input/fields", "an object with at least one field"),))
    errors = [
        (f"/input/fields/{_pointed(n)}", e) for n, v in fields.items() if (e := _field_error(n, v, facts.correctable))
    ]
    if errors:
        raise Invalid("these fields cannot be taken", tuple(errors))
    before = _decoded(facts.body)
    changes = tuple({"what": n, "before": before.get(n), "after": v} for n, v in fields.items() if before.get(n) != v)
    if not changes:
        raise Invalid("nothing would change", (("/input/fields", "every value is what it already is"),))

    return RepairPlan(changes=changes, new_body=encode({**before, **fields}))


def _field_error(name: str, value: Any, rules: Mapping[str, FieldRule]) -> str:
    rule = rules.get(name)
    if rule is None:
        return f"may not be corrected here; these may: {', '.join(sorted(rules))}"
    if rule.type == "integer":
        inside = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53
        inside = inside and (rule.minimum is None or value >= rule.minimum)
        return "" if inside and (rule.maximum is None or value <= rule.maximum) else "not an integer in range"
    if not isinstance(value, str) or not value or len(value) > rule.max_length or "\x00" in value:
        return f"not a text of 1 to {rule.max_length} characters"
    return "" if not rule.pattern or re.fullmatch(rule.pattern, value) else f"does not match {rule.pattern}"


def _pointed(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")  # RFC 6901


def _moves(facts: Facts, to: str) -> dict[str, Any]:
    return {"what": facts.step, "before": facts.task_state.value, "after": to}


def _decoded(body: bytes) -> dict[str, Any]:
    return msgspec.json.decode(body, type=dict[str, Any]) if body else {}


class Correction(msgspec.Struct, frozen=True):
    """One proposed correction and what became of it. Its own command id makes applying it idempotent (E9)."""

    id: UUID
    action: ActionCode
    state: str
    reason_code: str
    reason: str
    given: dict[str, Any]
    proposed_by: str
    result: str = ""
