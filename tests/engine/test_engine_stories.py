"""An order through the engine: it runs, stops, becomes a case, goes on. Each story names the rule it shows."""

import asyncio

from unstuck.repair.outcome import Result
from unstuck.store.seal import Signer, seal

from .conftest import Rig

FIBER = ("fiber-internet", "static-ip", "wifi-router")


async def test_an_order_whose_targets_all_answer_completes_without_a_case(rig: Rig) -> None:
    order = await rig.order(*FIBER)
    await rig.run()
    assert await rig.state(order) == "COMPLETED"
    assert await rig.cases(order) == []
    assert len(rig.target.sent) == 6
    assert set(rig.target.effects.values()) == {1}


async def test_a_refusal_blocks_its_item_and_leaves_the_others_running(rig: Rig) -> None:
    rig.target.will("reserve", Result.REFUSED)
    rig.target.code = "SKU_OUT_OF_STOCK"
    order = await rig.order(*FIBER)
    await rig.run()
    (case,) = await rig.cases(order)
    assert (case["code"], case["queue"], case["state"]) == ("SKU_OUT_OF_STOCK", "SUPPLY_CHAIN", "QUEUED")
    assert await rig.state(order) == "IN_PROGRESS"
    row = await rig.pool.fetchrow("SELECT item_states FROM orders WHERE id = $1", order)
    assert row["item_states"] == ["COMPLETED", "COMPLETED", "BLOCKED"]


async def test_the_case_exists_in_the_transaction_that_fails_the_task(rig: Rig) -> None:
    rig.target.will("reserve", Result.REFUSED)
    order = await rig.order("wifi-router")
    await rig.run()
    (case,) = await rig.cases(order)
    xids = await rig.pool.fetch(
        "SELECT DISTINCT xid::text FROM event WHERE (stream = $1 AND type = 'fallout-case.detected')"
        " OR (stream = $2 AND type = 'order.advanced')",
        case["id"], order,
    )  # fmt: skip
    assert len(xids) == 1


async def test_busy_is_retried_with_the_same_key_until_it_goes_through(rig: Rig) -> None:
    rig.target.will("reserve", Result.BUSY, Result.BUSY)
    rig.target.code = "BUSY"
    order = await rig.order("wifi-router")
    for _ in range(3):
        await rig.run()
        rig.clock.pass_by(60)
    keys = {key for operation, key in rig.target.sent if operation == "reserve"}
    assert (len(rig.target.sent), len(keys)) == (3, 1)
    assert await rig.state(order) == "COMPLETED"


async def test_what_a_machine_may_not_settle_becomes_a_case_at_once(rig: Rig) -> None:
    rig.target.will("bookAppointment", Result.UNKNOWN)
    order = await rig.order("fiber-internet")
    await rig.run()
    rig.clock.pass_by(3600)
    await rig.run()
    (case,) = await rig.cases(order)
    assert case["recoverability"] == "unknown_outcome"
    assert [operation for operation, _ in rig.target.sent].count("bookAppointment") == 1


async def test_an_unknown_outcome_of_an_askable_target_is_settled_by_asking(rig: Rig) -> None:
    rig.target.will("reserve", Result.UNKNOWN)
    order = await rig.order("wifi-router")
    await rig.run()
    assert await rig.state(order) == "IN_PROGRESS"
    rig.clock.pass_by(60)
    await rig.run()
    assert await rig.state(order) == "COMPLETED"
    assert (len(rig.target.sent), await rig.cases(order)) == (1, [])


async def test_absent_counts_only_when_nothing_of_ours_can_still_land(rig: Rig) -> None:
    rig.target.will("reserve", Result.UNKNOWN)
    order = await rig.order("wifi-router")
    await rig.run()
    rig.target.effects.clear()  # the request is still on its way
    rig.clock.pass_by(3)
    await rig.run()
    assert len(rig.target.sent) == 1
    rig.clock.pass_by(30)
    await rig.run()
    rig.clock.pass_by(30)
    await rig.run()
    assert (await rig.state(order), len(rig.target.sent)) == ("COMPLETED", 2)


async def test_a_request_that_lands_after_absent_is_found_and_becomes_a_critical_case(rig: Rig) -> None:
    rig.target.will("reserve", Result.UNKNOWN)
    order = await rig.order("wifi-router")
    await rig.run()
    rig.target.effects.clear()
    for _ in range(2):
        rig.clock.pass_by(60)
        await rig.run()
    assert await rig.state(order) == "COMPLETED"
    rig.target.effects = dict.fromkeys(rig.target.effects, 2)  # the lost first request lands after all
    rig.clock.pass_by(200)
    await rig.run()
    (case,) = await rig.cases(order)
    assert case["code"] == "DUPLICATE_SIDE_EFFECT"


async def test_a_lease_that_expires_means_unknown_and_not_run_again(rig: Rig) -> None:
    order = await rig.order("wifi-router")
    gone = rig.dispatcher("dead")
    await gone.cycle()  # the intent is committed, and the worker dies before it hears anything
    for call in list(gone._calls):
        call.cancel()
    rig.clock.pass_by(31)
    await rig.run()
    assert (await rig.task(order, 0))["state"] == "UNKNOWN"
    for _ in range(3):
        rig.clock.pass_by(60)
        await rig.run()
    assert await rig.state(order) == "COMPLETED"
    assert set(rig.target.effects.values()) == {1}


async def test_every_attempt_is_on_record_with_what_came_back(rig: Rig) -> None:
    rig.target.body = b'{"reference": "\x00\xed\xa0\x80"}'
    order = await rig.order("wifi-router")
    await rig.run()
    row = await rig.pool.fetchrow(
        "SELECT a.kind, o.body, c.key FROM attempt a JOIN outcome o USING (order_id, task, attempt, day)"
        " JOIN command c USING (order_id, task, identity) WHERE a.order_id = $1",
        order,
    )
    assert (row["kind"], row["body"], row["key"]) == ("send", rig.target.body, f"{order}.1.reserve.p0.c0")


async def test_an_order_nobody_can_plan_is_kept_failed_with_a_case(rig: Rig) -> None:
    order = await rig.order("moon-base")
    await rig.run()
    (case,) = await rig.cases(order)
    assert (await rig.state(order), case["code"], case["step"]) == ("FAILED", "UNKNOWN_OFFER", "decomposition")


async def test_all_that_is_committed_is_sealed_once(rig: Rig) -> None:
    await rig.order(*FIBER)
    await rig.run()
    signer = Signer("test", bytes(32))
    assert await seal(rig.pool, signer, rig.clock(), None) > 0
    assert await seal(rig.pool, signer, rig.clock(), None) == 0
    counts = await rig.pool.fetchrow("SELECT (SELECT count(*) FROM event) AS e, (SELECT count(*) FROM leaf) AS l")
    assert counts["e"] == counts["l"]


async def test_a_late_reply_of_a_call_that_was_given_up_settles_the_unknown(rig: Rig) -> None:
    order = await rig.order("fiber-internet")
    slow = rig.dispatcher("zombie")
    await slow.cycle()
    rig.clock.pass_by(31)
    await rig.run()  # the leases are over: the appointment, which nobody can ask about, is a case
    assert [case["state"] for case in await rig.cases(order)] == ["QUEUED"]
    while slow._calls:
        await asyncio.sleep(0)
    await slow.cycle()  # the stopped worker goes on, with replies in its hands
    await rig.run()
    rig.clock.pass_by(60)
    await rig.run()
    (case,) = await rig.cases(order)
    assert (case["state"], case["resolution"]) == ("RESOLVED_NONE", "settled_outside")
    assert await rig.state(order) == "COMPLETED"
