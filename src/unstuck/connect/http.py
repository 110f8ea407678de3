"""Downstream systems over HTTP/JSON: send a command, ask about one. What comes back is an Outcome, never a raise.

What matters is on which side of the socket a failure lies: before our bytes were written nothing happened, after
that nobody knows.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import aiohttp
import msgspec

from unstuck.kernel.canonical import printable
from unstuck.repair.outcome import Call, Outcome, Result

BODY_LIMIT = 1 << 20
PROVEN_NOT_DONE = {429: "HTTP_429", 503: "HTTP_503"}


class Unsent(Exception):
    """The leave to send was gone before the first byte."""


class Reply(msgspec.Struct):
    """What we read of a target's answer; all else stays in the raw bytes."""

    reference: str = ""
    status: str = ""
    code: str = ""
    message: str = ""


class Effects(msgspec.Struct):
    """A target's answer to a read-back."""

    count: int
    effects: list[dict[str, Any]] = []


class HttpConnector:
    """One target. `POST /{operation}` with `Idempotency-Key`; `GET /effects?…` asks."""

    def __init__(self, url: str, now: Callable[[], datetime], *, connections: int = 64) -> None:
        self._url = url.rstrip("/")
        self._now = now
        trace = aiohttp.TraceConfig()
        trace.on_connection_create_end.append(_just_before_writing)
        trace.on_connection_reuseconn.append(_just_before_writing)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections),
            trace_configs=[trace],
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def send(self, call: Call, may_send: Callable[[], bool]) -> Outcome:
        """Send the command once. Unsent is proven not sent; any doubt is Unknown."""
        leave = SimpleNamespace(may_send=may_send, written=False)
        headers = {"Content-Type": "application/json", "Idempotency-Key": call.key}
        try:
            async with self._session.post(
                f"{self._url}/{call.operation}",
                data=call.body,
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=call.reply_s),
                trace_request_ctx=leave,
                allow_redirects=False,
            ) as reply:
                return self._sent(reply.status, reply.headers.get("Retry-After", ""), await _read(reply))
        except Unsent:
            return Outcome(Result.UNSENT, self._now(), code="LEASE_GONE", message="the worker's lease was over")
        except (aiohttp.ClientError, TimeoutError, asyncio.IncompleteReadError, OSError, ValueError) as error:
            return self._broken(error, leave.written)

    async def ask(self, call: Call) -> Outcome:
        """Ask what is true, by our key where the target keeps it, else by the business key of the command."""
        body = msgspec.json.decode(call.body, type=dict[str, Any]) if call.body else {}
        by = {"key": call.key} if call.may_query_key else {f: str(body[f]) for f in call.ask_by if f in body}
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
        if reply is None:
            result = Result.REFUSED if 400 <= status < 500 else Result.UNKNOWN
            code = f"HTTP_{status}" if result is Result.REFUSED else "UNREADABLE_REPLY"
            return Outcome(result, now, status, code, printable(body.decode("utf-8", "replace")), body=body)
        code, message = printable(reply.code, 100), printable(reply.message)
        outcome = Outcome(Result.UNKNOWN, now, status, code, message, printable(reply.reference, 200), body)
        if status in (200, 201):
            outcome.result = Result.DONE
        elif status == 202:
            outcome.result = Result.ACCEPTED
        elif status in PROVEN_NOT_DONE:
            outcome.result, outcome.retry_after_s = Result.BUSY, _seconds(retry_after)
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
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                return Outcome(Result.SILENT, now, status, "UNREADABLE_REPLY", body=body)
            result = Result.FOUND if seen.count else Result.ABSENT
            reference = str(seen.effects[0].get("reference", "")) if seen.effects else ""
            return Outcome(result, now, status, reference=printable(reference, 200), body=body, effects=seen.count)
        return Outcome(Result.SILENT, now, status, f"HTTP_{status}", body=body)

    def _broken(self, error: Exception, written: bool) -> Outcome:
        if not written:
            return Outcome(Result.UNSENT, self._now(), code="NOT_CONNECTED", message=_say(error))
        code = "TIMEOUT" if isinstance(error, TimeoutError) else "CONNECTION_LOST"
        return Outcome(Result.UNKNOWN, self._now(), code=code, message=_say(error))


async def _just_before_writing(_session: Any, context: SimpleNamespace, _params: Any) -> None:
    """The last moment at which not sending is still possible: a worker past its lease must not act."""
    leave = context.trace_request_ctx
    if leave is None:
        return
    if not leave.may_send():
        raise Unsent
    leave.written = True


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
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _seconds(text: str) -> float:
    return min(float(text), 3600.0) if text.isdigit() else 0.0


def _say(error: Exception) -> str:
    return printable(str(error) or type(error).__name__)
