"""Commands on a case: which version was decided on, what its state allows, what policy allows, what was said."""

import asyncio
import json
from typing import Any

import pytest
from web_lab import CASES, Answer, House, fiber, item, refused

LATER = "018f0000-0000-7000-8000-000000000000"
PROOF = {"type": "document", "source": "mail", "content": "x", "proves_resolution": True}


async def a_case(house: House) -> Any:
    """A case in its queue: the network does not serve the address."""
    placed = await house.place(fiber())
    house.targets.will(placed["relatedParty"][0]["id"], "activateFiber", refused("ADDRESS_NOT_SERVICEABLE"))
    await house.work()
    return await house.case_of(placed["id"])


async def do(house: House, case: Any, command: str, body: Any = None, **more: Any) -> Answer:
    """One command on the case as it is now."""
    version = (await house.get(f"{CASES}/{case['id']}"))["version"]
    return await house.call("POST", f"{CASES}/{case['id']}/{command}", body or {}, **{"version": version, **more})


async def in_progress(house: House) -> Any:
    case = await a_case(house)
    for command, body in (("assign", {"to": "me"}), ("start", {})):
        assert (await do(house, case, command, body)).status == 200
    return await house.get(f"{CASES}/{case['id']}")


@pytest.fixture(scope="module")
async def queued(house: House) -> Any:
    """A case in its queue that every refusal leaves as it is."""
    return await a_case(house)


@pytest.fixture(scope="module")
async def working(house: House) -> Any:
    """One in progress that stays so."""
    return await in_progress(house)


@pytest.fixture(scope="module")
async def verifying(house: House) -> Any:
    """One being verified that stays so."""
    case = await in_progress(house)
    return {**case, **(await do(house, case, "verify", {"evidence": []})).json}


async def history(house: House, case: Any) -> list[str]:
    return [event["type"].rpartition(".")[2] for event in (await house.get(f"{CASES}/{case['id']}"))["timeline"]]


COMMANDS = [
    ("assign", {"to": "me"}), ("release", {"note": "n"}), ("start", {}), ("wait", {"on": "CUSTOMER", "note": "n"}),
    ("continue", {"note": "n"}), ("escalate", {"to": "boss", "reason": "r"}), ("notes", {"note": "n"}),
    ("reopen", {"reason": "r"}), ("close", {}), ("verify", {"evidence": []}), ("resolve", {"decision": "none", "evidence": []}),
    ("corrections", {"action": "retry", "reason_code": "cause_fixed", "reason": "r"}),
    (f"corrections/{LATER}/apply", {}), (f"corrections/{LATER}/reject", {"reason": "r"}), ("evidence", PROOF),
]  # fmt: skip


@pytest.mark.parametrize(("command", "body"), COMMANDS, ids=lambda value: value if isinstance(value, str) else "")
async def test_each_command_says_which_version_it_was_decided_on(
    house: House, queued: Any, command: str, body: Any
) -> None:
    case = queued
    at, version = f"{CASES}/{case['id']}/{command}", case["version"]
    silent = await house.call("POST", at, body)
    assert (silent.status, silent.rule) == (428, "if-match-missing")
    for given in (
        f'"{version - 1}"',
        f'"{version + 1}"',
        '"99999999"',
        "*",
        "x",
        "",
        '"',
        f"{version}",
        f'"{version}',
        '"-1"',
        '"1","2"',
        '"9999999999"',
    ):
        stale = await house.call("POST", at, body, headers={"If-Match": given})
        assert (stale.status, stale.rule) == (412, "if-match"), given
        assert stale.headers["ETag"] == f'"{version}"'
    assert (await house.call("GET", f"{CASES}/{case['id']}")).headers["ETag"] == f'"{version}"'
    after = await house.get(f"{CASES}/{case['id']}")
    assert {**after, "timeline": 0} == {**case, "timeline": 0} and len(after["timeline"]) == len(case["timeline"])


@pytest.mark.parametrize(("command", "body"), COMMANDS, ids=lambda value: value if isinstance(value, str) else "")
async def test_on_a_case_nobody_knows_a_command_is_not_found(house: House, command: str, body: Any) -> None:
    for name in (LATER, "FC-99999"):
        answer = await house.call("POST", f"{CASES}/{name}/{command}", body, version=1)
        assert (answer.status, answer.rule) == (404, "not-found")


@pytest.mark.parametrize(("command", "body"), COMMANDS, ids=lambda value: value if isinstance(value, str) else "")
@pytest.mark.parametrize(
    "data", [b"{", b"\xff", b"{'a':1}", b'{"a":NaN}', b"[" * 10_000], ids=lambda data: repr(data[:20])
)
async def test_a_body_that_is_no_json_is_unparsable(house: House, command: str, body: Any, data: bytes) -> None:
    answer = await house.call("POST", f"{CASES}/{LATER}/{command}", data=data, version=1)
    assert (answer.status, answer.rule) == (400, "not-json")


WRONG = [
    ("assign", {}, "/to"), ("assign", {"to": 7}, "/to"), ("assign", {"to": ""}, "/to"), ("assign", {"to": "a\x00b"}, "/to"),
    ("assign", {"to": "x" * 4001}, "/to"), ("assign", {"to": "me", "now": True}, "/now"), ("assign", [], ""), ("assign", "me", ""),
    ("release", {"note": " "}, "/note"), ("start", {"x": 1}, "/x"), ("wait", {"on": "GODOT", "note": "n"}, "/on"),
    ("wait", {"on": "CUSTOMER", "note": "\x1b[31m"}, "/note"), ("continue", {"note": None}, "/note"),
    ("escalate", {"to": "boss"}, "/reason"), ("escalate", {"to": "", "reason": "r"}, "/to"), ("reopen", {"reason": ""}, "/reason"),
    ("verify", {"evidence": ["x"]}, "/evidence/0"), ("verify", {"evidence": [LATER, LATER]}, "/evidence/0"), ("verify", {}, "/evidence"),
    ("resolve", {"decision": "perhaps", "evidence": []}, "/decision"), ("resolve", {"decision": "resume", "evidence": []}, "/mode"),
    ("resolve", {"decision": "resume", "mode": "AGAIN", "evidence": []}, "/mode"),
    ("resolve", {"decision": "cancel", "evidence": [LATER]}, "/evidence/0"), ("resolve", {"decision": "none"}, "/evidence"),
]  # fmt: skip


@pytest.mark.parametrize(("command", "body", "pointer"), WRONG, ids=lambda value: json.dumps(value)[:40])
async def test_wrong_input_is_pointed_at(
    house: House, working: Any, verifying: Any, command: str, body: Any, pointer: str
) -> None:
    case = verifying if command == "resolve" else working
    version = case["version"]
    answer = await house.call(
        "POST", f"{CASES}/{case['id']}/{command}", data=json.dumps(body).encode(), version=version
    )
    assert (answer.status, answer.rule) == (422, "valid-input"), answer.raw
    assert answer.pointers[0] == pointer


async def test_a_command_that_is_none_is_not_found(house: House) -> None:
    case = await a_case(house)
    for command in ("patch", "ASSIGN", "assign%00"):
        answer = await do(house, case, command)
        assert (answer.status, answer.rule) == (404, "not-found")


async def test_the_way_of_a_case_step_by_step(house: House) -> None:
    case = await a_case(house)
    steps = [
        ("assign", {"to": "ana"}, "ASSIGNED"), ("assign", {"to": "me"}, "ASSIGNED"), ("release", {"note": "lunch"}, "QUEUED"),
        ("assign", {"to": "me"}, "ASSIGNED"), ("start", {}, "IN_PROGRESS"), ("notes", {"note": "two\nlines"}, "IN_PROGRESS"),
        ("wait", {"on": "customer", "note": "asked"}, "WAITING_CUSTOMER"), ("continue", {"note": "called"}, "IN_PROGRESS"),
        ("escalate", {"to": "boss", "reason": "late"}, "IN_PROGRESS"), ("verify", {"evidence": []}, "VERIFYING"),
    ]  # fmt: skip
    version = case["version"]
    for command, body, state in steps:
        answer = await do(house, case, command, body)
        assert (answer.status, answer.json["state"]) == (200, state), answer.raw
        assert answer.headers["ETag"] == f'"{answer.json["version"]}"'
        assert answer.json["version"] >= version
        version = answer.json["version"]
    view = await house.get(f"{CASES}/{case['id']}")
    assert (view["owner"], view["number"]) == ("the repair-agent", case["number"])
    assert {event["by"] for event in view["timeline"][3:]} == {"the repair-agent"}


NOT_NOW = [("start", {}), ("release", {"note": "n"}), ("wait", {"on": "FIELD", "note": "n"}), ("continue", {"note": "n"}),
           ("verify", {"evidence": []}), ("resolve", {"decision": "none", "evidence": []}), ("reopen", {"reason": "r"}), ("close", {}),
           ("corrections", {"action": "correct_data", "reason_code": "typing_error", "reason": "r", "input": {"fields": {"address": "x"}}})]  # fmt: skip


@pytest.mark.parametrize(("command", "body"), NOT_NOW, ids=lambda value: value if isinstance(value, str) else "")
async def test_what_the_state_does_not_allow_is_a_conflict(house: House, queued: Any, command: str, body: Any) -> None:
    answer = await do(house, queued, command, body)
    assert (answer.status, answer.rule) == (409, ("start-first" if command == "corrections" else "life-cycle")), (
        answer.raw
    )
    assert "not assigned to anybody" in answer.json["detail"]


async def closed(house: House) -> Any:
    """A case resolved by cancelling its item, and closed."""
    case = await in_progress(house)
    await do(house, case, "verify", {"evidence": []})
    kept = await do(house, case, "evidence", PROOF)
    proof = kept.json["evidence"]["id"]
    assert (await do(house, case, "resolve", {"decision": "cancel", "evidence": [proof]})).status == 200
    assert (await do(house, case, "close")).json["state"] == "CLOSED"
    return case


async def test_a_closed_case_takes_nothing_more_but_to_be_reopened(house: House) -> None:
    case = await closed(house)
    before = await house.get(f"{CASES}/{case['id']}")
    assert [a["action"] for a in before["allowed_actions"]] == ["reopen"]
    for command, body in COMMANDS:
        if command not in ("reopen", f"corrections/{LATER}/apply", f"corrections/{LATER}/reject"):
            answer = await do(house, case, command, body)
            assert answer.status == (403 if command == "corrections" else 409), (command, answer.raw)
    evidence = {"type": "document", "source": "mail", "content": "late"}
    assert (await do(house, case, "evidence", evidence)).status == 409
    after = await house.get(f"{CASES}/{case['id']}")
    assert (after["version"], after["timeline"], after["evidence"]) == (
        before["version"],
        before["timeline"],
        before["evidence"],
    )
    reopened = await do(house, case, "reopen", {"reason": "it was not fixed"})
    assert (reopened.status, reopened.json["state"]) == (200, "QUEUED")


@pytest.mark.parametrize(
    ("command", "bodies"),
    [
        ("assign", [{"to": f"agent {n}"} for n in range(16)]),
        ("corrections", [{"action": "retry", "reason_code": "cause_fixed", "reason": f"racer {n}"} for n in range(16)]),
    ],
)
async def test_of_sixteen_on_the_same_version_one_wins(house: House, command: str, bodies: list[Any]) -> None:
    case = await in_progress(house)
    before = len(case["timeline"])
    at, version = f"{CASES}/{case['id']}/{command}", case["version"]
    answers = await asyncio.gather(*(house.call("POST", at, body, version=version) for body in bodies))
    won = [a for a in answers if a.status in (200, 201)]
    assert len(won) == 1 and {a.status for a in answers if a not in won} == {412}
    assert {a.headers["ETag"] for a in answers} == {f'"{won[0].json["version"]}"'}
    assert len(await history(house, case)) == before + 1


async def test_two_agents_cannot_take_the_same_case(house: House) -> None:
    case = await a_case(house)
    at, version = f"{CASES}/{case['id']}/assign", case["version"]
    answers = await asyncio.gather(
        *(house.call("POST", at, {"to": "me"}, version=version, who=who) for who in ("repair-agent", "engineer"))
    )
    assert sorted(answer.status for answer in answers) == [200, 412]
    assert await history(house, case) == ["detected", "classified", "queued", "assigned"]


async def test_notes_do_not_get_in_each_others_way(house: House) -> None:
    case = await in_progress(house)
    at, version = f"{CASES}/{case['id']}/notes", case["version"]
    answers = await asyncio.gather(*(house.call("POST", at, {"note": f"note {n}"}, version=version) for n in range(16)))
    assert {(answer.status, answer.json["version"]) for answer in answers} == {(200, version)}
    assert (await history(house, case)).count("noted") == 16


async def test_of_sixteen_that_apply_the_same_correction_one_sends(house: House) -> None:
    case = await in_progress(house)
    body = {"action": "retry", "reason_code": "cause_fixed", "reason": "the network was extended"}
    proposed = (await do(house, case, "corrections", body)).json
    at = f"{CASES}/{case['id']}/corrections/{proposed['correction']['id']}/apply"
    answers = await asyncio.gather(*(house.call("POST", at, {}, version=proposed["version"]) for _ in range(16)))
    assert sorted(a.status for a in answers) == [200] + [412] * 15
    await house.work()
    customer = (await house.get(f"/api/v1/orders/{case['order_id']}"))["customer"]
    assert len(house.targets.of(customer, "activateFiber")) == 2


async def test_an_order_that_cannot_be_planned_has_no_step_to_repair(house: House) -> None:
    placed = await house.place(item("1", "moon-landing"))
    await house.work()
    case = await house.case_of(placed["id"])
    for command, body in (("assign", {"to": "me"}), ("start", {})):
        await do(house, case, command, body)
    body = {"action": "retry", "reason_code": "cause_fixed", "reason": "r"}
    answer = await do(house, case, "corrections", body)
    assert (answer.status, answer.rule) == (403, "no-step")
    kept = await do(house, case, "evidence", PROOF)
    await do(house, case, "verify", {"evidence": []})
    for decision in ({"decision": "resume", "mode": "RETRY_FAILED_STEP"}, {"decision": "compensate"}):
        answer = await do(house, case, "resolve", {**decision, "evidence": [kept.json["evidence"]["id"]]})
        assert (answer.status, answer.rule) == (403, "no-step")
