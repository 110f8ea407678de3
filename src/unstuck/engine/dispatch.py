"""The dispatcher: calls out, outcomes in, one transaction a cycle. A loop and sockets, never SQL."""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from datetime import datetime

import structlog

from unstuck.repair.outcome import CallKind
from unstuck.service.order_work.advance import Arrival, Started, advance, lapse
from unstuck.service.ports import Ports

log = structlog.get_logger()
SAFE_SHARE = 0.8  # of the lease: what is not on the wire by then is not sent


class Dispatcher:
    """Keeps up to `room` calls in flight a target. Outcomes are flushed as they come, many in one transaction.

    Natural batching: while one flush runs the next batch gathers. An idle dispatcher polls every `idle_s`.
    """

    def __init__(
        self, ports: Ports, room: Mapping[str, int], *, batch: int = 1000, linger_s: float = 0.005, idle_s: float = 0.1
    ) -> None:
        self._ports = ports
        self._room = dict(room)
        self._batch, self._linger_s, self._idle_s = batch, linger_s, idle_s
        self._arrived: list[Arrival] = []
        self._news = asyncio.Event()
        self._in_flight: Counter[str] = Counter()
        self._calls: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._in_doubt = False  # the last transaction ended without an answer: it may have been committed

    def stop(self) -> None:
        """Take no new work; `run` ends when what is in flight has been recorded."""
        self._stopping = True
        self._news.set()

    async def run(self) -> None:
        """Work until stopped."""
        while not self._stopping or self._calls or self._arrived:
            started = await self.cycle()
            if not started and not self._arrived:
                await self._wait(self._idle_s)
            elif self._calls and len(self._arrived) < self._batch:
                await self._linger()

    async def cycle(self) -> int:
        """One transaction: record what arrived, start what may start; how many calls were started."""
        arrivals = self._arrived[: self._batch]
        if len(arrivals) == len(self._arrived):
            self._news.clear()
        began = time.monotonic()
        again, self._in_doubt = self._in_doubt, True
        started = await advance(self._ports, arrivals, self._free(), again=again)
        self._in_doubt = False
        del self._arrived[: len(arrivals)]
        for one in started:
            self._in_flight[one.call.target] += 1
            task = asyncio.create_task(self._call(one, began))
            self._calls.add(task)  # without a reference the collector may end a pending call
            task.add_done_callback(self._calls.discard)
        return len(started)

    def _free(self) -> dict[str, int]:
        if self._stopping:
            return {}
        return {target: n - self._in_flight[target] for target, n in self._room.items() if n > self._in_flight[target]}

    async def _call(self, started: Started, began: float) -> None:
        call, deadline = started.call, began + self._ports.lease_s * SAFE_SHARE
        connector = self._ports.connectors[call.target]
        if call.kind is CallKind.SEND:
            outcome = await connector.send(call, lambda: time.monotonic() < deadline)
        else:
            outcome = await connector.ask(call)
        self._in_flight[call.target] -= 1
        self._arrived.append(
            Arrival(call.order_id, call.task, call.attempt, call.kind, started.day, outcome, call.identity)
        )
        self._news.set()

    async def _linger(self) -> None:
        """Give answers a moment to gather: small flushes cost three times as much an order."""
        if not self._arrived:
            await self._wait(self._idle_s)
        await asyncio.sleep(self._linger_s)

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            return


async def reap(ports: Ports, limit: int = 500) -> int:
    """Calls whose worker is gone become *unknown*, overdue callbacks too; never simply run again. How many."""
    now: datetime = ports.now()
    lapsed = await ports.store.lapsed(now, limit)
    if not lapsed:
        return 0
    arrivals = [
        Arrival(gone.order_id, gone.task, gone.attempt, CallKind.SEND, now, lapse(now, gone.what), lapsed=True)
        for gone in lapsed
    ]
    await advance(ports, arrivals, {})
    log.info("reaped", calls=len(arrivals))
    return len(arrivals)
