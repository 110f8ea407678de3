"""What a command on a case answers: small, and the same when the command is sent again."""

from typing import Any, Literal
from uuid import UUID

import msgspec

from unstuck.fallout.case import Case
from unstuck.fallout.lifecycle import CaseState
from unstuck.policy.masking import Mask
from unstuck.repair.correction import RepairPlan
from unstuck.repair.evidence import Evidence
from unstuck.repair.token import ResumeToken
from unstuck.store.rows import CorrectionRow

CorrectionState = Literal["PROPOSED", "APPLYING", "APPLIED", "FAILED", "REJECTED"]


class Effects(msgspec.Struct, frozen=True):
    """What a correction does or would do: what changes, what is sent or asked, who is told, what stays outside."""

    changes: tuple[dict[str, Any], ...]
    sends: tuple[dict[str, Any], ...]
    notifies: tuple[str, ...]
    left_outside: tuple[str, ...]


class Preview(Effects, frozen=True):
    """The effects of a correction nobody has carried out, and whether policy allows it to this actor now."""

    allowed: bool
    rule: str
    because: str


class CorrectionDone(msgspec.Struct, frozen=True, kw_only=True):
    """A correction as a command left it; a proposal says what it would do, what was applied its result."""

    id: UUID
    state: CorrectionState
    result: str | msgspec.UnsetType = msgspec.UNSET
    changes: tuple[dict[str, Any], ...] | msgspec.UnsetType = msgspec.UNSET
    sends: tuple[dict[str, Any], ...] | msgspec.UnsetType = msgspec.UNSET
    notifies: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    left_outside: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET


class CaseDone(msgspec.Struct, frozen=True, kw_only=True):
    """The case as a command left it, with what the command made beside."""

    id: UUID
    number: str
    state: CaseState
    version: int
    correction: CorrectionDone | msgspec.UnsetType = msgspec.UNSET
    evidence: Evidence | msgspec.UnsetType = msgspec.UNSET
    resume_token: ResumeToken | msgspec.UnsetType | None = msgspec.UNSET


def case_done(case: Case, **more: Any) -> CaseDone:
    """The answer of a command on this case, which is recorded already: its version is the new one."""
    return CaseDone(id=case.id, number=f"FC-{case.number}", state=case.state, version=case.version, **more)


def correction_done(row: CorrectionRow, **more: Any) -> CorrectionDone:
    """A correction as its row has it now."""
    state: Any = row.state
    return CorrectionDone(id=row.id, state=state, **more)


def effects(planned: RepairPlan) -> dict[str, Any]:
    """The fields of `Effects`: a plan without the new body, which is the target's business."""
    return {name: getattr(planned, name) for name in Effects.__struct_fields__}


def effects_shown(planned: RepairPlan, mask: Mask) -> dict[str, Any]:
    """The same as people and programs are shown it: what is sensitive hidden, also from who typed it."""
    return {name: tuple(mask.value(given)) for name, given in effects(planned).items()}
