"""Natural group commit: while one batch is being recorded the next one gathers. No lingering, no timer."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Gather(Generic[T, R]):
    """Hands what arrives to `record` in batches of at most `most`; each caller waits for the answer about its own.

    A batch that fails is recorded again one by one, so that one bad member costs only itself; what makes the database
    unreachable fails for all of them (`away`).
    """

    def __init__(
        self,
        record: Callable[[Sequence[T]], Awaitable[Sequence[R]]],
        *,
        most: int,
        away: Callable[[BaseException], bool],
    ) -> None:
        self._record, self._most, self._away = record, most, away
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._running: asyncio.Task[None] | None = None

    async def put(self, one: T) -> R:
        """Record `one` with whatever else is waiting; returns after the commit."""
        return await self._line_up(one)

    async def put_all(self, many: Sequence[T]) -> list[R]:
        """Record these in their order; returns when all are committed. The first failure is raised."""
        if len(many) == 1:
            return [await self.put(many[0])]
        waiting = [self._line_up(one) for one in many]
        done, _ = await asyncio.wait(waiting)
        for failed in [one for one in done if one.exception()]:
            await failed
        return [answer.result() for answer in waiting]

    def _line_up(self, one: T) -> "asyncio.Future[R]":
        answer: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((one, answer))
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())
        return answer

    async def _run(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
            await self._one_batch(batch)

    async def _one_batch(self, batch: Sequence[tuple[T, asyncio.Future[R]]]) -> None:
        try:
            answers = await self._record([one for one, _ in batch])
        except Exception as error:  # noqa: BLE001 - every caller is told what its own batch met
            if len(batch) == 1 or self._away(error):
                for _, answer in batch:
                    if not answer.done():
                        answer.set_exception(error)
                return
            for pair in batch:
                await self._one_batch([pair])
            return
        for (_, answer), said in zip(batch, answers, strict=True):
            if not answer.done():  # a caller that went away has nobody to be told
                answer.set_result(said)
