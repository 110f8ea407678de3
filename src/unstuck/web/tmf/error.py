"""The error body of TM Forum (tmf.md §2.3), which is not RFC 9457's."""

from collections.abc import Mapping

import msgspec
from litestar import Response

BASE = "/tmf-api/"
REASONS = {
    400: "That cannot be understood",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    412: "It has moved on",
    413: "Too large",
    415: "Unsupported media type",
}
# TM Forum's API knows no 422: what cannot be taken is a bad request there.
STATUS = {422: 400, 428: 400}
CODES = {
    "life-cycle": "INVALID_STATE_TRANSITION",
    "never-recognised": "INVALID_STATE_TRANSITION",
    "blocked-by-case": "BLOCKED_BY_FALLOUT_CASE",
    "revision-waits-for-amendment": "REVISION_WAITS_FOR_AMENDMENT",
    "one-subscription-per-name": "DUPLICATE_LISTENER",
}


def error(
    status: int, because: str, headers: Mapping[str, str] | None = None, rule: str = "", reason: str = "", see: str = ""
) -> Response[bytes]:
    """A refusal in the words of TM Forum; `rule` is ours, and decides the code where TM Forum's own says too little.

    `see` is where more is to be read of it.
    """
    status = STATUS.get(status, status)
    code = CODES.get(rule, str(status)) if status == 409 else str(status)
    reason = reason or REASONS.get(status, "Refused")
    body = {"code": code, "reason": reason, "message": because, "status": str(status)}
    body |= {"referenceError": see} if see else {}
    return Response(msgspec.json.encode(body), status_code=status, media_type="application/json", headers=headers)
