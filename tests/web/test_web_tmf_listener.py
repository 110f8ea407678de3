"""Events of other order managers, each in its own dialect: kept as they came, a stop becomes a case, twice is once."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from test_web_order_commands import clean
from web_lab import CASES, Answer, House, digest, opened

from unstuck.store.server import EmbeddedServer

LISTENER = "/tmf-api/serviceOrdering/v4/listener"
CHANGED = "serviceOrderStateChangeEvent"
KEYS: dict[str, str] = {}  # of the sources, by name
NUMBERS = iter(range(1, 10_000))


@pytest.fixture(scope="module")
async def world(
    cluster: EmbeddedServer, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[House]:
    """A house that knows four sources, one for each dialect, each with a token of its own."""
    folder: Path = tmp_path_factory.mktemp("listener")
    async with opened(cluster, template, folder) as house:
        for dialect in ("", "osl", "nokia-flowone", "tmf-mock"):
            name = dialect or "standard"
            settings = {"dialect": dialect} if dialect else {}
            made = await house.call("PUT", f"/api/v1/sources/{name}", {"settings": settings}, who="admin")
            assert made.status in (200, 201), made.raw
            key = await house.call("POST", f"/api/v1/sources/{name}/keys", {"holder": f"{name} itself"}, who="admin")
            assert key.status == 201, key.raw
            KEYS[name] = key.json["token"]
        yield house


def event(state: str, number: int, **order: Any) -> dict[str, Any]:
    return {
        "eventId": f"e-{number}",
        "eventTime": "2026-01-01T00:00:00Z",
        "eventType": "ServiceOrderStateChangeEvent",
        "correlationId": f"PO-{number}",
        "event": {"serviceOrder": {"id": f"so-{number}", "state": state, **order}},
    }


async def say(house: House, said: Any, who: str | None = "standard", name: str = CHANGED, **more: Any) -> Answer:
    body = said if isinstance(said, bytes) else json.dumps(said).encode()
    if who in KEYS:
        more["headers"], who = {"Authorization": f"Bearer {KEYS[who]}"}, None
    return await house.call("POST", f"{LISTENER}/{name}", data=body, who=who, **more)


async def case_of(house: House, answer: Answer) -> Any:
    await house.work()
    return await house.get(f"{CASES}/{answer.json['case']}")


async def kept(house: House, body: bytes) -> list[Any]:
    return list(await house.owner.fetch("SELECT * FROM foreign_event WHERE sha256 = $1", digest(body)))


async def test_a_held_order_of_the_standard_becomes_a_case(world: House) -> None:
    number = next(NUMBERS)
    error = {
        "code": "PORT_TAKEN",
        "message": "the port is taken",
        "status": "sys-1",
        "serviceOrderItem": [{"itemId": "2"}],
    }
    party = [{"id": "C-7", "role": "customer"}]
    said = event("held", number, errorMessage=[error], relatedParty=party)
    answer = await say(world, said)
    assert (answer.status, answer.json["was"], answer.json["state"]) == (201, "new", "held"), answer.raw
    case = await case_of(world, answer)
    assert (case["source"], case["order_ref"], case["item"], case["customer"]) == (
        "standard",
        f"so-{number}",
        "2",
        "C-7",
    )
    assert (case["raw_code"], case["raw_message"], case["correlation_id"]) == (
        "sys-1",
        "the port is taken",
        f"PO-{number}",
    )
    (row,) = await kept(world, json.dumps(said).encode())
    assert (row["source"], row["event"], row["state"]) == ("standard", CHANGED, "held")
    assert bytes(row["body"]) == json.dumps(said).encode()
    await clean(world)


ROWS = [
    ("standard", CHANGED, lambda n: event("failed", n), "failed"),
    ("osl", "serviceOrderStateChangeNotification", lambda n: event("HELD", n, orderItem=[{"id": "1"}]), "held"),
    ("osl", "serviceOrderStateChangeNotification", lambda n: event("FAILED", n), "failed"),
    (
        "nokia-flowone",
        CHANGED,
        lambda n: event("inProgress", n, phaseNote="step 3 has entered in fallout"),
        "inProgress",
    ),
    (
        "nokia-flowone",
        CHANGED,
        lambda n: {
            "eventId": f"e-{n}",
            "event": {
                "id": f"so-{n}",
                "state": "ServiceOrderStateType.INPROGRESS",
                "stateMessage": "order has entered in fallout",
            },
        },
        "inProgress",
    ),
    ("tmf-mock", CHANGED, lambda n: event("failed", n, orderItem=[]), "failed"),
]


@pytest.mark.parametrize(("who", "name", "made", "state"), ROWS)
async def test_a_stop_is_recognised_as_each_dialect_shows_it(
    world: House, who: str, name: str, made: Any, state: str
) -> None:
    number = next(NUMBERS)
    answer = await say(world, made(number), who, name)
    assert (answer.status, answer.json["state"]) == (201, state), answer.raw
    case = await case_of(world, answer)
    assert (case["source"], case["order_ref"], case["reason"]) == (who, f"so-{number}", "reported")
    if who == "nokia-flowone":
        assert "fallout" in case["raw_message"]


@pytest.mark.parametrize(
    ("who", "name", "made"),
    [
        ("standard", CHANGED, lambda n: event("inProgress", n)),
        ("standard", "serviceOrderAttributeValueChangeEvent", lambda n: event("held", n)),
        ("standard", "serviceOrderMilestoneEvent", lambda n: event("inProgress", n)),
        ("standard", "cancelServiceOrderStateChangeEvent", lambda n: {"eventId": f"e-{n}", "event": {"cancelServiceOrder": {"id": "c", "state": "done"}}}),
        ("osl", "serviceOrderCreateNotification", lambda n: event("INITIAL", n)),
        ("nokia-flowone", CHANGED, lambda n: event("held", n)),
        ("tmf-mock", CHANGED, lambda n: event("held", n)),
    ],
)  # fmt: skip
async def test_what_shows_no_stop_is_kept_and_no_case(world: House, who: str, name: str, made: Any) -> None:
    said = made(next(NUMBERS))
    answer = await say(world, said, who, name)
    assert answer.status == 201 and "case" not in answer.json, answer.raw
    assert len(await kept(world, json.dumps(said).encode())) == 1


async def test_told_twice_is_told_once(world: House) -> None:
    said = event("held", next(NUMBERS))
    first, again = await say(world, said), await say(world, said)
    assert (first.status, again.status, again.json["was"]) == (201, 200, "known")
    assert first.json["case"] == again.json["case"]
    other = said | {"correlationId": "another"}
    third = await say(world, other)
    assert (third.status, third.json["was"], third.json["case"]) == (200, "known", first.json["case"])
    view = await case_of(world, first)
    assert view["repeats"] == 0
    assert len(await kept(world, json.dumps(said).encode())) == 1
    await clean(world)


async def test_an_event_without_an_id_is_known_by_its_bytes(world: House) -> None:
    said = event("held", next(NUMBERS))
    del said["eventId"]
    first, again = await say(world, said), await say(world, said)
    assert (first.status, again.status) == (201, 200)
    assert first.json["event_id"] == digest(json.dumps(said).encode())


async def test_the_same_id_of_two_sources_is_two_events(world: House) -> None:
    said = event("failed", next(NUMBERS))
    answers = [await say(world, said, who) for who in ("standard", "tmf-mock")]
    assert [a.status for a in answers] == [201, 201]
    assert answers[0].json["case"] != answers[1].json["case"]


@pytest.mark.parametrize("spelling", ["timeOcurred", "timeOccurred"])
async def test_both_spellings_of_the_time_are_read(world: House, spelling: str) -> None:
    said = event("held", next(NUMBERS)) | {spelling: "2026-02-03T04:05:06Z"}
    del said["eventTime"]
    assert (await say(world, said)).status == 201


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"7", b"\xff\xfe", b"[" * 200_000, b'"x"'])
async def test_what_cannot_be_read_is_refused_and_kept(world: House, body: bytes) -> None:
    answer = await say(world, body)
    assert (answer.status, answer.headers["Content-Type"]) == (400, "application/json"), answer.raw
    assert (await world.kept(body))[-1]["channel"] == "tmf641-listener"


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"event": None},
        {"event": {"serviceOrder": []}},
        {"eventId": 7, "event": {"serviceOrder": {"id": {"a": 1}, "state": ["held"]}}},
        {"eventId": "a\x00b", "event": {"serviceOrder": {"id": "x\x00y", "state": "held"}}},
        {"eventId": "x" * 5000, "event": {"serviceOrder": {"id": "y" * 5000, "state": "held", "errorMessage": "text"}}},
        {"event": {"serviceOrder": {"id": "z", "state": "held", "errorMessage": [{"code": 1e400, "message": None}]}}},
        {"event": {"serviceOrder": {"id": "s", "state": "held", "relatedParty": 7, "errorMessage": [[]]}}},
        {"eventTime": "9999-12-31T23:59:59-23:59", "event": {"serviceOrder": {"id": "t", "state": "held"}}},
        {"event": {"serviceOrder": {"id": "\ud800", "state": "held"}}},
    ],
)
async def test_odd_events_are_taken_or_refused_and_never_break_anything(world: House, said: Any) -> None:
    answer = await say(world, said)
    assert answer.status in (200, 201, 400, 422), answer.raw


async def test_an_event_that_the_dialect_does_not_have_is_refused_and_kept(world: House) -> None:
    said = json.dumps(event("held", next(NUMBERS))).encode()
    for who, name in (("standard", "serviceOrderStateChangeNotification"), ("standard", "nonsense")):
        answer = await say(world, said, who, name)
        assert answer.status == 404 and name in answer.json["message"]
    assert len(await world.kept(said)) == 2


async def test_who_may_tell(world: House) -> None:
    said = event("held", next(NUMBERS))
    assert (await say(world, said, "support")).status == 403
    assert (await say(world, said, "integration")).status == 201, "a token of no source speaks under its own name"


async def test_a_dialect_that_the_pack_does_not_have_is_said(world: House) -> None:
    made = await world.call("PUT", "/api/v1/sources/odd", {"settings": {"dialect": "klingon"}}, who="admin")
    key = await world.call("POST", "/api/v1/sources/odd/keys", {"holder": "odd"}, who="admin")
    assert (made.status, key.status) == (201, 201), made.raw
    KEYS["odd"] = key.json["token"]
    said = json.dumps(event("held", next(NUMBERS))).encode()
    answer = await say(world, said, "odd")
    assert answer.status == 409 and "klingon" in answer.json["message"]
    assert "known-dialect" in (await world.kept(said))[0]["because"]
