"""The database goes away: the answer is "not now", never a false yes; and we are back by ourselves when it is (P11)."""

import asyncio
import json
import os
import re
import signal
import time
from collections.abc import Callable
from typing import Any

import asyncpg
import pytest
from structlog.testing import capture_logs
from web_lab import CASES, TMF, Answer, House, fiber, order

from unstuck.store.server import EmbeddedServer
from unstuck.store.unit import is_away


def not_now(answer: Answer) -> None:
    assert answer.status == 503, (answer.status, answer.raw)
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.headers["Content-Type"] == "application/problem+json"
    told = answer.json
    assert set(told) == {"type", "title", "status", "detail", "trace_id"}
    assert not {"socket", "postgres", "/tmp", "Errno"} & set(told["detail"].split())
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def a_page_says_so(answer: Answer) -> None:
    assert answer.status == 503, (answer.status, answer.raw)
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert b"cannot be reached" in answer.raw and not re.search(rb"socket|postgres|Errno", answer.raw)


async def until(seconds: float, ask: Callable[[], Any], good: Callable[[Answer], bool]) -> Answer:
    """Ask again and again until the answer is good."""
    ends = time.monotonic() + seconds
    while not good(answer := await ask()):
        assert time.monotonic() < ends, answer.raw
    return answer


def watched(cluster: EmbeddedServer) -> None:
    """Bring the server back as its watcher does: look until it is dead, for one that stops is not dead yet."""
    ends = time.monotonic() + 60
    while not cluster.restart_if_dead():
        assert time.monotonic() < ends, "the server did not go away"


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT], ids=["killed", "stopped"])
async def test_without_a_database_nothing_is_promised_and_then_we_are_back(
    house: House, cluster: EmbeddedServer, how: signal.Signals
) -> None:
    body = json.dumps(order(fiber())).encode()
    placed = await house.place(fiber())
    pid = cluster.pid
    assert pid is not None
    try:
        with capture_logs():
            os.kill(pid, how)
            bodies = [json.dumps(order(fiber())).encode() for _ in range(20)]
            taken = await asyncio.gather(*(house.submit(each) for each in bodies))
            await until(10, lambda: house.submit(body), lambda answer: answer.status == 503)
            for method, path in (
                ("GET", CASES),
                ("POST", TMF),
                ("GET", "/readyz"),
                ("GET", f"{TMF}/{placed['id']}"),
            ):
                not_now(await house.call(method, path, who="engineer", data=b"{}" if method == "POST" else None))
            not_now(await house.callback({"id": "1", "key": "k", "status": "done"}))
            a_page_says_so(await house.call("GET", "/queue", who="engineer"))
            assert (await house.call("GET", "/healthz", who=None)).status == 200  # we live, the database does not
    finally:
        await asyncio.to_thread(watched, cluster)
    back = await until(10, lambda: house.submit(body), lambda answer: answer.status != 503)
    assert back.status == 201
    assert {answer.status for answer in taken} <= {201, 503}
    for answer in taken:  # what was answered with a yes is there
        if answer.status == 201:
            assert (await house.get(f"{TMF}/{answer.json['id']}"))["id"] == answer.json["id"]
    assert (await house.get(f"{TMF}/{placed['id']}"))["id"] == placed["id"]
    assert (await house.call("GET", "/readyz")).status == 200


@pytest.mark.parametrize(
    ("error", "away"),
    [
        (ConnectionRefusedError(), True), (FileNotFoundError(), True), (TimeoutError(), True),
        (asyncpg.CannotConnectNowError("starting up"), True), (asyncpg.AdminShutdownError("x"), True),
        (asyncpg.CrashShutdownError("x"), True), (asyncpg.ConnectionDoesNotExistError("x"), True),
        (asyncpg.TooManyConnectionsError("x"), True), (asyncpg.DiskFullError("x"), True), (asyncpg.InterfaceError("closed"), True),
        (asyncpg.UniqueViolationError("x"), False), (asyncpg.UndefinedTableError("x"), False), (KeyError("x"), False),
        (asyncpg.exceptions._base.DataError("value out of range"), False), (asyncpg.CheckViolationError("x"), False),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_what_is_away_and_what_is_our_mistake(error: Exception, away: bool) -> None:
    assert is_away(error) is away
