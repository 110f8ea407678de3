"""Bodies, versions and paths as handlers read them: strict, with the pointer of what is wrong."""

import re
from itertools import islice
from typing import Annotated, Any, TypeVar

import msgspec
from litestar import Request, Response
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from unstuck.kernel.actor import Actor
from unstuck.kernel.refusal import Invalid, Refused
from unstuck.kernel.strict import NOT_JSON, not_json, plain
from unstuck.service.order_work.intake import Sent
from unstuck.web.faults import faults, whole_floats

T = TypeVar("T")
ETAG = re.compile(r'(?:W/)?"(\d{1,9})"')
CHARSET = re.compile(r"charset\s*=\s*\"?([^\s;\"]+)")
KEPT_OF_TOO_LARGE = 65_536
MISFIT = "the body does not fit its schema"
FAULTS_SHOWN = 100
# Control characters, and those that turn the direction of what follows on a person's screen.
UNSEEN = r"\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069"
# Signs of no width, and letters that are blank: part of words in some languages, but by themselves they say nothing.
BLANK = r"\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u2060-\u2065\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0"
WORDS = rf"^[\t\n {BLANK}]*[^\s{UNSEEN}{BLANK}][^{UNSEEN}]*$"
LINE = rf"^[ {BLANK}]*[^\s{UNSEEN}{BLANK}][^\t\n{UNSEEN}]*$(?!\n)"
Words = Annotated[
    str, msgspec.Meta(min_length=1, max_length=4000, pattern=WORDS, description="1 to 4000 printable characters")
]
MaybeWords = Annotated[
    str, msgspec.Meta(max_length=4000, pattern=rf"^[^{UNSEEN}]*$", description="at most 4000 printable characters")
]
Line = Annotated[
    str, msgspec.Meta(min_length=1, max_length=200, pattern=LINE, description="1 to 200 printable characters")
]


def parsed(data: bytes, kind: type[T]) -> T:
    """Decode a native body; not-json is 400, wrong fields 422 with all their pointers."""
    data = data or b"{}"
    try:
        value = msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError:
        return _converted(plain(data), kind)
    except NOT_JSON as error:
        raise not_json(error) from error
    plain(data)
    return value


def _converted(value: Any, kind: type[T]) -> T:
    """What did not fit at the first try: it fits once 5.0 is 5, or everything that does not is told."""
    value = whole_floats(value)
    try:
        return msgspec.convert(value, type=kind)
    except msgspec.ValidationError as error:
        found = tuple(islice(faults(value, kind), FAULTS_SHOWN)) or (("", str(error)),)
        said = "the body cannot be taken" if error.__cause__ else MISFIT  # a rule of the type itself has a cause
        raise Invalid(f"{said}: {found[0][1]}", found) from error


def expected_version(request: Request[Any, Any, Any]) -> int:
    """The version of If-Match; its absence is an answer of its own (428)."""
    version = given_version(request)
    if version is None:
        raise Refused("if-match-missing", 'send If-Match: "<version>" with the version you decided on')
    return version


def given_version(request: Request[Any, Any, Any]) -> int | None:
    """The version of If-Match, None without; what is no version of ours matches nothing."""
    given = request.headers.get("if-match")
    match = ETAG.fullmatch(given.strip()) if given is not None else None
    return int(match[1]) if match else None if given is None else -1


def require_media_type(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """The guard of every route with a body: another content type is another language (415)."""
    given = connection.headers.get("content-type")
    if handler.opt.get("body") is None or given is None:
        return
    accepted = handler.opt.get("accepts", ("application/json",))
    charset = CHARSET.search(given.lower().partition(";")[2])
    if media_type(given) not in accepted or (charset is not None and charset[1] != "utf-8"):
        raise Refused("media-type", f"send {' or '.join(accepted)} in UTF-8, not {given[:100]!r}")


def media_type(given: str) -> str:
    """The media type of a Content-Type, without its parameters; empty when there is none."""
    return given.partition(";")[0].strip().lower()


def actor(request: Request[Any, Any, Any]) -> Actor:
    """Who calls."""
    who: Actor = request.scope["user"]
    return who


def as_json(value: Any, *, status: int = 200, version: int | None = None, **headers: str) -> Response[bytes]:
    """A JSON answer, with the ETag of what it shows."""
    if version is not None:
        headers["ETag"] = f'"{version}"'
    shown = {name.replace("_", "-"): text for name, text in headers.items()}
    return Response(msgspec.json.encode(value), status_code=status, media_type="application/json", headers=shown)


async def read(request: Request[Any, Any, Any], limit: int, channel: str) -> Sent:
    """The body as it comes, up to `limit`; of a larger one the beginning is kept, and its size counted."""
    body, size = bytearray(), 0
    async for chunk in request.stream():
        size += len(chunk)
        if len(body) <= limit:
            body += chunk
        elif size > 100 * limit:
            break
    kept = bytes(body) if size <= limit else bytes(body[:KEPT_OF_TOO_LARGE])
    return Sent(channel, actor(request).id, request.headers.get("content-type", ""), kept, size)
