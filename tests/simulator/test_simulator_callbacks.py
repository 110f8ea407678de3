"""Callback mode: the honest callback, F5-F8, and delivery to a receiver that does not listen."""

import asyncio

from downstream_lab import DROPPED, eventually


async def heard(lab, n):
    return await eventually(lambda: len(lab.receiver.heard) >= n and lab.receiver.heard)


async def nothing_more(lab, n):
    await asyncio.sleep(0.1)
    assert len(lab.receiver.heard) == n


async def test_the_work_is_accepted_then_reported_done_with_a_valid_signature(lab):
    await lab.start(mode="callback")
    assert await lab.call("k1") == (202, {"reference": "SYS-1", "status": "accepted"})
    assert await lab.count() == 1
    ((system, valid, told),) = await heard(lab, 1)
    assert (system, valid) == ("sys", True)
    assert told.pop("id") and told.pop("at").endswith("Z")
    assert told == {
        "key": "k1",
        "operation": "activate",
        "status": "done",
        "reference": "SYS-1",
        "code": None,
        "message": None,
    }
    await eventually(lambda: lab.attempts() == [(1, 204, "delivered")])
    assert await lab.faults() == []


async def test_a_repeat_to_kind_a_is_not_called_back_twice(lab):
    await lab.start({"fault": "F6"}, mode="callback")
    await lab.call("k1")
    await lab.call("k1")
    await heard(lab, 3)
    await nothing_more(lab, 3)
    assert await lab.faults() == ["F6"]


async def test_a_repeat_that_sends_no_callback_suffers_the_next_rule_instead(lab):
    await lab.start({"fault": "F5"}, {"fault": "F3"}, mode="callback")
    assert [(await lab.call("k1"))[0], (await lab.call("k1"))[0]] == [202, 503]
    assert await lab.faults() == ["F5", "F3"]


async def test_f2_drops_the_acceptance_but_still_calls_back(lab):
    await lab.start({"fault": "F2"}, mode="callback")
    assert await lab.call("k1") == DROPPED
    await heard(lab, 1)
    assert lab.receiver.words() == [("sys", True, "done", "SYS-1")]


async def test_f5_calls_back_late(lab):
    await lab.start({"fault": "F5", "params": {"delay_ms": 300}}, mode="callback")
    started = asyncio.get_running_loop().time()
    await lab.call("k1")
    assert await lab.count() == 1
    await heard(lab, 1)
    assert asyncio.get_running_loop().time() - started > 0.3
    assert [line["fault"] for line in await lab.effects()] == await lab.faults() == ["F5"]


async def test_f6_repeats_the_same_callback(lab):
    await lab.start({"fault": "F6", "params": {"times": 5}}, mode="callback")
    await lab.call("k1")
    await heard(lab, 5)
    assert set(lab.receiver.words()) == {("sys", True, "done", "SYS-1")}
    assert len({told["id"] for _, _, told in lab.receiver.heard}) == 1
    await nothing_more(lab, 5)


async def test_f6_may_give_each_copy_an_id_of_its_own(lab):
    await lab.start({"fault": "F6", "params": {"times": 2, "new_ids": True}}, mode="callback")
    await lab.call("k1")
    await heard(lab, 2)
    assert len({told["id"] for _, _, told in lab.receiver.heard}) == 2


async def test_f7_says_done_before_accepted(lab):
    await lab.start({"fault": "F7", "params": {"gap_ms": 20}}, mode="callback")
    await lab.call("k1")
    (_, _, done), (_, _, accepted) = await heard(lab, 2)
    assert [word[1:3] for word in lab.receiver.words()] == [(True, "done"), (True, "accepted")]
    assert accepted["at"] < done["at"]
    assert await lab.faults() == ["F7"]


async def test_f8_contradicts_itself(lab):
    await lab.start({"fault": "F8", "params": {"gap_ms": 20}}, mode="callback")
    await lab.call("k1")
    _, (_, valid, failed) = await heard(lab, 2)
    assert (valid, failed["status"], failed["code"]) == (True, "failed", "CONTRADICTION")
    assert (await lab.count(), await lab.faults()) == (1, ["F8"])


async def test_callback_faults_leave_a_sync_system_alone_and_the_next_rule_applies(lab):
    await lab.start({"fault": "F6"}, {"fault": "F3"})
    assert (await lab.call("k1"))[0] == 503
    assert await lab.faults() == ["F3"]
    await nothing_more(lab, 0)


async def test_a_deaf_receiver_is_called_again_with_the_same_id(lab):
    lab.receiver.statuses = [503, 429]
    await lab.start(mode="callback")
    await lab.call("k1")
    await heard(lab, 3)
    assert len({told["id"] for _, _, told in lab.receiver.heard}) == 1
    assert {valid for _, valid, _ in lab.receiver.heard} == {True}
    await eventually(lambda: lab.attempts() == [(1, 503, "retry"), (2, 429, "retry"), (3, 204, "delivered")])


async def test_a_refused_callback_is_not_repeated(lab):
    lab.receiver.statuses = [404]
    await lab.start(mode="callback")
    await lab.call("k1")
    await eventually(lambda: lab.attempts() == [(1, 404, "refused")])
    await asyncio.sleep(0.3)
    assert len(lab.receiver.heard) == 1


async def test_an_absent_receiver_is_given_up(lab):
    await lab.start(mode="callback", callback_url="http://127.0.0.1:1/x", callback_give_up_s=0.3)
    await lab.call("k1")
    await eventually(lambda: lab.attempts() == [(1, None, "retry"), (2, None, "gave_up")])


async def test_the_mode_may_change_while_the_world_runs(lab):
    await lab.start()
    assert (await lab.call("k1"))[0] == 200
    status, told = await lab.admin("PUT", "/systems/sys", mode="callback", latency_ms=[1, 1])
    assert (status, told) == (200, {"latency_ms": [1, 1], "mode": "callback", "down": False})
    assert (await lab.call("k2"))[0] == 202
    assert (await lab.call("k1"))[0] == 200
    await heard(lab, 1)
    await nothing_more(lab, 1)
