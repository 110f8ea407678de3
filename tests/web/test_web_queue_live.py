"""The queue as it changes under the eyes of those who look at it: rows in place, what came is counted, numbers follow."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from queue_lab import Node, parse, queue, stopped
from web_lab import CASES, LOST, TOKENS, House, fiber, refused

from unstuck.service.looks import queue_page
from unstuck.store.keys import KeyFiles
from unstuck.store.seal import seal

BAD_ADDRESS = refused("ADDRESS_NOT_SERVICEABLE", "no fiber there")
Seal = Callable[[], Awaitable[None]]


@pytest.fixture
def sealing(house: House, tmp_path_factory: pytest.TempPathFactory) -> Seal:
    keys = KeyFiles("test", tmp_path_factory.mktemp("keys") / "signing.key")

    async def sealed() -> None:
        unsealed = "SELECT (SELECT count(*) FROM event) > (SELECT size FROM seal)"
        async with asyncio.timeout(20):
            while await house.ports.store.pool.fetchval(unsealed):
                await seal(house.ports.store.pool, keys, house.clock(), None)

    return sealed


class Listener:
    """An open page of the queue: the parts it was sent."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer
        self.heard: list[Node] = []

    async def part(self, target: str, *, says: str = "") -> Node:
        """The next part for this place of the page, one that says these words; parts before it are kept too."""
        async with asyncio.timeout(10):
            while True:
                while self.heard:
                    found = self.heard.pop(0)
                    if found.attributes["hx-target"] == target and says in found.text:
                        return found
                self.heard += parse(await self._message()).all("hx-partial")

    async def _message(self) -> str:
        lines = []
        async for raw in self._answer.content:
            line = raw.decode().rstrip("\n")
            if line.startswith("data: "):
                lines.append(line[6:])
            elif not line and lines:
                return "\n".join(lines)
        raise AssertionError("the stream ended")


@asynccontextmanager
async def listening(house: House, *, who: str = "repair-agent", **query: str) -> AsyncIterator[tuple[Any, Listener]]:
    """A page of the queue, and what it hears from then on: over a socket, from behind what it has seen."""
    page = await queue(house, who=who, **query)
    at = page.root.one(id="live").attributes["hx-sse:connect"] if page.root.all(id="live") else live_of(page)
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKENS[who]}"}) as session:
        async with session.get(house.url + at) as answer:
            assert answer.status == 200, await answer.read()
            yield page, Listener(answer)


def live_of(page: Any) -> str:
    (found,) = [v for node in page.root.all() for v in node.attributes.values() if v.startswith("/live/queue")]
    return str(found)


async def take(house: House, name: str, *, to: str = "me", **more: Any) -> None:
    await order(house, name, "assign", {"to": to}, **more)


async def order(house: House, name: str, command: str, body: Any, **more: Any) -> None:
    version = (await house.get(f"{CASES}/{name}"))["version"]
    answer = await house.call("POST", f"{CASES}/{name}/{command}", body, version=version, **more)
    assert answer.status == 200, answer.raw


async def test_two_who_look_see_a_row_change_in_place_within_a_second(house: House, sealing: Seal) -> None:
    name = await stopped(house, "activateFiber", LOST, items=[fiber()])
    await sealing()
    async with listening(house, view="open") as (page, one), listening(house, who="support") as (_, other):
        assert name in page.names
        began = time.monotonic()
        await take(house, name)
        await sealing()
        parts = [await who.part(f"#case-{name}") for who in (one, other)]
        assert time.monotonic() - began < 1
    for part in parts:
        assert part.attributes["hx-swap"] == "outerMorph"
        row = part.one("tr")
        assert (
            row.attributes["id"] == f"case-{name}"
            and "Assigned" in row.text
            and "gone" not in row.attributes.get("class", "")
        )
    assert parts[0].one("input", name="case").attributes["value"] == f"{name}.3"
    assert parts[1].all("input") == []  # support may not work on cases


async def test_a_case_that_leaves_the_list_stays_in_its_place_greyed_with_its_new_state(
    house: House, sealing: Seal
) -> None:
    name = await stopped(house, "activateFiber", LOST, items=[fiber()])
    await sealing()
    async with listening(house, view="unassigned") as (page, one):
        before = int(page.chips["Unassigned"])
        await take(house, name)
        await sealing()
        row = (await one.part(f"#case-{name}")).one("tr")
        assert row.attributes["class"] == "gone" and "No longer in this list" in row.text and "Assigned" in row.text
        chips = await one.part("#queue-chips")
        found = {c.one(cls="chip-text").text: c.one(cls="chip-count").text for c in chips.all("a")}
        assert (found["Unassigned"], found["Mine"]) == (str(before - 1), str(int(page.chips["Mine"]) + 1))


async def test_what_came_is_counted_and_moves_nothing(house: House, sealing: Seal) -> None:
    await sealing()
    async with listening(house, view="open", system="billing") as (page, one):
        await stopped(house, "activateFiber", LOST, items=[fiber()])  # of another system
        await stopped(house, "createAccount", refused("ACCOUNT_NOT_FOUND"), items=[fiber()])
        name = await stopped(house, "createAccount", refused("ACCOUNT_NOT_FOUND"), items=[fiber()])
        await sealing()
        link = (await one.part("#queue-new", says="2 new")).one("a")
        assert link.attributes["data-key"] == "s"
        assert name in (await queue(house, link.attributes["href"])).names
        while int((await one.part("#count-queue")).text) != int(page.chips["All open"]) + 3:
            pass  # the number that all share may be from just before
        await take(house, name)  # it is not shown here: nothing of it comes but numbers
        await sealing()
        await one.part("#queue-chips")
        assert not [p for p in one.heard if p.attributes["hx-target"] == f"#case-{name}"]


async def test_a_case_comes_into_a_list_by_what_is_done_with_it(house: House, sealing: Seal) -> None:
    name = await stopped(house, "activateFiber", BAD_ADDRESS, items=[fiber()])
    await sealing()
    async with listening(house, who="engineer", view="mine") as (page, one):
        assert name not in page.names
        await take(house, name, who="engineer")
        await sealing()
        assert "1 new" in (await one.part("#queue-new")).text
        version = (await house.get(f"{CASES}/{name}"))["version"]
        await house.call("POST", f"{CASES}/{name}/release", {"note": "not mine"}, who="engineer", version=version)
        await sealing()
        assert (await one.part("#queue-new")).text == ""


async def test_a_case_that_was_on_another_page_of_the_list_is_not_new(
    house: House, sealing: Seal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It leaves and returns, or only moves within the list: it was there all the time. One that comes is counted."""
    old, moves = [await stopped(house, "activateFiber", LOST, items=[fiber()]) for _ in range(2)]
    await take(house, old)
    await take(house, moves)
    monkeypatch.setattr(queue_page, "PAGE", 1)
    newest = await stopped(house, "activateFiber", LOST, items=[fiber()])
    await take(house, newest)
    await sealing()
    async with listening(house, view="mine") as (page, one):
        assert page.names == [newest]
        await order(house, old, "release", {"note": "not mine"})
        await take(house, moves, to="the repair-agent")
        await sealing()
        await take(house, old)
        late = await stopped(house, "activateFiber", LOST, items=[fiber()])
        await take(house, late)
        await sealing()
        assert (await one.part("#queue-new", says="new")).text.startswith("1 new")
        await order(house, late, "release", {"note": "not mine"})
        await sealing()
        assert (await one.part("#queue-new")).text == ""
        assert (await one.part("#queue-chips")).all("a")


async def test_a_page_that_lost_its_connection_says_at_least(house: House, sealing: Seal) -> None:
    await sealing()
    page = await queue(house, view="open")
    await stopped(house, "activateFiber", LOST, items=[fiber()])
    await sealing()
    leaves = await house.owner.fetchval("SELECT size FROM seal")
    await stopped(house, "activateFiber", LOST, items=[fiber()])
    await sealing()
    for seen, says in ((None, "2 new"), (str(leaves - 1), "At least 1 new")):
        headers = {"Authorization": f"Bearer {TOKENS['support']}", **({"Last-Event-ID": seen} if seen else {})}
        async with house.client.get(house.url + live_of(page), headers=headers) as answer:
            assert (await Listener(answer).part("#queue-new", says=says)).text.startswith(says)


async def test_numbers_come_at_most_once_a_second_and_the_last_are_true(house: House, sealing: Seal) -> None:
    await sealing()
    async with listening(house, view="open") as (page, one):
        before, began, told = int(page.chips["All open"]), time.monotonic(), 0
        for _ in range(4):
            await stopped(house, "activateFiber", LOST, items=[fiber()])
            await sealing()
        while (await one.part("#count-queue")).text != str(before + 4):
            told += 1
        assert told <= time.monotonic() - began + 1


async def test_numbers_that_all_share_are_told_again_when_they_were_read_too_early(house: House, sealing: Seal) -> None:
    await sealing()
    async with listening(house, view="open") as (page, one):
        await stopped(house, "activateFiber", LOST, items=[fiber()])
        await sealing()
        await one.part("#count-queue")  # read for all
        async with listening(house, view="mine") as (_, other):
            await stopped(house, "activateFiber", LOST, items=[fiber()])
            await sealing()
            while (await other.part("#count-queue")).text != str(int(page.chips["All open"]) + 2):
                pass


async def test_what_happens_between_the_page_and_its_stream_is_not_lost(house: House, sealing: Seal) -> None:
    name = await stopped(house, "activateFiber", LOST, items=[fiber()])
    await sealing()
    page = await queue(house, view="open")
    await take(house, name)
    await sealing()
    headers = {"Authorization": f"Bearer {TOKENS['support']}"}
    async with house.client.get(house.url + live_of(page), headers=headers) as answer:
        assert "Assigned" in (await Listener(answer).part(f"#case-{name}")).text


async def test_what_an_order_does_is_seen_in_its_row(house: House, sealing: Seal) -> None:
    """A repair moves the step of the order: the calls in the row follow."""
    name = await stopped(house, "activateFiber", LOST, items=[fiber()])
    await sealing()
    async with listening(house, view="open") as (page, one):
        assert "Ask the target" in page.cell(name, "What")
        await house.owner.execute("UPDATE fallout_case SET repeats = 3 WHERE number = $1", int(name[3:]))
        order = (await house.get(f"{CASES}/{name}"))["order_id"]
        suspended = await house.call(
            "POST", f"/api/v1/orders/{order}/suspend", {"reason": "they asked"}, who="engineer",
            version=(await house.get(f"/api/v1/orders/{order}"))["version"],
        )  # fmt: skip
        assert suspended.status == 200, suspended.raw
        await sealing()
        assert (await one.part(f"#case-{name}")).one("tr")


@pytest.mark.parametrize("on", ["", "x", "1,2,;DROP", "9" * 40, ",".join(["1"] * 5000)])
async def test_numbers_that_are_none_of_ours_are_nothing_to_watch(house: House, sealing: Seal, on: str) -> None:
    await sealing()
    headers = {"Authorization": f"Bearer {TOKENS['support']}"}
    async with house.client.get(f"{house.url}/live/queue", params={"on": on}, headers=headers) as answer:
        assert answer.status == 200
