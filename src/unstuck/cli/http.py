"""The one place where the command line speaks HTTP."""

import json
import os
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import quote, urlencode

from unstuck.cli.said import COULD_NOT, NO, fail

DEFAULT_URL = "http://127.0.0.1:8080"


class Api:
    """The API at `--url` (or UNSTUCK_URL) with `--token` (or UNSTUCK_TOKEN)."""

    def __init__(self, url: str | None, token: str | None) -> None:
        self.url = (url or os.environ.get("UNSTUCK_URL") or DEFAULT_URL).rstrip("/")
        self._token = token or os.environ.get("UNSTUCK_TOKEN") or ""

    def get(self, path: str, **query: Any) -> Any:
        """What is at `path`."""
        given = {name: value for name, value in query.items() if value is not None}
        return self.call("GET", path + ("?" + urlencode(given) if given else ""))

    def call(self, method: str, path: str, body: Any = None, *, version: int | None = None) -> Any:
        """Call and return the JSON answer; a refusal ends the command with its sentence."""
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._token}"}
        if version is not None:
            headers["If-Match"] = f'"{version}"'
        try:
            request = urllib.request.Request(self.url + path, data, headers, method=method)
            with urllib.request.urlopen(request, timeout=60) as reply:
                return json.loads(reply.read())
        except urllib.error.HTTPError as error:
            _refused(error)
        except (OSError, ValueError) as error:
            fail(f"{self.url} cannot be reached ({error}); start it with `unstuck up`, or give --url", COULD_NOT)

    def command(self, case: str, command: str, body: Any, version: int | None) -> Any:
        """A command on a case; without a version it is decided on the case as it is now."""
        path = f"/api/v1/fallout-cases/{quote(case)}"
        current = self.get(path)["version"] if version is None else version
        return self.call("POST", f"{path}/{command}", body, version=current)


def _refused(error: urllib.error.HTTPError) -> None:
    raw = error.read()
    try:
        body = json.loads(raw)
    except ValueError:
        body = {}
    detail = body.get("detail") or body.get("message") or f"HTTP {error.code}"
    rule = f" [{body['rule']}]" if "rule" in body else ""
    errors = "; ".join(f"{e['pointer']}: {e['detail']}" for e in body.get("errors", ()))
    fail(f"{detail}{rule}{' — ' + errors if errors else ''}", COULD_NOT if error.code >= 500 else NO)
