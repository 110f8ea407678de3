"""A sender that dribbles is told so; it holds nothing that others need."""

import asyncio
import json
from typing import Any

from test_web_failures import failure, post
from web_lab import TOKENS, House


async def dribble(house: House, body: bytes) -> bytes:
    """Send the head and the first byte of a body, then nothing; what comes back."""
    host, port = house.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = (
        f"POST /api/v1/fallout-events HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {TOKENS['integration']}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body[:1])
    await writer.drain()
    try:
        return await reader.readuntil(b"}")
    finally:
        writer.close()


async def test_a_body_that_does_not_come_in_time_is_refused_while_others_go_on(house: House, monkeypatch: Any) -> None:
    monkeypatch.setattr(house.app, "body_s", 0.5)
    slow = [asyncio.create_task(dribble(house, json.dumps(failure()).encode())) for _ in range(20)]
    assert (await post(house, failure())).status == 201
    for answer in await asyncio.gather(*slow):
        assert b"408" in answer.split(b"\r\n", 1)[0]
        assert b'"rule":"too-slow"' in answer
