"""Our own files for browsers, each under an address that holds its digest: kept for ever, and never stale."""

import mimetypes
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable

import msgspec
from litestar import Response, get
from litestar.params import FromPath

from unstuck.kernel.refusal import Missing
from unstuck.web.auth import PUBLIC

BASE = "/static"
FOR_EVER = {"Cache-Control": "public, max-age=31536000, immutable"}
KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".woff2": "font/woff2"}


class Asset(msgspec.Struct, frozen=True):
    """One file: its bytes, their media type and the beginning of their digest."""

    data: bytes
    media: str
    digest: str


def address(name: str) -> str:
    """Where a browser finds the file `name` (`css/base.css`); empty when it is not there, as without npm."""
    found = _assets().get(name)
    return f"{BASE}/{found.digest}/{name}" if found else ""


@get(f"{BASE}/{{digest:str}}/{{name:path}}", opt={"permission": PUBLIC, "page": True}, sync_to_thread=False)
def asset(digest: FromPath[str], name: FromPath[str]) -> Response[bytes]:
    """A file as it was when its page was made; another digest is another version, which is not here."""
    found = _assets().get(str(name).lstrip("/"))
    if found is None or found.digest != digest:
        raise Missing("this file; load the page again")
    return Response(found.data, media_type=found.media, headers=FOR_EVER)


@cache
def _assets() -> Mapping[str, Asset]:
    return dict(_found(files("unstuck.web.pages").joinpath("static"), ""))


def _found(folder: Traversable, prefix: str) -> list[tuple[str, Asset]]:
    out: list[tuple[str, Asset]] = []
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir():
            out += _found(entry, f"{prefix}{entry.name}/")
        elif not entry.name.startswith("."):
            data = entry.read_bytes()
            out.append((prefix + entry.name, Asset(data, _media(entry.name), sha256(data).hexdigest()[:16])))
    return out


def _media(name: str) -> str:
    ending = name[name.rfind(".") :]
    return KINDS.get(ending) or mimetypes.guess_type(name)[0] or "application/octet-stream"
