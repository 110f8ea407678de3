"""What the tests of order pages share: an order in any state of trouble, and the page as it is read."""

import html
import re
from typing import Any
from urllib.parse import urlencode

from web_lab import LOST, Answer, House, fiber, item, refused

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
STATIC_IP = item("2", "static-ip")


async def unknown(house: House, **more: Any) -> Any:
    """An order whose fiber activation got lost, with a static IP that waits for it."""
    order = await house.place(fiber(), STATIC_IP, **more)
    house.targets.will(customer(order), "activateFiber", LOST)
    await house.work()
    return order


async def failed(house: House, **more: Any) -> Any:
    """An order whose fiber activation was refused."""
    order = await house.place(fiber(), **more)
    house.targets.will(customer(order), "activateFiber", refused("ADDRESS_NOT_SERVICEABLE", "no fiber here"))
    await house.work()
    return order


def customer(order: Any) -> str:
    return str(order["relatedParty"][0]["id"])


async def number_of(house: House, order: Any) -> str:
    """The number people call an order by."""
    return str((await house.get(f"/api/v1/orders/{order['id']}"))["number"])


async def page(house: House, path: str, who: str = "engineer", status: int = 200) -> str:
    """The page at `path`, as text with its markup."""
    answer = await house.call("GET", path, who=who)
    assert answer.status == status, (answer.status, answer.raw[:600])
    return answer.raw.decode()


async def send(house: House, path: str, fields: Any, who: str = "engineer") -> Answer:
    """A form, sent as a browser does."""
    return await house.call("POST", path, data=urlencode(fields).encode(), who=who, headers=FORM)


def words(markup: str) -> str:
    """What is read on a page: its text, blanks as one."""
    shown = re.sub(r"<(script|style|svg)\b.*?</\1>", " ", markup, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", shown)).split())


def part(markup: str, id: str) -> str:
    """The section with this id."""
    found = re.search(rf'<section[^>]* id="{id}".*?</section>', markup, re.DOTALL)
    assert found, id
    return found[0]


def hidden(markup: str) -> dict[str, str]:
    """The hidden fields of the forms on a page."""
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', markup))
