"""Webhooks: one POST to an address of a stranger, checked on the very socket it goes out on.

A name may lead elsewhere when it is looked up again, so the check that counts is made on the address that the socket
is about to connect to. Redirects are not followed, and of an answer only the beginning is read.
"""

import errno
import socket
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import aiohttp
import msgspec
from yarl import URL

from unstuck.connect.address import Allowed, host_of, may_call, parsed, require_outside
from unstuck.connect.http import wait_wished
from unstuck.kernel.canonical import printable
from unstuck.kernel.refusal import Invalid

TIMEOUT_S = 10.0
ANSWER_LIMIT = 4096
WORDS = 300


class Reply(msgspec.Struct, frozen=True):
    """What a receiver answered; status 0 when there was no answer, and `because` then says why.

    `wait_s` is how long it asked to be left alone, 0 when it did not say.
    """

    status: int
    because: str = ""
    wait_s: float = 0.0


class Exchange(msgspec.Struct, frozen=True):
    """A whole answer: headers by their small names, the body up to what was asked for. Status 0: there was none.

    `hung_up`: the other side closed the connection before it answered, as one does that was kept open for too long.
    """

    status: int
    headers: dict[str, str]
    body: bytes
    because: str = ""
    hung_up: bool = False


class LeadsInside(OSError):
    """The address behind a name is one that may not be called."""


class HttpWebhooks:
    """The way out to strangers. Connections are kept, but never one that was opened under another rule."""

    def __init__(self, allow: Allowed, now: Callable[[], datetime], *, timeout_s: float = TIMEOUT_S) -> None:
        self._allow, self._now = allow, now
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._sessions: dict[tuple[bool, bool], aiohttp.ClientSession] = {}

    async def close(self) -> None:
        """Close the connections."""
        for session in self._sessions.values():
            await session.close()

    async def require_reachable(self, url: str) -> None:
        """Refuse (Invalid) a URL that will not be called: no https, an address inside, no address at all."""
        await require_outside(url, self._allow)

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Send a message. Never raises for what the receiver does: no answer is a reply with status 0.

        Where a kept connection was closed it is sent once more on another: a receiver may get a message twice anyway.
        """
        said = await self.exchange("POST", url, headers, body, ANSWER_LIMIT, whole=False)
        if said.hung_up:
            said = await self.exchange("POST", url, headers, body, ANSWER_LIMIT, whole=False)
        return Reply(said.status, said.because, wait_wished(said.headers.get("retry-after", ""), self._now()))

    async def exchange(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, limit: int, *, whole: bool = True
    ) -> Exchange:
        """Ask once and read the answer up to `limit` bytes, or, without `whole`, only what comes first of it.

        Never raises for what the other side does.
        """
        try:
            read = host_of(url)
            async with self._session(read).request(
                method, read, data=body or None, headers=headers, timeout=self._timeout, allow_redirects=False
            ) as answer:
                content = await (_upto(answer.content, limit) if whole else answer.content.read(limit))
                answer.close() if not answer.content.at_eof() else None
                told = {name.lower(): value for name, value in answer.headers.items()}
                return Exchange(answer.status, told, content, printable(content.decode("utf-8", "replace"), WORDS))
        except Invalid as refusal:
            return Exchange(0, {}, b"", "; ".join(detail for _, detail in refusal.errors))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            hung_up = isinstance(error, aiohttp.ServerDisconnectedError | ConnectionResetError)
            return Exchange(0, {}, b"", printable(str(error) or type(error).__name__, WORDS), hung_up)

    def _session(self, url: URL) -> aiohttp.ClientSession:
        named, plain = str(url.host).rstrip(".") in self._allow.hosts, url.scheme == "http"
        if (named, plain) not in self._sessions:
            self._sessions[named, plain] = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, socket_factory=None if named else self._guard(plain)),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": "unstuck", "Accept-Encoding": "identity"},
            )
        return self._sessions[named, plain]

    def _guard(self, plain: bool) -> Callable[[Any], socket.socket]:
        def guarded(where: Any) -> socket.socket:
            family, kind, protocol, _, address = where
            if not may_call(parsed(str(address[0])), self._allow, plain=plain):
                raise LeadsInside(errno.EACCES, f"{address[0]} may not be called")
            return socket.socket(family, kind, protocol)

        return guarded


async def _upto(stream: aiohttp.StreamReader, limit: int) -> bytes:
    content = b""
    while len(content) < limit and (chunk := await stream.read(limit - len(content))):
        content += chunk
    return content
