"""Leave to resume for an order manager that is not ours: issued with proof, taken once, by it alone, in time, as decided."""

import asyncio
import base64
import json
from typing import Any
from uuid import UUID

import pytest
from foreign_lab import Fallout, Source, relayed, sealed
from web_lab import House

from unstuck.service.elsewhere.foreign import REFUSALS_KEPT, expire_due
from unstuck.store.checking.audit import verify

DAY_S = 86_400


@pytest.fixture(scope="module")
async def source(house: House) -> Source:
    return await Source.registered(house)


def claims(text: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(text.split(".")[1] + "=="))


async def leave_of(source: Source, **more: Any) -> tuple[Fallout, Any]:
    """A resolved case of this source, and the decision it can fetch."""
    fallout = await source.report(**more)
    await fallout.resolved()
    await sealed(source.house)
    return fallout, next(d for d in await source.decisions() if d["case"] == fallout.case)


async def test_a_decision_waits_for_its_source_with_leave_to_resume(source: Source) -> None:
    fallout = await source.report(orderVersion="rev-3")
    done = await fallout.resolved(mode="SKIP_STEP_ALREADY_DONE")
    await sealed(source.house)
    decision = next(d for d in await source.decisions() if d["case"] == fallout.case)
    assert done["state"] == (await fallout.view())["state"] == "RESOLVED_RESUME"
    assert (decision["decision"], decision["mode"]) == ("resume", "SKIP_STEP_ALREADY_DONE")
    assert (decision["order"], decision["item"], decision["failed_step"]) == (fallout.ref, "line-1", "activate")
    said = claims(decision["token"])
    (proof,) = decision["evidence"]
    assert (said["aud"], said["sub"], said["jti"]) == (source.name, fallout.ref, decision["token_id"])
    assert (said["order_version"], said["mode"], said["failed_step"]) == ("rev-3", "SKIP_STEP_ALREADY_DONE", "activate")
    assert said["evidence"] == [{"id": proof["id"], "sha256": proof["sha256"]}]
    assert said["exp"] - said["iat"] == DAY_S
    keys = (await source.house.call("GET", "/api/v1/audit/keys", who=None)).json["keys"]
    head = json.loads(base64.urlsafe_b64decode(decision["token"].split(".")[0] + "=="))
    assert head["kid"] in {key["kid"] for key in keys}


@pytest.mark.parametrize(
    ("decision", "state", "mode"),
    [("cancel", "RESOLVED_CANCEL", "CANCEL_ITEM"), ("compensate", "RESOLVED_COMPENSATE", "COMPENSATE_AND_CLOSE")],
)
async def test_cancelling_and_compensating_are_leave_too(source: Source, decision: str, state: str, mode: str) -> None:
    fallout = await source.report()
    assert (await fallout.resolved(decision))["state"] == state
    await sealed(source.house)
    told = next(d for d in await source.decisions() if d["case"] == fallout.case)
    assert (told["decision"], told["mode"], claims(told["token"])["mode"]) == (decision, mode, mode)
    assert (await source.redeem(told)).json["mode"] == mode


async def test_nothing_to_resume_is_no_leave(source: Source) -> None:
    fallout = await source.report()
    done = await fallout.resolved("none")
    assert (done["state"], done["resume_token"]) == ("RESOLVED_NONE", None)
    await sealed(source.house)
    assert fallout.case not in {d["case"] for d in await source.decisions()}
    assert (await fallout.done("close"))["state"] == "CLOSED"


async def test_leave_needs_proof_and_a_verified_repair(source: Source) -> None:
    fallout = await source.report()
    bare = {"type": "document", "source": "desk", "content": "a thought"}
    thought = (await fallout.done("evidence", bare))["evidence"]["id"]
    body = {"decision": "resume", "mode": "RETRY_FAILED_STEP", "evidence": [thought]}
    assert (await fallout.do("resolve", body)).rule == "proof-before-resolution"
    proof = (await fallout.done("evidence", {**bare, "proves_resolution": True}))["evidence"]["id"]
    early = await fallout.do("resolve", {**body, "evidence": [proof]})
    assert (early.status, early.rule) == (409, "verify-before-resolution")


async def test_redeemed_once_the_case_can_be_closed_and_not_before(source: Source) -> None:
    fallout, leave = await leave_of(source)
    early = await fallout.do("close")
    refused = {a["action"]: a["rule"] for a in (await fallout.view())["refused_actions"]}
    assert (early.status, early.rule, refused["close"]) == (409, "not-redeemed", "not-redeemed")
    taken = await source.redeem(leave)
    assert (taken.status, taken.json["order"], taken.json["mode"]) == (200, fallout.ref, "RETRY_FAILED_STEP")
    again = await source.redeem(leave)
    assert (again.status, again.rule) == (409, "token-used")
    (told,) = await fallout.told("resume-redeemed")
    assert (told["token"], told["order_version"]) == (leave["token_id"], "v7")
    assert (await fallout.told("resume-refused")) == [{"token": leave["token_id"], "rule": "token-used"}]
    assert fallout.case not in {d["case"] for d in await source.decisions()}
    assert (await fallout.done("close"))["state"] == "CLOSED"
    assert (await source.redeem(leave)).rule == "token-used"


async def test_of_sixteen_that_redeem_at_once_one_wins(source: Source) -> None:
    fallout, leave = await leave_of(source)
    answers = await asyncio.gather(*(source.redeem(leave) for _ in range(16)))
    assert sorted(answer.status for answer in answers) == [200] + [409] * 15
    assert {answer.rule for answer in answers if answer.status == 409} == {"token-used"}
    assert len(await fallout.told("resume-redeemed")) == 1


async def test_a_redemption_sent_again_under_its_key_is_answered_again(source: Source) -> None:
    _, leave = await leave_of(source)
    key = {"headers": {"Idempotency-Key": f"redeem-{leave['token_id']}"}}
    first, second = await source.redeem(leave, **key), await source.redeem(leave, **key)
    assert (first.status, second.status) == (200, 200)
    assert first.json == second.json


async def test_leave_is_for_its_source_alone(source: Source) -> None:
    other = await Source.registered(source.house)
    fallout, leave = await leave_of(source)
    for answer in (
        await other.redeem(leave),
        await source.house.call(
            "POST", leave["redeem"], {"token": leave["token"], "order_version": "v7"}, who="integration"
        ),
    ):
        assert (answer.status, answer.rule) == (403, "token-audience")
    peeped = await other.call("GET", f"/api/v1/sources/{source.name}/decisions")
    nobody = await source.house.call("GET", f"/api/v1/sources/{source.name}/decisions", who="admin")
    assert [(a.status, a.rule) for a in (peeped, nobody)] == [(403, "source-key")] * 2
    assert [one["rule"] for one in await fallout.told("resume-refused")] == ["token-audience"] * 2
    assert (await source.redeem(leave)).status == 200


async def test_leave_that_was_tampered_with_is_refused(source: Source) -> None:
    fallout, leave = await leave_of(source)
    _, another = await leave_of(source)
    head, payload, signature = leave["token"].split(".")
    forged = base64.urlsafe_b64encode(json.dumps({**claims(leave["token"]), "mode": "CANCEL_ITEM"}).encode())
    none = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
    flipped = ("A" if signature[0] != "A" else "B") + signature[1:]
    for text in (
        f"{head}.{forged.decode().rstrip('=')}.{signature}", f"{head}.{payload}.{flipped}", f"{none}.{payload}.", "x",
        f"{head}.{payload}", another["token"],
    ):  # fmt: skip
        answer = await source.redeem(leave, text=text)
        assert (answer.status, answer.rule) == (403, "token-forged"), text
    assert (await source.redeem(leave)).status == 200
    assert {one["rule"] for one in await fallout.told("resume-refused")} == {"token-forged"}


async def test_an_order_that_moved_makes_leave_void(source: Source) -> None:
    fallout, leave = await leave_of(source, orderVersion='W/"7"')
    for version in ("v8", "", '"7"'):
        answer = await source.redeem(leave, version)
        assert (answer.status, answer.rule) == (409, "token-version")
    assert (await fallout.view())["state"] == "RESOLVED_RESUME"
    assert (await source.redeem(leave, 'W/"7"')).status == 200


async def test_leave_that_nobody_takes_expires_and_work_goes_on(source: Source) -> None:
    hasty = await Source.registered(source.house, token_life_s=60)
    fallout, leave = await leave_of(hasty)
    source.house.clock.jump(61)
    late = await hasty.redeem(leave)
    assert (late.status, late.rule) == (409, "token-expired")
    assert await hasty.decisions() == []
    assert await expire_due(source.house.ports, 100) >= 1
    view = await fallout.view()
    assert (view["state"], view["resolution"], view["resolved_at"]) == ("IN_PROGRESS", "", None)
    assert [one["token"] for one in await fallout.told("resume-expired")] == [leave["token_id"]]
    assert (await hasty.redeem(leave)).rule == "token-expired"
    await fallout.resolved()
    assert (await hasty.redeem(await hasty.leave())).status == 200
    assert (await hasty.redeem(leave)).rule == "token-expired"


async def test_an_expired_decision_is_over_when_another_case_stands_for_the_failure(source: Source) -> None:
    hasty = await Source.registered(source.house, token_life_s=60)
    fallout, leave = await leave_of(hasty)
    newer = await hasty.report(serviceOrderId=fallout.ref)
    assert newer.case != fallout.case
    source.house.clock.jump(61)
    await expire_due(source.house.ports, 100)
    view = await fallout.view()
    assert (view["state"], view["resolution"]) == ("RESOLVED_RESUME", "superseded")
    assert (await hasty.redeem(leave)).rule == "token-expired"
    assert (await fallout.done("close"))["state"] == "CLOSED"
    assert (await newer.view())["state"] == "IN_PROGRESS"


async def test_leave_of_a_case_that_was_reopened_is_void(source: Source) -> None:
    fallout, leave = await leave_of(source)
    await fallout.done("reopen", {"reason": "it was the wrong line"})
    answer = await source.redeem(leave)
    assert (answer.status, answer.rule) == (409, "token-superseded")
    source.house.clock.jump(DAY_S + 1)
    await expire_due(source.house.ports, 100)
    assert (await fallout.view())["state"] == "QUEUED"
    assert await fallout.told("resume-expired") == []


async def test_refusals_on_record_are_bounded(source: Source) -> None:
    fallout, leave = await leave_of(source)
    for _ in range(REFUSALS_KEPT + 5):
        assert (await source.redeem(leave, "wrong")).rule == "token-version"
    assert len(await fallout.told("resume-refused")) == REFUSALS_KEPT
    assert (await source.redeem(leave)).status == 200


async def test_decisions_come_in_pages_by_leaf(house: House) -> None:
    source = await Source.registered(house)
    leaves = [(await leave_of(source))[1]["leaf"] for _ in range(3)]
    first = (await source.call("GET", f"/api/v1/sources/{source.name}/decisions?limit=2")).json
    assert ([d["leaf"] for d in first["decisions"]], first["next"]) == (leaves[:2], leaves[1])
    assert [d["leaf"] for d in await source.decisions(after=first["next"])] == leaves[2:]
    wrong = await source.call("GET", f"/api/v1/sources/{source.name}/decisions?after=x")
    assert (wrong.status, wrong.pointers) == (422, ["/after"])


async def test_the_text_of_leave_is_nowhere_but_with_its_source(source: Source) -> None:
    fallout, leave = await leave_of(source)
    await source.redeem(leave, "another version")
    await source.redeem(leave, headers={"Idempotency-Key": f"seen-{leave['token_id']}"})
    await relayed(source.house)
    signature = leave["token"].rpartition(".")[2]
    house = source.house
    seen = [
        (await house.call("GET", path, who="engineer")).raw
        for path in (
            fallout.at,
            "/api/v1/fallout-cases?limit=500",
            f"{fallout.at}/evidence",
            f"/api/v1/sources/{source.name}",
        )
    ]
    tables = [
        row["name"]
        for row in await house.owner.fetch("SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'")
    ]
    seen += [str(await house.owner.fetch(f"SELECT t::text FROM {table} t")).encode() for table in tables]
    events = await house.owner.fetch("SELECT data FROM event")
    seen += [bytes(row["data"]) for row in events]
    assert len(signature) > 80
    assert not [text[:200] for text in seen if signature.encode() in text]
    answered = await fallout.view()
    assert leave["token_id"] in {token["id"] for token in answered["resume_tokens"]}


async def test_a_resolution_sent_again_tells_no_more_than_the_first(source: Source) -> None:
    fallout = await source.report()
    done = await fallout.resolved()
    assert done["resume_token"]["audience"] == source.name
    assert "." not in str(done["resume_token"]["id"])
    assert "token" not in done["resume_token"]


async def test_the_audit_finds_the_whole_of_it_as_recorded(source: Source) -> None:
    pool, files = source.house.ports.store.pool, source.house.ports.blobs
    report = await verify(pool, files, verifier_keys=[])
    assert [finding for finding in report.findings if finding.what != "signature"] == []
    assert report.rows["resume_use"] > 5


async def test_a_forged_redemption_is_found_by_the_audit(source: Source) -> None:
    fallout, leave = await leave_of(source)
    house = source.house
    await house.owner.execute(
        "INSERT INTO resume_use (token, at, by) VALUES ($1, now(), 'somebody')", UUID(leave["token_id"])
    )
    report = await verify(house.ports.store.pool, house.ports.blobs, verifier_keys=[])
    assert ("forged-row", f"resume_use {leave['token_id']}") in {(f.what, f.where) for f in report.findings}
    assert (await fallout.view())["state"] == "RESOLVED_RESUME"
