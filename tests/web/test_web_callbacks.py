"""What targets tell us later: signed, correlated, kept as it came, counted once, never taking a step backwards."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs
from web_lab import ACCEPTED, CASES, LOST, TMF, House, digest, fiber, refused, served, signature

from unstuck.web.server import build

OTHER = "whsec_bm90IG91ciBzZWNyZXQ="


async def waiting(house: House) -> tuple[str, str]:
    """An order whose activation was accepted and waits for its callback: its id and the key of the command."""
    placed = await house.place(fiber())
    customer = placed["relatedParty"][0]["id"]
    house.targets.will(customer, "activateFiber", ACCEPTED)
    await house.work()
    (call,) = house.targets.of(customer, "activateFiber")
    return placed["id"], call.key


async def state(house: House, order_id: str) -> str:
    shown = await house.get(f"/api/v1/orders/{order_id}")
    return str(next(task["state"] for task in shown["graph"]["tasks"] if task["key"] == "1.activate"))


def told(key: str, status: str = "done", id: str = "", **more: Any) -> bytes:
    return json.dumps(
        {"id": id or f"cb-{digest(key.encode())[:8]}-{status}", "key": key, "status": status, **more}
    ).encode()


async def test_done_settles_the_step_and_is_kept(house: House) -> None:
    order_id, key = await waiting(house)
    body = told(key, "done", reference="R-1", unknown=[1.5, None])
    answer = await house.callback(body)
    assert (answer.status, answer.json) == (200, {"was": "settled"})
    assert await state(house, order_id) == "COMPLETED"
    assert (await house.get(f"{TMF}/{order_id}"))["state"] == "completed"
    (kept,) = await house.callbacks(body)
    assert (kept["system"], kept["verdict"], kept["status"], kept["body"]) == ("provisioning", "settled", "done", body)
    assert (str(kept["order_id"]), kept["task"], kept["key"]) == (order_id, 3, key)


async def test_failed_opens_a_case_with_the_targets_words(house: House) -> None:
    order_id, key = await waiting(house)
    answer = await house.callback(told(key, "failed", code="ADDRESS_NOT_SERVICEABLE", message="no\x00\r\nfiber"))
    assert answer.json == {"was": "settled"}
    await house.work()
    case = await house.case_of(order_id)
    assert (case["code"], case["raw_message"]) == ("ADDRESS_NOT_SERVICEABLE", "no���fiber")


async def test_accepted_again_changes_nothing(house: House) -> None:
    order_id, key = await waiting(house)
    assert (await house.callback(told(key, "accepted"))).json == {"was": "noted"}
    assert await state(house, order_id) == "WAITING_CALLBACK"


async def test_told_twice_counts_once(house: House) -> None:
    order_id, key = await waiting(house)
    body = told(key)
    first, again = await house.callback(body), await house.callback(body)
    assert (first.json["was"], again.json["was"]) == ("settled", "repeated")
    assert len(await house.callbacks(body)) == 1
    other_bytes = await house.callback(told(key, id=json.loads(body)["id"], reference="other"))
    assert other_bytes.json["was"] == "repeated"
    assert await state(house, order_id) == "COMPLETED"


async def test_sixteen_at_once_count_once(house: House) -> None:
    order_id, key = await waiting(house)
    answers = await asyncio.gather(*(house.callback(told(key)) for _ in range(16)))
    assert sorted(a.json["was"] for a in answers) == ["repeated"] * 15 + ["settled"]
    timeline = (await house.get(f"/api/v1/orders/{order_id}"))["timeline"]
    assert [e["type"] for e in timeline].count("unstuck.order.completed") == 1


async def test_the_opposite_of_what_is_settled_is_a_case_and_moves_nothing(house: House) -> None:
    order_id, key = await waiting(house)
    await house.callback(told(key, "done"))
    assert (await house.callback(told(key, "failed", code="SORRY"))).json == {"was": "contradiction"}
    await house.work()
    assert await state(house, order_id) == "COMPLETED"
    case = await house.case_of(order_id)
    assert (case["code"], case["reason"]) == ("CONTRADICTING_OUTCOME", "contradiction")


async def test_a_callback_settles_what_nobody_could_say_and_its_case(house: House) -> None:
    placed = await house.place(fiber())
    customer = placed["relatedParty"][0]["id"]
    house.targets.will(customer, "activateFiber", LOST)
    await house.work()
    case = await house.case_of(placed["id"])
    (call,) = house.targets.of(customer, "activateFiber")
    assert (await house.callback(told(call.key))).json == {"was": "settled"}
    settled = await house.get(f"{CASES}/{case['id']}")
    assert (settled["state"], settled["resolution"]) == ("RESOLVED_NONE", "settled_outside")
    assert (await house.get(f"{TMF}/{placed['id']}"))["state"] == "completed"


async def corrected(house: House) -> tuple[str, str, str]:
    """An order whose refused activation was corrected and completed: its id, the dead key and the new one."""
    placed = await house.place(fiber())
    customer = placed["relatedParty"][0]["id"]
    house.targets.will(customer, "activateFiber", refused("ADDRESS_NOT_SERVICEABLE"))
    await house.work()
    case = await house.case_of(placed["id"])
    at, version = f"{CASES}/{case['id']}", case["version"]
    for path, body in (
        ("assign", {"to": "me"}), ("start", {}),
        ("corrections", {"action": "correct_data", "reason_code": "typing_error", "reason": "street", "input": {"fields": {"address": "Jl. 2"}}}),
    ):  # fmt: skip
        done = await house.call("POST", f"{at}/{path}", body, version=version)
        version = done.json["version"]
    applied = await house.call("POST", f"{at}/corrections/{done.json['correction']['id']}/apply", {}, version=version)
    view = await house.get(at)
    proof = [e["id"] for e in view["evidence"]]
    body = {"decision": "resume", "mode": "RETRY_FAILED_STEP", "evidence": proof}
    assert (await house.call("POST", f"{at}/resolve", body, version=applied.json["version"])).status == 200
    await house.work()
    dead, new = (call.key for call in house.targets.of(customer, "activateFiber"))
    return placed["id"], dead, new


async def test_a_dead_identity_that_says_done_after_all_is_a_contradiction(house: House) -> None:
    order_id, dead, new = await corrected(house)
    assert dead != new and await state(house, order_id) == "COMPLETED"
    assert (await house.callback(told(dead, "failed"))).json == {"was": "noted"}  # as was proven
    assert (await house.callback(told(dead, "done"))).json == {"was": "contradiction"}  # so there are two effects
    await house.work()
    assert (await house.case_of(order_id))["code"] == "CONTRADICTING_OUTCOME"


async def test_an_answer_to_nothing_is_refused_and_kept(house: House) -> None:
    body = told("no-such-order.1.activate.p0.c0")
    answer = await house.callback(body)
    assert (answer.status, answer.rule) == (404, "not-found")
    assert answer.headers["Content-Type"] == "application/problem+json"
    (kept,) = await house.callbacks(body)
    assert (kept["verdict"], kept["body"], kept["order_id"], kept["task"]) == ("uncorrelated", body, None, None)


async def test_a_system_cannot_answer_for_another(house: House) -> None:
    order_id, key = await waiting(house)
    body = told(key)
    assert (await house.callback(body, system="billing")).status == 404
    assert await state(house, order_id) == "WAITING_CALLBACK"
    assert [row["verdict"] for row in await house.callbacks(body)] == ["uncorrelated"]
    assert (await house.callback(body)).json == {"was": "settled"}


GARBAGE = [
    b"", b"garbage", b"[]", b"null", b"{}", b'{"id":"1","key":"k"}', b'{"id":1,"key":"k","status":"done"}', b"\xff\xfe",
    b'{"id":"1","key":"k","status":"exploded"}', b'{"id":"1","key":"k","status":null}', b"[" * 10_000,
    b'{"id":"a\\u0000","key":"k","status":"done"}', b'{"id":"1","key":"k\\u0000","status":"done"}',
    b'{"id":"\\ud800","key":"k","status":"done"}', b'{"id":"","key":"k","status":"done"}', b'{"id":"1","key":"","status":"done"}',
    b'{"id":"' + b"x" * 201 + b'","key":"k","status":"done"}', b'{"id":"1","key":"k","status":"done","code":7}',
]  # fmt: skip


@pytest.mark.parametrize("body", GARBAGE, ids=lambda body: repr(body[:45]))
async def test_what_cannot_be_read_is_refused_and_kept_once(house: House, body: bytes) -> None:
    for _ in range(2):
        answer = await house.callback(body)
        assert (answer.status, answer.rule) == (422, "valid-input")
    (kept,) = await house.callbacks(body)
    assert (kept["verdict"], kept["body"], kept["event_id"]) == ("unreadable", body, digest(body))


async def test_a_secret_that_is_not_ours_opens_nothing(house: House) -> None:
    order_id, key = await waiting(house)
    old, soon = house.clock() - timedelta(seconds=301), house.clock() + timedelta(seconds=360)
    forgeries: list[dict[str, Any]] = [
        {"secret": OTHER},
        {"at": old},
        {"at": soon},
        {"webhook-signature": "v1,AAAA"},
        {"webhook-signature": "v1a,\xff"},
        {"webhook-id": "another"},
        {"webhook-timestamp": "yesterday"},
    ]
    body = told(key)
    for forgery in forgeries:
        with capture_logs() as logged:
            answer = await house.callback(body, **forgery)
        assert (answer.status, answer.rule) == (401, "signature"), forgery
        assert "WWW-Authenticate" in answer.headers
        assert [(line["event"], line["log_level"]) for line in logged] == [("callback refused", "warning")]
    unsigned = await house.call("POST", "/api/v1/callbacks/provisioning", data=body, who="admin")
    assert unsigned.status == 401
    assert await house.callbacks(body) == []  # not trusted, so not kept: anybody could fill the disk
    assert await state(house, order_id) == "WAITING_CALLBACK"


async def test_a_system_we_do_not_have_is_only_told_to_who_signs(house: House) -> None:
    body = told("k")
    assert (await house.callback(body, system="moon", secret=OTHER)).status == 401
    answer = await house.callback(body, system="moon")
    assert (answer.status, answer.rule) == (404, "not-found")
    assert (await house.callback(body, system="a%00%0d%0ab")).status == 404
    assert await house.callbacks(body) == []


async def test_a_callback_that_is_too_large_is_not_read(house: House) -> None:
    answer = await house.callback(b"x" * 10_000_001)
    assert answer.status == 413 and answer.headers["Content-Type"] == "application/problem+json"


async def test_without_a_secret_no_callback_is_trusted(house: House) -> None:
    body = told("k")
    async with served(build(house.ports, callback_secret="", body_limit=1000)) as url:
        headers = signature(body, "whsec_", house.clock()) | {"Content-Type": "application/json"}
        async with house.client.post(f"{url}/api/v1/callbacks/provisioning", data=body, headers=headers) as answer:
            assert answer.status == 401
