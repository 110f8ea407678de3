"""Evidence: what kinds there are and what may be claimed with them (003 §14). Content-addressed, never edited."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

import msgspec

from unstuck.kernel.refusal import Refused


class EvidenceType(StrEnum):
    """The ten types of seed 003 §14."""

    SCREENSHOT = "screenshot"
    VENDOR_REQUEST = "vendor_request"
    READ_BACK = "read_back"
    FIELD_REPORT = "field_report"
    CUSTOMER_CONFIRMATION = "customer_confirmation"
    PARTNER_CONFIRMATION = "partner_confirmation"
    AUDIT_LOG = "audit_log"
    DOCUMENT = "document"
    SYNTHETIC_TEST = "synthetic_test"
    DATA_DIFF = "data_diff"


MADE_BY_US = (EvidenceType.READ_BACK, EvidenceType.DATA_DIFF)  # JSON, shown on the page with its values masked


class Evidence(msgspec.Struct, frozen=True):
    """One piece: its file by digest, who captured it when, what it is said to prove.

    `says`: `found` and `absent` are the answers of a read-back; empty otherwise.
    """

    id: UUID
    type: EvidenceType
    sha256: str
    size: int
    media_type: str
    source: str
    captured_by: str
    captured_at: datetime
    customer_visible: bool = False
    proves_resolution: bool = False
    corrects: UUID | None = None
    says: str = ""


def proof_before_resolution(evidence: tuple[Evidence, ...]) -> None:
    """A resolution names evidence that says it proves it."""
    if not any(item.proves_resolution for item in evidence):
        raise Refused("proof-before-resolution", "name evidence that proves the resolution; attach it first")
