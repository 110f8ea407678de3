"""Detection to classification: what the raw facts of a stop mean, by the pack's mapping table (C2, B7)."""

from collections.abc import Callable, Sequence
from typing import Any

from unstuck.fallout.case import Case, Classify
from unstuck.fallout.policy import Dedup, Mapping
from unstuck.kernel.canonical import digest

KEY_LIMIT = 400

TRIAGE = Mapping(
    code="UNMAPPED",
    domain="platform",
    recoverability="repairable",
    queue="TRIAGE",
    title="No rule knows this failure",
)


def classify(
    case: Case, mappings: Sequence[Mapping], holds: Callable[[str, dict[str, Any]], bool]
) -> tuple[Classify, Mapping]:
    """The first row that matches the case's raw facts, else TRIAGE; `holds` evaluates a row's condition."""
    facts = raw_facts(case)
    for number, row in enumerate(mappings):
        if _matches(row, case) and (not row.when or holds(row.when, facts)):
            return Classify(row.code, row.domain, row.recoverability, row.queue, f"mappings/{number}"), row
    return Classify(TRIAGE.code, TRIAGE.domain, TRIAGE.recoverability, TRIAGE.queue, "unmapped"), TRIAGE


def raw_facts(case: Case) -> dict[str, Any]:
    """What a mapping's condition may speak of."""
    return {
        "system": case.system,
        "operation": case.operation,
        "reason": case.reason,
        "raw_code": case.raw_code,
        "message": case.raw_message,
        "step": case.step,
        "attempt": case.attempt,
        "source": case.source,
        "category_hint": case.category_hint,
        "severity_hint": case.severity_hint,
    }


def dedup_rule(rules: dict[str, Dedup], reason: str) -> Dedup:
    """The rule of this reason, else of `default`."""
    return rules.get(reason, rules["default"])


def dedup_key(rules: dict[str, Dedup], reason: str, **known: str) -> str:
    """The key that makes two failures one case: the parts that the rule names, joined so that none can imitate two."""
    parts = {"reason": reason, **known}
    key = "|".join(quote(parts.get(part, "")) for part in dedup_rule(rules, reason).key)
    return key if len(key) <= KEY_LIMIT else digest(key.encode())


def quote(part: str) -> str:
    """The words of strangers may contain our separator."""
    return part.replace("%", "%25").replace("|", "%7C")


def _matches(row: Mapping, case: Case) -> bool:
    return row.downstream in ("", case.system) and row.raw in ("", case.raw_code) and row.reason in ("", case.reason)
