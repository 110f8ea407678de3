"""Clients of the door: keep-alive connections of one process, as lean as they can be. Their CPU is in no figure."""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from pathlib import Path
from typing import cast

import uvloop

from sides.failures import failures
from sides.protocol import say

A_CALL = 500
STEPS = (("assign", b'{"to":"me"}'), ("start", b"{}"), ("notes", b'{"note":"seen"}'), ("release", b'{"note":"later"}'))


class Wire(asyncio.Protocol):
    """One connection with one request at a time."""

    def __init__(self) -> None:
        self._in = bytearray()
        self._answer: asyncio.Future[tuple[int, bytes, bytes]] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._out = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._in += data
        end = self._in.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self._in[:end])
        size = int(_header(head, b"content-length"))
        if len(self._in) < end + 4 + size:
            return
        body = bytes(self._in[end + 4 : end + 4 + size])
        self._in.clear()
        if self._answer is not None:
            self._answer.set_result((int(head[9:12]), head, body))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionResetError("the server hung up"))

    async def ask(self, request: bytes) -> tuple[int, bytes, bytes]:
        """Status, head and body of the answer."""
        self._answer = asyncio.get_running_loop().create_future()
        self._out.write(request)
        return await self._answer


class Tally:
    """What the clients saw. Only answers of 2xx count."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.statuses: Counter[int] = Counter()
        self.done = 0
        self.first_fault = b""

    async def call(self, wire: Wire, request: bytes, worth: int = 1) -> tuple[bytes, bytes]:
        began = time.perf_counter()
        status, head, body = await wire.ask(request)
        self.seconds.append(time.perf_counter() - began)
        self.statuses[status] += 1
        if 200 <= status < 300:
            self.done += worth
        elif not self.first_fault:
            self.first_fault = body
        return head, body

    def said(self) -> dict[str, float]:
        times = sorted(self.seconds)
        refused = sum(n for status, n in self.statuses.items() if not 200 <= status < 300)
        return {"p50_ms": at(times, 0.5), "p99_ms": at(times, 0.99), "max_ms": times[-1] * 1000, "refused": refused}


def at(times: list[float], share: float) -> float:
    """The quantile of sorted seconds, in milliseconds."""
    return times[min(len(times) - 1, int(len(times) * share))] * 1000


class Clients:
    """A number of connections that all do the same until the time or the work is over."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options, self.tally, self.views = options, Tally(), Tally()
        self._keys = itertools.count()

    async def connect(self) -> list[Wire]:
        loop = asyncio.get_running_loop()
        made = [loop.create_connection(Wire, "127.0.0.1", self.options.port) for _ in range(self.options.clients)]
        return [wire for _, wire in await asyncio.gather(*made)]

    async def run(self, wires: list[Wire], work: Callable[[Wire, Callable[[], bool]], Awaitable[None]]) -> None:
        began = time.perf_counter()
        until = began + self.options.seconds
        await asyncio.gather(*(work(wire, lambda: time.perf_counter() < until) for wire in wires))
        seconds = time.perf_counter() - began
        if self.tally.first_fault:
            print(dict(self.tally.statuses), self.tally.first_fault.decode(), file=sys.stderr)
        views = {f"view_{name}": value for name, value in self.views.said().items()} if self.views.seconds else {}
        say(done=self.tally.done, seconds=seconds, **self.tally.said(), **views)

    def reporting(self) -> Callable[[Wire, Callable[[], bool]], Awaitable[None]]:
        """Failure events, as many a call as the load says; all clients take from one supply."""
        shape = self.options.load
        size = 1 if shape == "single" else A_CALL
        media = b"application/x-ndjson" if shape == "ndjson" else b"application/json"
        events = itertools.islice(failures(self.options.prefix), self.options.events or None)
        bodies = ready_made(_bodies(events, shape, size), self.options.ready_made)

        async def work(wire: Wire, more: Callable[[], bool]) -> None:
            while more() and (body := next(bodies, b"")):
                await self.tally.call(wire, self.request(b"POST /api/v1/fallout-events", body, media), size)

        return work

    def operating(self) -> Callable[[Wire, Callable[[], bool]], Awaitable[None]]:
        """Visits to cases: look, take, start, note, put back. Every second command carries a key."""
        cases = itertools.cycle(Path(self.options.cases).read_text().split())

        async def work(wire: Wire, more: Callable[[], bool]) -> None:
            while more():
                path = b"/api/v1/fallout-cases/" + next(cases).encode()
                head, _ = await self.views.call(wire, self.request(b"GET " + path))
                for name, body in STEPS:
                    known = b"If-Match: " + _header(head, b"etag") + b"\r\n"
                    number = next(self._keys)
                    key = b"Idempotency-Key: %s-%d\r\n" % (self.options.prefix.encode(), number) if number % 2 else b""
                    request = self.request(b"POST " + path + b"/" + name.encode(), body, extra=known + key)
                    head, _ = await self.tally.call(wire, request)

        return work

    def request(self, line: bytes, body: bytes = b"", media: bytes = b"application/json", extra: bytes = b"") -> bytes:
        return (
            line + b" HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer " + self.options.token.encode()
            + b"\r\nContent-Type: " + media + b"\r\n" + extra + b"Content-Length: %d\r\n\r\n" % len(body) + body
        )  # fmt: skip


def _bodies(events: Iterator[bytes], shape: str, size: int) -> Iterator[bytes]:
    while items := list(itertools.islice(events, size)):
        yield (
            items[0]
            if shape == "single"
            else b"\n".join(items)
            if shape == "ndjson"
            else b"[" + b",".join(items) + b"]"
        )


def ready_made(bodies: Iterable[bytes], number: int) -> Iterator[bytes]:
    """The first bodies made before anything is measured, so that the clients take little from the machine."""
    rest = iter(bodies)
    return itertools.chain(list(itertools.islice(rest, number)), rest)


def _header(head: bytes, name: bytes) -> bytes:
    for line in head.split(b"\r\n"):
        if line[: len(name) + 1].lower() == name + b":":
            return line[len(name) + 1 :].strip()
    raise LookupError(f"no {name.decode()} in {head.decode()}")


async def calm(clients: Clients, wire: Wire) -> None:
    """Events at an even pace: how long until the case can be read, and until the stream has told of it."""
    options = clients.options
    told: dict[str, dict[str, float]] = {}
    listening = asyncio.create_task(_listen(options, told))
    await _until(lambda: "" in told)
    sent: dict[str, float] = {}
    read: list[float] = []
    began = time.perf_counter()
    for number, body in enumerate(itertools.islice(failures(options.prefix), options.events)):
        await asyncio.sleep(max(0.0, began + number / options.rate - time.perf_counter()))
        start = time.perf_counter()
        _, answer = await clients.tally.call(wire, clients.request(b"POST /api/v1/fallout-events", body))
        case = json.loads(answer)["case"]
        _, _ = await clients.views.call(wire, clients.request(b"GET /api/v1/fallout-cases/" + case.encode()))
        read.append(time.perf_counter() - start)
        sent.setdefault(case, start)
    await _until(lambda: all(told.get(case, {}).keys() >= {"detected", "classified"} for case in sent))
    listening.cancel()
    waits = {
        what: sorted(told[case][what] - start for case, start in sent.items()) for what in ("detected", "classified")
    }
    waits["api"] = sorted(read)
    shown = {
        f"{what}_{name}": at(times, share)
        for what, times in waits.items()
        for name, share in (("p50_ms", 0.5), ("p99_ms", 0.99))
    }
    say(done=len(read), seconds=time.perf_counter() - began, **shown, **clients.tally.said())


async def _listen(options: argparse.Namespace, told: dict[str, dict[str, float]]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", options.port)
    head = f"GET /api/v1/stream HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {options.token}\r\n\r\n"
    writer.write(head.encode())
    async for line in reader:
        if line.startswith(b"retry:"):
            told[""] = {}
        if line.startswith(b"data: "):
            event = json.loads(line[6:])
            what = event["type"].rpartition(".")[2]
            told.setdefault(event["subject"], {}).setdefault(what, time.perf_counter())


async def _until(holds: Callable[[], bool], limit_s: float = 30) -> None:
    until = time.monotonic() + limit_s
    while not holds():
        if time.monotonic() > until:
            raise SystemExit("what the stream should tell did not come")
        await asyncio.sleep(0.01)


async def main_(options: argparse.Namespace) -> None:
    clients = Clients(options)
    wires = await clients.connect()
    work = (
        clients.operating() if options.load == "commands" else clients.reporting() if options.load != "calm" else None
    )
    say(ready=True)
    if sys.stdin.readline().strip() != "go":
        raise SystemExit("the runner did not say go")
    await (clients.run(wires, work) if work else calm(clients, wires[0]))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--token", required=True)
    parser.add_argument("--load", choices=("single", "array", "ndjson", "commands", "calm"), required=True)
    parser.add_argument("--clients", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--events", type=int, default=0)
    parser.add_argument("--ready-made", type=int, default=0)
    parser.add_argument("--rate", type=float, default=50)
    parser.add_argument("--prefix", default="b")
    parser.add_argument("--cases", default="")
    uvloop.run(main_(parser.parse_args()))


if __name__ == "__main__":
    main()
