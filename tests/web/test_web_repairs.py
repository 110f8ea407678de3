"""Repairs from end to end: proposed, applied, proven, resolved, and the order goes on; and each refusal on the way."""

import asyncio
import json
from typing import Any

import pytest
from desk_lab import BAD_ADDRESS, Desk
from web_lab import ABSENT, FOUND, LOST, House, fiber, item, refused, reply

from unstuck.policy.masking import HIDDEN
from unstuck.repair.outcome import Result


async def test_a_corrected_address_goes_out_under_a_new_key_and_completes(house: House) -> None:
    desk = await Desk.stopped(house, "activateFiber", BAD_ADDRESS)
    proposed = await desk.propose("correct_data", fields={"address": "Jl. Sudirman 9", "speed": "100 Mbit/s"})
    change = {"what": "address", "before": "Jl. Merdeka 1", "after": "Jl. Sudirman 9"}
    masked = {"what": "address", "before": HIDDEN, "after": HIDDEN}
    assert proposed.json["correction"]["changes"] == [masked]  # what is the same does not change
    assert proposed.json["state"] == "CORRECTION_PROPOSED"
    assert len(desk.sent("activateFiber")) == 1  # nothing happens before it is applied
    applied = await desk.done(f"corrections/{proposed.json['correction']['id']}/apply")
    assert (applied["state"], applied["correction"]["result"]) == ("VERIFYING", "corrected")
    view = await desk.view()
    (diff,) = view["evidence"]
    assert (diff["type"], diff["proves_resolution"]) == ("data_diff", True)
    await desk.done("reveal", {"reason": "the customer is on the line"})
    assert json.loads((await desk.file(diff["id"])).raw) == [change]
    resolved = (await desk.resolve("resume", "RETRY_FAILED_STEP")).json
    assert resolved["state"] == "RESOLVED_RESUME" and resolved["resume_token"]["mode"] == "RETRY_FAILED_STEP"
    assert (await desk.tmf())["state"] == "completed"
    old, new = desk.sent("activateFiber")
    assert (old.key[-3:], new.key[-3:]) == (".c0", ".c1")
    assert json.loads(new.body) == {**json.loads(old.body), "address": "Jl. Sudirman 9"}
    assert (await desk.done("close"))["state"] == "CLOSED"


async def test_what_was_corrected_and_refused_again_comes_back_to_the_same_case(house: House) -> None:
    desk = await Desk.stopped(house, "activateFiber", BAD_ADDRESS, BAD_ADDRESS)
    await desk.repair("correct_data", fields={"address": "Jl. 2"})
    await desk.resolve("resume", "RETRY_FAILED_STEP")
    await house.work()
    again = await house.case_of(desk.order["id"])
    assert again["code"] == "ADDRESS_NOT_SERVICEABLE" and len(desk.sent("activateFiber")) == 2


FIELDS = [
    ({}, ["/input/fields"]), ({"fields": {}}, ["/input/fields"]), ({"fields": ["address"]}, ["/input/fields"]),
    ({"fields": {"address": "Jl. Merdeka 1"}}, ["/input/fields"]), ({"fields": {"customer": "C-2"}}, ["/input/fields/customer"]),
    ({"fields": {"address": ""}}, ["/input/fields/address"]), ({"fields": {"address": "a\x00"}}, ["/input/fields/address"]),
    ({"fields": {"address": 7}}, ["/input/fields/address"]), ({"fields": {"address": 1.5}}, ["/input/fields/address"]),
    ({"fields": {"address": None}}, ["/input/fields/address"]), ({"fields": {"address": {"x": 1}}}, ["/input/fields/address"]),
    ({"fields": {"address": "x" * 201}}, ["/input/fields/address"]), ({"fields": {"speed": "fast"}}, ["/input/fields/speed"]),
    ({"fields": {"speed": "1 Mbit/s\n"}}, ["/input/fields/speed"]), ({"fields": {"a/b~c": "x"}}, ["/input/fields/a~1b~0c"]),
    ({"fields": {"speed": "x", "item": "y"}}, ["/input/fields/speed", "/input/fields/item"]),
]  # fmt: skip


async def test_fields_that_cannot_be_taken_are_pointed_at(house: House) -> None:
    desk = await Desk.stopped(house, "activateFiber", BAD_ADDRESS)
    before = await desk.view()
    for given, pointers in FIELDS:
        for path in ("corrections", "corrections/preview"):
            body = {"action": "correct_data", "reason_code": "typing_error", "reason": "r", "input": given}
            answer = await desk.do(path, body)
            assert (answer.status, answer.rule, answer.pointers) == (422, "valid-input", pointers), (
                path,
                given,
                answer.raw,
            )
    assert await desk.view() == before


async def test_a_proposal_says_what_and_why(house: House) -> None:
    desk = await Desk.stopped(house, "activateFiber", BAD_ADDRESS)
    good = {"action": "retry", "reason_code": "cause_fixed", "reason": "r", "input": {}}
    deep: Any = []
    for _ in range(100):
        deep = [deep]
    for change, pointer in (
        ({"action": "patch"}, "/action"), ({"action": None}, "/action"), ({"reason_code": "because"}, "/reason_code"),
        ({"reason_code": "typing_error"}, "/reason_code"), ({"reason": ""}, "/reason"), ({"reason": "\x00"}, "/reason"),
        ({"input": []}, "/input"), ({"input": {"x": deep}}, "/input"), ({"patch": {}}, "/patch"),
    ):  # fmt: skip
        answer = await desk.do("corrections", {**good, **change})
        assert (answer.status, answer.pointers) == (422, [pointer]), (change, answer.raw)
    assert (await desk.do("corrections", {**good, "input": {"big": 10**300, "float": 1.5}})).status == 201


async def test_a_preview_changes_nothing_and_is_what_apply_does(house: House) -> None:
    desk = await Desk.stopped(house, "activateFiber", BAD_ADDRESS)
    before = await desk.view()
    body = {
        "action": "correct_data",
        "reason_code": "typing_error",
        "reason": "r",
        "input": {"fields": {"address": "Jl. 3"}},
    }
    shown = await desk.done("corrections/preview", body)
    assert (shown["allowed"], shown["changes"]) == (
        True,
        [{"what": "address", "before": HIDDEN, "after": HIDDEN}],
    )
    assert await desk.view() == before
    forced = await desk.done(
        "corrections/preview", {"action": "force_complete", "reason_code": "management_decision", "reason": "r"}
    )
    assert (forced["allowed"], forced["rule"]) == (False, "maker-checker")


async def test_a_correction_that_was_rejected_or_of_another_case_is_not_applied(house: House) -> None:
    desk = await Desk.stopped(house, "activateFiber", BAD_ADDRESS)
    other = await Desk.stopped(house, "activateFiber", BAD_ADDRESS)
    theirs = (await other.propose("retry")).json["correction"]["id"]
    mine = (await desk.propose("retry")).json["correction"]["id"]
    foreign = await desk.do(f"corrections/{theirs}/apply")
    assert (foreign.status, foreign.rule) == (404, "not-found")
    assert (await desk.done(f"corrections/{mine}/reject", {"reason": "no"}))["state"] == "IN_PROGRESS"
    for command, body in ((f"corrections/{mine}/apply", {}), (f"corrections/{mine}/reject", {"reason": "again"})):
        answer = await desk.do(command, body)
        assert (answer.status, answer.rule) == (409, "current-correction")
    assert len(desk.sent("activateFiber")) == 1


async def test_a_refused_step_is_sent_again_under_its_own_key(house: House) -> None:
    desk = await Desk.stopped(house, "activateFiber", BAD_ADDRESS)
    applied = await desk.repair("retry")
    assert (applied["correction"]["result"], applied["state"]) == ("readied", "VERIFYING")
    assert (await desk.tmf())["state"] == "completed"
    first, second = desk.sent("activateFiber")
    assert (first.key, first.body) == (second.key, second.body) and second.attempt == 2
    view = await desk.view()
    assert (view["state"], view["resolution"]) == ("RESOLVED_NONE", "settled_outside")


async def test_a_retry_that_is_refused_again_disproves_itself_on_the_same_case(house: House) -> None:
    desk = await Desk.stopped(house, "activateFiber", BAD_ADDRESS, BAD_ADDRESS)
    await desk.repair("retry")
    await house.work()
    view = await desk.view()
    assert (view["state"], view["repeats"]) == ("IN_PROGRESS", 1)
    assert (await house.case_of(desk.order["id"]))["id"] == view["id"]


async def test_done_outside_needs_proof_of_the_right_kind_and_completes(house: House) -> None:
    desk = await Desk.stopped(house, "activateFiber", refused("TERMINAL"))
    wrong_kind = await desk.proof("customer_confirmation")
    unproven = await desk.done("evidence", {"type": "document", "source": "s", "content": "c"})
    odd = ({}, {"evidence": []}, {"evidence": [wrong_kind]}, {"evidence": [unproven["evidence"]["id"]]}, {"evidence": 5},
           {"evidence": None}, {"evidence": {"x": 1}}, {"evidence": [[]]}, {"evidence": "x"})  # fmt: skip
    for given in odd:
        answer = await desk.propose("mark_done_outside", **given)
        assert (answer.status, answer.pointers) == (422, ["/input/evidence"]), (given, answer.raw)
    proof = await desk.proof("vendor_request")
    assert (await desk.repair("mark_done_outside", evidence=[proof]))["correction"]["result"] == "marked"
    for decision, mode, rule in (
        ("resume", "RETRY_FAILED_STEP", "already-done-outside"), ("resume", "REPLAN_FROM_STEP", "unknown-locks-replan"),
        ("compensate", None, "compensation-unknown"),
    ):  # fmt: skip
        answer = await desk.resolve(decision, mode, [proof])
        assert (answer.status, answer.rule) == (403, rule)
    assert (await desk.resolve("resume", "SKIP_STEP_ALREADY_DONE", [proof])).status == 200
    assert (await desk.tmf())["state"] == "completed"
    assert len(desk.sent("activateFiber")) == 1


async def test_what_was_marked_done_by_mistake_is_taken_back_by_another_correction(house: House) -> None:
    desk = await Desk.stopped(house, "activateFiber", BAD_ADDRESS)
    await desk.repair("mark_done_outside", evidence=[await desk.proof()])
    await desk.repair("correct_data", fields={"address": "Jl. 7"})
    assert (await desk.resolve("resume", "SKIP_STEP_ALREADY_DONE")).rule == "skip-needs-proof"
    assert (await desk.resolve("resume", "RETRY_FAILED_STEP")).status == 200
    assert (await desk.tmf())["state"] == "completed"


async def test_skipping_needs_somebody_who_saw_it_done(house: House) -> None:
    desk = await Desk.stopped(house, "activateFiber", refused("TERMINAL"))
    await desk.proof()
    await desk.done("verify", {"evidence": []})
    answer = await desk.resolve("resume", "SKIP_STEP_ALREADY_DONE")
    assert (answer.status, answer.rule) == (403, "skip-needs-proof")


async def test_no_resolution_without_proof(house: House) -> None:
    desk = await Desk.stopped(house, "activateFiber", BAD_ADDRESS)
    plain = (await desk.done("evidence", {"type": "document", "source": "s", "content": "c"}))["evidence"]["id"]
    await desk.done("verify", {"evidence": [plain]})
    for evidence in ([], [plain]):
        for decision, mode in (("resume", "RETRY_FAILED_STEP"), ("cancel", None), ("compensate", None)):
            answer = await desk.resolve(decision, mode, evidence)
            assert (answer.status, answer.rule) == (403, "proof-before-resolution")
    assert (await desk.view())["state"] == "VERIFYING"


async def test_nobody_says_none_while_the_step_stands_still(house: House) -> None:
    desk = await Desk.stopped(house, "activateFiber", BAD_ADDRESS)
    await desk.proof()
    await desk.done("verify", {"evidence": []})
    answer = await desk.resolve("none")
    assert (answer.status, answer.rule) == (403, "none-leaves-nobody")
    assert (await desk.view())["state"] == "VERIFYING"


@pytest.mark.parametrize("how", ["correction", "resolution"])
async def test_a_cancelled_item_takes_its_dependents_along(house: House, how: str) -> None:
    items = [fiber("1"), item("2", "static-ip"), item("3", "wifi-router", model="X")]
    desk = await Desk.stopped(house, "activateFiber", BAD_ADDRESS, items=items)
    await desk.proof()
    if how == "correction":
        proposed = (await desk.propose("cancel_item")).json["correction"]
        assert {c["what"] for c in proposed["changes"]} == {"Activate fiber service", "Activate static IP"}
        assert len(proposed["left_outside"]) == 3  # account, subscription, installation are done
        await desk.done(f"corrections/{proposed['id']}/apply")
    else:
        await desk.done("verify", {"evidence": []})
    assert (await desk.resolve("cancel")).json["state"] == "RESOLVED_CANCEL"
    shown = await desk.tmf()
    assert shown["state"] == "partial"
    assert [i["state"] for i in shown["serviceOrderItem"]] == ["cancelled", "cancelled", "completed"]
    assert desk.sent("activateStaticIp") == []


async def test_when_every_item_is_cancelled_the_order_is(house: House) -> None:
    desk = await Desk.stopped(
        house, "reserve", refused("SKU_OUT_OF_STOCK"), items=[item("1", "wifi-router", model="X")]
    )
    await desk.proof()
    await desk.done("verify", {"evidence": []})
    assert (await desk.resolve("cancel")).status == 200
    assert (await desk.tmf())["state"] == "cancelled"


async def test_what_may_have_an_effect_outside_is_neither_cancelled_nor_sent_again(house: House) -> None:
    desk = await Desk.stopped(house, "activateFiber", LOST)
    await desk.proof()
    for action in ("retry", "cancel_item", "mark_done_outside", "correct_data"):
        given = {"fields": {"address": "x"}} if action == "correct_data" else {}
        answer = await desk.propose(action, **given)
        assert answer.status == 403, (action, answer.raw)
        assert answer.rule in (
            "unknown-locks-retry",
            "unknown-locks-cancel",
            "unknown-locks-force-complete",
            "identity-may-be-live",
        )
    await desk.done("verify", {"evidence": []})
    for decision, mode, rule in (
        ("resume", "SKIP_STEP_ALREADY_DONE", "skip-needs-proof"), ("resume", "REPLAN_FROM_STEP", "unknown-locks-replan"),
        ("cancel", None, "unknown-locks-cancel"), ("compensate", None, "unknown-locks-cancel"),
    ):  # fmt: skip
        answer = await desk.resolve(decision, mode)
        assert (answer.status, answer.rule) == (403, rule)
    assert len(desk.sent("activateFiber")) == 1


async def test_a_read_back_that_finds_it_lets_the_order_skip_the_step(house: House) -> None:
    desk = await Desk.stopped(house, "activateFiber", LOST, FOUND)
    applied = await desk.repair("query_by_key")
    assert (applied["correction"]["result"], applied["state"]) == ("found", "VERIFYING")
    view = await desk.view()
    (seen,) = view["evidence"]
    assert (seen["says"], seen["proves_resolution"], view["outcome_proven"]) == ("found", True, "found")
    assert (await house.call("GET", f"{desk.at}/evidence/{seen['id']}")).raw == FOUND.body
    for decision, mode, rule in (
        ("resume", "RETRY_FAILED_STEP", "already-done-outside"), ("resume", "REPLAN_FROM_STEP", "unknown-locks-replan"),
        ("compensate", None, ""), ("cancel", None, "unknown-locks-cancel"),
    ):  # fmt: skip
        answer = await desk.resolve(decision, mode)
        assert answer.status == 403 and (not rule or answer.rule == rule)
        says = answer.json["detail"]
        assert "Activate fiber service is done outside: the read-back of 2" in says and "read back first" not in says
    assert (await desk.resolve("resume", "SKIP_STEP_ALREADY_DONE")).status == 200
    assert (await desk.tmf())["state"] == "completed"
    assert [call.kind for call in desk.sent("activateFiber")] == ["send", "ask"]


@pytest.mark.parametrize("mode", ["RETRY_FAILED_STEP", "REPLAN_FROM_STEP"])
async def test_a_read_back_that_finds_nothing_lets_it_be_sent_again(house: House, mode: str) -> None:
    desk = await Desk.stopped(house, "activateFiber", LOST, ABSENT)
    assert (await desk.repair("read_back"))["correction"]["result"] == "absent"
    assert (await desk.resolve("resume", mode)).status == 200
    assert (await desk.tmf())["state"] == "completed"
    send, _ask, again = desk.sent("activateFiber")
    assert send.key == again.key


async def test_a_read_back_without_an_answer_proves_nothing(house: House) -> None:
    desk = await Desk.stopped(house, "activateFiber", LOST, reply(Result.SILENT, code="HTTP_500", body=b"oops"))
    applied = await desk.repair("read_back")
    assert (applied["correction"]["state"], applied["correction"]["result"], applied["state"]) == (
        "FAILED",
        "silent",
        "IN_PROGRESS",
    )
    assert [e["proves_resolution"] for e in (await desk.view())["evidence"]] == [False]


async def test_nothing_is_compensated_by_guessing(house: House) -> None:
    desk = await Desk.stopped(house, "activateFiber", BAD_ADDRESS)
    await desk.proof()
    await desk.done("verify", {"evidence": []})
    answer = await desk.resolve("compensate")
    assert (answer.status, answer.rule) == (403, "compensation-unknown")
    assert "how to undo Create billing account; " in answer.json["detail"]
    alone = await Desk.stopped(
        house, "reserve", refused("SKU_OUT_OF_STOCK"), items=[item("1", "wifi-router", model="X")]
    )
    await alone.proof()
    await alone.done("verify", {"evidence": []})
    assert (await alone.resolve("compensate")).json["state"] == "RESOLVED_COMPENSATE"
    assert (await alone.tmf())["state"] == "cancelled"


async def test_a_target_that_cannot_be_asked_is_not(house: House) -> None:
    desk = await Desk.stopped(house, "bookAppointment", LOST)
    for action in ("query_by_key", "read_back"):
        answer = await desk.propose(action)
        assert (answer.status, answer.rule) == (403, "target-cannot-be-asked")


async def test_force_complete_waits_for_approvals(house: House) -> None:
    desk = await Desk.stopped(house, "activateFiber", BAD_ADDRESS)
    answer = await desk.propose("force_complete", evidence=[await desk.proof("document")])
    assert (answer.status, answer.rule) == (403, "maker-checker")


async def test_sixteen_resolutions_at_once_redeem_one_token(house: House) -> None:
    desk = await Desk.stopped(house, "activateFiber", BAD_ADDRESS)
    await desk.repair("correct_data", fields={"address": "Jl. 16"})
    view = await desk.view()
    body = {"decision": "resume", "mode": "RETRY_FAILED_STEP", "evidence": [e["id"] for e in view["evidence"]]}
    answers = await asyncio.gather(
        *(house.call("POST", f"{desk.at}/resolve", body, version=view["version"]) for _ in range(16))
    )
    assert sorted(answer.status for answer in answers) == [200] + [412] * 15
    assert len((await desk.view())["resume_tokens"]) == 1
    assert (await desk.tmf())["state"] == "completed"
    assert len(desk.sent("activateFiber")) == 2
