"""Failures from anywhere: each event of a source once, under one case, kept as it came; many in one call."""

import asyncio
import json
from typing import Any

import msgspec
import pytest
from web_lab import CASES, House, fiber

from unstuck.service.failures_in.failures import receive
from unstuck.service.failures_in.reports import MANY
from unstuck.store.checking.audit import verify

EVENTS = "/api/v1/fallout-events"


def failure(**more: Any) -> dict[str, Any]:
    """A failure as seed 003 §8 shows one, of an order and an event of its own."""
    number = next(NUMBER)
    return {
        "sourceSystem": "activation-service",
        "sourceEventId": f"evt-{number}",
        "correlationId": f"corr-{number}",
        "customerId": f"cust-{number}",
        "serviceOrderId": f"so-{number}",
        "serviceOrderItemId": "soi-1",
        "resourceId": "res-1",
        "categoryHint": "ACTIVATION",
        "reasonCode": "DUPLICATE_SUBSCRIBER_MISMATCH",
        "message": "Subscriber exists with same MSISDN but different IMSI",
        "severityHint": "HIGH",
        "resumePoint": "after command ProvisionMobileSubscriber",
        **more,
    }


NUMBER = iter(range(1, 1_000_000))


async def post(house: House, body: Any, *, who: str = "integration", media: str = "application/json") -> Any:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await house.call("POST", EVENTS, data=data, who=who, headers={"Content-Type": media})


async def report(house: House, **more: Any) -> Any:
    answer = await post(house, failure(**more))
    assert answer.status == 201, answer.raw
    return answer.json


async def case(house: House, taken: Any) -> Any:
    return await house.get(f"{CASES}/{taken['case']}")


async def test_a_reported_failure_is_a_case_with_what_its_source_said(house: House) -> None:
    sent = failure(downstreamSystem="hss", rawErrorCode="5003", rawPayload={"imsi": "51010"}, orderVersion="v7")
    taken = (await post(house, sent)).json
    shown = await case(house, taken)
    assert (shown["source"], shown["order_ref"], shown["order_id"]) == (
        "activation-service",
        sent["serviceOrderId"],
        None,
    )
    assert (shown["system"], shown["raw_code"], shown["item"]) == ("hss", "5003", "soi-1")
    assert (shown["order_version"], shown["customer"]) == ("v7", sent["customerId"])
    assert json.loads(shown["raw"]["body"]) == {"imsi": "51010"}
    assert shown["state"] == "DETECTED"
    assert shown["timeline"][0]["by"] == "the integration"


async def test_the_same_event_again_is_known_whatever_its_bytes_and_its_case_become(house: House) -> None:
    sent = failure()
    first = (await post(house, sent)).json
    again = await post(house, sent)
    assert (again.status, again.json["was"], again.json["case"]) == (200, "known", first["case"])
    assert "body_differs" not in again.json
    other = json.dumps(sent | {"message": "other words"}).encode()
    differs = await post(house, other)
    assert (differs.status, differs.json["body_differs"], differs.json["case"]) == (200, True, first["case"])
    assert [bytes(row["body"]) for row in await house.kept(other)] == [other]
    assert (await case(house, first))["repeats"] == 0


async def test_another_event_of_the_same_failure_joins_the_open_case(house: House) -> None:
    sent = failure()
    first = (await post(house, sent)).json
    joined = await post(house, sent | {"sourceEventId": "evt-again", "orderVersion": "v8"})
    assert (joined.status, joined.json["was"], joined.json["case"]) == (200, "joined", first["case"])
    shown = await case(house, first)
    assert (shown["repeats"], shown["order_version"]) == (1, "v8")


async def test_many_at_once_are_answered_item_by_item_in_their_order(house: House) -> None:
    good, other = failure(), failure()
    wrong = failure() | {"reasonCode": ""}
    lines = b"\n".join([json.dumps(good).encode(), b"{", json.dumps(wrong).encode(), json.dumps(good).encode(), b""])
    answer = await post(house, lines + json.dumps(other).encode(), media="application/x-ndjson")
    said = [(one["status"], one.get("was", ""), one.get("rule", "")) for one in answer.json["results"]]
    assert said == [
        (201, "new", ""), (422, "", "not-json"), (422, "", "valid-input"), (200, "known", ""), (201, "new", ""),
    ]  # fmt: skip
    assert answer.json["results"][2]["pointer"] == "/reasonCode"
    assert answer.json["counts"] == {"new": 2, "refused": 2, "known": 1}
    assert "/reasonCode" in (await house.kept(json.dumps(wrong).encode()))[0]["because"]
    assert bytes((await house.kept(b"{"))[0]["body"]) == b"{"
    same = await post(house, [good, other])
    assert same.json["counts"] == {"known": 2}


async def test_sixteen_senders_of_one_event_make_one_case(house: House) -> None:
    sent = failure()
    answers = await asyncio.gather(*(post(house, sent) for _ in range(16)))
    assert sorted(answer.status for answer in answers) == [200] * 15 + [201]
    assert len({answer.json["case"] for answer in answers}) == 1


async def test_two_processes_racing_with_the_same_failures_make_one_case_each(house: House) -> None:
    """Two batches in two transactions at once: what one cannot insert it finds, and does all of it again."""
    from unstuck.fallout.failure import Failure
    from unstuck.kernel.actor import Actor
    from unstuck.service.failures_in.failures import Filed, Report

    who = Actor("racer", frozenset({"integration"}))
    for _ in range(20):
        many = [failure(serviceOrderId=f"race-{n % 3}") for n in range(9)]
        bodies = [json.dumps(one).encode() for one in many]
        reports = [Report(msgspec.json.decode(body, type=Failure), body, who) for body in bodies]
        turned = await asyncio.gather(receive(house.ports, reports), receive(house.ports, reports[::-1]))
        filed = {one.case_id for side in turned for one in side if isinstance(one, Filed)}
        opened = [one.was for side in turned for one in side if isinstance(one, Filed)].count("new")
        assert opened <= len(filed) == 3
    rows = await house.owner.fetch("SELECT dedup_key FROM fallout_case WHERE order_ref LIKE 'race-%'")
    assert len(rows) == len({row["dedup_key"] for row in rows}) == 3


async def test_an_event_that_comes_before_its_order_is_joined_when_the_order_comes(house: House) -> None:
    taken = await report(house, serviceOrderId="PO-LATER", sourceSystem="the integration")
    assert (await case(house, taken))["order_id"] is None
    placed = await house.place(fiber(), externalId="PO-LATER")
    shown = await case(house, taken)
    assert shown["order_id"] == placed["id"]
    assert shown["timeline"][-1]["type"] == "unstuck.fallout-case.order-linked"
    found = await house.get(f"{CASES}?order_id={placed['id']}")
    assert [one["id"] for one in found["cases"]] == [taken["case"]]


async def test_an_event_about_an_order_of_ours_is_on_that_order_and_its_step(house: House) -> None:
    placed = await house.place(fiber("1"))
    about = {"serviceOrderId": placed["id"], "serviceOrderItemId": "1", "failedStepKey": "activate"}
    shown = await case(house, await report(house, **about))
    assert (shown["order_id"], shown["item"]) == (placed["id"], "1")
    assert shown["step"] == "1.activate"


async def test_a_name_that_two_orders_have_is_nobodys(house: House) -> None:
    for who in ("integration", "engineer"):
        answer = await house.submit(json.dumps(_named("PO-TWICE")).encode(), who=who)
        assert answer.status == 201
    assert (await case(house, await report(house, serviceOrderId="PO-TWICE")))["order_id"] is None
    own = await report(house, serviceOrderId="PO-TWICE", sourceSystem="the engineer")
    assert (await case(house, own))["order_id"] is not None


async def test_an_order_that_shares_its_name_takes_only_its_own_sources_cases(house: House) -> None:
    for who in ("engineer", "integration"):
        assert (await house.submit(json.dumps(_named("PO-SHARED")).encode(), who=who)).status == 201
    foreign = await report(house, serviceOrderId="PO-SHARED")
    own = await report(house, serviceOrderId="PO-SHARED", sourceSystem="the admin")
    assert (await house.submit(json.dumps(_named("PO-SHARED")).encode(), who="admin")).status == 201
    assert (await case(house, foreign))["order_id"] is None
    assert (await case(house, own))["order_id"] is not None


def _named(external_id: str) -> dict[str, Any]:
    return {"externalId": external_id, "serviceOrderItem": [fiber()]}


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        ({"sourceSystem": None}, "/sourceSystem"),
        ({"sourceEventId": ""}, "/sourceEventId"),
        ({"message": 7}, "/message"),
        ({"occurredAt": "2026-01-01T00:00:00"}, "/occurredAt"),
        ({"revenueAtRisk": {"amount": "-1", "currency": "EUR"}}, "/revenueAtRisk/amount"),
        ({"revenueAtRisk": {"amount": "1e999999", "currency": "EUR"}}, "/revenueAtRisk/amount"),
        ({"customerId": "a\x00b"}, "/customerId"),
        ({"serviceOrderId": "x" * 201}, "/serviceOrderId"),
        ({"sourceSystem": "person"}, "/sourceSystem"),
    ],
)
async def test_what_cannot_be_taken_names_its_place_and_is_kept(
    house: House, wrong: dict[str, Any], pointer: str
) -> None:
    body = json.dumps(failure() | wrong).encode()
    answer = await post(house, body)
    assert (answer.status, answer.pointers) == (422, [pointer])
    assert [row["answer"] for row in await house.kept(body)] == [422]


async def test_a_failure_about_nothing_is_refused(house: House) -> None:
    body = {name: failure()[name] for name in ("sourceSystem", "sourceEventId", "reasonCode", "message")}
    assert (await post(house, body)).pointers == ["/serviceOrderId"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"\xff\xfe", 400),
        (b'{"sourceSystem": 1e400}', 422),
        (b"[" * 100_000, 400),
        (b'{"a":' * 5000 + b"1" + b"}" * 5000, 400),
        (json.dumps(failure()).encode()[:-1] + b', "message": "twice"}', 400),
        (b"[1,", 400),
        (b"[" + b",".join([b"{}"] * (MANY + 1)) + b"]", 422),
        (json.dumps(failure() | {"deep": None}).encode().replace(b"null", b"[" * 70 + b"]" * 70), 422),
    ],
)
async def test_bad_bytes_get_a_clear_answer(house: House, body: bytes, status: int) -> None:
    answer = await post(house, body)
    assert answer.status == status, answer.raw
    assert answer.json["rule"] in ("not-json", "one-name-once", "valid-input")


async def test_too_much_and_the_wrong_type_are_said_so(house: House) -> None:
    assert (await post(house, b" " * 11_000_000)).status == 413
    assert (await post(house, failure(), media="text/plain")).status == 415


async def test_who_may_not_report_is_refused(house: House) -> None:
    assert (await post(house, failure(), who="support")).status == 403
    assert (await house.call("POST", EVENTS, data=b"{}", who=None)).status == 401


async def test_a_person_opens_a_case_by_the_same_rules(house: House) -> None:
    placed = await house.place(fiber("1"))
    body = {"order": placed["id"], "item": "1", "reason_code": "customer_called", "seen": "no light on the ONT"}
    opened = await house.call("POST", CASES, data=json.dumps(body).encode(), who="support")
    assert (opened.status, opened.json["was"]) == (201, "new")
    shown = await case(house, opened.json)
    assert (shown["source"], shown["order_id"], shown["raw_message"]) == ("person", placed["id"], "no light on the ONT")
    assert shown["timeline"][0]["by"] == "the support"
    again = await house.call("POST", CASES, data=json.dumps(body).encode(), who="engineer")
    assert (again.status, again.json["was"], again.json["case"]) == (200, "joined", opened.json["case"])
    assert (await house.call("POST", CASES, data=json.dumps(body).encode(), who="auditor")).status == 403


async def test_hostile_words_are_shown_as_words(house: House) -> None:
    words = "=cmd|' /C calc'!A0\r\n<script>alert(1)</script>\x1b[31m"
    body = json.dumps(failure(message=words)).encode()
    shown = await case(house, (await post(house, body)).json)
    assert "<script>" in shown["raw_message"]
    assert "\r" not in shown["raw_message"]
    assert "\x1b" not in shown["raw_message"]


async def test_the_audit_holds_every_report_against_the_history(house: House) -> None:
    await report(house)
    clean = await verify(house.ports.store.pool, house.ports.blobs, verifier_keys=())
    assert not [one for one in clean.findings if "signature" not in one.what], clean.findings
    for column, value in (("body", "'{}'"), ("was", "'joined'"), ("source", "'someone'")):
        async with house.owner.transaction() as _:
            await house.owner.execute("ALTER TABLE failure_event DISABLE TRIGGER USER")
            before = await house.owner.fetchrow(f"SELECT ctid, {column} FROM failure_event LIMIT 1")
            await house.owner.execute(f"UPDATE failure_event SET {column} = {value} WHERE ctid = $1", before["ctid"])
        found = await verify(house.ports.store.pool, house.ports.blobs, verifier_keys=())
        assert any("failure_event" in one.where or "failure_event" in one.what for one in found.findings), column
        await house.owner.execute(f"UPDATE failure_event SET {column} = $1 WHERE {column} = {value}", before[column])


async def test_the_audit_recomputes_what_a_case_knows_from_its_reports_alone(house: House) -> None:
    taken = await report(house)
    for column in ("order_ref", "order_version", "customer", "correlation_id", "category_hint", "severity_hint"):
        before = await house.owner.fetchval(f"SELECT {column} FROM fallout_case WHERE id = $1", taken["case"])
        await house.owner.execute(f"UPDATE fallout_case SET {column} = 'forged' WHERE id = $1", taken["case"])
        found = await verify(house.ports.store.pool, house.ports.blobs, verifier_keys=())
        assert any(one.where.endswith(f"{taken['case']} {column}") for one in found.findings), column
        await house.owner.execute(f"UPDATE fallout_case SET {column} = $2 WHERE id = $1", taken["case"], before)


WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted"


async def test_a_case_that_ends_while_its_failure_comes_again_stays_ended(house: House) -> None:
    """It was open when it was looked for and over when it was locked: the pack says that this is a new case."""
    sent = failure()
    first = (await post(house, sent)).json
    async with house.owner.transaction():
        await house.owner.execute(
            "UPDATE fallout_case SET state = 'RESOLVED_NONE', resolution = 'none' WHERE id = $1", first["case"]
        )
        again = asyncio.create_task(post(house, sent | {"sourceEventId": "evt-after-the-end"}))
        async with asyncio.timeout(20):
            while not await house.owner.fetchval(WAITING):
                await asyncio.sleep(0.01)
    assert (await again).json["was"] == "new"
