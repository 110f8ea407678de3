"""One case as the triage queue shows it: what an agent looks at before opening it, in the pack's words."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from unstuck.fallout.case import Case
from unstuck.fallout.classify import TRIAGE
from unstuck.fallout.lifecycle import CASE, CASE_IS_RESOLVED, CaseAction, CaseState
from unstuck.kernel.actor import Actor
from unstuck.order.lifecycle import TaskState
from unstuck.order.plan import PlannedTask
from unstuck.policy.grant import may
from unstuck.policy.pack import Pack
from unstuck.policy.suggestion import suggest
from unstuck.repair.evidence import Evidence
from unstuck.repair.policy import FieldRule, Target
from unstuck.service.messages import messages
from unstuck.service.ports import Ports
from unstuck.store.listing.case_list import UNKNOWN_OUTCOME
from unstuck.store.unit import Unit

LONGEST = 300  # characters of an error, as in the statement
AS_IT_IS = (
    "id", "version", "code", "reason", "step", "system", "operation", "item", "raw_code", "error", "queue", "owner", "source",
    "correlation_id", "recoverability", "detected_at", "touched_at", "received_at", "promised_at", "repeats", "resolution",
    "resolved_by", "fits",
)  # fmt: skip


class QueueRow(msgspec.Struct, kw_only=True):
    """One case in the queue. Titles are the pack's words; `next` and `then` are the actions that its page suggests
    (empty: to wait; None: it is closed).

    Without `fits` it is no longer what the page was asked for. `may`: what this person may do with it from here.
    """

    id: UUID
    name: str
    version: int
    state: CaseState
    title: str
    code: str
    reason: str
    step: str
    step_title: str
    system: str
    operation: str
    item: str
    raw_code: str
    error: str
    order_name: str
    order_known: bool
    customer: str
    queue: str
    queue_title: str
    owner: str
    severity: str
    source: str
    correlation_id: str
    recoverability: str
    detected_at: datetime
    touched_at: datetime
    received_at: datetime | None
    promised_at: datetime | None
    attempts: int
    repeats: int
    unknown: bool
    next: str | None
    then: str
    last_type: str
    last_by: str
    resolution: str
    resolved_by: str
    may: tuple[str, ...]
    fits: bool

    @property
    def is_open(self) -> bool:
        return self.state not in CASE_IS_RESOLVED


async def read_rows(ports: Ports, unit: Unit, found: Sequence[Any], who: Actor) -> list[QueueRow]:
    """These rows of the store, each in the words of the pack it was classified with; what is sensitive is hidden."""
    said = await messages(unit, ports, [row["id"] for row in found if row["error"]])
    found = [{**row, "error": said.get(row["id"], "")[:LONGEST]} for row in found]
    packs = {hash: await ports.book.pack(hash) for hash in {row["pack"] for row in found}}
    words = {hash: _Words(pack) for hash, pack in packs.items()}
    return [_row(row, words[row["pack"]], await _planned(ports, row), who) for row in found]


class _Words:
    """What one pack calls things, prepared for many rows."""

    def __init__(self, pack: Pack) -> None:
        self.pack = pack
        self._titles: dict[tuple[str, str], str] = {("", TRIAGE.code): TRIAGE.title}
        for row in pack.fallout.mappings:
            self._titles.setdefault((row.downstream, row.code), row.title)
            self._titles.setdefault(("", row.code), row.title)
        self._steps = {(kind.target, kind.operation): kind.title for kind in pack.document.task_types.values()}

    def title(self, code: str, system: str) -> str:
        return self._titles.get((system, code)) or self._titles.get(("", code), "")

    def step(self, system: str, operation: str) -> str:
        return self._steps.get((system, operation), "")

    def queue(self, name: str) -> str:
        known = self.pack.fallout.queues.get(name)
        return known.title if known else name


class _Step(msgspec.Struct, frozen=True):
    """A failed step as far as a list knows it: enough to suggest an action, not to say why (it reads no evidence)."""

    step: str
    target: Target
    task_state: TaskState
    running: bool
    proven: str
    correctable: Mapping[str, FieldRule]
    evidence: tuple[Evidence, ...] = ()


async def _planned(ports: Ports, row: Mapping[str, Any]) -> PlannedTask | None:
    """The step of the plan that a case is about; None for one that has no step of ours."""
    if row["plan"] is None or row["task"] is None:
        return None
    no: int = row["task"]
    return (await ports.book.shape(row["plan"])).plan.tasks[no]


def _row(row: Mapping[str, Any], words: _Words, planned: PlannedTask | None, who: Actor) -> QueueRow:
    state = CaseState(row["state"])
    following = suggest(case_in(row), _step(row, planned, words.pack), marked=row["marked"])
    unknown = state not in CASE_IS_RESOLVED and _is_unknown(row)
    return QueueRow(
        **{name: row[name] for name in AS_IT_IS},
        name=f"FC-{row['number']}",
        state=state,
        title=words.title(row["code"], row["system"]),
        step_title=words.step(row["system"], row["operation"]),
        order_name=f"ORD-{row['order_number']}" if row["order_number"] else row["order_ref"],
        order_known=row["order_number"] is not None,
        customer=row["customer"] or row["order_customer"] or "",
        queue_title=words.queue(row["queue"]),
        severity=row["severity_hint"],
        attempts=row["attempts"] or 0,
        unknown=unknown,
        next=following.action if following else None,
        then=following.then if following else "",
        last_type=row["last_type"] or "",
        last_by=row["last_by"] or "",
        may=_may(state, words.pack, who),
    )


def _is_unknown(row: Mapping[str, Any]) -> bool:
    """Nobody knows what took effect: our step says so until a read-back settles it, or its classification does."""
    if row["task_state"] is not None:
        return bool(row["task_state"] == "UNKNOWN" and not row["proven"])
    return bool(row["recoverability"] == UNKNOWN_OUTCOME)


def case_in(row: Mapping[str, Any]) -> Case:
    """The case that a row of the queue is about; of its raw message only what the row has."""
    own = {name: row[name] for name in Case.__struct_fields__ if name not in ("state", "raw_message")}
    return Case(**own, state=CaseState(row["state"]), raw_message=row["error"])


def _step(row: Mapping[str, Any], planned: PlannedTask | None, pack: Pack) -> _Step | None:
    if planned is None:
        return None
    return _Step(
        step=planned.key,
        target=pack.document.targets[planned.target],
        task_state=TaskState(row["task_state"]),
        running=row["running"],
        proven=row["proven"] or "",
        correctable=pack.document.correctable.get(planned.type, {}),
    )


def _may(state: CaseState, pack: Pack, who: Actor) -> tuple[str, ...]:
    works, actions = may(who, "case.work", pack), CASE.actions(state)
    possible = {
        "assign": works and CaseAction.ASSIGN in actions,
        "release": works and CaseAction.RELEASE in actions,
        "repair": may(who, "case.repair", pack) and state not in CASE_IS_RESOLVED,
    }
    return tuple(name for name, so in possible.items() if so)
