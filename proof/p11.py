"""P11: degrade, do not lie. One cycle of each fault: *not now* while it lasts, nothing false, and back by itself.

While a fault lasts somebody asks ten times a second. No answer may be a yes that is not on disk, which the reckoning at
the end tells; where the database cannot be reached at all, no answer may be a yes.
"""

import asyncio
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from proof.account import Account
from proof.launched import CLOCK
from proof.p3 import LEASE_S, Watched, watched
from proof.stack import database, fresh_database, place
from proof.traffic import EVENTS, Failed, failures, written
from proof.up import DATABASE, Up, eventually
from proof.wire import Wire

BACK_WITHIN_S = 10.0
LASTS_S = 5.0
SILENT_FOR_S = 12.0
ANSWERED_WITHIN_S = 15.0
ASK_EVERY_S = 0.1
GIVE_UP_S = 30.0
DISK_MB = 256
YES = (200, 201)
JUMPS_S = (3600, -3600, 30 * 86400, -30 * 86400, 0)


@dataclass(frozen=True)
class Said:
    """One answer: when it was asked for, how long it took, what it was (0: none), whether it said when to come again."""

    at: float
    took_s: float
    status: int
    later: bool


@dataclass
class Answers:
    """What was answered while a fault lasted, and how long it took to be back."""

    fault: str
    said: list[Said] = field(default_factory=list)
    back_s: float = 0.0
    wrong: list[str] = field(default_factory=list)
    skipped: str = ""

    def count(self, *statuses: int) -> int:
        """How often one of these was answered."""
        return sum(one.status in statuses for one in self.said)

    def slowest_s(self) -> float:
        """How long somebody waited for his answer."""
        return round(max((one.took_s for one in self.said), default=0.0), 1)

    def shown(self) -> dict[str, Any]:
        """The figures."""
        statuses = Counter(str(one.status or "none") for one in self.said)
        return {
            "answers": dict(statuses), "slowest_s": self.slowest_s(), "back_s": round(self.back_s, 1),
            "wrong": self.wrong[:5], "skipped": self.skipped,
        }  # fmt: skip

    def judge(self, first: int, mended: float, *, never_yes: bool) -> None:
        """Of the answers from `first` on: only *not now* with a time to come again, or a yes that is kept.

        With `never_yes` there is no yes before the mend.
        """
        said = self.said[first:]
        odd = Counter(one.status for one in said if one.status not in (0, 200, 201, 503))
        self.wrong += [f"{times} times {status}" for status, times in odd.items()]
        if curt := sum(one.status == 503 and not one.later for one in said):
            self.wrong.append(f"{curt} times 503 without Retry-After")
        if none := sum(one.status == 0 for one in said):
            self.wrong.append(f"{none} times no answer within {ANSWERED_WITHIN_S:.0f} s")
        early = sum(one.status in YES and one.at + one.took_s < mended for one in said)
        if never_yes and early:
            self.wrong.append(f"{early} times yes without a database")
        if never_yes and not any(one.status == 503 for one in said):
            self.wrong.append("the fault was never felt")
        if self.back_s > BACK_WITHIN_S:
            self.wrong.append(f"back only after {self.back_s:.1f} s")


async def run(scale: str, seed: int) -> dict[str, Any]:
    """One fault at smoke scale, each once at gate scale."""
    faults = ["down"] if scale == "smoke" else ["down", "clock", "disk", "cut", "silent"]
    found, account = list[Answers](), list[Account]()
    if plain := [name for name in faults if name in ("down", "clock")]:
        async with _plain(seed) as house:
            await _suffer(house, plain, found, account)
    if "disk" in faults:
        await _disk(seed, found, account)
    if wired := [name for name in faults if name in ("cut", "silent")]:
        async with _wired(seed) as (house, wire):
            await _suffer(house, wired, found, account, wire)
    wrong = [f"{one.fault}: {text}" for one in found for text in one.wrong]
    kinds = {name: sum(len(one.kinds()[name]) for one in account) for name in Account().kinds()}
    counts = {
        "faults": sum(not one.skipped for one in found),
        "skipped": sum(bool(one.skipped) for one in found),
        "asked": sum(len(one.said) for one in found),
        "not_now": sum(one.count(503) for one in found),
        "slowest_back_s": round(max(one.back_s for one in found), 1),
    }
    ok = not wrong and all(one.ok for one in account)
    offenders = ({"answers": wrong} if wrong else {}) | {
        name: text for one in account for name, text in one.offenders().items()
    }
    return {"ok": ok, **counts, **kinds, "by_fault": {one.fault: one.shown() for one in found}, "offenders": offenders}


async def _suffer(
    house: Watched, names: list[str], found: list[Answers], account: list[Account], wire: Wire | None = None
) -> None:
    """One fault after the other under traffic; the reckoning over all of them."""
    house.traffic.begin()
    for name in names:
        await house.traffic.more(20, GIVE_UP_S)
        found.append(await FAULTS[name](house, wire))
    await house.traffic.more(20, GIVE_UP_S)
    reckoned = Account()
    await house.finish(reckoned)
    account.append(reckoned)


async def _down(house: Watched, _wire: Wire | None) -> Answers:
    """PostgreSQL is killed and stays dead: its supervisor is stopped."""
    up = house.up
    up.halt()
    await asyncio.to_thread(up.kill, DATABASE, 0.0)
    await asyncio.to_thread(eventually, lambda: not up.pids(DATABASE), "the database lives on")
    return await _through(house, Answers("down"), LASTS_S, up.go_on)


async def _cut(house: Watched, wire: Wire | None) -> Answers:
    """Every connection to PostgreSQL is broken, and so is every new one."""
    assert wire is not None
    wire.cut()
    return await _through(house, Answers("cut"), LASTS_S, wire.mend)


async def _silent(house: Watched, wire: Wire | None) -> Answers:
    """The wire to PostgreSQL goes silent; what was connected then is lost without a word."""
    assert wire is not None
    wire.fall_silent()
    return await _through(house, Answers("silent"), SILENT_FOR_S, wire.mend)


async def _full(house: Watched, _wire: Wire | None) -> Answers:
    """The file system of the whole data directory has no byte left; then once more, and the database dies of it."""
    answers, ballast = Answers("disk"), house.up.data / "ballast"
    for dies in (False, True):
        await asyncio.to_thread(_fill, ballast)
        if dies:
            await asyncio.to_thread(house.up.kill, DATABASE, 0.0)
        await _through(house, answers, LASTS_S, ballast.unlink, never_yes=False)
    return answers


async def _clock(house: Watched, _wire: Wire | None) -> Answers:
    """The clock of servers and workers jumps by an hour and by a month, ahead and back, while they run."""
    answers = Answers("clock")
    for jump in JUMPS_S:
        write_clock(house.up.folder, jump)
        await _through(house, answers, 1.0, lambda: None, never_yes=False)
    return answers


FAULTS: dict[str, Callable[[Watched, Wire | None], Awaitable[Answers]]] = {
    "down": _down, "cut": _cut, "silent": _silent, "disk": _full, "clock": _clock,
}  # fmt: skip


async def _through(
    house: Watched, answers: Answers, seconds: float, mend: Callable[[], object], *, never_yes: bool = True
) -> Answers:
    """Ask while it lasts, and until it is felt; mend it; ask until there is a yes again. Then judge all answers."""
    made = failures(f"{answers.fault}-{time.time()}", random.Random(answers.fault))
    asked: set[asyncio.Task[None]] = set()
    first = len(answers.said)
    began = time.monotonic()
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWERED_WITHIN_S)) as session:

        async def ask_again() -> None:
            asked.add(asyncio.create_task(_ask(session, house, answers, next(made))))
            await asyncio.sleep(ASK_EVERY_S)

        while time.monotonic() - began < seconds or (answers.fault == "disk" and not answers.count(503)):
            await ask_again()
        mend()
        mended = time.monotonic()
        while not any(one.status in YES and one.at > mended for one in answers.said):
            await ask_again()
            if time.monotonic() - mended > GIVE_UP_S:
                break
        answers.back_s = max(answers.back_s, time.monotonic() - mended)
        await asyncio.wait(asked)
    answers.judge(first, mended, never_yes=never_yes)
    return answers


async def _ask(session: aiohttp.ClientSession, house: Watched, answers: Answers, one: Failed) -> None:
    body, media = written("single", [one])
    headers = {"Authorization": f"Bearer {house.up.tokens['integration']}", "Content-Type": media}
    began, status, later = time.monotonic(), 0, False
    try:
        async with session.post(house.up.url + EVENTS, data=body, headers=headers) as answer:
            said = await answer.json(content_type=None)
            status, later = answer.status, "Retry-After" in answer.headers
            if status in YES:
                house.traffic.take(one, said)
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
        pass
    answers.said.append(Said(began, time.monotonic() - began, status, later))


@asynccontextmanager
async def _house(up: Up, folder: Path, seed: int) -> AsyncIterator[Watched]:
    await asyncio.to_thread(up.start)
    try:
        house = await watched(up, folder, seed)
        try:
            yield house
        finally:
            await house.close()
    finally:
        await asyncio.to_thread(up.close)


@asynccontextmanager
async def _plain(seed: int) -> AsyncIterator[Watched]:
    """One with a database of its own, and a clock that can be moved."""
    with place() as folder:
        write_clock(folder, 0)
        async with _house(Up(folder, change="clock", lease_s=LEASE_S), folder, seed) as house:
            yield house


@asynccontextmanager
async def _wired(seed: int) -> AsyncIterator[tuple[Watched, Wire]]:
    """One whose database is at the other end of a wire."""
    with place() as folder, database() as server:
        urls = await fresh_database(server, f"p11_{seed}")
        wire = Wire(server._socket)
        await wire.open()
        up = Up(folder, database=wire.url(urls.app), owner=urls.owner, lease_s=LEASE_S)
        try:
            async with _house(up, folder, seed) as house:
                yield house, wire
        finally:
            await wire.close()


@asynccontextmanager
async def _small_disk(seed: int) -> AsyncIterator[Watched]:
    """One whose data directory is a file system of its own, of a few megabytes, in memory."""
    with place() as folder:
        up = Up(folder, lease_s=LEASE_S)
        up.data.mkdir()
        _mount("-t", "tmpfs", "-o", f"size={DISK_MB}m,mode=0755", "unstuck-proof", str(up.data))
        try:
            async with _house(up, folder, seed) as house:
                yield house
        finally:
            await asyncio.to_thread(subprocess.run, ["umount", str(up.data)], check=True)


def _mount(*arguments: str) -> None:
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise PermissionError(done.stderr.strip())


async def _disk(seed: int, found: list[Answers], account: list[Account]) -> None:
    try:
        async with _small_disk(seed) as house:
            await _suffer(house, ["disk"], found, account)
    except PermissionError as error:
        print(f"P11: NO DISK WAS FILLED, nothing can be mounted here ({error}); run it as root", file=sys.stderr)
        found.append(Answers("disk", skipped=str(error)))


def _fill(ballast: Path) -> None:
    """Take every byte there is; again, as what is freed meanwhile would be room."""
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            with suppress(OSError):
                while True:
                    file.write(b"\0" * size)


def write_clock(folder: Path, seconds: int) -> None:
    """Move the clock of everything that runs in this folder; whole at once, as it is read all the time."""
    draft = folder / "clock.draft"
    draft.write_text(str(seconds))
    draft.replace(folder / CLOCK)
