"""Standard Webhooks signatures: who sent it, and when."""

import base64
import hmac
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256

from unstuck.kernel.refusal import Refused

TOLERANCE_S = 300


def sign(secret: str, event_id: str, at: datetime, body: bytes) -> str:
    """The signature of one message, `v1,…`; of several secrets the signatures are joined by a space."""
    return _signature(secret, event_id, str(int(at.timestamp())), body)


def verify(secret: str, headers: Mapping[str, str], body: bytes, now: datetime) -> None:
    """Refuse a body that is not signed with `secret` (`whsec_…`), or was signed more than five minutes away."""
    event_id, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not event_id or not stamp.isascii() or not stamp.isdigit() or len(stamp) > 12:
        raise Refused("signature", "sign the callback: webhook-id, webhook-timestamp, webhook-signature")
    if abs(now.timestamp() - int(stamp)) > TOLERANCE_S:
        raise Refused("signature", "the webhook-timestamp is more than five minutes from now")
    wanted = _signature(secret, event_id, stamp, body)
    given = headers.get("webhook-signature", "").split(" ")
    if not any(hmac.compare_digest(wanted.encode(), one.encode()) for one in given):
        raise Refused("signature", "the signature does not fit")


def _signature(secret: str, event_id: str, stamp: str, body: bytes) -> str:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    mac = hmac.new(key, f"{event_id}.{stamp}.".encode() + body, sha256).digest()
    return "v1," + base64.b64encode(mac).decode()
