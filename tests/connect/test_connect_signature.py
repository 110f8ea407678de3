"""Signatures of callbacks (Standard Webhooks): who sent it, when, and that nobody changed a byte."""

import base64
import hmac
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest

from unstuck.connect.signature import verify
from unstuck.kernel.refusal import Refused

NOW = datetime(2026, 3, 14, 9, 0, tzinfo=UTC)
KEY = b"0123456789abcdef01234567"
SECRET = "whsec_" + base64.b64encode(KEY).decode()
BODY = b'{"id":"1"}'


def headers(body: bytes = BODY, at: datetime = NOW, key: bytes = KEY, **changes: str) -> dict[str, str]:
    stamp = str(int(at.timestamp()))
    mac = hmac.new(key, b"msg_1." + stamp.encode() + b"." + body, sha256).digest()
    signed = {
        "webhook-id": "msg_1",
        "webhook-timestamp": stamp,
        "webhook-signature": "v1," + base64.b64encode(mac).decode(),
    }
    return {**signed, **{name.replace("_", "-"): value for name, value in changes.items()}}


def accepted(secret: str, given: dict[str, str], body: bytes, now: datetime) -> bool:
    try:
        verify(secret, given, body, now)
    except Refused:
        return False
    return True


def test_the_published_example_of_the_scheme_is_accepted() -> None:
    published = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    assert accepted(secret, published, b'{"test": 2432232314}', datetime.fromtimestamp(1614265330, UTC))


def test_a_body_signed_with_our_secret_is_accepted() -> None:
    assert accepted(SECRET, headers(), BODY, NOW)


def test_one_of_several_signatures_is_enough() -> None:
    good = headers()["webhook-signature"]
    assert accepted(SECRET, headers(webhook_signature=f"v1,AAAA v2,zzz {good}"), BODY, NOW)


@pytest.mark.parametrize("seconds", [-300, -1, 0, 1, 300])
def test_five_minutes_either_way_are_tolerated(seconds: int) -> None:
    assert accepted(SECRET, headers(at=NOW + timedelta(seconds=seconds)), BODY, NOW)


@pytest.mark.parametrize(
    ("given", "body"),
    [
        pytest.param(headers(), BODY + b" ", id="body changed"),
        pytest.param(headers(key=b"another key"), BODY, id="another key"),
        pytest.param(headers(webhook_id="msg_2"), BODY, id="id changed"),
        pytest.param(headers(webhook_timestamp=str(int(NOW.timestamp()) + 1)), BODY, id="time changed"),
        pytest.param(headers(at=NOW - timedelta(seconds=301)), BODY, id="too old"),
        pytest.param(headers(at=NOW + timedelta(seconds=301)), BODY, id="from the future"),
        pytest.param({}, BODY, id="nothing"),
        *(
            pytest.param({k: v for k, v in headers().items() if k != name}, BODY, id=f"no {name}")
            for name in ("webhook-id", "webhook-timestamp", "webhook-signature")
        ),
        *(
            pytest.param(headers(webhook_timestamp=stamp), BODY, id=f"stamp {stamp[:12]!r}")
            for stamp in ("", "now", "-1", "1e9", "٣", "²", "9" * 13, "9" * 5000, " 1")
        ),
        *(
            pytest.param(headers(webhook_signature=given), BODY, id=f"signature {given[:12]!r}")
            for given in ("", "v1,", "v1", headers()["webhook-signature"][3:], "v2" + headers()["webhook-signature"][2:],
                          "v1,\xff", "☃", "v1," + "A" * 100_000)
        ),
    ],
)  # fmt: skip
def test_any_doubt_is_a_refusal(given: dict[str, str], body: bytes) -> None:
    with pytest.raises(Refused) as refusal:
        verify(SECRET, given, body, NOW)
    assert refusal.value.rule == "signature"
