"""What a colleague of the demo does next with a case: read from the case alone, so that anybody can take it over."""

from collections.abc import Mapping
from typing import Any

import msgspec

from unstuck.rehearsal.demo_cast import right_value
from unstuck.rehearsal.demo_elsewhere import MANAGER
from unstuck.rehearsal.table import rows

View = Mapping[str, Any]
FIELDS = {
    "ADDRESS_NOT_SERVICEABLE": "address", "ADDRESS_REJECTED": "address", "SKU_OUT_OF_STOCK": "model",
    "UNMAPPED": "number",
}  # fmt: skip
ASK_FIRST = ("UNKNOWN_OUTCOME", "DUPLICATE_REQUEST")
NEVER = ("ACTIVATION_IMPOSSIBLE",)
PROOFS = """
    | reason         | type                  | source      | content                                                          |
    |----------------|-----------------------|-------------|------------------------------------------------------------------|
    | unknown        | field_report          | field       | Dispatcher on the phone: the visit is in the diary, 10:30-12:00. |
    | unplannable    | customer_confirmation | webshop     | The customer withdraws this order and will order again.          |
    | refused        | customer_confirmation | webshop     | Told that it cannot be built; the customer withdraws.            |
    | failed_by_hand | document              | planning    | The visit is confirmed after all; the order may go on.           |
    | duplicate      | vendor_request        | warehouse   | One of the two reservations was taken back, receipt 88-104.      |
    | contradiction  | vendor_request        | field       | The second message was a mistake; the appointment stands.        |
    | reported       | partner_confirmation  | the source  | Put right where it stopped, and looked at again: it is in order. |
"""
NOTES = {
    "CUSTOMER": "asked the customer by e-mail, answer expected today",
    "PARTNER": "the partner looks into it, ticket P-2291",
    "VENDOR": "asked the supplier for a date",
    "FIELD": "the technician has a look at the building this afternoon",
    "INCIDENT": "waits for the platform incident",
}
PROOF = {reason: row for reason, *row in rows(PROOFS, "reason", "type", "source", "content")}


class Step(msgspec.Struct, frozen=True):
    """A command on the case and its body."""

    command: str
    body: dict[str, Any]


def next_step(case: View, wait: str = "") -> Step | None:
    """The next command; None when the case now moves by itself. `wait`: whom to wait for before anything is repaired."""
    match case["state"]:
        case "QUEUED":
            return Step("assign", {"to": "me"})
        case "ASSIGNED":
            return Step("start", {})
        case "IN_PROGRESS":
            return Step("wait", {"on": wait, "note": NOTES[wait]}) if wait else _repaired(case)
        case "CORRECTION_PROPOSED":
            return Step(f"corrections/{_correction(case, 'PROPOSED')['id']}/apply", {})
        case "VERIFYING":
            return _resolved(case)
        case "CLOSED" | "DETECTED" | "CLASSIFIED" | "CORRECTION_APPLIED":
            return None
        case state if state.startswith("WAITING_"):
            return Step("continue", {"note": "the answer is here"})
        case _:
            return Step("close", {}) if "close" in _allowed(case) else None


def _repaired(case: View) -> Step:
    allowed, code = _allowed(case), case["code"]
    if "correct_data" in allowed and (fields := _right_fields(case)):
        return _proposal("correct_data", "source_corrected", "as the system itself says", fields=fields)
    if code in ASK_FIRST and not case["outcome_proven"] and "read_back" in allowed:
        return _proposal("read_back", "outcome_unknown", "asking before anything is sent again")
    if case["reason"] in ("refused", "exhausted") and code not in NEVER and "retry" in allowed:
        return _proposal("retry", "cause_fixed", "the other side says it is mended")
    proof = _proofs(case)
    if not proof:
        kind, source, content = PROOF.get(case["reason"], PROOF["reported"])
        return Step("evidence", {"type": kind, "source": source, "content": content, "proves_resolution": True})
    if "mark_done_outside" in allowed and case["reason"] == "unknown":
        return _proposal("mark_done_outside", "done_by_vendor", "field service has it in its diary", evidence=proof)
    if case["reason"] in ("unplannable", "refused") or case["source"] == MANAGER:
        return Step("verify", {"evidence": proof})
    return Step("resolve", {"decision": "none", "evidence": proof, "note": "settled where it stopped"})


def _resolved(case: View) -> Step | None:
    applied = _correction(case, "APPLIED").get("action", "")
    proof = _proofs(case)
    if case["outcome_proven"] == "found" or applied == "mark_done_outside":
        return Step("resolve", {"decision": "resume", "mode": "SKIP_STEP_ALREADY_DONE", "evidence": proof})
    if case["outcome_proven"] == "absent" or applied == "correct_data" or case["source"] == MANAGER:
        return Step("resolve", {"decision": "resume", "mode": "RETRY_FAILED_STEP", "evidence": proof})
    if applied == "retry":
        return None  # it was sent again: what comes back settles the case or stops it once more
    return Step("resolve", {"decision": "cancel", "evidence": proof})


def _right_fields(case: View) -> dict[str, str]:
    value = right_value(case["raw_message"])
    return {FIELDS[case["code"]]: value} if value and case["code"] in FIELDS else {}


def _proposal(action: str, reason_code: str, reason: str, **given: Any) -> Step:
    return Step("corrections", {"action": action, "reason_code": reason_code, "reason": reason, "input": given})


def _allowed(case: View) -> set[str]:
    return {action["action"] for action in case["allowed_actions"]}


def _proofs(case: View) -> list[str]:
    return [evidence["id"] for evidence in case["evidence"] if evidence["proves_resolution"]]


def _correction(case: View, state: str) -> dict[str, Any]:
    """The last correction in that state, or nothing."""
    found = [correction for correction in case["corrections"] if correction["state"] == state]
    return dict(found[-1]) if found else {}
