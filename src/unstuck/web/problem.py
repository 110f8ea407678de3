"""Every refusal and every error as RFC 9457 problem+json. The edge alone knows HTTP."""

from typing import Any

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException

from unstuck.kernel.refusal import Forbidden, IllegalTransition, Invalid, Missing, Refused, Stale, TooMany
from unstuck.service.order_work.intake import AlreadyKnown
from unstuck.store.unit import is_away
from unstuck.web.tmf import error as tmf

log = structlog.get_logger()
STATUS: dict[type[Refused], int] = {
    Missing: 404,
    Forbidden: 403,
    IllegalTransition: 409,
    Stale: 412,
    Invalid: 422,
    TooMany: 429,
}
BY_RULE = {
    "life-cycle": 409,
    "signature": 401,
    "api-token": 401,
    "sign-in-first": 401,
    "sign-in": 401,
    "first-start-link": 404,
    "start-first": 409,
    "verify-before-resolution": 409,
    "if-match-missing": 428,
    "current-correction": 409,
    "nothing-hidden": 409,
    "not-redeemed": 409,
    "token-expired": 409,
    "token-superseded": 409,
    "token-used": 409,
    "token-version": 409,
    "undoing-waits-for-compensation": 409,
    "never-recognised": 409,
    "blocked-by-case": 409,
    "known-dialect": 409,
    "revision-waits-for-amendment": 409,
    "not-json": 400,
    "not-a-form": 400,
    "one-name-once": 400,
    "media-type": 415,
    "in-flight": 409,
    "one-subscription-per-name": 409,
    "one-key-one-command": 422,
    "not-built": 501,
    "too-large": 413,
    "too-slow": 408,
    "busy": 503,
}
TITLES = {
    400: "That cannot be read",
    401: "Who are you?",
    403: "Not allowed",
    404: "Not known here",
    405: "Not a way to do this",
    408: "Too slow",
    409: "Not possible in this state",
    412: "It has moved on",
    413: "Too large",
    415: "Not a type this takes",
    422: "The input cannot be taken",
    428: "Say which version you decided on",
    429: "Too often",
    500: "Something broke here",
    501: "Not built yet",
    503: "Not available right now",
}


RULES = {404: "not-found", 405: "method", 413: "too-large"}


class FieldError(msgspec.Struct, frozen=True):
    """One thing that is wrong: where, as a JSON pointer (a parameter: its name), and what would be right."""

    pointer: str
    detail: str


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """RFC 9457. `rule` names the rule that said no, `trace_id` finds the call in the log."""

    type: str
    title: str
    status: int
    detail: str
    trace_id: str
    rule: str | msgspec.UnsetType = msgspec.UNSET
    errors: list[FieldError] | msgspec.UnsetType = msgspec.UNSET


def problem(status: int, detail: str, trace_id: str, **more: Any) -> Problem:
    """The body of a problem."""
    title = TITLES.get(status, "Refused")
    return Problem(type="about:blank", title=title, status=status, detail=detail, trace_id=trace_id, **more)


class Said(msgspec.Struct, frozen=True):
    """What is to be answered to an error, in whatever form."""

    status: int
    body: Problem
    headers: dict[str, str]


def described(request: Request[Any, Any, Any], error: Exception) -> Said:
    """What `error` is to who called; the unexpected is logged with its trace id and says nothing of itself."""
    said = Said(*_described(error, str(request.scope.get("trace_id", ""))))
    if said.status >= 500 and not isinstance(error, Refused):
        log.error("unexpected", trace_id=said.body.trace_id, path=request.url.path, exc_info=error)
    return said


def answer(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """What a program gets for `error`: TM Forum's shape under its own addresses, problem+json elsewhere."""
    said = described(request, error)
    ours = said.status >= 500 and not isinstance(error, Refused)
    if request.url.path.startswith(tmf.BASE) and not ours:
        return tmf.error(said.status, said.body.detail, said.headers, str(said.body.rule))
    return Response(
        msgspec.json.encode(said.body),
        status_code=said.status,
        media_type="application/problem+json",
        headers=said.headers,
    )


def _described(error: Exception, trace_id: str) -> tuple[int, Problem, dict[str, str]]:
    if isinstance(error, Refused):
        return _refused(error, trace_id)
    if isinstance(error, AlreadyKnown):
        return 409, problem(409, str(error), trace_id, rule="one-order-per-source-id"), {}
    if isinstance(error, ValidationException) and error.extra:
        return _refused(Invalid("a parameter cannot be taken", tuple(map(_parameter, error.extra))), trace_id)
    if isinstance(error, HTTPException) and error.status_code < 500:
        more = {"rule": RULES[error.status_code]} if error.status_code in RULES else {}
        return error.status_code, problem(error.status_code, error.detail, trace_id, **more), dict(error.headers or {})
    if is_away(error):
        detail = "the database cannot be reached or is full; send the very same again"
        return 503, problem(503, detail, trace_id), {"Retry-After": "2"}
    return 500, problem(500, "an unexpected error; the trace id finds it in the log", trace_id), {}


def _parameter(wrong: Any) -> tuple[str, str]:
    """What Litestar says of a parameter."""
    return f"/{wrong.get('key', '')}", str(wrong.get("message", ""))


def _refused(error: Refused, trace_id: str) -> tuple[int, Problem, dict[str, str]]:
    status, headers = status_of(error)
    more: dict[str, Any] = {"rule": error.rule}
    if isinstance(error, Invalid) and error.errors:
        more["errors"] = [FieldError(pointer, detail) for pointer, detail in error.errors]
    return status, problem(status, error.because, trace_id, **more), headers


def status_of(error: Refused | None) -> tuple[int, dict[str, str]]:
    """The status of a refusal and the headers that belong to it; 200 for none."""
    if error is None:
        return 200, {}
    status = STATUS.get(type(error)) or BY_RULE.get(error.rule, 403)
    headers = {}
    if isinstance(error, Stale):
        headers["ETag"] = f'"{error.current}"'
    if isinstance(error, TooMany):
        headers["Retry-After"] = str(error.wait_s)
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if error.rule == "in-flight":
        headers["Retry-After"] = "1"
    return status, headers
