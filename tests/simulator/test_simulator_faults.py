"""F1-F4, F9, REFUSE and RAW: what the client saw against what was done."""

import asyncio
import base64

import pytest
from downstream_lab import DROPPED, GROUP, ORDER, eventually


async def test_f1_drops_the_reply_and_does_nothing(lab):
    await lab.start({"fault": "F1", "first": 1})
    assert await lab.call("k1") == DROPPED
    assert await lab.count() == 0
    assert (await lab.call("k1"))[0] == 200
    assert (await lab.count(), await lab.faults()) == (1, ["F1"])


@pytest.mark.parametrize(("kind", "effects"), [("A", 1), ("B", 2), ("C", 2)])
async def test_f2_acts_and_drops_the_reply(lab, kind, effects):
    await lab.start({"fault": "F2", "first": 1}, kind=kind)
    assert await lab.call("k1") == DROPPED
    assert [line["fault"] for line in await lab.effects()] == ["F2"]
    assert (await lab.call("k1"))[0] == 200
    assert (await lab.count(), await lab.faults()) == (effects, ["F2"])


async def test_f2_may_hang_until_the_client_goes(lab):
    await lab.start({"fault": "F2", "params": {"hang": True}})
    with pytest.raises(TimeoutError):
        await lab.call("k1", within_s=0.4)
    assert await lab.count() == 1


async def test_a_world_with_hanging_calls_stops_at_once(lab):
    await lab.start({"fault": "F2", "params": {"hang": True}})
    hanging = asyncio.create_task(lab.call("k1"))
    await eventually(lambda: lab.count())
    started = asyncio.get_running_loop().time()
    await lab.world.stop()
    assert asyncio.get_running_loop().time() - started < 0.45
    assert await hanging == DROPPED


@pytest.mark.parametrize(
    ("params", "status", "after"), [({}, 503, "1"), ({"status": 429, "retry_after_s": 7}, 429, "7")]
)
async def test_f3_is_busy_and_says_when_to_come_back(lab, params, status, after):
    await lab.start({"fault": "F3", "params": params})
    told = await lab.call("k1")
    assert (told[0], told[1]["code"], lab.headers["Retry-After"]) == (status, "BUSY", after)
    assert (await lab.count(), await lab.faults()) == (0, ["F3"])


async def test_f4_acts_after_the_client_has_gone(lab):
    await lab.start({"fault": "F4", "params": {"delay_ms": 600}})
    with pytest.raises(TimeoutError):
        await lab.call("k1", within_s=0.05)
    assert await lab.count() == 0
    await eventually(lambda: lab.count())
    assert [line["fault"] for line in await lab.effects()] == ["F4"]


async def test_f4_answers_the_patient_client_with_one_effect(lab):
    await lab.start({"fault": "F4", "params": {"delay_ms": 50}}, kind="B")
    assert await lab.call("k1") == (200, {"reference": "SYS-1", "status": "done"})
    assert await lab.count() == 1


async def test_what_is_still_due_when_the_world_ends_never_happens(lab):
    slow, late = {"delay_ms": 300}, {"delay_ms": 300}
    await lab.start(
        {"fault": "F4", "operation": "slow", "params": slow},
        {"fault": "F9", "operation": "late", "params": late},
        {"fault": "F5", "params": late},
        mode="callback",
    )
    waiting = asyncio.create_task(lab.call("k1", operation="slow"))
    assert await lab.call("k2", operation="late") == DROPPED
    assert (await lab.call("k3"))[0] == 202
    await lab.restart()
    assert await waiting == DROPPED
    await asyncio.sleep(0.35)
    assert [line["key"] for line in await lab.effects()] == ["k3"]
    assert lab.receiver.heard == []


@pytest.mark.parametrize(("kind", "effects"), [("A", 1), ("B", 2)])
async def test_f9_lands_after_the_read_back_said_absent(lab, kind, effects):
    await lab.start({"fault": "F9", "first": 1, "params": {"delay_ms": 500}}, kind=kind)
    assert await lab.call("k1") == DROPPED
    assert (await lab.ask(customer="C1"))[1]["count"] == 0
    assert (await lab.call("k1"))[0] == 200
    if kind == "B":
        await eventually(lambda: late_landing(lab))
        assert [line["fault"] for line in await lab.effects()] == [None, "F9"]
    await asyncio.sleep(0.55)  # the late one of kind A leaves no trace to wait for
    assert await lab.count() == effects


async def late_landing(lab):
    return await lab.count() == 2


async def test_refuse_says_no(lab):
    await lab.start(
        {"fault": "REFUSE", "operation": "activate"},
        {"fault": "REFUSE", "operation": "create", "params": {"status": 409, "body": {"code": "EXISTS"}}},
    )
    status, told = await lab.call("k1")
    assert (status, told["code"]) == (422, "REJECTED")
    assert await lab.call("k2", operation="create") == (409, {"code": "EXISTS"})
    assert (await lab.count(), await lab.faults()) == (0, ["REFUSE", "REFUSE"])


@pytest.mark.parametrize(("commit", "effects"), [(False, 0), (True, 1)])
async def test_raw_answers_any_bytes(lab, commit, effects):
    hostile = b'{"reference":"\x00\xed\xa0\x80<script>'
    encoded = base64.b64encode(hostile).decode()
    await lab.start({"fault": "RAW", "params": {"status": 500, "body_base64": encoded, "commit": commit}})
    assert await lab.call("k1") == (500, hostile)
    assert (await lab.count(), await lab.faults()) == (effects, ["RAW"])


async def test_the_fault_line_says_what_was_struck(lab):
    await lab.start({"fault": "F1"})
    await lab.call("k1")
    await lab.call("k2")
    _, lines = await lab.admin("GET", "/faults")
    assert lines[1].pop("at").endswith("Z")
    assert lines[1] == {
        "fault": "F1",
        "system": "sys",
        "operation": "activate",
        "group": ORDER,
        "key": "k2",
        "call": 2,
    }


async def test_a_system_that_is_down_aborts_everything_and_counts_the_calls(lab):
    await lab.start()
    await lab.admin("PUT", "/systems/sys", down=True)
    assert await lab.call("k1") == DROPPED
    await lab.admin("PUT", "/systems/sys", down=False)
    assert (await lab.call("k1"))[0] == 200
    assert await lab.admin("GET", "/calls") == (200, {"sys": {"activate": 2}})
    assert await lab.count(GROUP) == 1
