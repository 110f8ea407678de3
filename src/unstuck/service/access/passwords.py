"""Passwords as digests that are dear to guess: argon2id, on threads of their own, so that nobody else waits for it."""

import asyncio
import base64
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from unstuck.kernel.refusal import Refused

T = TypeVar("T")
# RFC 9106's profile for little memory, in one lane: 64 MiB and about a tenth of a second each, two at a time.
ROUNDS, MEMORY_KIB, AT_ONCE = 3, 65_536, 2
WAITING = 50
_HASHER = PasswordHasher(time_cost=ROUNDS, memory_cost=MEMORY_KIB, parallelism=1)


class Turns:
    """Work for threads: so many at once, so many more in line, and whoever comes then is refused."""

    def __init__(self, at_once: int, waiting: int) -> None:
        self._threads = ThreadPoolExecutor(at_once, "password")
        self._room = at_once + waiting

    async def take(self, work: Callable[[], T]) -> T:
        """What `work` returns."""
        if self._room <= 0:
            raise Refused("busy", "many people sign in at this moment; try again in a few seconds")
        self._room -= 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._room += 1


_TURNS = Turns(AT_ONCE, WAITING)


async def digest_of(password: str) -> str:
    """What is kept of a password."""
    return await _TURNS.take(lambda: _HASHER.hash(_plain(password)))


async def fits(digest: str | None, password: str) -> bool:
    """Whether this is the password. Without a digest it is not, which takes as long to say."""
    found = await _TURNS.take(lambda: _fits(digest or NOBODYS, _plain(password)))
    return found and digest is not None


def _fits(digest: str, password: str) -> bool:
    try:
        return _HASHER.verify(digest, password)
    except (VerificationError, InvalidHashError):
        return False


def _plain(password: str) -> str:
    """One password however a keyboard composes its letters."""
    return unicodedata.normalize("NFKC", password)


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode().rstrip("=")


# What an unknown name is held against: no password has this digest.
NOBODYS = f"$argon2id$v=19$m={MEMORY_KIB},t={ROUNDS},p=1${_encoded(bytes(16))}${_encoded(bytes(32))}"
