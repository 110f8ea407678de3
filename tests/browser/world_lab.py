"""A small world with something of every kind in it: what the tests of looks, budgets and hostile texts visit."""

import asyncio
from typing import Any

import msgspec
from browser_lab import Stage, until
from desk_lab import BAD_ADDRESS, Desk
from web_lab import LOST, fiber, item, refused

CROWD = 100  # cases of one kind: a page of the queue is full
BIDI = "\u202egpj.exe\u202c"
HOSTILE = (
    '<img src=x onerror="document.title=\'owned\'"><script>document.title="owned"</script>'
    f' =HYPERLINK("http://evil.example","pay") {BIDI} {{{{ 7*7 }}}} ' + "W" * 10_000
)
HOSTILE_NAME = '"><b onclick=alert(1)> شركة ' + "M" * 60


PLACES = {  # every page by a name for it; {case} and {order} are those of the world below
    "sign-in": "/sign-in",
    "queue": "/queue",
    "queue of all that is open": "/queue?view=open",
    "queue with nothing": "/queue?view=open&q=no-such-words",
    "case of an unknown outcome": "/cases/{unknown[number]}",
    "case of a refusal": "/cases/{refused[number]}",
    "case at work": "/cases/{working[number]}",
    "case that is closed": "/cases/{closed[number]}",
    "case with hostile words": "/cases/{hostile[number]}",
    "form to take a case": "/cases/{refused[number]}/do/assign",
    "form to correct data": "/cases/{working[number]}/do/correct_data",
    "orders": "/orders",
    "order that stopped": "/orders/{unknown[order_id]}",
    "order that is done": "/orders/{done_order[id]}",
    "search": "/search?q=",
    "search that finds": "/search?q={refused[customer]}",
    "search that does not": "/search?q=no-such-words",
    "account": "/account",
    "parts": "/parts",
    "no such case": "/cases/FC-1",
}


class World(msgspec.Struct):
    """The cases one meets, as lists show them, and an order that went through."""

    unknown: Any
    refused: Any
    working: Any
    closed: Any
    hostile: Any
    done_order: Any

    def at(self, place: str) -> str:
        """The address of a page."""
        return PLACES[place].format(**msgspec.structs.asdict(self))


async def populated(stage: Stage, crowd: int = 0) -> World:
    """Cases of several kinds at several points of their lives, and `crowd` more that wait."""
    unknown, bad, working, closed, hostile, done, *_ = await asyncio.gather(
        stage.stopped("activateFiber", LOST, items=bundle(), customer="C-lost"),
        stage.stopped("activateFiber", BAD_ADDRESS, items=bundle(), customer="C-address"),
        stage.stopped("activateFiber", BAD_ADDRESS, items=[fiber()], customer="C-working"),
        out_of_stock(stage, "C-closed"),
        stage.stopped(
            "reserve", refused(HOSTILE[:40], HOSTILE), items=[router(model=HOSTILE_NAME + BIDI)], customer=HOSTILE_NAME
        ),
        stage.house.place(fiber(), customer="C-done"),
        *(out_of_stock(stage, f"C-{number}") for number in range(crowd)),
    )
    await at_work(stage, working)
    await settled(stage, closed)
    await stage.order_is(done["id"], "COMPLETED")
    return World(unknown, bad, working, closed, hostile, done)


async def at_work(stage: Stage, case: Any) -> Desk:
    """A case that somebody works on."""
    return await Desk(stage.house, {"id": case["order_id"]}, case["customer"]).take()


async def settled(stage: Stage, case: Any) -> None:
    """A case whose step went through when it was tried again, and that is closed."""
    desk = await at_work(stage, case)
    await desk.repair("retry")

    async def over() -> bool:
        return bool((await desk.view())["state"] == "RESOLVED_NONE")

    await until(over, "the case is settled")
    await desk.done("close")


async def out_of_stock(stage: Stage, customer: str) -> Any:
    """A case that waits for somebody."""
    return await stage.stopped("reserve", refused("SKU_OUT_OF_STOCK", "none left"), items=[router()], customer=customer)


def bundle() -> list[dict[str, Any]]:
    """Fiber with all that belongs to it: six steps on three systems."""
    return [fiber("1"), item("2", "static-ip"), router("3")]


def router(id: str = "1", model: str = "AX-3000") -> dict[str, Any]:
    return item(id, "wifi-router", model=model)
