"""A form with a file (multipart/form-data): its fields as they are named, and the file's bytes with their type."""

from io import BytesIO
from typing import Any, TypeVar

import msgspec
import multipart

from unstuck.kernel.refusal import Invalid, Refused

T = TypeVar("T", bound=msgspec.Struct)
FORM = "multipart/form-data"
FILE = "file"
PARTS, FIELD_LIMIT = 20, 10_000


def read_form(body: bytes, content_type: str, kind: type[T]) -> tuple[T, bytes, str]:
    """The fields as `kind`, the bytes of the one part called `file`, and its media type; refused when it is no form."""
    boundary = multipart.parse_options_header(content_type)[1].get("boundary", "")
    fields: dict[str, Any] = {}
    file: tuple[bytes, str] | None = None
    try:
        for part in multipart.MultipartParser(BytesIO(body), boundary, len(body), strict=True, part_limit=PARTS):
            if part.name in fields or (part.name == FILE and file is not None):
                raise Invalid("a part is given twice", ((f"/{part.name}", "once"),))
            if part.name == FILE:
                file = part.raw, part.content_type or "application/octet-stream"
            elif part.size > FIELD_LIMIT:
                raise Invalid("a field is too long", ((f"/{part.name}", f"at most {FIELD_LIMIT} bytes"),))
            else:
                fields[part.name] = words(part)
    except (multipart.MultipartError, UnicodeDecodeError) as error:
        raise Refused("not-a-form", f"the body is no multipart form ({error})") from error
    if file is None or not file[0]:
        raise Invalid("evidence has content", ((f"/{FILE}", "a part with the bytes"),))
    return _typed(fields, kind), *file


def words(part: Any) -> str:
    """A field's text. It is UTF-8 whatever its part claims: a charset that a stranger names is any codec of ours."""
    return bytes(part.raw).decode()


def _typed(fields: dict[str, Any], kind: type[T]) -> T:
    try:
        return msgspec.convert(fields, kind, strict=False)
    except msgspec.ValidationError as error:
        because, _, at = str(error).partition(" - at `$.")
        named = at.rstrip("`") or because.partition(" field `")[2].rstrip("`")
        raise Invalid(f"the form does not fit: {because}", ((f"/{named}", because),)) from error
