"""Resume tokens as text: compact JWS, Ed25519 (RFC 7515, 8037, 9864), that an order manager checks with our public keys."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from unstuck.kernel.refusal import Refused

ALGORITHM = "Ed25519"
TYPE = "resume-token+jwt"
TEXT_LIMIT = 16_384
Seeds = Callable[[], Sequence[bytes]]


class TokenSigner:
    """Signs with the first of our keys and knows all of them again; asked for at every use, so a rotation is seen."""

    def __init__(self, issuer: str, seeds: Seeds) -> None:
        self.issuer, self._seeds = issuer, seeds

    def sign(self, claims: dict[str, Any]) -> str:
        """The text of these claims: always the same under the same key."""
        key = _key(self._seeds()[0])
        header = {"alg": ALGORITHM, "typ": TYPE, "kid": key.thumbprint()}
        return jws.serialize_compact(header, msgspec.json.encode(claims), key, algorithms=[ALGORITHM])

    def read(self, text: str) -> dict[str, Any]:
        """The claims of a text that one of our keys has signed; refused (token-forged) otherwise."""
        keys = {key.thumbprint(): key for key in map(_key, self._seeds())}
        try:
            if len(text) > TEXT_LIMIT or text.count(".") != 2:
                raise _forged()
            key = keys[jws.extract_compact(text.encode()).headers()["kid"]]
            told = jws.deserialize_compact(text, key, algorithms=[ALGORITHM])
            if told.headers().get("typ") != TYPE:
                raise _forged()
            return msgspec.json.decode(told.payload, type=dict[str, Any])
        except (JoseError, LookupError, TypeError, ValueError, msgspec.MsgspecError) as error:
            raise _forged() from error


def public_jwk(public: bytes) -> dict[str, str]:
    """A public key (32 bytes) as a JWK; its `kid` is the thumbprint of RFC 7638, as in the header of a token."""
    key = OKPKey.import_key(Ed25519PublicKey.from_public_bytes(public))
    shown = key.as_dict(private=False)
    return {
        "kty": "OKP",
        "crv": ALGORITHM,
        "x": str(shown["x"]),
        "kid": key.thumbprint(),
        "use": "sig",
        "alg": ALGORITHM,
    }


def _key(seed: bytes) -> OKPKey:
    return OKPKey.import_key(Ed25519PrivateKey.from_private_bytes(seed))


def _forged() -> Refused:
    return Refused("token-forged", "this is no resume token of ours: no key of ours has signed it")
