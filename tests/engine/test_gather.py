"""Natural group commit: what arrives during a batch is the next batch; a bad member costs only itself."""

import asyncio
from collections.abc import Sequence

import pytest

from unstuck.engine.gather import Gather


class Recorder:
    """Records batches when it is let go; `bad` members make the batch they are in fail."""

    def __init__(self, *bad: int) -> None:
        self.batches: list[list[int]] = []
        self.bad = bad
        self.free = asyncio.Event()

    async def __call__(self, batch: Sequence[int]) -> list[int]:
        self.batches.append(list(batch))
        await self.free.wait()
        if wrong := [one for one in batch if one in self.bad]:
            raise ValueError(f"{wrong} cannot be recorded")
        return [one * 10 for one in batch]


def gather(recorder: Recorder, most: int = 100) -> Gather[int, int]:
    return Gather(recorder, most=most, away=lambda error: isinstance(error, OSError))


async def test_while_one_batch_is_recorded_the_next_gathers_and_everybody_gets_their_own_answer() -> None:
    recorder = Recorder()
    batcher = gather(recorder)
    first = asyncio.create_task(batcher.put(1))
    while not recorder.batches:
        await asyncio.sleep(0)
    rest = [asyncio.create_task(batcher.put(n)) for n in range(2, 12)]
    await asyncio.sleep(0)
    recorder.free.set()
    assert [await first, *[await one for one in rest]] == [n * 10 for n in range(1, 12)]
    assert recorder.batches == [[1], list(range(2, 12))]


async def test_no_batch_is_larger_than_allowed_and_the_order_is_kept() -> None:
    recorder = Recorder()
    recorder.free.set()
    assert await gather(recorder, most=3).put_all(range(8)) == [n * 10 for n in range(8)]
    assert recorder.batches == [[0, 1, 2], [3, 4, 5], [6, 7]]


async def test_a_bad_member_costs_only_itself() -> None:
    recorder = Recorder(3)
    recorder.free.set()
    batcher = gather(recorder)
    answers = await asyncio.gather(*(batcher.put(n) for n in range(6)), return_exceptions=True)
    assert [str(a) for a in answers] == ["0", "10", "20", "[3] cannot be recorded", "40", "50"]


async def test_a_database_that_is_away_is_said_to_everybody_at_once_and_the_next_batch_is_tried() -> None:
    tried = []

    async def record(batch: Sequence[int]) -> list[int]:
        tried.append(list(batch))
        if len(tried) == 1:
            raise OSError("away")
        return list(batch)

    batcher = Gather(record, most=10, away=lambda error: isinstance(error, OSError))
    answers = await asyncio.gather(*(batcher.put(n) for n in range(3)), return_exceptions=True)
    assert all(isinstance(one, OSError) for one in answers)
    assert len(tried) == 1
    assert await batcher.put(7) == 7


async def test_a_caller_that_goes_away_takes_nobody_with_it() -> None:
    recorder = Recorder()
    batcher = gather(recorder)
    gone, other = asyncio.create_task(batcher.put(1)), asyncio.create_task(batcher.put(2))
    await asyncio.sleep(0)
    gone.cancel()
    recorder.free.set()
    assert await other == 20
    with pytest.raises(asyncio.CancelledError):
        await gone
