"""What the order manager believes: webhook signatures (Standard Webhooks) and resume tokens (compact JWS, Ed25519).

Written against the published rules alone, so that a receiver made by somebody else is what is rehearsed.
"""

import hmac
import time
from base64 import b64decode, b64encode, urlsafe_b64decode
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

TOLERANCE_S = 300
ALGORITHMS = ("Ed25519", "EdDSA")


class Unbelievable(ValueError):
    """It is not signed by whom it should be, or not meant for us."""


def check_webhook(secret: str, headers: Mapping[str, str], body: bytes) -> str:
    """The id of a message that was signed with our secret, now."""
    message_id, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not stamp.isdigit() or abs(time.time() - int(stamp)) > TOLERANCE_S:
        raise Unbelievable("the message is not of now")
    key = b64decode(secret.removeprefix("whsec_"))
    wanted = b64encode(hmac.digest(key, f"{message_id}.{stamp}.".encode() + body, sha256)).decode()
    given = headers.get("webhook-signature", "").split(" ")
    if not any(hmac.compare_digest(f"v1,{wanted}", one) for one in given):
        raise Unbelievable("the message is not signed with our secret")
    return message_id


def read_token(text: str, keys: list[dict[str, Any]], audience: str) -> dict[str, Any]:
    """The claims of a token that one of these JWKs has signed, for us and still alive."""
    try:
        header, payload, signature = text.split(".")
        told = msgspec.json.decode(_bytes(header), type=dict[str, Any])
        claims = msgspec.json.decode(_bytes(payload), type=dict[str, Any])
        key = next(jwk for jwk in keys if jwk.get("kid") == told.get("kid"))
        public = Ed25519PublicKey.from_public_bytes(_bytes(key["x"]))
        public.verify(_bytes(signature), f"{header}.{payload}".encode())
    except (ValueError, StopIteration, LookupError, InvalidSignature, msgspec.MsgspecError) as error:
        raise Unbelievable(f"the token is not signed by a key that we know ({type(error).__name__})") from error
    if told.get("alg") not in ALGORITHMS:
        raise Unbelievable("the token is signed in another way than it should")
    if claims.get("aud") != audience:
        raise Unbelievable(f"the token is for {claims.get('aud')}")
    if float(claims.get("exp", 0)) <= time.time():
        raise Unbelievable("the token has expired")
    return claims


def _bytes(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
