"""The error body of TM Forum (tmf.md §2.3), which is not RFC 9457's."""

from collections.abc import Mapping

import msgspec
from litestar import Response

BASE = "/tmf-api/"
REASONS = {
    400: "The order cannot be understood",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    413: "Too large",
    415: "Unsupported media type",
}


def error(status: int, because: str, headers: Mapping[str, str] | None = None) -> Response[bytes]:
    """A refusal in the words of TM Forum."""
    body = {"code": str(status), "reason": REASONS.get(status, "Refused"), "message": because, "status": str(status)}
    return Response(msgspec.json.encode(body), status_code=status, media_type="application/json", headers=headers)
