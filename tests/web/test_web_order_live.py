"""An open page of an order hears what becomes of it, and an open form only that something did."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from order_page_lab import STATIC_IP, customer, number_of, page, words
from web_lab import ACCEPTED, TOKENS, House, fiber

from unstuck.fallout.published import About, Leaf
from unstuck.kernel.actor import Actor
from unstuck.store.keys import KeyFiles
from unstuck.store.seal import seal
from unstuck.web.pages.order_file.order_live import OrderWatch


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> KeyFiles:
    return KeyFiles("test", tmp_path_factory.mktemp("keys") / "signing.key")


async def sealed(house: House, keys: KeyFiles) -> None:
    """All that has happened is numbered, as the sealer does while the house runs."""
    pool = house.ports.store.pool
    while await pool.fetchval("SELECT (SELECT count(*) FROM event) > (SELECT size FROM seal)"):
        await seal(pool, keys, house.clock(), None)


@asynccontextmanager
async def heard(house: House, address: str) -> AsyncIterator[Any]:
    """The messages of a live page, each as its text; from now on."""
    headers = {"Authorization": f"Bearer {TOKENS['engineer']}"}
    async with house.client.get(house.url + address, headers=headers) as answer:
        assert answer.status == 200 and answer.content_type == "text/event-stream"
        assert await answer.content.readline() == b"retry: 1000\n"
        yield _messages(answer.content)


async def _messages(content: Any) -> AsyncIterator[str]:
    lines: list[str] = []
    async for raw in content:
        line = raw.decode().rstrip("\n")
        if line.startswith("data: "):
            lines.append(line.removeprefix("data: "))
        elif not line and lines:
            yield "\n".join(lines)
            lines = []


async def until(messages: Any, wanted: str) -> str:
    """The first message with this in it."""
    async with asyncio.timeout(20):
        async for message in messages:
            if wanted in message:
                return str(message)
    raise AssertionError("the stream ended")


async def test_an_open_page_follows_its_order(house: House, keys: KeyFiles) -> None:
    order = await house.place(fiber(), STATIC_IP)
    house.targets.will(customer(order), "activateFiber", ACCEPTED)
    await sealed(house, keys)
    async with heard(house, f"/live/orders/{await number_of(house, order)}") as messages:
        await house.work()
        await sealed(house, keys)
        told = await until(messages, "Waiting for an answer")
    for name in ("head", "plan", "cases", "calls", "commands", "items", "timeline"):
        assert f'hx-target="#order-{name}" hx-swap="outerMorph"' in told and f'id="order-{name}"' in told
    assert "order-form" not in told and "order-moved" not in told


async def test_only_what_is_about_the_order_makes_its_page_new(house: House) -> None:
    mine, other = UUID((await house.place(fiber()))["id"]), UUID((await house.place(fiber()))["id"])
    watch = OrderWatch(house.ports, mine, Actor("mona", frozenset({"engineer"})), None)
    assert await watch.told([_leaf(other), _leaf(None)]) == ""
    assert "order-head" in await watch.told([_leaf(other), _leaf(mine)])


def _leaf(order_id: UUID | None) -> Leaf:
    about, now = About(order_id=order_id), datetime.now(UTC)
    return Leaf(1, uuid4(), 1, now, "order.advanced", 1, "unstuck:engine", {}, about)


async def test_who_may_not_read_orders_any_more_hears_no_more(house: House) -> None:
    order = UUID((await house.place(fiber()))["id"])
    assert await OrderWatch(house.ports, order, Actor("sam", frozenset({"support"})), None).may_go_on()
    assert not await OrderWatch(house.ports, order, Actor("sam"), None).may_go_on()


async def test_an_open_form_is_told_what_happened_meanwhile_and_is_left_alone(house: House, keys: KeyFiles) -> None:
    order = await house.place(fiber())
    await sealed(house, keys)
    number = await number_of(house, order)
    form = await page(house, f"/orders/{number}/do/suspend")
    (address,) = re.findall(r'hx-sse:connect="(/live/orders/[^"]*)"', form)
    async with heard(house, address) as messages:
        version = (await house.get(f"/api/v1/orders/{number}"))["version"]
        path, said = f"/api/v1/orders/{number}/fail", {"reason": "as agreed"}
        assert (await house.call("POST", path, said, who="engineer", version=version)).status == 200
        await sealed(house, keys)
        told = await until(messages, 'hx-target="#order-moved"')
    assert 'id="order-form"' not in told
    moved = told.partition('hx-target="#order-moved"')[2]
    assert "the engineer" in words(moved) and "Order failed" in words(moved)
