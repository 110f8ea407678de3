"""Commands on a whole order over HTTP: what each makes of it, what it refuses and why, and that the audit stays clean."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from web_lab import ACCEPTED, CASES, LOST, Answer, House, fiber, item, opened, refused, reply

from unstuck.engine.dispatch import Dispatcher
from unstuck.order.lifecycle import OrderState
from unstuck.repair.outcome import Call, Outcome, Result
from unstuck.store.checking.audit import verify
from unstuck.store.server import EmbeddedServer

COMMANDS = ("suspend", "resume", "fail", "resolve-failure", "cancel", "abort")
ROUTER = item("1", "wifi-router", model="X")


async def do(house: House, order: Any, command: str, reason: str = "as agreed", **more: Any) -> Answer:
    """One command on the order as it is now."""
    at = f"/api/v1/orders/{order['id']}"
    version = more.pop("version", None) or (await house.get(at))["version"]
    body = more.pop("body", {"reason": reason})
    return await house.call("POST", f"{at}/{command}", body, **{"who": "engineer", "version": version, **more})


async def done(house: House, order: Any, command: str, reason: str = "as agreed") -> Any:
    answer = await do(house, order, command, reason)
    assert answer.status == 200, answer.raw
    assert answer.headers["ETag"] == f'"{answer.json["version"]}"'
    return answer.json


async def state(house: House, order: Any) -> str:
    return str((await house.get(f"/api/v1/orders/{order['id']}"))["state"])


def customer(order: Any) -> str:
    return str(order["relatedParty"][0]["id"])


async def clean(house: House) -> None:
    """The audit of everything that happened in this house finds nothing."""
    report = await verify(house.ports.store.pool, house.ports.blobs, verifier_keys=[])  # type: ignore[arg-type]
    assert report.findings == []


async def test_a_suspended_order_sends_nothing_until_it_is_resumed(house: House) -> None:
    order = await house.place(fiber())
    assert (await done(house, order, "suspend"))["state"] == "SUSPENDED"
    await house.work()
    assert house.targets.of(customer(order), "createAccount") == []
    assert (await done(house, order, "resume"))["state"] == "IN_PROGRESS"
    await house.work()
    assert await state(house, order) == "COMPLETED"
    await clean(house)


async def test_what_was_under_way_ends_and_its_successors_wait(house: House) -> None:
    order = await house.place(fiber())
    house.targets.will(customer(order), "bookAppointment", ACCEPTED)
    house.targets.will(customer(order), "createAccount", ACCEPTED)
    await house.work()
    await done(house, order, "suspend")
    for call in list(house.targets.calls):
        if call.key.startswith(order["id"]):
            await house.callback({"id": call.key, "key": call.key, "status": "done"}, system=call.target)
    await house.work()
    tasks = (await house.get(f"/api/v1/orders/{order['id']}"))["graph"]["tasks"]
    assert {t["key"]: t["state"] for t in tasks} == {
        "1.account": "COMPLETED",
        "1.subscription": "READY",
        "1.installation": "COMPLETED",
        "1.activate": "READY",
    }
    assert {t["due"] for t in tasks} == {None}
    await done(house, order, "resume")
    await house.work()
    assert await state(house, order) == "COMPLETED"
    await clean(house)


async def test_an_order_whose_last_answer_came_while_suspended_completes_when_resumed(house: House) -> None:
    order = await house.place(ROUTER)
    house.targets.will(customer(order), "reserve", ACCEPTED)
    await house.work()
    await done(house, order, "suspend")
    (call,) = house.targets.of(customer(order), "reserve")
    await house.callback({"id": call.key, "key": call.key, "status": "done"}, system=call.target)
    assert await state(house, order) == "SUSPENDED"
    assert (await done(house, order, "resume"))["state"] == "COMPLETED"
    await clean(house)


async def test_a_repair_of_a_suspended_order_waits_too(house: House) -> None:
    order = await house.place(fiber())
    house.targets.will(customer(order), "activateFiber", refused("ADDRESS_NOT_SERVICEABLE"))
    await house.work()
    case = await house.case_of(order["id"])
    await done(house, order, "suspend")
    at, version = f"{CASES}/{case['id']}", case["version"]
    for command, body in (
        ("assign", {"to": "me"}),
        ("start", {}),
        ("corrections", {"action": "retry", "reason_code": "cause_fixed", "reason": "as agreed"}),
    ):
        answer = await house.call("POST", f"{at}/{command}", body, who="engineer", version=version)
        version = answer.json["version"]
    correction = answer.json["correction"]["id"]
    applied = await house.call("POST", f"{at}/corrections/{correction}/apply", {}, who="engineer", version=version)
    assert applied.status == 200, applied.raw
    await house.work()
    assert len(house.targets.of(customer(order), "activateFiber")) == 1
    await done(house, order, "resume")
    await house.work()
    assert await state(house, order) == "COMPLETED"
    await clean(house)


async def test_a_failed_order_stops_and_has_a_case_and_comes_back_where_it_was(house: House) -> None:
    order = await house.place(fiber())
    failed = await done(house, order, "fail", "the customer disputes it")
    assert failed["state"] == "FAILED" and len(failed["open_cases"]) == 1
    await house.work()
    assert house.targets.of(customer(order), "createAccount") == []
    case = await house.case_of(order["id"])
    assert (case["code"], case["reason"], case["raw_message"]) == (
        "FAILED_BY_HAND", "failed_by_hand", "the customer disputes it",
    )  # fmt: skip
    assert case["number"] in failed["open_cases"]
    assert (await done(house, order, "resolve-failure", "he does not"))["state"] == "IN_PROGRESS"
    await house.work()
    assert await state(house, order) == "COMPLETED"
    await clean(house)


async def test_a_failure_returns_to_the_suspension_it_failed_from(house: House) -> None:
    order = await house.place(fiber())
    for command, to in (("suspend", "SUSPENDED"), ("fail", "FAILED"), ("resolve-failure", "SUSPENDED")):
        assert (await done(house, order, command))["state"] == to
    await house.work()
    assert house.targets.of(customer(order), "createAccount") == []
    await done(house, order, "resume")
    await house.work()
    assert await state(house, order) == "COMPLETED"
    await clean(house)


async def test_the_case_of_a_failure_ends_without_moving_the_order(house: House) -> None:
    order = await house.place(fiber())
    await done(house, order, "fail")
    await house.work()
    case = await house.case_of(order["id"])
    at = f"{CASES}/{case['id']}"
    body = {"type": "document", "source": "mail", "content": "all is well", "proves_resolution": True}
    proof = (await house.call("POST", f"{at}/evidence", body, version=case["version"])).json
    version = proof["version"]
    for command, given in (("assign", {"to": "me"}), ("start", {}), ("verify", {"evidence": []})):
        answer = await house.call("POST", f"{at}/{command}", given, version=version)
        assert answer.status == 200, answer.raw
        version = answer.json["version"]
    for decision, rule in (("cancel", "no-step"), ("none", "none-leaves-nobody")):
        ending = {"decision": decision, "evidence": [proof["evidence"]["id"]]}
        answer = await house.call("POST", f"{at}/resolve", ending, version=version)
        assert (answer.status >= 400, answer.rule) == (True, rule)
    await done(house, order, "resolve-failure")
    answer = await house.call("POST", f"{at}/resolve", ending, version=version)
    assert (answer.status, answer.json["state"]) == (200, "RESOLVED_NONE")
    await clean(house)


async def test_an_order_that_was_never_recognised_cannot_be_resolved(house: House) -> None:
    order = await house.place(item("1", "moon-landing"))
    answer = await do(house, order, "resolve-failure")
    assert (answer.status, answer.rule) == (409, "never-recognised")
    assert (await done(house, order, "cancel"))["state"] == "CANCELLED"
    await clean(house)


async def test_an_order_is_cancelled_only_while_nothing_was_sent(house: House) -> None:
    order = await house.place(fiber())
    cancelled = await done(house, order, "cancel")
    assert (cancelled["state"], cancelled["open_cases"]) == ("CANCELLED", [])
    await house.work()
    assert house.targets.of(customer(order), "createAccount") == []
    view = await house.get(f"/api/v1/orders/{order['id']}")
    assert {t["state"] for t in view["graph"]["tasks"]} == {"CANCELLED"} and view["finished_at"]
    sent = await house.place(fiber())
    house.targets.will(customer(sent), "activateFiber", refused("ADDRESS_NOT_SERVICEABLE"))
    await house.work()
    answer = await do(house, sent, "cancel")
    assert (answer.status, answer.rule) == (409, "undoing-waits-for-compensation")
    assert "abort" in answer.json["detail"]
    await clean(house)


async def test_an_abort_lists_what_is_to_be_cleaned_up(house: House) -> None:
    order = await house.place(fiber())
    who = customer(order)
    house.targets.will(who, "bookAppointment", LOST)
    house.targets.will(who, "createSubscription", ACCEPTED)
    await house.work()
    aborted = await done(house, order, "abort", "the customer is gone")
    assert aborted["state"] == "ABORTED"
    calls = {call.operation: call.key for call in house.targets.calls if call.key.startswith(order["id"])}
    assert {(c["task"], c["target"], c["key"], c["state"], c["outside"]) for c in aborted["clean_up"]} == {
        ("1.account", "billing", calls["createAccount"], "COMPLETED", "done"),
        ("1.subscription", "billing", calls["createSubscription"], "WAITING_CALLBACK", "may have been done"),
        ("1.installation", "field", calls["bookAppointment"], "UNKNOWN", "may have been done"),
    }
    view = await house.get(f"/api/v1/orders/{order['id']}")
    (event,) = [e for e in view["timeline"] if e["type"] == "unstuck.order.aborted"]
    assert len(event["data"]["clean_up"]) == 3 and event["data"]["reason"] == "the customer is gone"
    assert {t["state"] for t in view["graph"]["tasks"]} == {"COMPLETED", "CANCELLED"}
    late = {"id": "late", "key": calls["createSubscription"], "status": "done"}
    assert (await house.callback(late, system="billing")).json == {"was": "contradiction"}
    await clean(house)


async def test_an_answer_to_a_call_of_an_aborted_order_is_a_case(house: House) -> None:
    order = await house.place(ROUTER)
    arrived, go = asyncio.Event(), asyncio.Event()

    async def slowly(call: Call, may_send: Any) -> Outcome:
        arrived.set()
        await go.wait()
        return reply(Result.DONE, status=200, body=b"{}")

    dispatcher = Dispatcher(
        msgspec.structs.replace(house.ports, connectors=dict.fromkeys(house.ports.connectors, _Slow(slowly))),
        dict.fromkeys(house.ports.connectors, 32),
    )
    assert await dispatcher.cycle() == 1
    await arrived.wait()
    aborted = await done(house, order, "abort")
    assert [(c["state"], c["outside"]) for c in aborted["clean_up"]] == [("READY", "may have been done")]
    go.set()
    await asyncio.gather(*dispatcher._calls)
    await dispatcher.cycle()
    await house.work()
    case = await house.case_of(order["id"])
    assert (case["reason"], await state(house, order)) == ("contradiction", "ABORTED")
    await clean(house)


@pytest.fixture
async def own_house(cluster: EmbeddedServer, template: str, tmp_path: Path) -> AsyncIterator[House]:
    async with opened(cluster, template, tmp_path) as one:
        yield one


@pytest.mark.parametrize(("command", "status"), [("cancel", 409), ("suspend", 200), ("abort", 200)])
async def test_a_task_that_is_being_claimed_is_waited_for_and_counts_as_sent(
    own_house: House, command: str, status: int
) -> None:
    """A worker picks tasks without their order: a command that came in between would not know of the call."""
    house = own_house
    order = await house.place(ROUTER)
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    claim = "UPDATE task SET attempt = 1, due = NULL, lease = now() + interval '30 s', owner = 'w' WHERE order_id = $1"
    async with house.owner.transaction():
        await house.owner.execute("SELECT FROM task WHERE order_id = $1 FOR UPDATE", order["id"])
        asked = asyncio.create_task(do(house, order, command))
        while not await house.ports.store.pool.fetchval(waiting):
            await asyncio.sleep(0.002)
        await house.owner.execute(claim, order["id"])
    answer = await asked
    assert answer.status == status, answer.raw
    lease = await house.owner.fetchval("SELECT lease FROM task WHERE order_id = $1", order["id"])
    if command == "abort":
        assert [c["outside"] for c in answer.json["clean_up"]] == ["may have been done"]
    else:
        assert lease is not None, "the call is still under way, and its answer will count"


async def test_a_failed_order_can_be_ended(house: House) -> None:
    for command, to in (("cancel", "CANCELLED"), ("abort", "ABORTED")):
        order = await house.place(fiber())
        await done(house, order, "fail")
        assert (await done(house, order, command))["state"] == to
    await clean(house)


class _Slow:
    def __init__(self, send: Any) -> None:
        self.send = self.ask = send


async def test_every_refusal_of_the_table_is_a_conflict_that_says_so(house: House) -> None:
    order = await house.place(fiber())
    for command in ("resume", "resolve-failure"):
        answer = await do(house, order, command)
        assert (answer.status, answer.rule) == (409, "life-cycle")
    await done(house, order, "abort")
    for command in COMMANDS:
        answer = await do(house, order, command)
        assert (answer.status, answer.rule) == (409, "life-cycle"), command
    assert await state(house, order) == OrderState.ABORTED
    await clean(house)


async def test_a_command_needs_a_role_a_version_and_a_reason(house: House) -> None:
    order = await house.place(fiber())
    for who in ("support", "repair-agent", "integration", "auditor"):
        assert (await do(house, order, "suspend", who=who)).status == 403
    for who in ("fallout-manager", "operations-manager", "engineer"):
        assert (await do(house, order, "resume", who=who)).status == 409
    assert (await do(house, order, "suspend", version=99)).status == 412
    at = f"/api/v1/orders/{order['id']}/suspend"
    assert (await house.call("POST", at, {"reason": "x"}, who="engineer")).status == 428
    for reason in ("", "  ", "x" * 4001, "a\x00b"):
        answer = await do(house, order, "suspend", reason)
        assert (answer.status, answer.pointers) == (422, ["/reason"])
    assert (await do(house, order, "suspend", body={"reason": "x", "force": True})).status == 422
    assert (await do(house, {"id": "ORD-999999999"}, "suspend", version=1)).status == 404
    assert await state(house, order) == "IN_PROGRESS"


async def test_under_load_nothing_is_sent_for_an_order_that_is_not_in_progress(own_house: House) -> None:
    """Orders are halted and let go while two workers are busy with them; every send is looked at as it leaves."""
    house = own_house
    halted: dict[str, set[int]] = {}  # with the tasks whose calls were under way
    wrong: list[str] = []
    halts: list[str] = []
    real = house.targets.send

    async def watched(call: Call, may_send: Any) -> Outcome:
        if call.task not in halted.get(str(call.order_id), {call.task}):
            wrong.append(call.key)
        await asyncio.sleep(0.005)
        return await real(call, may_send)

    async def halt(order: Any, stop: str, go: str) -> None:
        while (await do(house, order, stop)).status == 200:
            halted[order["id"]] = await _under_way(house, order)
            halts.append(stop)
            await asyncio.sleep(0.05)
            del halted[order["id"]]
            assert (await do(house, order, go)).status == 200

    house.targets.send = watched
    placed = [await house.place(fiber(), item("2", "static-ip")) for _ in range(20)]
    dispatchers = [Dispatcher(house.ports, dict.fromkeys(house.ports.connectors, 2), idle_s=0.005) for _ in range(2)]
    running = [asyncio.create_task(d.run()) for d in dispatchers]
    ways = itertools.cycle((("suspend", "resume"), ("fail", "resolve-failure")))
    await asyncio.gather(*(halt(order, *next(ways)) for order in placed))
    while {await state(house, order) for order in placed} != {"COMPLETED"}:
        await asyncio.sleep(0.02)
    for dispatcher in dispatchers:
        dispatcher.stop()
    await asyncio.gather(*running)
    assert wrong == [] and len(halts) > 20, f"{len(halts)} halts"
    assert len({call.key for call in house.targets.calls}) == len(house.targets.calls) == 20 * 5
    await clean(house)


async def _under_way(house: House, order: Any) -> set[int]:
    """The tasks of an order that are being called."""
    query = "SELECT no FROM task WHERE order_id = $1 AND lease IS NOT NULL"
    return {row["no"] for row in await house.ports.store.pool.fetch(query, order["id"])}
