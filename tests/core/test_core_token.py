"""The resume token: what it lets through, what it says, and that its text is ours alone to make."""

import base64
import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unstuck.connect.jws import TokenSigner, public_jwk
from unstuck.fallout.case import Close, decide, evolve, from_detected
from unstuck.fallout.events import RESUME_EXPIRED
from unstuck.fallout.lifecycle import CaseState
from unstuck.fallout.resumption import redeemed, returned
from unstuck.kernel.actor import Actor
from unstuck.kernel.refusal import Refused
from unstuck.policy.grant import machine
from unstuck.repair.evidence import Evidence, EvidenceType
from unstuck.repair.manager import OrderManager, Standing, again, filled, finding, standing
from unstuck.repair.token import (
    ResumeMode,
    ResumeToken,
    claims,
    require_alive,
    require_audience,
    require_order_version,
    require_own_words,
    require_redeemable,
)
from unstuck.simulator.order_manager_proof import Unbelievable, read_token

NOW = datetime(2026, 11, 22, 15, 0, 0, 250_000, tzinfo=UTC)
PROOF = Evidence(UUID(int=9), EvidenceType.VENDOR_REQUEST, "ab" * 32, 3, "text/plain", "portal", "ana", NOW)
TOKEN = ResumeToken(
    id=UUID(int=1), audience="oms", case_id=UUID(int=2), order_id=None, item="line-1", failed_step="activate",
    mode=ResumeMode.RETRY_FAILED_STEP, correction=None, evidence=(PROOF.id,), plan_revision=0, task=None, attempt=0,
    issued_at=NOW, expires_at=NOW + timedelta(hours=24), order_ref="so-1", order_version="v7",
)  # fmt: skip
OWN = msgspec.structs.replace(TOKEN, audience="engine", order_id=UUID(int=3), task=4, attempt=2)
OLD, NEW = b"o" * 32, b"n" * 32
MANAGER = OrderManager(
    url="https://oms/orders/{order}", expected=("FALLOUT",), to="RUNNING", state_field="status.phase"
)


def rule(act) -> str:
    try:
        act()
    except Refused as refusal:
        return refusal.rule
    return ""


def public(signer_seed: bytes) -> dict[str, str]:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = Ed25519PrivateKey.from_private_bytes(signer_seed).public_key()
    return public_jwk(key.public_bytes(Encoding.Raw, PublicFormat.Raw))


def test_the_claims_say_what_was_decided_and_nothing_less():
    said = claims(TOKEN, [PROOF], "https://unstuck")
    assert set(said) >= {"jti", "aud", "sub", "case", "item", "failed_step", "mode", "order_version", "iat", "exp"}
    assert said["evidence"] == [{"id": str(PROOF.id), "sha256": PROOF.sha256}]
    assert (said["exp"] - said["iat"], said["iss"]) == (86_400, "https://unstuck")


@pytest.mark.parametrize("name", sorted(claims(TOKEN, [PROOF], "x").keys() - {"iss"}))
def test_no_claim_can_be_other_than_issued(name):
    said = claims(TOKEN, [PROOF], "x")
    require_own_words(TOKEN, said, [PROOF])
    for wrong in (None, "other", 5):
        assert wrong == said[name] or rule(lambda wrong=wrong: require_own_words(TOKEN, {**said, name: wrong}, [PROOF]))
    without = {key: value for key, value in said.items() if key != name}
    assert rule(lambda: require_own_words(TOKEN, without, [PROOF])) == "token-forged"
    assert rule(lambda: require_own_words(TOKEN, {**said, "more": 1}, [PROOF])) == "token-forged"


def test_a_case_whose_order_nobody_moved_is_not_closed():
    case = from_detected(
        {
            "order": None, "item": "1", "step": "activate", "task": None, "attempt": 0, "reason": "reported", "system": "oms",
            "operation": "", "raw_code": "", "sha256": "", "dedup_key": "k", "pack": "p", "source": "oms", "to": "DETECTED",
        },
        id=UUID(int=5), number=1, at=NOW, raw_message="",
    )  # fmt: skip
    grant = machine(Actor("unstuck:test"))
    case.state, case.unredeemed = CaseState.RESOLVED_RESUME, TOKEN.id
    assert rule(lambda: decide(case, Close(), grant, NOW)) == "not-redeemed"
    (event,) = redeemed(case, TOKEN, (), grant, NOW)
    evolve(case, event.type.name, event.by, event.at, event.data)
    assert decide(case, Close(), grant, NOW)
    case.state, case.unredeemed = CaseState.RESOLVED_RESUME, TOKEN.id
    (event,) = returned(case, TOKEN, RESUME_EXPIRED, "late", (), grant, NOW, superseded=False)
    evolve(case, event.type.name, event.by, event.at, event.data)
    assert (case.state, case.unredeemed, case.resolution) == (CaseState.IN_PROGRESS, None, "")


def test_leave_ends_at_its_time_and_not_before():
    require_alive(TOKEN, TOKEN.expires_at - timedelta(microseconds=1))
    assert rule(lambda: require_alive(TOKEN, TOKEN.expires_at)) == "token-expired"


@given(st.text(max_size=20))
def test_the_order_version_is_compared_and_never_understood(version):
    seen = rule(lambda: require_order_version(TOKEN, version))
    assert seen == ("" if version == "v7" else "token-version")


def test_leave_is_for_one_audience():
    require_audience(TOKEN, "oms")
    assert rule(lambda: require_audience(TOKEN, "")) == rule(lambda: require_audience(TOKEN, "OMS")) == "token-audience"


def test_what_is_for_another_order_manager_never_moves_an_order_of_ours():
    given_ = {"audience": "oms", "guard": (0, 0, 0), "now": NOW}
    assert rule(lambda: require_redeemable(TOKEN, order_id=UUID(int=3), **given_)) == "token-order"
    assert rule(lambda: TOKEN.step) == "token-audience"
    require_redeemable(OWN, audience="engine", order_id=UUID(int=3), guard=(0, 4, 2), now=NOW)


def test_tokens_from_before_order_managers_of_others_are_still_read():
    body = msgspec.to_builtins(OWN)
    del body["order_ref"], body["order_version"]
    assert msgspec.json.decode(msgspec.json.encode(body), type=ResumeToken) == msgspec.structs.replace(
        OWN, order_ref="", order_version=""
    )


def test_the_text_is_always_the_same_and_read_by_whoever_has_the_public_key():
    signer = TokenSigner("x", lambda: [NEW])
    said = claims(TOKEN, [PROOF], "x")
    text = signer.sign(said)
    assert text == signer.sign(said)
    assert signer.read(text) == said
    alive = {**said, "exp": 2**40}
    assert read_token(signer.sign(alive), [public(OLD), public(NEW)], "oms") == alive
    for keys, audience in (([public(OLD)], "oms"), ([public(NEW)], "other")):
        with pytest.raises(Unbelievable):
            read_token(signer.sign(alive), keys, audience)


def test_a_rotation_is_seen_at_once_and_leave_that_is_out_stays_good():
    seeds = [OLD]
    signer = TokenSigner("x", lambda: seeds)
    before = signer.sign({"jti": "1"})
    seeds[:] = [NEW, OLD]
    after = signer.sign({"jti": "1"})
    assert before != after
    assert signer.read(before) == signer.read(after) == {"jti": "1"}
    seeds[:] = [NEW]
    assert rule(lambda: signer.read(before)) == "token-forged"


def test_what_no_key_of_ours_signed_is_forged():
    signer, stranger = TokenSigner("x", lambda: [NEW]), TokenSigner("x", lambda: [OLD])
    head, payload, signature = signer.sign({"jti": "1"}).split(".")
    other = base64.urlsafe_b64encode(b'{"jti":"2"}').decode().rstrip("=")
    kid = json.loads(base64.urlsafe_b64decode(head + "=="))["kid"]
    heads = [
        {"alg": "none", "kid": kid},
        {"alg": "HS256", "kid": kid},
        {"alg": "Ed25519"},
        {"alg": "Ed25519", "kid": 5},
    ]
    wrong = [
        f"{base64.urlsafe_b64encode(json.dumps(h).encode()).decode().rstrip('=')}.{payload}.{signature}" for h in heads
    ]
    wrong += [
        stranger.sign({"jti": "1"}),
        f"{head}.{other}.{signature}",
        f"{head}.{payload}.",
        "",
        "..",
        "a.b.c",
        "x" * 20_000,
    ]
    for text in wrong:
        assert rule(lambda text=text: signer.read(text)) == "token-forged", text[:80]


@given(st.text(max_size=200))
def test_no_text_of_a_stranger_breaks_the_reader(text):
    assert rule(lambda: TokenSigner("x", lambda: [NEW]).read(text)) == "token-forged"


def test_an_order_stands_as_it_was_decided_on_or_there_is_a_finding():
    seen = standing(MANAGER, {"status": {"phase": "FALLOUT"}}, '"v7"')
    assert seen == Standing("FALLOUT", '"v7"')
    assert finding(MANAGER, seen, "v7") == finding(MANAGER, seen, "") == ""
    assert "moved to version" in finding(MANAGER, seen, "v6")
    assert "RUNNING" in finding(MANAGER, standing(MANAGER, {"status": {"phase": "RUNNING"}}, ""), "")
    for strange in ({}, {"status": []}, {"status": {"phase": None}}):
        assert "in no state" in finding(MANAGER, standing(MANAGER, strange, ""), "")


def test_the_words_of_a_task_are_filled_in_everywhere():
    words = {"order": "so-1", "mode": "RETRY_FAILED_STEP"}
    assert filled({"a": ["{order}", {"b": "{mode}: {order}"}], "n": 5}, words) == {
        "a": ["so-1", {"b": "RETRY_FAILED_STEP: so-1"}],
        "n": 5,
    }


def test_an_order_sent_again_says_what_it_replaces():
    sent = again(MANAGER, {"id": "77", "href": "/x", "status": {"phase": "FALLOUT"}, "lines": [1]}, "so-1")
    relation = [{"id": "77", "relationshipType": "replaces"}]
    assert sent == {"lines": [1], "externalId": "so-1", "orderRelationship": relation}
