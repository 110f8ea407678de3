"""Order managers of another make: decisions by webhook, and orders resumed by us, where only the order's state counts."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from foreign_lab import Fallout, Manager, Source, order_manager, patched, relayed, resumed, sealed
from web_lab import House

from unstuck.connect.tmf import Asked
from unstuck.repair.manager import OrderManager
from unstuck.service.elsewhere import resumer
from unstuck.service.elsewhere.foreign import expire_due
from unstuck.store.checking.audit import verify

HOOK = itertools.count(1)


@pytest.fixture(scope="module")
async def manager(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Manager]:
    async with order_manager(tmp_path_factory.mktemp("manager")) as one:
        yield one


async def subscribed(house: House, manager: Manager, **settings: Any) -> Source:
    """A source whose order manager hears decisions by its webhook."""
    source = await Source.registered(house, **settings)
    wish = {"name": f"hook-{next(HOOK)}", "url": f"{manager.url}/hooks/{source.name}", "kind": "decision"}
    answer = await source.call("POST", "/api/v1/subscriptions", wish)
    assert answer.status == 201, answer.raw
    await manager.speaks_for(source, answer.json["secret"])
    return source


async def asked_by_us(house: House, manager: Manager, mischief: str = "", **settings: Any) -> tuple[Source, Fallout]:
    """A fallen order whose source says that we resume its orders; decided."""
    source = await Source.registered(house, resume=patched(manager, **settings))
    await manager.speaks_for(source)
    fallout = await manager.fallen(source, mischief=mischief)
    await fallout.resolved()
    return source, fallout


async def test_leave_goes_out_by_webhook_and_comes_back_and_the_order_goes_on(house: House, manager: Manager) -> None:
    source = await subscribed(house, manager)
    fallout = await manager.fallen(source)
    await fallout.resolved()
    await relayed(house)
    (came,) = await manager.wrote(fallout.ref, "leave came")
    assert (came["how"], came["mode"]) == ("webhook", "RETRY_FAILED_STEP")
    await manager.wrote(fallout.ref, "done")
    (redeemed,) = await manager.wrote(fallout.ref, "redeemed")
    assert redeemed["status"] == 200
    assert len(await fallout.told("resume-redeemed")) == 1
    assert (await fallout.done("close"))["state"] == "CLOSED"


async def test_a_source_is_told_of_nobody_elses_cases(house: House, manager: Manager) -> None:
    one, other = await subscribed(house, manager), await subscribed(house, manager)
    fallout = await manager.fallen(one, habit="hold")
    await fallout.resolved()
    await relayed(house)
    await manager.wrote(fallout.ref, "leave came")
    theirs = (await other.call("GET", "/api/v1/subscriptions")).json["subscriptions"]
    assert [(s["name"] != "", s["delivered"], s["dead"]) for s in theirs] == [(True, 0, 0)]
    assert not [line for line in await manager.play("GET", "book") if line["what"] == "disbelieved"]


async def test_a_source_hears_when_its_leave_expired_and_that_nothing_is_to_be_resumed(
    house: House, manager: Manager
) -> None:
    source = await subscribed(house, manager, token_life_s=60)
    fallout, settled = await manager.fallen(source, habit="hold"), await manager.fallen(source)
    await fallout.resolved()
    await settled.resolved("none")
    house.clock.jump(61)
    await expire_due(house.ports, 100)
    await relayed(house)
    # The decision was not sent before it expired, so it comes without leave; then it is said to be taken back.
    told = await manager.wrote(fallout.ref, "told")
    assert [line["decision"] for line in told] == ["resume", None]
    assert told[1]["because"] == "nobody redeemed it in its time"
    assert [line["decision"] for line in await manager.wrote(settled.ref, "told")] == ["none"]


async def test_what_a_receiver_repeats_of_leave_is_not_kept(house: House) -> None:
    """A receiver that answers with what it was sent: its words would put the token where people look."""
    from aiohttp import web

    async def echo(request: web.Request) -> web.Response:
        return web.Response(status=400, body=(await request.json())["data"]["token"].rpartition(".")[2].encode())

    app = web.Application()
    app.router.add_post("/hook", echo)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    source = await Source.registered(house)
    wish = {"name": "echo", "url": f"http://127.0.0.1:{runner.addresses[0][1]}/hook", "kind": "decision"}
    assert (await source.call("POST", "/api/v1/subscriptions", wish)).status == 201
    fallout = await source.report()
    await fallout.resolved()
    await relayed(house)
    await runner.cleanup()
    signature = (await source.leave())["token"].rpartition(".")[2]
    kept = await house.owner.fetch("SELECT d.status, d.because FROM delivery d")
    (shown,) = (await source.call("GET", "/api/v1/subscriptions")).json["subscriptions"]
    assert [(row["status"], signature in row["because"]) for row in kept] == [(400, False)]
    assert signature not in str(shown)


async def test_leave_whose_time_is_over_is_not_sent_any_more(house: House, manager: Manager) -> None:
    source = await subscribed(house, manager, token_life_s=60)
    fallout = await manager.fallen(source)
    await fallout.resolved()
    house.clock.jump(61)
    await relayed(house)
    assert [line["decision"] for line in await manager.wrote(fallout.ref, "told")] == ["resume"]
    assert not [line for line in await manager.book(fallout.ref) if line["what"] == "leave came"]


async def test_only_a_source_subscribes_to_decisions(house: House, manager: Manager) -> None:
    wish = {"name": "spy", "url": f"{manager.url}/hooks/x", "kind": "decision"}
    answer = await house.call("POST", "/api/v1/subscriptions", wish, who="admin")
    assert (answer.status, answer.pointers) == (422, ["/kind"])


async def test_a_patch_that_is_honoured_is_proven_by_a_look(house: House, manager: Manager) -> None:
    source, fallout = await asked_by_us(house, manager, reached=["RUNNING", "DONE"])
    await sealed(house)
    assert await source.decisions() == []
    await resumed(house)
    (asked,) = await manager.wrote(fallout.ref, "asked to go on")
    (attempted,) = await fallout.told("resume-attempted")
    (redeemed,) = await fallout.told("resume-redeemed")
    assert asked["key"] == f"{attempted['token']}-patch"
    view = await fallout.view()
    (proof,) = [e for e in view["evidence"] if e["id"] in redeemed["evidence"]]
    assert (proof["type"], proof["proves_resolution"], proof["source"]) == ("read_back", True, source.name)
    kept = msgspec.json.decode((await house.call("GET", f"{fallout.at}/evidence/{proof['id']}", who="engineer")).raw)
    assert kept["order"]["phase"] in ("RUNNING", "DONE")
    (token,) = view["resume_tokens"]
    assert (token["audience"], token["redeemed_at"] is not None) == ("unstuck:resumer", True)
    assert [e["by"] for e in view["timeline"] if e["type"].endswith("resume-redeemed")] == ["unstuck:resumer"]
    assert (await fallout.done("close"))["state"] == "CLOSED"


async def test_a_200_that_changed_nothing_is_not_success(house: House, manager: Manager) -> None:
    _, fallout = await asked_by_us(house, manager, "ignore")
    await resumed(house)
    assert len(await manager.wrote(fallout.ref, "asked to go on")) == 1
    view = await fallout.view()
    (ignored,) = await fallout.told("resume-ignored")
    assert (view["state"], view["resolution"]) == ("IN_PROGRESS", "")
    assert "answered 200" in ignored["because"]
    pieces = [e for e in view["evidence"] if e["id"] in ignored["evidence"]]
    assert [(e["type"], e["proves_resolution"]) for e in pieces] == [("read_back", False)] * 2
    assert await fallout.told("resume-redeemed") == []


async def test_a_call_without_an_answer_is_settled_by_a_look(house: House, manager: Manager) -> None:
    _, fallout = await asked_by_us(house, manager, "hang_up", reached=["RUNNING", "DONE"])
    await resumed(house)
    assert len(await manager.wrote(fallout.ref, "asked to go on")) == 1
    assert len(await fallout.told("resume-redeemed")) == 1


async def test_an_order_that_moved_is_not_asked(house: House, manager: Manager) -> None:
    source = await Source.registered(house, resume=patched(manager))
    await manager.speaks_for(source)
    fallout = await manager.fallen(source)
    await fallout.resolved()
    await manager.play("POST", f"orders/{fallout.ref}/touch")
    await resumed(house)
    assert not [line for line in await manager.book(fallout.ref) if line["what"] == "asked to go on"]
    (stale,) = await fallout.told("resume-stale")
    assert "moved to version" in stale["because"]
    assert (await fallout.view())["state"] == "IN_PROGRESS"


async def test_a_way_that_is_closed_leads_to_the_next(house: House, manager: Manager) -> None:
    """The task resource does not exist there: the PATCH after it is what lets the order go on."""
    ways = {"strategy": ["task", "patch"], "task_url": f"{manager.url}/tasks/{{order}}", "reached": ["RUNNING", "DONE"]}
    _, fallout = await asked_by_us(house, manager, **ways)
    await resumed(house)
    assert [one["way"] for one in await fallout.told("resume-attempted")] == ["task", "patch"]
    assert len(await fallout.told("resume-redeemed")) == 1


async def test_a_mode_that_cannot_be_asked_for_is_left_to_the_source(house: House, manager: Manager) -> None:
    source = await Source.registered(house, resume=patched(manager))
    await manager.speaks_for(source)
    fallout = await manager.fallen(source, habit="hold")
    await fallout.resolved(mode="SKIP_STEP_ALREADY_DONE")
    leave = await source.leave()
    assert (leave["case"], leave["mode"]) == (fallout.case, "SKIP_STEP_ALREADY_DONE")


async def test_after_a_crash_between_the_promise_and_the_answer_the_order_is_looked_at(
    house: House, manager: Manager
) -> None:
    _, fallout = await asked_by_us(house, manager, reached=["RUNNING", "DONE"])
    with pytest.raises(ExceptionGroup):
        await resumed(dying(house))
    assert len(await fallout.told("resume-attempted")) == 1
    await resumed(house)
    assert len(await manager.book(fallout.ref)) == 2, "fell out and reported; while the lease lasts nobody asks"
    house.clock.jump(resumer.LEASE.total_seconds())
    await resumed(house)
    assert len(await manager.wrote(fallout.ref, "asked to go on")) == 1
    assert [one["asked"] for one in await fallout.told("resume-attempted")] == [1, 2]
    assert len(await fallout.told("resume-redeemed")) == 1


async def test_two_workers_ask_once(house: House, manager: Manager) -> None:
    _, fallout = await asked_by_us(house, manager, reached=["RUNNING", "DONE"])
    await asyncio.gather(*(resumed(house) for _ in range(4)))
    await resumed(house)
    assert len(await manager.wrote(fallout.ref, "asked to go on")) == 1
    assert len(await fallout.told("resume-redeemed")) == 1


async def test_an_order_manager_that_is_away_is_asked_for_again_until_the_time_is_over(
    house: House, manager: Manager
) -> None:
    away = patched(manager) | {"url": "http://127.0.0.1:9/orders/{order}"}
    source = await Source.registered(house, resume=away, token_life_s=3600)
    fallout = await source.report()
    await fallout.resolved()
    await resumed(house, 3)
    assert await fallout.told("resume-attempted") == []
    house.clock.jump(3601)
    await expire_due(house.ports, 100)
    assert (await fallout.view())["state"] == "IN_PROGRESS"
    await resumed(house, 3)
    assert await house.owner.fetchval("SELECT count(*) FROM resume_work") == 0


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        ({"url": "http://127.0.0.1/orders"}, "/settings/resume"),
        ({"url": "http://192.168.1.1/{order}"}, "/settings/resume/url"),
        ({"to": "FALLOUT"}, "/settings/resume"),
        ({"strategy": ["task"]}, "/settings/resume"),
        ({"strategy": ["wish"]}, "/settings/resume/strategy/0"),
        ({"secret": "../../etc/passwd"}, "/settings/resume/secret"),
        ({"headers": {"Authorization": "Bearer of all"}}, "/settings/resume"),
        ({"unheard": 1}, "/settings/resume/unheard"),
        ({"task_body": {"share": 0.5}}, "/settings/resume"),
    ],
)
async def test_settings_that_cannot_work_are_refused(house: House, manager: Manager, wrong: Any, pointer: str) -> None:
    body = {"settings": {"resume": patched(manager) | wrong}}
    answer = await house.call("PUT", f"/api/v1/sources/bad-{next(HOOK)}", body, who="admin")
    assert answer.status == 422, answer.raw
    assert answer.pointers[0].startswith(pointer), answer.raw


async def test_the_secret_of_an_order_manager_is_a_file_and_goes_with_every_call(house: House, tmp_path: Path) -> None:
    from aiohttp import web

    heard: list[str] = []

    async def show(request: web.Request) -> web.Response:
        heard.append(request.headers.get("Authorization", ""))
        return web.json_response({"phase": "DONE"})

    app = web.Application()
    app.router.add_get("/orders/{ref}", show)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/orders/{{order}}"
    folder = house.ports.blobs.path("0" * 64).parents[2] / "secrets"
    folder.mkdir()
    (folder / "acme").write_text("s3cret\n")
    settings = OrderManager(url=url, expected=("FALLOUT",), to="DONE", state_field="phase", secret="acme")
    seen = await house.ports.foreign.managers.look(settings, "A/1")
    lost = await house.ports.foreign.managers.look(msgspec.structs.replace(settings, secret="gone"), "A/1")
    await runner.cleanup()
    assert (seen.document, heard) == ({"phase": "DONE"}, ["Bearer s3cret"])
    assert lost.document is None and "cannot be read" in lost.because


async def test_each_way_is_asked_in_its_own_words(house: House) -> None:
    from aiohttp import web

    asked: list[Any] = []

    async def hear(request: web.Request) -> web.Response:
        said = {name: request.headers.get(name) for name in ("X-Idempotency-Key", "If-Match")}
        asked.append((request.method, request.path, await request.json(), said))
        return web.json_response({}, status=202)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", hear)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    settings = OrderManager(
        url=f"{base}/orders/{{order}}", expected=("held",), to="inProgress", strategy=("task", "patch", "repost"),
        task_url=f"{base}/orders/{{order}}/resume", task_body={"how": "{mode}", "at": "{step}"}, repost_url=f"{base}/orders",
    )  # fmt: skip
    words = {
        "order": "A/1",
        "item": "1",
        "step": "activate",
        "mode": "RETRY_FAILED_STEP",
        "case": "FC-1",
        "token": "t-1",
    }
    before = {"id": "77", "state": "held", "items": [1.5]}
    for way in settings.strategy:
        assert (await house.ports.foreign.managers.ask(settings, way, words, before, '"v7"')).status == 202
    await runner.cleanup()
    again = {"items": [1.5], "externalId": "A/1", "orderRelationship": [{"id": "77", "relationshipType": "replaces"}]}
    assert asked == [
        ("POST", "/orders/A/1/resume", {"how": "RETRY_FAILED_STEP", "at": "activate"}, keyed("t-1-task")),
        ("PATCH", "/orders/A/1", {"state": "inProgress"}, keyed("t-1-patch", '"v7"')),
        ("POST", "/orders", again, keyed("t-1-repost")),
    ]


def keyed(key: str, version: str | None = None) -> dict[str, str | None]:
    return {"X-Idempotency-Key": key, "If-Match": version}


async def test_the_audit_finds_all_of_it_as_recorded(house: House) -> None:
    report = await verify(house.ports.store.pool, house.ports.blobs, verifier_keys=[])
    assert [finding for finding in report.findings if finding.what != "signature"] == []
    assert report.rows["resume_use"] >= 4


class Mortal:
    """The way to order managers of a process that dies before it can ask."""

    def __init__(self, managers: Any) -> None:
        self._managers = managers

    async def look(self, *given: Any) -> Any:
        return await self._managers.look(*given)

    async def ask(self, *_given: Any) -> Asked:
        raise RuntimeError("the process died here")


def dying(house: House) -> Any:
    foreign = msgspec.structs.replace(house.ports.foreign, managers=Mortal(house.ports.foreign.managers))
    ports = msgspec.structs.replace(house.ports, foreign=foreign)
    mortal = object.__new__(House)
    mortal.__dict__.update(house.__dict__, ports=ports)
    return mortal
