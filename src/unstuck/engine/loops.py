"""Small loops with one duty each: bounded, stoppable, safe to run twice, in any number of processes."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

log = structlog.get_logger()


class Loop:
    """Calls `work` again at once while it finds something, else after `every_s`. A failure is logged and waited out."""

    def __init__(
        self,
        name: str,
        work: Callable[[], Awaitable[int]],
        *,
        every_s: float,
        away: Callable[[BaseException], bool],
    ) -> None:
        self.name, self._work, self._every_s = name, work, every_s
        self._away = away
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """End after the work at hand."""
        self._stop.set()

    async def run(self) -> None:
        """Work until stopped; the database being away is waited out, anything else ends the process."""
        while not self._stop.is_set():
            try:
                found = await self._work()
            except Exception as error:
                if not self._away(error):
                    raise
                log.warning("loop waits", loop=self.name, because=str(error))
                found = 0
            if not found:
                await self._rest()

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(self._every_s):
                await self._stop.wait()
        except TimeoutError:
            return
