"""Bodies, versions and paths as handlers read them: strict, with the pointer of what is wrong."""

import re
from collections.abc import Iterable
from typing import Annotated, Any, TypeVar
from uuid import UUID

import msgspec
from litestar import Request, Response
from litestar.params import QueryParameter

from unstuck.kernel.actor import Actor
from unstuck.kernel.refusal import Invalid, Refused
from unstuck.service.intake import Sent

T = TypeVar("T")
State = Annotated[str | None, QueryParameter(name="state")]  # `state` itself is a word of Litestar's
ETAG = re.compile(r'(?:W/)?"(\d{1,9})"')
KEPT_OF_TOO_LARGE = 65_536
FIELD = re.compile(r"(?:missing required|unknown) field `(.*)`$")
NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
DEPTH_LIMIT = 64  # what can be decoded here must also be encoded later, from deeper in the stack


def parsed(data: bytes, kind: type[T]) -> T:
    """Decode a native body; not-json is 400, a wrong field 422 with its pointer."""
    try:
        return msgspec.json.decode(data or b"{}", type=kind)
    except msgspec.ValidationError as error:
        _require_json(data)
        because, _, path = str(error).partition(" - at `$")
        named = FIELD.search(because)
        pointer = re.sub(r"[.\[]+", "/", path.rstrip("`").replace("]", "")) + (f"/{named[1]}" if named else "")
        raise Invalid(because, ((pointer or "/", because),)) from error
    except NOT_JSON as error:
        raise Refused("not-json", f"the body is not JSON ({error})") from error


def _require_json(data: bytes) -> None:
    """A body whose beginning has the wrong type may still be no JSON further on: that is said first."""
    try:
        msgspec.json.decode(data or b"{}")
    except NOT_JSON as error:
        raise Refused("not-json", f"the body is not JSON ({error})") from error


def depth(value: Any) -> int:
    """How deeply a decoded JSON value is nested; a plain value is one level."""
    level, levels = [value], 0
    while level:
        levels += 1
        level = [inner for outer in level for inner in _inside(outer)]
    return levels


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


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


def a_filter(text: str | None, pointer: str) -> str | None:
    """A filter of a list; what cannot be a name of ours is told so."""
    if text is not None and not (text.isprintable() and 0 < len(text) <= 200):
        raise Invalid("a filter is a name", ((pointer, "1 to 200 printable characters"),))
    return text


def page_size(limit: int) -> int:
    """How many of a list to show."""
    if not 1 <= limit <= 500:
        raise Invalid("limit is between 1 and 500", (("/limit", "between 1 and 500"),))
    return limit


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
    media_type = request.headers.get("content-type", "")
    return Sent(channel, actor(request).id, media_type, kept, size)


def uuid_of(text: str, pointer: str) -> UUID:
    """An id in a body."""
    try:
        return UUID(text)
    except ValueError:
        raise Invalid("that is no id", ((pointer, "a UUID"),)) from None
