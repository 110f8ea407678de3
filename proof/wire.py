"""A wire to PostgreSQL that can be cut, or go silent as when the other side is gone and nobody says so."""

import asyncio
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

THROUGH, CUT, SILENT = "through", "cut", "silent"
CHUNK = 65_536


class Wire:
    """Listens on loopback and hands on to a socket file. What was silent stays silent: those connections are lost."""

    def __init__(self, behind: Path) -> None:
        self._behind = behind
        self._listening: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._lost: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.state, self.port = THROUGH, 0

    async def open(self) -> None:
        """Begin to listen."""
        self._listening = await asyncio.start_server(self._joined, "127.0.0.1", 0)
        self.port = self._listening.sockets[0].getsockname()[1]

    def url(self, of: str) -> str:
        """The same database and account, over this wire."""
        parts = urlsplit(of)
        return f"postgresql://{parts.username}:{parts.password}@127.0.0.1:{self.port}{parts.path}?sslmode=disable"

    def cut(self) -> None:
        """Break every connection; new ones are broken at once."""
        self.state = CUT
        self._abort(self._writers)

    def fall_silent(self) -> None:
        """From now on nothing passes, and nobody is told. New connections are taken and get no word."""
        self.state = SILENT
        self._lost |= self._writers

    def mend(self) -> None:
        """New connections pass. Those that were lost are never heard of again."""
        self.state = THROUGH

    async def close(self) -> None:
        """End everything."""
        self._abort(self._writers | self._lost)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._listening is not None:
            self._listening.close()

    async def _joined(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        if self.state == CUT:
            self._abort({writer})
            return
        if self.state == SILENT:
            self._lost.add(writer)
            return
        try:
            far_reader, far = await asyncio.open_unix_connection(str(self._behind))
        except OSError:
            self._abort({writer})
            return
        self._writers.add(far)
        for ends in ((reader, writer, far), (far_reader, far, writer)):
            task = asyncio.create_task(self._pass(*ends))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass(
        self, reader: asyncio.StreamReader, own: asyncio.StreamWriter, other: asyncio.StreamWriter
    ) -> None:  # fmt: skip
        with suppress(OSError):
            while data := await reader.read(CHUNK):
                if own in self._lost:
                    continue
                other.write(data)
                await other.drain()
        if own not in self._lost:
            self._abort({own, other})

    def _abort(self, writers: set[asyncio.StreamWriter]) -> None:
        for writer in list(writers):
            writer.transport.abort()
            self._writers.discard(writer)
