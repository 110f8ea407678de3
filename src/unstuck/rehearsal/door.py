"""The only way in: HTTP calls whose refusals are answers, and waiting for what must become true."""

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlencode

import msgspec

from unstuck.rehearsal.sheet import Missed

T = TypeVar("T")
CALL_S = 20
LOOK_EVERY_S = 0.05


class Answer(msgspec.Struct, frozen=True):
    """What came back, whatever its status."""

    status: int
    raw: bytes

    @property
    def body(self) -> Any:
        """The JSON of it, an empty object when it is none."""
        try:
            return json.loads(self.raw)
        except ValueError:
            return {}

    def must(self, status: int, what: str) -> Any:
        """The body of an answer the story cannot do without."""
        if self.status != status:
            raise Missed(f"{what} was answered {self.status} {self.why()}")
        return self.body

    def why(self) -> str:
        """The rule and the sentence of a refusal."""
        body = self.body if isinstance(self.body, dict) else {}
        rule, detail = body.get("rule", ""), body.get("detail") or body.get("message") or ""
        return f"[{rule}] {detail}" if rule else str(detail)


class Door:
    """One HTTP server, as one caller."""

    def __init__(self, url: str, token: str = "") -> None:
        self._url, self._token = url.rstrip("/"), token

    def get(self, path: str, **query: Any) -> Answer:
        """Ask."""
        return self._call("GET", path + ("?" + urlencode(query) if query else ""), None, None)

    def post(self, path: str, body: Any, version: int | None = None) -> Answer:
        """Send a command, with the version it was decided on if there is one."""
        return self._call("POST", path, json.dumps(body).encode(), version)

    def put(self, path: str, body: Any, version: int | None = None) -> Answer:
        """Register something, or change it as the version it was decided on."""
        return self._call("PUT", path, json.dumps(body).encode(), version)

    def delete(self, path: str) -> Answer:
        """Take something back."""
        return self._call("DELETE", path, None, None)

    def listen(self, path: str, *, last: int, quiet_s: float = 1.0, most_s: float = 10.0) -> bytes:
        """What a stream says from behind an event on, until it has been quiet for so long or has said enough."""
        until = time.monotonic() + most_s
        headers = {"Authorization": f"Bearer {self._token}", "Last-Event-ID": str(last)}
        request = urllib.request.Request(self._url + path, headers=headers)
        heard = b""
        try:
            with urllib.request.urlopen(request, timeout=quiet_s) as reply:
                while time.monotonic() < until and (chunk := reply.read1(65_536)):
                    heard += chunk
        except (OSError, http.client.HTTPException):
            return heard
        return heard

    def _call(self, method: str, path: str, data: bytes | None, version: int | None) -> Answer:
        headers = {"Content-Type": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        if version is not None:
            headers["If-Match"] = f'"{version}"'
        request = urllib.request.Request(self._url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=CALL_S) as reply:
                return Answer(reply.status, reply.read())
        except urllib.error.HTTPError as refusal:
            with refusal:
                return Answer(refusal.code, refusal.read())
        except (OSError, http.client.HTTPException) as error:
            raise Missed(f"{method} {path.partition('?')[0]} got no answer ({error})") from error


def settle(look: Callable[[], T], good: Callable[[T], bool], within_s: float) -> T:
    """Look until it is good or time is up; the last look either way."""
    until = time.monotonic() + within_s
    while not good(seen := look()) and time.monotonic() < until:
        time.sleep(LOOK_EVERY_S)
    return seen


def wait_for(what: str, look: Callable[[], T], good: Callable[[T], bool], within_s: float) -> T:
    """Look until it is good; Missed when time is up."""
    seen = settle(look, good, within_s)
    if not good(seen):
        raise Missed(f"{what}: not within {within_s:.0f} s")
    return seen
