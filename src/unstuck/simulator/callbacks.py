"""Callbacks: what a system says later, signed as Standard Webhooks asks, repeated until heard."""

import asyncio
import hmac
import time
from base64 import b64encode
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Literal
from uuid import uuid4

import aiohttp
import msgspec

from unstuck.simulator.config import Rule, WorldConfig, secret_bytes
from unstuck.simulator.ledger import Effect, Journal, now

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 5.0
ATTEMPT_TIMEOUT_S = 10.0
WORTH_REPEATING = frozenset({408, 425, 429})

Status = Literal["accepted", "done", "failed"]
Outcome = Literal["delivered", "retry", "refused", "gave_up"]


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to say, after a wait; copies go out side by side."""

    wait_ms: float
    status: Status
    copies: int = 1
    new_ids: bool = False


def script(rule: Rule | None, after_ms: float) -> tuple[Step, ...]:
    """What is said about one effect, in order: the truth once, unless a callback fault spoils it."""
    done = Step(after_ms, "done")
    if rule is None:
        return (done,)
    params = rule.params
    match rule.fault:
        case "F5":
            return (replace(done, wait_ms=after_ms + params.delay_ms),)
        case "F6":
            return (replace(done, copies=params.times, new_ids=params.new_ids),)
        case "F7":
            return (done, Step(params.gap_ms, "accepted"))
        case "F8":
            return (done, Step(params.gap_ms, "failed"))
        case _:
            return (done,)


class Message(msgspec.Struct, frozen=True):
    """The body of a callback."""

    id: str
    key: str | None
    operation: str
    status: Status
    reference: str
    code: str | None
    message: str | None
    at: str


class Delivery(msgspec.Struct, frozen=True):
    """One attempt to deliver a callback; `seen` is the HTTP status, `error` what came instead."""

    at: str
    system: str
    id: str
    key: str | None
    operation: str
    status: Status
    reference: str
    attempt: int
    seen: int | None
    error: str | None
    outcome: Outcome


def tell(effect: Effect, status: Status) -> Message:
    """Put an effect into words. A late "accepted" carries the time it should have come at."""
    failed = status == "failed"
    return Message(
        id=f"msg_{uuid4().hex}",
        key=effect.key,
        operation=effect.operation,
        status=status,
        reference=effect.reference,
        code="CONTRADICTION" if failed else None,
        message="the work reported as done has failed" if failed else None,
        at=effect.at if status == "accepted" else now(),
    )


def signed(secret: bytes, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three Standard Webhooks headers for one attempt."""
    digest = hmac.digest(secret, b"%s.%d.%s" % (message_id.encode(), timestamp, body), sha256)
    return {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": "v1," + b64encode(digest).decode(),
    }


def verdict(seen: int | None, *, time_left: bool) -> Outcome:
    """What an attempt leads to: a client error is final, silence and server errors are not."""
    if seen is not None and 200 <= seen < 300:
        return "delivered"
    if seen is not None and 400 <= seen < 500 and seen not in WORTH_REPEATING:
        return "refused"
    return "retry" if time_left else "gave_up"


class Caller:
    """Delivers the callbacks of every system over one pool of connections."""

    def __init__(self, config: WorldConfig, journal: Journal) -> None:
        self.config = config
        self.journal = journal
        self._secret = secret_bytes(config.callback_secret) if config.callback_secret else b""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=64),
            timeout=aiohttp.ClientTimeout(total=ATTEMPT_TIMEOUT_S),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def report(self, effect: Effect, steps: tuple[Step, ...]) -> None:
        """Say each step in turn: the next waits until the one before was heard or given up."""
        for step in steps:
            await asyncio.sleep(step.wait_ms / 1000)
            first = tell(effect, step.status)
            more = [tell(effect, step.status) if step.new_ids else first for _ in range(step.copies - 1)]
            await asyncio.gather(*(self._deliver(effect.system, message) for message in (first, *more)))

    async def _deliver(self, system: str, message: Message) -> None:
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + self.config.callback_give_up_s
        pause, attempt, outcome = FIRST_PAUSE_S, 0, "retry"
        while outcome == "retry":
            if attempt:
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_S)
            attempt += 1
            seen, error = await self._post(system, message)
            outcome = verdict(seen, time_left=loop.time() + pause < give_up_at)
            self._record(system, message, attempt, seen, error, outcome)

    async def _post(self, system: str, message: Message) -> tuple[int | None, str | None]:
        body = msgspec.json.encode(message)
        headers = signed(self._secret, message.id, int(time.time()), body)
        url = f"{self.config.callback_url}/{system}"
        try:
            async with self._session.post(url, data=body, headers=headers, allow_redirects=False) as answer:
                return answer.status, None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return None, type(error).__name__

    def _record(
        self,
        system: str,
        message: Message,
        attempt: int,
        seen: int | None,
        error: str | None,
        outcome: Outcome,
    ) -> None:
        self.journal.append(
            Delivery(
                at=now(),
                system=system,
                id=message.id,
                key=message.key,
                operation=message.operation,
                status=message.status,
                reference=message.reference,
                attempt=attempt,
                seen=seen,
                error=error,
                outcome=outcome,
            )
        )

    async def close(self) -> None:
        await self._session.close()
