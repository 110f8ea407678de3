"""Changes of a service order by a partner, and requests to cancel one: what is taken, what is refused and in which words."""

import json
from typing import Any

import pytest
from test_web_order_commands import clean, done
from test_web_tmf_shows import agrees
from web_lab import TMF, Answer, House, fiber, item, order, refused

CANCEL = TMF.replace("serviceOrder", "cancelServiceOrder").replace("cancelServiceOrdering", "serviceOrdering")
ROUTER = item("1", "wifi-router", model="X")


async def change(house: House, placed: Any, body: Any, **more: Any) -> Answer:
    return await house.call("PATCH", f"{TMF}/{placed['id']}", body, **{"who": "engineer", **more})


async def test_words_that_change_no_plan_are_kept_and_shown_back(house: House) -> None:
    placed = await house.place(fiber(), description="old", priority="4")
    words = {
        "note": [{"text": "ring twice", "author": "Ana"}],
        "externalReference": [{"name": "ticket", "id": "T-1", "externalReferenceType": "ITSM"}],
        "description": "new",
        "priority": "1",
        "requestedCompletionDate": "2031-01-01T00:00:00Z",
    }
    answer = await change(house, placed, words, who="integration")
    assert answer.status == 200, answer.raw
    assert words.items() <= answer.json.items()
    agrees(answer.json)
    answer = await change(house, placed, {"priority": None, "description": "newer", "requestedCompletionDate": None})
    shown = await house.get(f"{TMF}/{placed['id']}", "engineer")
    assert shown == answer.json and shown["description"] == "newer" and shown["note"] == words["note"]
    assert {"priority", "requestedCompletionDate"}.isdisjoint(shown)
    timeline = (await house.get(f"/api/v1/orders/{placed['id']}"))["timeline"]
    annotated = [e for e in timeline if e["type"] == "unstuck.order.annotated"]
    assert [e["by"] for e in annotated] == ["the integration", "the engineer"]
    assert all(set(e["data"]) == {"annotation", "sha256"} for e in annotated), "the words are no part of the history"
    await clean(house)


@pytest.mark.parametrize("media_type", ["application/json", "application/merge-patch+json; charset=utf-8"])
async def test_both_media_types_are_taken(house: House, media_type: str) -> None:
    placed = await house.place(ROUTER)
    answer = await change(house, placed, {"priority": "2"}, headers={"Content-Type": media_type})
    assert (answer.status, answer.json["priority"]) == (200, "2")


async def test_another_media_type_is_not(house: House) -> None:
    answer = await change(house, await house.place(ROUTER), [], headers={"Content-Type": "application/json-patch+json"})
    assert answer.status == 415 and "merge-patch" in answer.json["message"]


FIXED = ("id", "href", "externalId", "orderDate", "completionDate", "startDate", "cancellationDate", "cancellationReason",
         "jeopardyAlert", "errorMessage", "milestone", "category", "@type", "@baseType", "expectedCompletionDate", "sate")  # fmt: skip


@pytest.mark.parametrize("name", FIXED)
async def test_what_nobody_may_set_is_refused_by_name(house: House, name: str) -> None:
    placed = await house.place(ROUTER)
    answer = await change(house, placed, {name: "x", "description": "changed"})
    assert answer.status == 400 and f"not to be changed: {name};" in answer.json["message"]
    assert "description" not in await house.get(f"{TMF}/{placed['id']}", "integration"), "all of it or nothing"
    agrees(answer.json, "Error")


@pytest.mark.parametrize("name", ["serviceOrderItem", "orderItem", "relatedParty"])
async def test_what_would_be_a_revision_waits_for_amendment(house: House, name: str) -> None:
    answer = await change(house, await house.place(ROUTER), {name: []})
    assert (answer.status, answer.json["code"]) == (409, "REVISION_WAITS_FOR_AMENDMENT")
    assert name in answer.json["message"] and "amendment" in answer.json["message"]


@pytest.mark.parametrize(
    "body",
    [
        {"note": "no list"},
        {"note": [{"author": "nobody"}]},
        {"description": 7},
        {"externalReference": [{"id": "1"}]},
        {"requestedCompletionDate": "soon"},
        {"state": "nonsense"},
        {"state": None},
        {},
    ],
)
async def test_a_field_of_another_shape_is_refused(house: House, body: Any) -> None:
    answer = await change(house, await house.place(ROUTER), body)
    assert answer.status == 400, answer.raw


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b'"x"', b"\xff", b"[" * 100_000, b'{"note":' + b"[" * 70 + b"]" * 70 + b"}"]
)
async def test_what_is_no_change_is_refused(house: House, data: bytes) -> None:
    placed = await house.place(ROUTER)
    answer = await house.call("PATCH", f"{TMF}/{placed['id']}", data=data, who="engineer")
    assert answer.status == 400, answer.raw


async def test_a_suspended_order_goes_on(house: House) -> None:
    placed = await house.place(ROUTER)
    await done(house, placed, "suspend")
    answer = await change(house, placed, {"state": "inProgress", "note": [{"text": "the customer is back"}]})
    assert (answer.status, answer.json["state"]) == (200, "inProgress")
    timeline = (await house.get(f"/api/v1/orders/{placed['id']}"))["timeline"]
    (resumed,) = [e for e in timeline if e["type"] == "unstuck.order.resumed"]
    assert resumed["data"]["reason"] == "the customer is back"
    await house.work()
    assert (await house.get(f"{TMF}/{placed['id']}", "integration"))["state"] == "completed"
    await clean(house)


async def test_a_failed_order_goes_on_only_when_its_case_is_over(house: House) -> None:
    placed = await house.place(ROUTER)
    await done(house, placed, "fail")
    await house.work()
    case = await house.case_of(placed["id"])
    answer = await change(house, placed, {"state": "inProgress", "description": "please"})
    assert (answer.status, answer.json["code"]) == (409, "BLOCKED_BY_FALLOUT_CASE")
    assert case["number"] in answer.json["message"]
    shown = await house.get(f"{TMF}/{placed['id']}", "integration")
    assert shown["state"] == "held" and "description" not in shown, "all of it or nothing"
    agrees(answer.json, "Error")


async def test_a_blocked_item_is_named_when_somebody_wants_its_order_to_go_on(house: House) -> None:
    placed = await house.place(fiber())
    house.targets.will(placed["relatedParty"][0]["id"], "activateFiber", refused("ADDRESS_NOT_SERVICEABLE"))
    await house.work()
    case = await house.case_of(placed["id"])
    answer = await change(house, placed, {"state": "inProgress"})
    assert (answer.status, answer.json["code"]) == (409, "BLOCKED_BY_FALLOUT_CASE")
    assert case["number"] in answer.json["message"]


async def test_asking_for_what_is_changes_nothing(house: House) -> None:
    placed = await house.place(ROUTER)
    for _ in range(2):
        answer = await change(house, placed, {"state": "inProgress"})
        assert (answer.status, answer.headers["ETag"]) == (200, '"1"')


@pytest.mark.parametrize(
    "state", ["held", "completed", "failed", "cancelled", "assessingCancellation", "pending", "acknowledged"]
)
async def test_no_other_state_can_be_set(house: House, state: str) -> None:
    answer = await change(house, await house.place(ROUTER), {"state": state})
    assert (answer.status, answer.json["code"]) == (409, "INVALID_STATE_TRANSITION")
    if "ancel" in state:
        assert "cancelServiceOrder" in answer.json["message"]


async def test_an_order_that_is_over_stays_over(house: House) -> None:
    placed = await house.place(ROUTER)
    await house.work()
    answer = await change(house, placed, {"state": "inProgress"})
    assert (answer.status, answer.json["code"]) == (409, "INVALID_STATE_TRANSITION")


async def test_the_state_needs_its_permission_and_the_version_counts(house: House) -> None:
    placed = await house.place(ROUTER)
    await done(house, placed, "suspend")
    assert (await change(house, placed, {"state": "inProgress"}, who="integration")).status == 403
    assert (await change(house, placed, {"state": "inProgress"}, who="support")).status == 403
    stale = await change(house, placed, {"state": "inProgress"}, version=1)
    assert stale.status == 412
    agrees(stale.json, "Error")
    shown = await house.call("GET", f"{TMF}/{placed['id']}", who="integration")
    answer = await house.call(
        "PATCH", f"{TMF}/{placed['id']}", {"state": "inProgress"}, who="engineer",
        headers={"If-Match": shown.headers["ETag"]},
    )  # fmt: skip
    assert answer.status == 200
    assert (await change(house, {"id": "0190a000-0000-7000-8000-000000000000"}, {"priority": "1"})).status == 404


async def ask_to_cancel(house: House, placed: Any, **more: Any) -> Answer:
    body = {"serviceOrder": {"id": placed["id"]}, "cancellationReason": "withdrawn", **more.pop("fields", {})}
    return await house.call("POST", CANCEL, body, **{"who": "engineer", **more})


async def test_an_order_of_which_nothing_was_sent_is_cancelled(house: House) -> None:
    placed = await house.place(ROUTER)
    answer = await ask_to_cancel(house, placed, fields={"requestedCancellationDate": "2031-01-01T00:00:00Z"})
    assert answer.status == 201, answer.raw
    task = answer.json
    assert answer.headers["Location"] == task["href"] == f"{CANCEL}/{task['id']}"
    assert (task["state"], task["cancellationReason"], task["serviceOrder"]["id"]) == (
        "done",
        "withdrawn",
        placed["id"],
    )
    assert task["effectiveCancellationDate"] and "nothing" in task["completionMessage"]
    agrees(task, "CancelServiceOrder")
    assert await house.get(task["href"], "integration") == task
    assert (await house.get(f"{TMF}/{placed['id']}", "integration"))["state"] == "cancelled"
    await house.work()
    assert house.targets.of(placed["relatedParty"][0]["id"], "reserve") == []
    await clean(house)


async def test_an_order_of_which_something_was_sent_is_kept_and_that_is_an_answer(house: House) -> None:
    placed = await house.place(fiber())
    house.targets.will(placed["relatedParty"][0]["id"], "activateFiber", refused("ADDRESS_NOT_SERVICEABLE"))
    await house.work()
    task = (await ask_to_cancel(house, placed)).json
    assert task["state"] == "done" and "compensation" in task["completionMessage"]
    assert "effectiveCancellationDate" not in task
    assert (await house.get(f"{TMF}/{placed['id']}", "integration"))["state"] == "inProgress"
    agrees(task, "CancelServiceOrder")
    await clean(house)


async def test_there_is_nothing_to_assess_of_an_order_that_is_over(house: House) -> None:
    placed = await house.place(ROUTER)
    await house.work()
    task = (await ask_to_cancel(house, placed)).json
    assert task["state"] == "terminatedWithError" and "completed already" in task["errorMessage"]["reason"]
    agrees({name: value for name, value in task.items() if name != "errorMessage"}, "CancelServiceOrder")
    again = (await ask_to_cancel(house, placed)).json
    assert again["id"] != task["id"]
    await clean(house)


async def test_requests_to_cancel_are_listed(house: House) -> None:
    placed = await house.place(ROUTER)
    made = [(await ask_to_cancel(house, placed)).json for _ in range(3)]
    of_order = f"{CANCEL}?serviceOrder.id={placed['id']}"
    answer = await house.call("GET", of_order, who="integration")
    assert [one["id"] for one in answer.json] == [one["id"] for one in reversed(made)]
    assert answer.headers["X-Total-Count"] == "3"
    (first,) = await house.get(f"{of_order}&state=done", "integration")
    assert first == made[0]
    paged = await house.call("GET", f"{of_order}&limit=1&offset=1&fields=state", who="integration")
    assert [set(one) for one in paged.json] == [{"id", "href", "state"}]
    assert (await house.get(f"{of_order}&sort=state", "integration"))[0]["state"] == "done"
    assert await house.get(f"{CANCEL}?serviceOrder.id=nobody", "integration") == []
    assert len(await house.get(f"{CANCEL}?limit=1", "integration")) == 1


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"serviceOrder": {}}, 400),
        ({"serviceOrder": {"id": 7}}, 400),
        ({"serviceOrder": {"id": "0190a000-0000-7000-8000-000000000000"}}, 404),
        ({"serviceOrder": {"id": "nobody"}}, 404),
        ([], 400),
    ],
)
async def test_what_asks_to_cancel_nothing_is_refused(house: House, body: Any, status: int) -> None:
    answer = await house.call("POST", CANCEL, body, who="engineer")
    assert answer.status == status, answer.raw
    agrees(answer.json, "Error")


async def test_a_shop_cancels_what_it_sent_and_only_who_manages_orders_those_of_others(house: House) -> None:
    placed = await house.place(ROUTER)
    for who in ("support", "repair-agent", "admin"):
        assert (await ask_to_cancel(house, placed, who=who)).status == 403
    assert (await ask_to_cancel(house, placed, who="integration")).json["state"] == "done"
    assert (await ask_to_cancel(house, await house.place(ROUTER), who="engineer")).json["state"] == "done"


async def test_the_order_is_shown_as_it_was_sent_in_any_spelling_of_its_items(house: House) -> None:
    body = order(ROUTER)
    body["orderItem"] = body.pop("serviceOrderItem")
    answer = await house.submit(json.dumps(body).encode())
    assert answer.status == 201 and "orderItem" not in answer.json
    assert [i["id"] for i in answer.json["serviceOrderItem"]] == ["1"]


async def test_what_was_refused_as_an_order_can_be_looked_at_as_rejected(house: House) -> None:
    answer = await house.submit(b'{"serviceOrderItem": []}')
    assert answer.status == 400
    agrees(answer.json, "Error")
    shown = await house.get(answer.json["referenceError"], "integration")
    assert (shown["state"], shown["errorMessage"][0]["message"]) == ("rejected", answer.json["message"])
    assert shown["href"] == answer.json["referenceError"] and shown["orderDate"]
    agrees(shown)
    assert set(await house.get(f"{shown['href']}?fields=state", "integration")) == {"id", "href", "state"}
    assert (await change(house, shown, {"priority": "1"})).status == 404
