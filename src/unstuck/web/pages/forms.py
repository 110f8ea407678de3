"""Forms as browsers send them, read strictly: each field known and once, texts with plain line ends, one file at most.

What is typed is checked by the Structs that the API takes (`into`), so a form can do nothing that a program cannot.
"""

from collections.abc import Collection, Mapping
from hashlib import sha256
from io import BytesIO
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import msgspec
import multipart
from litestar import Request

from unstuck.kernel.refusal import Invalid, Refused
from unstuck.service.once import earlier
from unstuck.service.ports import Ports
from unstuck.store.answers import Answer, Once
from unstuck.web.form import FILE, FORM, words
from unstuck.web.protocol import actor, media_type, parsed

URLENCODED = "application/x-www-form-urlencoded"
FIELDS, FIELD_LIMIT = 200, 100_000
SMALL = 20_000  # bytes of a form from anybody
DONE = 303  # what a form is answered with when it was carried out
T = TypeVar("T")


class File(msgspec.Struct, frozen=True):
    """The one file of a form."""

    name: str
    data: bytes
    media_type: str


class Form(msgspec.Struct, frozen=True):
    """What was sent: every value by its field, and the file if one was chosen."""

    values: Mapping[str, list[str]]
    file: File | None = None

    def text(self, name: str) -> str:
        """The value of a field that has one, empty when it was not sent; refused when it was sent twice."""
        found = self.values.get(name, [""])
        if len(found) > 1:
            raise Invalid("a field is given twice", ((f"/{name}", "is given twice; which one counts?"),))
        return found[0]

    def all(self, name: str) -> list[str]:
        """The values of a field that may have several."""
        return [value for value in self.values.get(name, []) if value]

    @property
    def version(self) -> int:
        """What was decided on; a form that does not say so is none of ours."""
        given = self.text("version")
        if not (given.isascii() and given.isdecimal() and len(given) < 10):
            raise Refused(
                "if-match-missing", "the form does not say which version it was decided on; load the page again"
            )
        return int(given)


async def read(request: Request[Any, Any, Any], known: Collection[str]) -> Form:
    """The form in the body; Invalid with a field that nobody asked for, Refused (not-a-form) for anything else."""
    given = request.headers.get("content-type", "")
    body = await request.body()
    match media_type(given):
        case "application/x-www-form-urlencoded":
            form = _urlencoded(body)
        case "multipart/form-data":
            form = _multipart(body, given)
        case other:
            raise Refused("media-type", f"send the form as {URLENCODED} or {FORM}, not {other[:100]!r}")
    strange = [name for name in form.values if name not in known]
    if strange:
        raise Invalid(
            "the form has a field that is not known here", tuple((f"/{n[:100]}", "is not known here") for n in strange)
        )
    return form


def into(values: Mapping[str, Any], kind: type[T]) -> T:
    """These values as what the API takes; Invalid with the pointer of each that does not fit."""
    try:
        return parsed(msgspec.json.encode(values), kind)
    except UnicodeEncodeError as error:
        raise Refused("not-a-form", "the form holds characters that are none") from error


def once(request: Request[Any, Any, Any], form: Form, *, part: str = "") -> Once | None:
    """Under which key this form may be sent again; None when it names none. `part`: of a form that is two commands."""
    key = form.text("key")
    if not key:
        return None
    if not (len(key) <= 100 and key.isascii() and key.isprintable() and " " not in key):
        raise Invalid(
            "the form's key is none of ours; load the page again", (("/key", "at most 100 printable characters"),)
        )
    said = {name: values for name, values in form.values.items() if name != "key"}
    file = form.file.data if form.file else b""
    asked = (request.scope["path"].encode(), part.encode(), msgspec.json.encode(said, order="sorted"), file)
    return Once(actor(request).id, f"form:{key}{part}", sha256(b"\0".join(asked)).hexdigest(), DONE)


async def again(ports: Ports, once: Once | None) -> Answer | None:
    """What this very form was answered when it was sent before; None when it is new."""
    return None if once is None else await earlier(ports, once)


def under(ports: Ports, once: Once | None) -> Ports:
    """Ports for one command that may be sent again."""
    return ports if once is None else msgspec.structs.replace(ports, once=once)


def errors(refusal: Refused) -> dict[str, str]:
    """What is wrong, by field; `/input/fields/address` is the field `fields.address`."""
    found = refusal.errors if isinstance(refusal, Invalid) else ()
    return {_field(pointer): because for pointer, because in reversed(found)}


def _field(pointer: str) -> str:
    steps = [step.replace("~1", "/").replace("~0", "~") for step in pointer.strip("/").split("/")]
    named = [step for step in steps if step != "input"]
    return ".".join(step for step in named if not step.isdecimal())


def _urlencoded(body: bytes) -> Form:
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=FIELDS,
            strict_parsing=bool(body),
        )
    except (ValueError, UnicodeError) as error:
        raise Refused("not-a-form", f"the body is no form ({error})") from error
    return Form(_collected(pairs))


def _multipart(body: bytes, given: str) -> Form:
    boundary = multipart.parse_options_header(given)[1].get("boundary", "")
    pairs: list[tuple[str, str]] = []
    file: File | None = None
    try:
        for part in multipart.MultipartParser(BytesIO(body), boundary, len(body), strict=True, part_limit=FIELDS):
            if part.name != FILE:
                pairs.append((part.name, words(part)))
            elif file is not None:
                raise Invalid("choose one file", (("/file", "one at a time"),))
            elif part.raw:
                file = File(part.filename or "", part.raw, part.content_type or "application/octet-stream")
    except (multipart.MultipartError, UnicodeDecodeError) as error:
        raise Refused("not-a-form", f"the body is no multipart form ({error})") from error
    return Form(_collected(pairs), file)


def _collected(pairs: list[tuple[str, str]]) -> dict[str, list[str]]:
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        if len(value) > FIELD_LIMIT:
            raise Invalid("a field is too long", ((f"/{name[:100]}", f"at most {FIELD_LIMIT} characters"),))
        values.setdefault(name, []).append(value.replace("\r\n", "\n").replace("\r", "\n"))
    return values
