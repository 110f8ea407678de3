"""A command sent again under its key: one effect, one answer; and what a key is not good for."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from desk_lab import BAD_ADDRESS, Desk
from web_lab import ABSENT, CASES, LOST, Answer, House, fiber

from unstuck.repair.outcome import Call, Outcome
from unstuck.service.once import forget_old

MAIL = {"type": "document", "source": "mail", "content": "x", "proves_resolution": True}
RETRY = {"action": "retry", "reason_code": "cause_fixed", "reason": "r"}
LIFE = [
    ("assign", {"to": "me"}), ("release", {"note": "n"}), ("start", {}), ("wait", {"on": "customer", "note": "n"}),
    ("continue", {"note": "n"}), ("escalate", {"to": "boss", "reason": "r"}), ("notes", {"note": "n"}),
]  # fmt: skip
WAY = [*LIFE[:2], LIFE[0], *LIFE[2:], ("evidence", MAIL), ("corrections", RETRY)]


async def a_case(house: House) -> Desk:
    """A case that nobody has taken yet."""
    order = await house.place(fiber())
    desk = Desk(house, order, order["relatedParty"][0]["id"])
    house.targets.will(desk.customer, "activateFiber", BAD_ADDRESS)
    await house.work()
    desk.at = f"{CASES}/{(await house.case_of(order['id']))['id']}"
    return desk


def same(one: Answer, other: Answer) -> bool:
    """The same answer: status, body, ETag."""
    return (one.status, one.raw, one.headers.get("ETag")) == (other.status, other.raw, other.headers.get("ETag"))


async def twice(desk: Desk, command: str, body: Any, key: str) -> Answer:
    """One command, sent twice as it was: one answer, and the case as the first left it."""
    version = (await desk.view())["version"]
    sent = {"version": version, "headers": {"Idempotency-Key": key}}
    first = await desk.do(command, body, **sent)
    after = await desk.view()
    assert first.status in (200, 201), first.raw
    assert same(await desk.do(command, body, **sent), first)
    assert await desk.view() == after
    return first


async def test_every_command_sent_twice_is_carried_out_once(house: House) -> None:
    desk = await a_case(house)
    for step, (command, body) in enumerate(WAY):
        await twice(desk, command, body, f"way-{step}")
    correction = (await desk.view())["corrections"][0]["id"]
    await twice(desk, f"corrections/{correction}/reject", {"reason": "no"}, "way-reject")
    fixed = {
        "action": "correct_data",
        "reason_code": "typing_error",
        "reason": "r",
        "input": {"fields": {"address": "Jl. 2"}},
    }
    proposed = await twice(desk, "corrections", fixed, "way-propose")
    applied = await twice(desk, f"corrections/{proposed.json['correction']['id']}/apply", {}, "way-apply")
    assert applied.json["correction"]["result"] == "corrected"
    proof = [e["id"] for e in (await desk.view())["evidence"] if e["proves_resolution"]]
    resolution = {"decision": "resume", "mode": "RETRY_FAILED_STEP", "evidence": proof}
    resolved = await twice(desk, "resolve", resolution, "way-resolve")
    assert resolved.json["resume_token"]["mode"] == "RETRY_FAILED_STEP"
    await twice(desk, "reopen", {"reason": "r"}, "way-reopen")


async def test_to_verify_and_to_close_as_well(house: House) -> None:
    desk = await Desk.stopped(house, "activateFiber", BAD_ADDRESS)
    proof = await desk.proof()
    await twice(desk, "verify", {"evidence": [proof]}, "verify")
    assert (await desk.resolve("cancel", evidence=[proof])).status == 200
    await twice(desk, "close", {}, "close")


async def test_a_key_stands_for_one_command(house: House) -> None:
    desk, other = await a_case(house), await a_case(house)
    key = {"Idempotency-Key": "one-command"}
    version = (await desk.view())["version"]
    assert (await desk.do("assign", {"to": "ana"}, version=version, headers=key)).status == 200
    for one, command, body, given in (
        (desk, "assign", {"to": "budi"}, version),
        (desk, "assign", {"to": "ana"}, version + 1),
        (desk, "notes", {"note": "ana"}, version),
        (other, "assign", {"to": "ana"}, version),
    ):
        refused = await one.do(command, body, version=given, headers=key)
        assert (refused.status, refused.rule) == (422, "one-key-one-command"), refused.raw
    assert (await desk.view())["owner"] == "ana"


async def test_a_key_is_its_senders_own(house: House) -> None:
    one, other = await a_case(house), await a_case(house)
    key = {"Idempotency-Key": "everybody-takes-this-one"}
    assert (await one.do("assign", {"to": "me"}, who="engineer", headers=key)).status == 200
    answer = await other.do("assign", {"to": "me"}, who="repair-agent", headers=key)
    assert (answer.status, (await other.view())["owner"]) == (200, "the repair-agent")


async def test_who_may_not_command_is_not_answered_from_memory(house: House) -> None:
    desk = await a_case(house)
    sent = {"version": (await desk.view())["version"], "headers": {"Idempotency-Key": "mine"}}
    assert (await desk.do("assign", {"to": "me"}, **sent)).status == 200
    await house.owner.execute("UPDATE api_token SET roles = '{support}' WHERE name = 'the engineer'")
    assert (await desk.do("assign", {"to": "me"}, **sent)).status == 403
    await house.owner.execute("UPDATE api_token SET roles = '{engineer}' WHERE name = 'the engineer'")


async def test_a_refusal_is_not_remembered(house: House) -> None:
    desk = await a_case(house)
    key = {"Idempotency-Key": "again-please"}
    for status, command, body, version in (
        (409, "start", {}, None), (412, "assign", {"to": "me"}, 1), (422, "assign", {"to": ""}, None), (400, "assign", "{", None),
    ):  # fmt: skip
        given = version or (await desk.view())["version"]
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        answer = await house.call("POST", f"{desk.at}/{command}", data=data, version=given, who="engineer", headers=key)
        assert answer.status == status, answer.raw
    assert (await desk.do("assign", {"to": "me"}, headers=key)).status == 200


async def test_of_sixteen_with_one_key_one_is_carried_out_and_nobody_hears_otherwise(house: House) -> None:
    desk = await a_case(house)
    sent = {"version": (await desk.view())["version"], "headers": {"Idempotency-Key": "sixteen"}}
    answers = await asyncio.gather(*(desk.do("assign", {"to": "me"}, **sent) for _ in range(16)))
    done = [a for a in answers if a.status == 200]
    assert done and all(same(a, done[0]) for a in done)
    assert {(a.status, a.rule, a.headers["Retry-After"]) for a in answers if a not in done} <= {(409, "in-flight", "1")}
    assert [e["type"] for e in (await desk.view())["timeline"]].count("unstuck.fallout-case.assigned") == 1


@asynccontextmanager
async def held(house: House, desk: Desk) -> AsyncIterator[None]:
    """Somebody else holds the order, so that a command on its case waits."""
    async with house.owner.transaction():
        await house.owner.execute("SELECT 1 FROM orders WHERE id = $1 FOR UPDATE", desk.order["id"])
        yield


async def waits(house: House) -> None:
    """Until a command waits for a lock."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    async with asyncio.timeout(10):
        while not await house.ports.store.pool.fetchval(query):
            await asyncio.sleep(0.01)


async def test_while_it_is_being_carried_out_the_second_is_told_so(house: House) -> None:
    desk = await a_case(house)
    sent = {"version": (await desk.view())["version"], "headers": {"Idempotency-Key": "slow"}}
    async with held(house, desk):
        first = asyncio.create_task(desk.do("assign", {"to": "me"}, **sent))
        await waits(house)
        second = await asyncio.wait_for(desk.do("assign", {"to": "me"}, **sent), 10)
        assert (second.status, second.rule) == (409, "in-flight")
    assert (await first).status == 200
    assert same(await desk.do("assign", {"to": "me"}, **sent), await first)


class Slow:
    """Targets that answer a question only when they are let."""

    def __init__(self, house: House) -> None:
        self._targets = house.targets
        self.questions: list[asyncio.Event] = []

    async def send(self, call: Call, may_send: Any) -> Outcome:
        return await self._targets.send(call, may_send)

    async def ask(self, call: Call) -> Outcome:
        self.questions.append(asyncio.Event())
        await self.questions[-1].wait()
        return await self._targets.ask(call)

    async def asked(self, times: int) -> None:
        """Until that many questions wait for an answer, or have got one."""
        async with asyncio.timeout(10):
            while len(self.questions) < times:
                await asyncio.sleep(0.01)


@asynccontextmanager
async def slow_targets(house: House) -> AsyncIterator[Slow]:
    slow, quick = Slow(house), dict(house.ports.connectors)
    house.ports.connectors.update(dict.fromkeys(quick, slow))  # type: ignore[attr-defined]
    yield slow
    house.ports.connectors.update(quick)  # type: ignore[attr-defined]


async def a_question(house: House) -> tuple[Desk, str, dict[str, Any]]:
    """A desk with a read-back proposed, the path that applies it, and how it is sent."""
    desk = await Desk.stopped(house, "activateFiber", LOST)
    house.targets.will(desk.customer, "activateFiber", ABSENT, ABSENT)
    proposed = (await desk.propose("read_back")).json
    path = f"corrections/{proposed['correction']['id']}/apply"
    return desk, path, {"version": proposed["version"], "headers": {"Idempotency-Key": f"ask-{path}"}}


async def test_between_the_two_transactions_of_a_question_the_key_is_taken(house: House) -> None:
    desk, path, sent = await a_question(house)
    async with slow_targets(house) as slow:
        first = asyncio.create_task(desk.do(path, {}, **sent))
        await slow.asked(1)
        second = await asyncio.wait_for(desk.do(path, {}, **sent), 10)
        assert (second.status, second.rule) == (409, "in-flight")
        slow.questions[0].set()
        assert (await first).status == 200
    assert same(await desk.do(path, {}, **sent), await first)
    assert len(slow.questions) == 1


async def test_a_question_that_is_refused_in_the_end_frees_its_key(house: House) -> None:
    desk, path, sent = await a_question(house)
    async with slow_targets(house) as slow:
        first = asyncio.create_task(desk.do(path, {}, **sent))
        await slow.asked(1)
        other = asyncio.create_task(desk.do(path, {}, version=sent["version"]))
        await slow.asked(2)
        slow.questions[1].set()
        assert (await other).status == 200
        slow.questions[0].set()
        assert ((await first).status, (await first).rule) == (409, "current-correction")
    again = await desk.do(path, {}, **sent)
    assert (again.status, again.rule) == (412, "if-match")  # looked at anew, and not in flight


async def test_a_question_whose_process_died_can_be_asked_again(house: House) -> None:
    desk, path, sent = await a_question(house)
    async with slow_targets(house) as slow:
        first = asyncio.create_task(desk.do(path, {}, **sent))
        await slow.asked(1)  # and never answered: its row says that the command is under way
        await house.owner.execute(
            "UPDATE idempotency SET at = at - interval '3 minutes' WHERE key = $1", *sent["headers"].values()
        )
        again = asyncio.create_task(desk.do(path, {}, **sent))
        await slow.asked(2)
        slow.questions[1].set()
        assert ((await again).status, (await again).json["state"]) == (200, "VERIFYING"), (await again).raw
        slow.questions[0].set()
        assert (await first).status == 409
    assert same(await desk.do(path, {}, **sent), await again)


@pytest.mark.parametrize(
    "fails",
    ["TRIGGER fails BEFORE INSERT ON idempotency", "CONSTRAINT TRIGGER fails AFTER INSERT ON event INITIALLY DEFERRED"],
    ids=["the answer", "the deed"],
)
async def test_the_answer_and_the_deed_are_one_transaction(house: House, fails: str) -> None:
    """The answer cannot be written; or it can, and the transaction fails at its very end."""
    desk = await a_case(house)
    before = await desk.view()
    await house.owner.execute(
        "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;"
        f"CREATE {fails} FOR EACH ROW EXECUTE FUNCTION full_disk()"
    )
    sent = {"version": before["version"], "headers": {"Idempotency-Key": f"all-or-nothing-{len(fails)}"}}
    assert (await desk.do("assign", {"to": "me"}, **sent)).status == 500
    assert await desk.view() == before
    await house.owner.execute("DROP FUNCTION full_disk CASCADE")
    assert (await desk.do("assign", {"to": "me"}, **sent)).status == 200
    assert (await desk.view())["state"] == "ASSIGNED"


@pytest.mark.parametrize("key", ["", " ", "two words", "x" * 201, "ümlaut", "a\tb"])
async def test_a_key_that_is_none_is_told(house: House, key: str) -> None:
    desk = await a_case(house)
    answer = await desk.do("assign", {"to": "me"}, headers={"Idempotency-Key": key})
    assert (answer.status, answer.pointers) == (422, ["/Idempotency-Key"])
    assert (await desk.view())["owner"] == ""


async def test_after_a_day_a_key_is_new_again(house: House) -> None:
    desk = await a_case(house)
    sent = {"version": (await desk.view())["version"], "headers": {"Idempotency-Key": "a-day"}}
    assert (await desk.do("assign", {"to": "me"}, **sent)).status == 200
    kept = await house.owner.fetchval("SELECT count(*) FROM idempotency")
    assert await forget_old(house.ports, 1000) == 0
    house.clock.jump(timedelta(hours=24, seconds=1).total_seconds())
    assert (await desk.do("assign", {"to": "me"}, **sent)).status == 412
    assert await forget_old(house.ports, 3) == 3
    assert await forget_old(house.ports, 1000) == kept - 3
    assert await house.owner.fetchval("SELECT count(*) FROM idempotency") == 0
