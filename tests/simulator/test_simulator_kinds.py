"""Kinds A, B and C: who deduplicates, who can be asked, and what a restart keeps."""

import asyncio

import pytest
from downstream_lab import GROUP, ORDER, eventually


async def test_kind_a_acts_once_per_key_and_repeats_its_reply(lab):
    await lab.start(kind="A")
    first = await lab.call("k1")
    assert first == (200, {"reference": "SYS-1", "status": "done"})
    assert await lab.call("k1") == first
    assert await lab.call("k2") == (200, {"reference": "SYS-2", "status": "done"})
    assert await lab.count() == 2


async def test_concurrent_duplicates_of_kind_a_have_one_effect_and_one_reply(lab):
    await lab.start(kind="A")
    replies = await asyncio.gather(*(lab.call("k1") for _ in range(20)))
    assert {(status, reply["reference"]) for status, reply in replies} == {(200, "SYS-1")}
    assert await lab.count() == 1


@pytest.mark.parametrize("kind", ["B", "C"])
async def test_kinds_b_and_c_act_on_every_landing(lab, kind):
    await lab.start(kind=kind)
    replies = [await lab.call("k1"), await lab.call("k1")]
    assert [reply["reference"] for _, reply in replies] == ["SYS-1", "SYS-2"]
    assert await lab.count() == 2


async def test_without_a_key_even_kind_a_acts_again(lab):
    await lab.start(kind="A")
    await lab.call(None)
    await lab.call(None)
    assert await lab.count() == 2


async def test_kind_a_is_asked_by_key_and_by_field(lab):
    await lab.start(kind="A")
    await lab.call("k1", {**ORDER, "imsi": "510"}, operation="activate")
    await lab.call("k2", {**ORDER, "imsi": "511"}, operation="release")
    status, told = await lab.ask(key="k1")
    assert (status, told["count"], told["effects"][0]["reference"]) == (200, 1, "SYS-1")
    assert told["effects"][0].keys() == {"reference", "operation", "at", "status"}
    assert (await lab.ask(key="k3"))[1] == {"count": 0, "effects": []}
    assert (await lab.ask(customer="C1", item="1"))[1]["count"] == 2
    assert (await lab.ask(customer="C1", imsi="511"))[1]["effects"][0]["operation"] == "release"
    assert (await lab.ask(customer="C1", operation="activate"))[1]["effects"][0]["reference"] == "SYS-1"
    assert (await lab.ask(imsi="512"))[1]["count"] == 0
    assert (await lab.ask(customer="C2"))[1]["count"] == 0


async def test_kind_b_is_asked_by_field_only(lab):
    await lab.start(kind="B")
    await lab.call("k1")
    assert (await lab.ask(customer="C1"))[1]["count"] == 1
    status, told = await lab.ask(key="k1")
    assert (status, told["code"]) == (400, "KEY_NOT_SUPPORTED")


async def test_kind_c_cannot_be_asked(lab):
    await lab.start(kind="C")
    await lab.call("k1")
    for query in ({"customer": "C1"}, {"key": "k1"}, {}):
        status, told = await lab.ask(**query)
        assert (status, told["code"]) == (404, "CANNOT_BE_ASKED")


async def test_a_restart_keeps_the_ledger_and_the_keys(lab):
    await lab.start(kind="A", mode="callback")
    first = await lab.call("k1")
    await eventually(lambda: lab.receiver.heard)
    await lab.restart()
    assert await lab.call("k1") == first == (202, {"reference": "SYS-1", "status": "accepted"})
    assert await lab.call("k2") == (202, {"reference": "SYS-2", "status": "accepted"})
    assert await lab.count() == 2
    assert (await lab.ask(key="k1"))[1]["count"] == 1
    assert (await lab.ask(customer="C1"))[1]["count"] == 2


async def test_half_a_line_left_by_a_kill_is_dropped(lab):
    await lab.start(kind="A")
    await lab.call("k1")
    with (lab.folder / "effects-sys.ndjson").open("ab") as file:
        file.write(b'{"n":2,"at":"20')
    await lab.restart()
    assert await lab.count() == 1
    assert (await lab.call("k2"))[1]["reference"] == "SYS-2"
    await lab.restart()
    assert await lab.count() == 2


async def test_asking_still_finds_old_effects_after_group_by_changed(lab):
    await lab.start(kind="B")
    await lab.call("k1", {**ORDER, "msisdn": "62"})
    await lab.restart(systems={"sys": {"kind": "B", "group_by": ["msisdn"]}})
    assert (await lab.ask(msisdn="62"))[1]["count"] == 1
    assert (await lab.ask(customer="C1"))[1]["count"] == 1


async def test_the_ledger_line_says_what_was_done_for_whom(lab):
    await lab.start(kind="A")
    await lab.call("k1", {**ORDER, "note": "a\nb"})
    (line,) = await lab.effects()
    assert line.pop("at").endswith("Z")
    assert line == {
        "n": 1,
        "system": "sys",
        "operation": "activate",
        "group": ORDER,
        "key": "k1",
        "payload": {**ORDER, "note": "a\nb"},
        "reference": "SYS-1",
        "fault": None,
        "mode": "sync",
    }


async def test_group_by_may_name_the_operation(lab):
    await lab.start(systems={"sys": {"group_by": ["customer", "operation"]}})
    await lab.call("k1", operation="activate")
    await lab.call("k2", operation="release")
    assert await lab.count("customer=C1|operation=activate") == 1
    assert await lab.count("customer=C1|operation=release") == 1


@pytest.mark.parametrize(
    "body", [b"{", b"", b"[1]", b'"x"', b"\xff\xfe", b'{"a":"\xff"}', b'{"a":"\\ud800"}', b'{"a":' * 50_000]
)
async def test_what_is_not_a_json_object_is_malformed(lab, body):
    await lab.start()
    status, told = await lab.call("k1", body)
    assert (status, told["code"]) == (400, "MALFORMED")
    assert await lab.effects() == []


async def test_a_key_that_is_not_text_is_malformed(lab):
    await lab.start()
    host, port = lab.urls["sys"].removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(b"POST /x HTTP/1.1\r\nHost: x\r\nIdempotency-Key: k\xff\r\nContent-Length: 2\r\n\r\n{}")
    assert (await reader.readline()).startswith(b"HTTP/1.1 400")
    writer.close()
    await writer.wait_closed()
    assert await lab.effects() == []


async def test_strange_operations_are_kept_or_refused_but_never_an_error(lab):
    await lab.start()
    assert (await lab.call("k1", operation="%ED%A0%80"))[0] == 200
    assert (await lab.call("k2", operation="a/b"))[0] == 404
    assert (await lab.call("k3", operation=""))[0] == 404


async def test_health_calls_and_group_counts(lab):
    await lab.start()
    async with lab.client.get(lab.urls["sys"] + "/health") as reply:
        assert reply.status == 200
    await lab.call("k1")
    await lab.call("k1")
    await lab.call("k2", b"{")
    await lab.call("k3", operation="release")
    assert await lab.admin("GET", "/calls") == (200, {"sys": {"activate": 3, "release": 1}})
    assert await lab.admin("GET", "/ledger") == (200, {"effects": {"sys": {GROUP: 2}}})
