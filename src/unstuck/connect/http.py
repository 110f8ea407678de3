"""Downstream systems over HTTP/JSON: send a command, ask about one. What comes back is an Outcome, never a raise.

What matters is on which side of the socket a failure lies: before our bytes were written nothing happened, after
that nobody knows.
"""

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Annotated, Any

import aiohttp
import msgspec
from aiohttp.connector import Connection

from unstuck.kernel.canonical import printable
from unstuck.kernel.strict import NOT_JSON
from unstuck.repair.outcome import Call, Outcome, Result

BODY_LIMIT = 1 << 20
PROVEN_NOT_DONE = {429: "HTTP_429", 503: "HTTP_503"}


READABLE = (200, 201, 202)  # what these promise counts only when it can be read


class Unsent(Exception):
    """The leave to send was gone before the first byte."""


class Leave:
    """Whether a command may be written, and whether it may have been."""

    def __init__(self, may_send: Callable[[], bool]) -> None:
        self.may_send, self.written = may_send, False


LEAVE: ContextVar[Leave | None] = ContextVar("leave", default=None)


class LastLook(aiohttp.TCPConnector):
    """Hands out a connection only with leave to write: the last moment at which not sending is still possible.

    A trace callback that raises there would leak the connection.
    """

    async def connect(self, *given: Any, **named: Any) -> Connection:
        connection = await super().connect(*given, **named)
        leave = LEAVE.get()
        if leave is not None and not leave.may_send():
            connection.close()
            raise Unsent
        if leave is not None:
            leave.written = True
        return connection


class Reply(msgspec.Struct):
    """What we read of a target's answer; all else stays in the raw bytes."""

    reference: str | None = None
    code: str | None = None
    message: str | None = None


class Effects(msgspec.Struct):
    """A target's answer to a read-back."""

    count: Annotated[int, msgspec.Meta(ge=0, le=2**31)]
    effects: list[dict[str, Any]] = []


class HttpConnector:
    """One target. `POST /{operation}` with `Idempotency-Key`; `GET /effects?…` asks."""

    def __init__(self, url: str, now: Callable[[], datetime], *, connections: int = 64) -> None:
        self._url = url.rstrip("/")
        self._now = now
        self._session = aiohttp.ClientSession(
            connector=LastLook(limit=connections),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Accept-Encoding": "identity"},  # the bytes of an answer are evidence as they came
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def send(self, call: Call, may_send: Callable[[], bool]) -> Outcome:
        """Send the command once. Unsent is proven not sent; any doubt is Unknown."""
        leave = Leave(may_send)
        LEAVE.set(leave)
        headers = {"Content-Type": "application/json", "Idempotency-Key": call.key}
        try:
            async with self._session.post(
                f"{self._url}/{call.operation}",
                data=call.body,
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=call.reply_s),
                allow_redirects=False,
            ) as reply:
                return self._sent(reply.status, reply.headers.get("Retry-After", ""), await _read(reply))
        except Unsent:
            return Outcome(Result.UNSENT, self._now(), code="LEASE_GONE", message="the worker's lease was over")
        except (aiohttp.ClientError, TimeoutError, asyncio.IncompleteReadError, OSError, ValueError) as error:
            return self._broken(error, leave.written)
        finally:
            LEAVE.set(None)

    async def ask(self, call: Call) -> Outcome:
        """Ask what is true, by our key where the target keeps it, else by the business key of the command."""
        body = msgspec.json.decode(call.body, type=dict[str, Any]) if call.body else {}
        if not call.may_query_key and not all(field in body for field in call.ask_by):
            because = "the command lacks what would tell its effect from others"
            return Outcome(Result.SILENT, self._now(), code="NOTHING_TO_ASK_BY", message=because)
        by = {"key": call.key} if call.may_query_key else {field: str(body[field]) for field in call.ask_by}
        try:
            async with self._session.get(
                f"{self._url}/effects",
                params={"operation": call.operation, **by},
                timeout=aiohttp.ClientTimeout(total=call.reply_s),
                allow_redirects=False,
            ) as reply:
                return self._asked(reply.status, await _read(reply))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            return Outcome(Result.SILENT, self._now(), code="NO_ANSWER", message=_say(error))

    def _sent(self, status: int, retry_after: str, body: bytes) -> Outcome:
        now = self._now()
        reply = _decoded(body)
        if reply is None and status in READABLE:
            words = printable(body.decode("utf-8", "replace"))
            return Outcome(Result.UNKNOWN, now, status, "UNREADABLE_REPLY", words, body=body)
        reply = reply or Reply(message=body.decode("utf-8", "replace"))
        code, message = printable(reply.code or "", 100), printable(reply.message or "")
        outcome = Outcome(Result.UNKNOWN, now, status, code, message, printable(reply.reference or "", 200), body)
        if status in (200, 201):
            outcome.result = Result.DONE
        elif status == 202:
            outcome.result = Result.ACCEPTED
        elif status in PROVEN_NOT_DONE:
            outcome.result, outcome.retry_after_s = Result.BUSY, wait_wished(retry_after, now)
            outcome.code = code or PROVEN_NOT_DONE[status]
        elif 400 <= status < 500 and status != 408:
            outcome.result, outcome.code = Result.REFUSED, code or f"HTTP_{status}"
        else:
            outcome.code = code or f"HTTP_{status}"
        return outcome

    def _asked(self, status: int, body: bytes) -> Outcome:
        now = self._now()
        if status == 200:
            try:
                seen = msgspec.json.decode(body, type=Effects)
            except NOT_JSON:
                return Outcome(Result.SILENT, now, status, "UNREADABLE_REPLY", body=body)
            if len(seen.effects) > seen.count:
                return Outcome(
                    Result.SILENT, now, status, "UNREADABLE_REPLY", "it shows more than it counts", body=body
                )
            result = Result.FOUND if seen.count else Result.ABSENT
            reference = str(seen.effects[0].get("reference") or "") if seen.effects else ""
            return Outcome(result, now, status, reference=printable(reference, 200), body=body, effects=seen.count)
        return Outcome(Result.SILENT, now, status, f"HTTP_{status}", body=body)

    def _broken(self, error: Exception, written: bool) -> Outcome:
        if not written:
            return Outcome(Result.UNSENT, self._now(), code="NOT_CONNECTED", message=_say(error))
        code = "TIMEOUT" if isinstance(error, TimeoutError) else "CONNECTION_LOST"
        return Outcome(Result.UNKNOWN, self._now(), code=code, message=_say(error))


async def _read(reply: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in reply.content.iter_chunked(65536):
        body += chunk
        if len(body) > BODY_LIMIT:
            reply.close()
            return bytes(body[:BODY_LIMIT])
    return bytes(body)


def _decoded(body: bytes) -> Reply | None:
    if not body:
        return Reply()
    try:
        return msgspec.json.decode(body, type=Reply)
    except NOT_JSON:
        return None


def wait_wished(text: str, now: datetime) -> float:
    """Retry-After, as seconds or as a date; what is neither, or is over, is no wish."""
    if text.isascii() and text.isdigit():
        return min(float(text), 3600.0)
    try:
        return min(max((parsedate_to_datetime(text) - now).total_seconds(), 0.0), 3600.0)
    except (ValueError, TypeError):  # TypeError: a date without an offset
        return 0.0


def _say(error: Exception) -> str:
    return printable(str(error) or type(error).__name__)
