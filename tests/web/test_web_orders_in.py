"""What comes in as an order: each odd one gets its answer, and its very bytes are kept."""

import asyncio
import json
import tracemalloc
from collections.abc import AsyncIterator
from typing import Any

import pytest
from web_lab import TMF, House, fiber, item, order

NOT_AN_ORDER = [
    pytest.param(b"", "not JSON", id="empty"),
    pytest.param(b"hello", "not JSON", id="words"),
    pytest.param(b'{"serviceOrderItem":[', "not JSON", id="half"),
    pytest.param(b'{"a":NaN}', "not JSON", id="NaN"),
    pytest.param(b'{"a":-Infinity}', "not JSON", id="infinity"),
    pytest.param(b'{"a":1e400}', "not JSON", id="1e400"),
    pytest.param(b'{"a":' + b"9" * 5000 + b"}", "not JSON", id="5000 digits"),
    pytest.param(b'{"a":"\xff\xfe"}', "not JSON", id="invalid UTF-8"),
    pytest.param('{"a":1}'.encode("utf-16"), "not JSON", id="UTF-16"),
    pytest.param(b'{"a":"\x00"}', "not JSON", id="raw NUL"),
    pytest.param(b'{"a":"\\ud800"}', "not JSON", id="lone surrogate"),
    pytest.param(b"[" * 10_000 + b"]" * 10_000, "nested", id="10,000 deep"),
    pytest.param(b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "nested", id="10,000 objects deep"),
    pytest.param(b"[]", "/: a service order is a JSON object", id="array"),
    pytest.param(b"null", "/: a service order is a JSON object", id="null"),
    pytest.param(b"{}", "/serviceOrderItem: ", id="no items"),
    pytest.param(b'{"serviceOrderItem":[]}', "/serviceOrderItem: ", id="zero items"),
    pytest.param(b'{"serviceOrderItem":{"id":"1"}}', "/serviceOrderItem: ", id="items no list"),
    pytest.param(b'{"orderItem":[1]}', "/orderItem/0: ", id="item no object"),
    pytest.param(b'{"serviceOrderItem":[{"action":"add","service":{}}]}', "/serviceOrderItem/0/id: ", id="no id"),
    pytest.param(b'{"serviceOrderItem":[{"id":"1","service":{}}]}', "/serviceOrderItem/0/action: ", id="no action"),
    pytest.param(b'{"serviceOrderItem":[{"id":"1","action":"add"}]}', "/serviceOrderItem/0/service: ", id="no service"),
]


def with_item(**changes: Any) -> bytes:
    return json.dumps(order({**fiber(), **changes})).encode()


ODD = [
    pytest.param(with_item(action="burn"), "/serviceOrderItem/0/action: ", id="unknown action"),
    pytest.param(with_item(id=7), "/serviceOrderItem/0/id: ", id="id is a number"),
    pytest.param(with_item(id=""), "/serviceOrderItem/0/id: ", id="id is empty"),
    pytest.param(with_item(id="a\x00b"), "/serviceOrderItem/0/id: ", id="NUL in an id"),
    pytest.param(with_item(id="a\r\nX-Evil: 1"), "/serviceOrderItem/0/id: ", id="line break in an id"),
    pytest.param(with_item(id="9" * 201), "/serviceOrderItem/0/id: ", id="id too long"),
    pytest.param(json.dumps(order(fiber(), state="completed")).encode(), "/state: ", id="has a state"),
    pytest.param(json.dumps(order(fiber(), externalId="a\x00")).encode(), "/externalId: ", id="NUL in externalId"),
    pytest.param(json.dumps(order(fiber(), externalId=5)).encode(), "/externalId: ", id="externalId is a number"),
    pytest.param(json.dumps(order(fiber(), customer="\x00")).encode(), "/relatedParty/0/id: ", id="NUL in customer"),
    pytest.param(
        json.dumps(order(fiber("1"), fiber("2"), fiber("1"))).encode(), "/serviceOrderItem/2/id: ", id="id given twice"
    ),
    pytest.param(
        json.dumps(order(*(fiber(str(n)) for n in range(501)))).encode(), "/serviceOrderItem: ", id="501 items"
    ),
    *(
        pytest.param(
            json.dumps(order(fiber(), requestedCompletionDate=when)).encode(), "/requestedCompletionDate: ", id=repr(when)
        )
        for when in ("soon", "2026-04-01", "2026-04-01T00:00:00", 17, 10**30, True, ["2026-04-01T00:00:00Z"],
                     "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59")
    ),
    *(
        pytest.param(with_item(service=service), f"/serviceOrderItem/0/service{where}: ", id=where + repr(service)[:50])
        for where, service in (
            ("", "fiber"),
            ("/serviceSpecification/name", {"serviceSpecification": {"name": ["x"]}}),
            ("/serviceSpecification/name", {"serviceSpecification": {"name": "a\x00b"}}),
            ("/serviceSpecification/name", {"serviceSpecification": {"name": "x" * 201}}),
            ("/serviceCharacteristic", {"serviceCharacteristic": {"name": "x"}}),
            ("/serviceCharacteristic/0", {"serviceCharacteristic": ["x"]}),
            ("/serviceCharacteristic/0", {"serviceCharacteristic": [{"value": 1}]}),
        )
    ),
]  # fmt: skip


@pytest.mark.parametrize(("body", "says"), [*NOT_AN_ORDER, *ODD])
async def test_what_is_no_order_is_answered_with_where_and_kept(house: House, body: bytes, says: str) -> None:
    answer = await house.submit(body)
    assert answer.status == 400, answer.raw
    assert answer.headers["Content-Type"] == "application/json"
    told = answer.json
    assert (told["code"], told["status"], told["reason"]) == ("400", "400", "The order cannot be understood")
    assert says in told["message"]
    (kept,) = await house.kept(body)
    assert (kept["answer"], kept["body"], kept["size"], kept["truncated"]) == (400, body, len(body), False)
    assert (kept["source"], kept["media_type"], kept["channel"]) == ("the integration", "application/json", "tmf641")
    assert kept["order_id"] is None and says[:20] in kept["because"]


def nested(depth: int) -> str:
    return '{"in":' * depth + "1" + "}" * depth


@pytest.mark.parametrize("depth", [100, 300, 700, 900, 960, 985])
async def test_a_body_that_can_be_read_but_not_written_again_is_refused_not_a_crash(house: House, depth: int) -> None:
    body = json.dumps(order(item("1", "fiber-internet", address="HERE"))).replace('"HERE"', nested(depth)).encode()
    answer = await house.submit(body)
    assert answer.status == 400 and "nested" in answer.json["message"]
    assert [row["body"] for row in await house.kept(body)] == [body]


async def test_an_order_may_be_as_deep_as_people_write(house: House) -> None:
    extra = json.loads(nested(20))
    body = json.dumps(order(item("1", "wifi-router", model="X", extra=extra))).encode()
    answer = await house.submit(body)
    assert answer.status == 201
    assert await house.get(f"{TMF}/{answer.json['id']}", "integration") == answer.json


async def test_an_unknown_offer_is_taken_held_and_explained(house: House) -> None:
    body = json.dumps(order(fiber("1"), item("2", "moon-landing"))).encode()
    answer = await house.submit(body)
    assert answer.status == 201
    taken = answer.json
    assert taken["state"] == "held"
    assert [m["status"] for m in taken["errorMessage"]] == ["UNKNOWN_OFFER"]
    assert [i["state"] for i in taken["serviceOrderItem"]] == ["acknowledged", "held"]  # never held without own error
    assert "errorMessage" not in taken["serviceOrderItem"][0]
    await house.work()
    case = await house.case_of(taken["id"])
    assert (case["code"], case["queue"], case["reason"]) == ("UNKNOWN_OFFER", "FULFILLMENT_DATA_FIX", "unplannable")
    assert (case["item"], case["step"]) == ("2", "decomposition")
    shown = await house.get(f"{TMF}/{taken['id']}")
    assert shown["errorMessage"][0]["code"] == "UNKNOWN_OFFER"
    (kept,) = await house.kept(body)
    assert (kept["answer"], kept["body"], str(kept["order_id"])) == (201, body, taken["id"])


UNPLANNABLE = [
    pytest.param({"address": 1.5}, "INVALID_DATA", id="float"),
    pytest.param({"address": 1e308}, "INVALID_DATA", id="huge float"),
    pytest.param({"address": 2**53}, "INVALID_DATA", id="2^53"),
    pytest.param({"address": 10**40}, "INVALID_DATA", id="10^40"),
    pytest.param({"address": -(2**63)}, "INVALID_DATA", id="-2^63"),
    pytest.param({"address": {"straße": 1}}, "INVALID_DATA", id="key that is not ASCII"),
    pytest.param({"address": [{"lat": 1.5}]}, "INVALID_DATA", id="float inside"),
    pytest.param({"address": None}, "MISSING_CHARACTERISTIC", id="null"),
    pytest.param({"address": ""}, "MISSING_CHARACTERISTIC", id="empty"),
    pytest.param({}, "MISSING_CHARACTERISTIC", id="absent"),
]


@pytest.mark.parametrize(("characteristics", "code"), UNPLANNABLE)
async def test_a_value_that_cannot_be_sent_makes_a_case_not_a_crash(
    house: House, characteristics: dict[str, Any], code: str
) -> None:
    body = json.dumps(order(item("1", "fiber-internet", **characteristics))).encode()
    answer = await house.submit(body)
    assert answer.status == 201 and answer.json["state"] == "held"
    await house.work()
    case = await house.case_of(answer.json["id"])
    assert case["code"] == ("INVALID_SPECIFICATION" if code == "INVALID_DATA" else "MISSING_DATA")
    assert case["raw_code"] == code
    assert [row["body"] for row in await house.kept(body)] == [body]


@pytest.mark.parametrize(
    "value",
    ["Jl. Merdeka 1", "a\x00b", "\u2028\u202e", "😀" * 50, 2**53 - 1, True, {"street": "x", "no": 1}, ["x", {"y": []}]],
    ids=repr,
)
async def test_a_value_that_can_be_sent_is_sent_as_it_came(house: House, value: Any) -> None:
    body = json.dumps(order(item("1", "fiber-internet", address=value))).encode()
    answer = await house.submit(body)
    assert answer.status == 201 and answer.json["state"] == "inProgress"
    customer = answer.json["relatedParty"][0]["id"]
    await house.work()
    sent = [json.loads(call.body)["address"] for call in house.targets.of(customer, "bookAppointment")]
    assert sent == [value]
    (shown,) = answer.json["serviceOrderItem"]
    assert shown["service"]["serviceCharacteristic"] == [{"name": "address", "value": value}]
    assert [row["body"] for row in await house.kept(body)] == [body]


async def test_of_a_key_given_twice_the_last_counts(house: House) -> None:
    body = json.dumps(order(fiber())).encode()[:-1] + b', "externalId": "PO-twice-2"}'
    answer = await house.submit(body.replace(b"{", b'{"externalId": "PO-twice-1", ', 1))
    assert answer.status == 201 and answer.json["externalId"] == "PO-twice-2"


async def test_an_order_without_a_customer_names_none(house: House) -> None:
    body = order(fiber())
    del body["relatedParty"]
    answer = await house.submit(json.dumps(body).encode())
    assert answer.status == 201 and "relatedParty" not in answer.json


async def test_the_same_bytes_again_are_the_same_order(house: House) -> None:
    body = json.dumps(order(fiber())).encode()
    first, again = await house.submit(body), await house.submit(body)
    assert (first.status, again.status) == (201, 201)
    assert first.json == again.json
    assert first.headers["Location"] == again.headers["Location"] == f"{TMF}/{first.json['id']}"
    assert [(row["answer"], row["because"]) for row in await house.kept(body)] == [(201, "accepted"), (201, "known")]


async def test_sixteen_at_once_are_one_order(house: House) -> None:
    body = json.dumps(order(fiber())).encode()
    answers = await asyncio.gather(*(house.submit(body) for _ in range(16)))
    assert {answer.status for answer in answers} == {201}
    assert len({answer.json["id"] for answer in answers}) == 1
    assert sorted(row["because"] for row in await house.kept(body)) == ["accepted"] + ["known"] * 15


async def test_other_bytes_under_a_known_id_are_refused_and_kept(house: House) -> None:
    body = order(fiber())
    first = await house.submit(json.dumps(body).encode())
    other = json.dumps({**body, "description": "another"}).encode()
    answer = await house.submit(other)
    assert answer.status == 409
    assert answer.json["code"] == "409" and first.json["id"] in answer.json["message"]
    (kept,) = await house.kept(other)
    assert (kept["answer"], kept["body"], str(kept["order_id"])) == (409, other, first.json["id"])


async def test_an_external_id_belongs_to_who_sent_it(house: House) -> None:
    body = json.dumps(order(fiber())).encode()
    ours, theirs = await house.submit(body), await house.submit(body, who="engineer")
    assert (ours.status, theirs.status) == (201, 201) and ours.json["id"] != theirs.json["id"]


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/xml", "application/json-seq", "multipart/form-data", "x" * 5000]
)
async def test_a_wrong_content_type_is_refused_and_kept(house: House, kind: str) -> None:
    body = json.dumps(order(fiber())).encode()
    answer = await house.submit(body, headers={"Content-Type": kind})
    assert answer.status == 415 and answer.json["code"] == "415"
    (kept,) = await house.kept(body)
    assert (kept["answer"], kept["body"], kept["media_type"]) == (415, body, kind[:200])


@pytest.mark.parametrize("kind", ["application/json;charset=utf-8", "Application/JSON", " application/json ; x=y"])
async def test_json_is_json_however_it_is_spelled(house: House, kind: str) -> None:
    assert (await house.submit(json.dumps(order(fiber())).encode(), headers={"Content-Type": kind})).status == 201


async def poured(size: int) -> AsyncIterator[bytes]:
    yield b'{"serviceOrderItem":"'
    chunk = b"x" * 65_536
    for _ in range(size // len(chunk)):
        yield chunk


async def test_fifty_megabytes_are_refused_in_bounded_memory_and_their_beginning_kept(house: House) -> None:
    tracemalloc.start()
    answer = await house.submit(poured(50_000_000))
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert answer.status == 413 and answer.json["code"] == "413"
    kept = await house.owner.fetchrow("SELECT * FROM intake WHERE answer = 413")
    assert kept["size"] == 21 + 50_000_000 // 65_536 * 65_536
    assert kept["truncated"] and len(kept["body"]) == 65_536
    assert kept["body"].startswith(b'{"serviceOrderItem":"xxx')
    assert str(kept["size"]) in answer.json["message"]
    assert peak < 25_000_000  # the limit is ten million; all of it would be fifty


async def test_a_sender_that_hangs_up_leaves_nothing_and_breaks_nothing(house: House) -> None:
    before = await house.owner.fetchval("SELECT count(*) FROM intake")
    host, port = house.url.removeprefix("http://").split(":")
    _reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST " + TMF.encode() + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert (await house.submit(json.dumps(order(fiber())).encode())).status == 201
    assert await house.owner.fetchval("SELECT count(*) FROM intake") == before + 1
