"""The relay: claims receivers, sends them what is theirs, records what became of it. Loops and sockets, never SQL."""

import asyncio
import time

import structlog

from unstuck.connect.webhook import Reply
from unstuck.service.events_out import outbox
from unstuck.service.events_out.outbox import PROBES, Batch, Claim, Lane, Message, Patience, Progress, Renderers, taken
from unstuck.service.ports import Ports
from unstuck.store.unit import is_away

log = structlog.get_logger()
SENDING_SHARE = 0.5  # of the lease: what was not begun by then is left to the next claim
GRACE_S = 1.0
AGAIN_S = 0.2
PATIENCE = Patience()


class Relay:
    """Serves up to `receivers` at a time, `lanes` streams of each; one task a receiver, so that none waits for others."""

    def __init__(
        self, ports: Ports, renderers: Renderers, *, receivers: int = 32, lanes: int = 16,
        patience: Patience = PATIENCE, idle_s: float = 0.1,
    ) -> None:  # fmt: skip
        self._ports, self._renderers, self._patience = ports, renderers, patience
        self._receivers, self._lanes, self._idle_s = receivers, lanes, idle_s
        self._serving: set[asyncio.Task[None]] = set()
        self._sending: set[asyncio.Task[None]] = set()
        self._news = asyncio.Event()
        self._stopping = False
        self._broken: BaseException | None = None

    def stop(self) -> None:
        """Begin nothing more; what is under way gets a moment, and `run` ends when it is recorded."""
        self._stopping = True
        self._news.set()
        asyncio.get_running_loop().call_later(GRACE_S, self._cut)

    def _cut(self) -> None:
        for task in self._sending:
            task.cancel()

    async def run(self) -> None:
        """Work until stopped; a database that is away is waited out."""
        while not self._stopping:
            if self._broken is not None:
                raise self._broken
            try:
                await self.cycle()
            except Exception as error:
                if not is_away(error):
                    raise
                log.warning("relay waits", because=str(error))
            await self._rest()
        await asyncio.gather(*self._serving)

    async def cycle(self) -> int:
        """Claim what can be served and begin to; how many receivers."""
        self._news.clear()
        claims = await outbox.claim(self._ports, self._receivers - len(self._serving), self._patience)
        for claim in claims:
            task = asyncio.create_task(self._serve(claim, time.monotonic()))
            self._serving.add(task)
            task.add_done_callback(self._served)
        return len(claims)

    async def idle(self) -> None:
        """Wait until nobody is being served."""
        await asyncio.gather(*self._serving)

    def _served(self, task: asyncio.Task[None]) -> None:
        self._serving.discard(task)
        self._broken = self._broken or task.exception()
        self._news.set()

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(self._idle_s):
                await self._news.wait()
        except TimeoutError:
            return

    async def _serve(self, claim: Claim, began: float) -> None:
        """One batch of one receiver. What goes wrong with it is this receiver's alone."""
        progress = Progress(claim, self._patience)
        try:
            batch = await outbox.prepare(self._ports, self._renderers, claim)
            await self._send(batch, progress, began + self._patience.lease_s * SENDING_SHARE)
        except Exception as error:
            log.exception("a receiver cannot be served", subscription=str(claim.subscription.id))
            progress.broken(f"{type(error).__name__}: {error}")
            batch = Batch.unsent(claim)
        await self._record(batch, progress, began)

    async def _send(self, batch: Batch, progress: Progress, until: float) -> None:
        lanes = list(batch.lanes)
        if batch.claim.failures:
            lanes = await self._probe(batch, progress, until)
        room = asyncio.Semaphore(self._lanes)

        async def send(lane: Lane) -> None:
            async with room:
                await self._lane(batch, lane, progress, until)

        tasks = [asyncio.create_task(send(lane)) for lane in lanes]
        self._sending.update(tasks)
        for task in tasks:
            task.add_done_callback(self._sending.discard)
        if tasks:
            await asyncio.wait(tasks)
        for task in tasks:
            if not task.cancelled() and (error := task.exception()):
                raise error

    async def _probe(self, batch: Batch, progress: Progress, until: float) -> list[Lane]:
        """Try some streams one after the other at a receiver that took nothing the last time; the rest if it does."""
        first = int(self._ports.chance() * len(batch.lanes))
        lanes = [*batch.lanes[first:], *batch.lanes[:first]]
        for tried, lane in enumerate(lanes[:PROBES], 1):
            await self._lane(batch, lane, progress, until)
            if progress.away:
                return []
            if progress.done:
                return lanes[tried:]
        return []

    async def _lane(self, batch: Batch, lane: Lane, progress: Progress, until: float) -> None:
        """Send the steps of one stream, each only when the one before was taken."""
        for step in lane:
            for message in step.messages:
                if progress.enough or self._stopping or time.monotonic() > until:
                    return
                reply = await self._post(batch, message)
                if not taken(reply):
                    break
            if not progress.told(step, reply):
                return

    async def _post(self, batch: Batch, message: Message) -> Reply:
        headers = outbox.headers_of(self._ports, batch, message)
        url = outbox.address_of(batch.claim.subscription, message)
        reply = await self._ports.outside.webhooks.post(url, headers, message.body)
        words = "" if message.confidential and reply.status else reply.because
        return Reply(reply.status, words, reply.wait_s)

    async def _record(self, batch: Batch, progress: Progress, began: float) -> None:
        """A database that is away is asked again for as long as the lease lasts; after that the next claim sends again."""
        while True:
            try:
                if not await outbox.settle(self._ports, batch, progress, self._patience):
                    log.warning("another claim took over", subscription=str(batch.claim.subscription.id))
                return
            except Exception as error:
                if not is_away(error):
                    raise
                if time.monotonic() - began > self._patience.lease_s:
                    return
                await asyncio.sleep(AGAIN_S)
