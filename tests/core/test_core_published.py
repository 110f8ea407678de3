"""What the world is told: every event of ours goes out as a CloudEvent, under the names of the seeds."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import jsonschema
import pytest
from cloudevents_lab import VALIDATOR, require_cloud_event

from unstuck.fallout.published import DECLARED, INSIDE, TABLE, About, Leaf, cloud_events, known_types, types_of, wanted
from unstuck.kernel import person
from unstuck.kernel.canonical import encode

AT = datetime(2026, 6, 29, 12, 0, 0, 5, tzinfo=UTC)
CASE, ORDER, TOKEN = UUID(int=1), UUID(int=2), UUID(int=3)
ABOUT = About(
    case_id=CASE,
    case_number=1042,
    order_id=ORDER,
    order_number=1001,
    external_id="PO-7",
    source="oms",
    item="1",
    step="1.activate",
    customer="C-1",
    correlation_id="corr-1",
)
# The events that the three seeds name: 001 §20, 003 §17, 003 §21.
SEED_001 = """FalloutDetected FalloutClassified FalloutAssigned FalloutSlaWarningRaised FalloutSlaBreached
    FalloutRepairActionRequested FalloutRepairActionCompleted FalloutRepairActionFailed FalloutRevalidated
    FalloutResolved FalloutReopened FalloutEscalated OrderMarkedStuck UnknownOutcomeDetected ExternalStateReconciled"""
SEED_003 = """FalloutCaseDetected FalloutCaseClassified FalloutCaseAssigned FalloutTaskCreated
    FalloutCorrectionProposed FalloutCorrectionApproved FalloutCorrectionRejected FalloutCorrectionApplied
    FalloutEvidenceAttached FalloutCaseResolvedForResume FalloutCaseResolvedForCancellation
    FalloutCaseResolvedForCompensation FalloutCaseClosed FalloutCaseBreachedSla FalloutCaseEscalated
    CustomerNotificationRequested"""
SEEDS = (*SEED_001.split(), *SEED_003.split())
# Every shape of data that changes what an event goes out as, beside the plain one.
DATA: tuple[dict[str, Any], ...] = (
    {},
    *({"result": result} for result in ("found", "absent", "silent", "readied", "corrected", "marked")),
    *({"resolution": how, "token": str(TOKEN), "to": "RESOLVED"} for how in ("resume", "cancel", "compensate", "none")),
    {"tasks": [{"no": 0, "to": "UNKNOWN"}, {"no": 1, "to": "READY"}], "items": ["BLOCKED"], "order": "IN_PROGRESS"},
    {"items": 3, "tasks": 2, "evidence": [], "order": None},
    {"evidence": str(UUID(int=9)), "sha256": "0" * 64, "type": "READ_BACK"},
)


def leaf(kind: str, data: dict[str, Any], *, about: About = ABOUT, seq: int = 4) -> Leaf:
    return Leaf(17, CASE, seq, AT, kind, 1, "ana", data, about)


def test_every_name_of_the_seeds_has_a_type() -> None:
    assert len(SEED_001.split()) == 15 and len(SEED_003.split()) == 16
    named = {seed for row in TABLE for seed in row.seeds}
    assert named == set(SEEDS)


def test_what_is_not_built_names_what_it_waits_for_and_is_made_by_nothing() -> None:
    waiting = {row.type: row.waits for row in TABLE if not row.event}
    assert set(waiting.values()) == {"D4", "D7", "E3", "B5", "G2"}
    made = {kind for event in DECLARED for data in DATA for kind in types_of(event.name, data)}
    assert not {f"unstuck.{kind}" for kind in waiting} & made


def test_the_table_speaks_of_events_that_exist() -> None:
    declared = {event.name for event in DECLARED}
    assert {row.event for row in TABLE if row.event} <= declared


@pytest.mark.parametrize("kind", sorted({event.name for event in DECLARED} - INSIDE))
def test_every_event_goes_out_as_a_cloud_event(kind: str) -> None:
    for data in DATA:
        for about in (ABOUT, About(), About(order_ref="so-123", source="oms")):
            found = cloud_events(leaf(kind, data, about=about), "https://fallout.example")
            assert found, "nothing is kept quiet"
            assert len({event["id"] for event in found}) == len(found)
            for event in found:
                require_cloud_event(encode(event), event)
                assert event["type"] in known_types()


@pytest.mark.parametrize("kind", [event.name for event in person.ALL])
def test_who_signs_in_is_nobodys_business_outside(kind: str) -> None:
    assert [cloud_events(leaf(kind, data), "https://fallout.example") for data in DATA] == [[]] * len(DATA)
    assert not {kind, f"unstuck.{kind}"} & set(known_types())


def test_every_type_that_is_built_is_made_by_some_event() -> None:
    made = {kind for event in DECLARED for data in DATA for kind in types_of(event.name, data)}
    waiting = {f"unstuck.{row.type}" for row in TABLE if not row.event}
    assert {row for row in known_types() if row not in waiting} <= made


@pytest.mark.parametrize(
    ("resolution", "kind"),
    [
        ("resume", "resolved-for-resume"),
        ("cancel", "resolved-for-cancellation"),
        ("compensate", "resolved-for-compensation"),
        ("none", "resolved-without-action"),
    ],
)
def test_a_resolution_says_for_what(resolution: str, kind: str) -> None:
    data = {"resolution": resolution, "evidence": [str(UUID(int=9))], "token": str(TOKEN), "to": "RESOLVED_RESUME"}
    (event,) = cloud_events(leaf("fallout-case.resolved", data), "urn:unstuck:x")
    assert event["type"] == f"unstuck.fallout-case.{kind}"
    assert (
        event["data"]
        | {
            "falloutCaseId": str(CASE),
            "falloutCaseNumber": "FC-1042",
            "serviceOrderId": str(ORDER),
            "serviceOrderNumber": "ORD-1001",
            "externalId": "PO-7",
            "serviceOrderItemId": "1",
            "customerId": "C-1",
            "resumeTokenId": str(TOKEN),
            "evidenceId": str(UUID(int=9)),
            "resolvedBy": "ana",
            "resolvedAt": "2026-06-29T12:00:00.000005Z",
            "correlationId": "corr-1",
        }
        == event["data"]
    )
    assert (event["correlationid"], event["causationid"]) == ("corr-1", f"{CASE}-3")


def test_an_order_that_is_not_ours_is_named_in_its_sources_words() -> None:
    about = About(case_id=CASE, case_number=1, order_ref="so-123", source="oms", correlation_id="c-9")
    data = {"source": "oms", "event": "evt-5", "to": "DETECTED"}
    (event,) = cloud_events(leaf("fallout-case.detected", data, about=about, seq=1), "urn:x")
    assert event["data"]["serviceOrderId"] == "so-123"
    assert event["data"]["sourceEventId"] == "evt-5"
    assert event["causationid"] == "oms/evt-5"


def test_what_people_wrote_and_raw_payloads_stay_inside() -> None:
    secret = "what nobody outside may read"
    hidden = ("note", "text", "why", "says", "because", "given", "preview", "message", "raw", "token_sha256", "url")
    for event in DECLARED:
        data = dict.fromkeys(hidden, secret) | {"settings": {"key": secret}, "resolution": "resume"}
        assert secret not in json.dumps(cloud_events(leaf(event.name, data), "urn:x"))


def test_an_unknown_outcome_is_told_beside_the_move_it_came_with() -> None:
    data = {"tasks": [{"no": 2, "to": "UNKNOWN"}], "items": ["BLOCKED"]}
    moved, unknown = cloud_events(leaf("order.advanced", data), "urn:x")
    assert (moved["type"], unknown["type"]) == ("unstuck.order.advanced", "unstuck.order.unknown-outcome-detected")
    assert (moved["id"], unknown["id"]) == (f"{CASE}-4", f"{CASE}-4-1")
    assert unknown["data"]["tasks"] == [{"task": 2, "state": "UNKNOWN"}]


def test_globs_name_types() -> None:
    assert wanted(("unstuck.order.*",), "unstuck.order.advanced")
    assert wanted(("a", "*"), "unstuck.order.advanced")
    assert not wanted(("unstuck.order",), "unstuck.order.advanced")
    assert not wanted((), "unstuck.order.advanced")


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": ""},
        {"source": "with blank"},
        {"specversion": "0.3"},
        {"type": "resolved"},
        {"time": "2026-06-29"},
        {"correlationId": "x"},
        {"level": 1.5},
        {"extra": {}},
    ],
)
def test_the_schema_can_say_no(wrong: dict[str, Any]) -> None:
    (event,) = cloud_events(leaf("fallout-case.closed", {}), "urn:x")
    VALIDATOR.validate(event)
    with pytest.raises(jsonschema.ValidationError):
        VALIDATOR.validate(event | wrong)
