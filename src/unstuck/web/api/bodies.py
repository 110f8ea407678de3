"""What commands on a case are sent: the shape is all that is checked here, and all of it."""

from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec

from unstuck.repair.correction import ActionCode
from unstuck.repair.evidence import EvidenceType
from unstuck.repair.token import ResumeMode
from unstuck.web.protocol import Line, MaybeWords, Words

BASE64 = "^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$(?!\\n)"
Base64 = Annotated[bytes, msgspec.Meta(extra_json_schema={"pattern": BASE64, "minLength": 4}, description="base64")]
MediaType = Annotated[
    str, msgspec.Meta(max_length=100, pattern=r"^[!-~]+( [!-~]+)*$(?!\n)", description="a media type, like text/plain")
]
WaitsFor = Literal[
    "CUSTOMER", "PARTNER", "VENDOR", "FIELD", "INCIDENT", "customer", "partner", "vendor", "field", "incident"
]
EvidenceIds = Annotated[list[UUID], msgspec.Meta(max_length=500)]


class Nothing(msgspec.Struct, forbid_unknown_fields=True):
    """An empty object; no body at all is the same."""


class Assignment(msgspec.Struct, forbid_unknown_fields=True):
    """To whom: a name, or `me`."""

    to: Words


class Remark(msgspec.Struct, forbid_unknown_fields=True):
    """What there is to say."""

    note: Words


class Waiting(msgspec.Struct, forbid_unknown_fields=True):
    """On whom it waits, in capitals or not, and for what."""

    on: WaitsFor
    note: Words


class Escalation(msgspec.Struct, forbid_unknown_fields=True):
    """To whom, and why."""

    to: Words
    reason: Words


class Reason(msgspec.Struct, forbid_unknown_fields=True):
    """Why."""

    reason: Words


class Verification(msgspec.Struct, forbid_unknown_fields=True):
    """Evidence of this case that the repair is being proven by."""

    evidence: EvidenceIds
    note: MaybeWords = ""


class NewCorrection(msgspec.Struct, forbid_unknown_fields=True):
    """A typed correction: what to do, why (a reason code of this action, and words), and the action's input."""

    action: ActionCode
    reason_code: str
    reason: Words
    input: dict[str, Any] = {}


class NewEvidence(msgspec.Struct, forbid_unknown_fields=True):
    """Evidence with what it is said to be: by content (text, or base64 bytes) or by reference to where it is kept."""

    type: EvidenceType
    source: Line
    content: Annotated[str, msgspec.Meta(min_length=1)] | msgspec.UnsetType = msgspec.UNSET
    content_base64: Base64 | msgspec.UnsetType = msgspec.UNSET
    reference: Line | msgspec.UnsetType = msgspec.UNSET
    media_type: MediaType = "text/plain"
    proves_resolution: bool = False
    customer_visible: bool = False
    corrects: UUID | None = None


class EvidenceForm(msgspec.Struct, forbid_unknown_fields=True):
    """The fields of a form beside its `file`, whose bytes and media type are the evidence."""

    type: EvidenceType
    source: Line
    proves_resolution: bool = False
    customer_visible: bool = False
    corrects: UUID | None = None


class EvidenceUpload(EvidenceForm, kw_only=True, forbid_unknown_fields=True):
    """A form with the file that is the evidence; the part's media type is the evidence's."""

    file: Annotated[str, msgspec.Meta(min_length=1, extra_json_schema={"format": "binary"})]


class Resolution(msgspec.Struct, forbid_unknown_fields=True):
    """How a case ends. `mode` says from where the order goes on when the decision is to resume."""

    decision: Literal["resume", "cancel", "compensate", "none"]
    evidence: EvidenceIds
    mode: ResumeMode | None = None
    note: MaybeWords = ""
