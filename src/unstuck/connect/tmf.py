"""Order managers that are not ours: an order is looked at, and its manager asked to let it go on. Nothing here raises
for what the manager does, and nothing here decides what its answer means."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from unstuck.connect.webhook import Exchange, HttpWebhooks
from unstuck.repair.manager import ORDER, OrderManager, Way, again, filled

JSON = "application/json"
ORDER_LIMIT = 1 << 20
NO_STEP = ("", ".", "..")  # as a step of a path, encoded or not, they lead elsewhere with our secret
UNREADABLE = (OSError, ValueError)  # no file, not ours to read, not text


class Seen(msgspec.Struct, frozen=True):
    """An order as its manager shows it; without `document`, `because` says why it could not be seen."""

    document: dict[str, Any] | None
    etag: str = ""
    because: str = ""


class Asked(msgspec.Struct, frozen=True):
    """What a manager answered when asked to let an order go on: status 0 when there was no answer."""

    status: int
    because: str = ""

    @property
    def way_is_closed(self) -> bool:
        """Whether it said that it cannot be asked in this way at all."""
        return self.status in (404, 405, 415, 501)


class OrderManagers:
    """The way to every order manager. Secrets are files; what goes over the wire is named by the source's settings."""

    def __init__(self, webhooks: HttpWebhooks, secrets: Path) -> None:
        self._webhooks, self._secrets = webhooks, secrets

    async def require_reachable(self, manager: OrderManager) -> None:
        """Refuse (Invalid) settings with a URL that will not be called."""
        for url in filter(None, (manager.url, manager.task_url, manager.repost_url)):
            await self._webhooks.require_reachable(url.replace(ORDER, "x"))

    async def look(self, manager: OrderManager, order_ref: str) -> Seen:
        """The order as it is now."""
        try:
            headers = self._headers(manager)
        except UNREADABLE as error:
            return Seen(None, because=f"the secret {manager.secret} cannot be read ({type(error).__name__})")
        if order_ref in NO_STEP:
            return Seen(None, because=f"{order_ref!r} names no order in a URL")
        said = await self._webhooks.exchange("GET", _at(manager.url, order_ref), headers, b"", ORDER_LIMIT)
        if said.status != 200:
            return Seen(None, because=f"{said.status or 'no answer'} {said.because}".strip())
        try:
            return Seen(msgspec.json.decode(said.body, type=dict[str, Any]), said.headers.get("etag", ""))
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return Seen(None, because="its answer is no JSON object")

    async def ask(
        self, manager: OrderManager, way: Way, words: Mapping[str, str], before: dict[str, Any], etag: str
    ) -> Asked:
        """Ask once, in one way, under the token's key. Says what was answered, which proves nothing yet."""
        method, url, body = _request(manager, way, words, before)
        try:
            own = self._headers(manager)
        except UNREADABLE as error:
            return Asked(0, f"the secret {manager.secret} cannot be read ({type(error).__name__})")
        headers = {**own, "Content-Type": JSON, manager.key_header: f"{words['token']}-{way}"}
        if etag and way == "patch":
            headers["If-Match"] = etag
        said: Exchange = await self._webhooks.exchange(method, url, headers, msgspec.json.encode(body), ORDER_LIMIT)
        return Asked(said.status, said.because)

    def _headers(self, manager: OrderManager) -> dict[str, str]:
        headers = {**manager.headers, "Accept": JSON}
        if manager.secret:
            headers["Authorization"] = f"Bearer {(self._secrets / manager.secret).read_text().strip()}"
        return headers


def _request(
    manager: OrderManager, way: Way, words: Mapping[str, str], before: dict[str, Any]
) -> tuple[str, str, dict[str, Any]]:
    match way:
        case "task":
            return "POST", _at(manager.task_url or "", words["order"]), filled(manager.task_body, words)
        case "patch":
            return "PATCH", _at(manager.url, words["order"]), _nested(manager.state_field, manager.to)
        case "repost":
            return "POST", _at(manager.repost_url or "", words["order"]), again(manager, before, words["order"])


def _nested(path: str, value: str) -> dict[str, Any]:
    name, _, rest = path.partition(".")
    return {name: _nested(rest, value) if rest else value}


def _at(url: str, order_ref: str) -> str:
    return url.replace(ORDER, quote(order_ref, safe=""))
