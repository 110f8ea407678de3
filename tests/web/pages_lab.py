"""People at the pages: a browser of their own each, signed in as they would be."""

import itertools
from contextlib import suppress
from typing import Any

import aiohttp
from web_lab import House

from unstuck.kernel.refusal import Invalid
from unstuck.service.access.people import NewPerson, add

PASSWORD = "four plain words here"
FROM = itertools.count(1)


def browser(house: House, url: str = "", **headers: str) -> aiohttp.ClientSession:
    """Somebody who is nobody yet: keeps cookies, sends forms from pages of ours, comes from an address of their own."""
    number = next(FROM)
    told = {"Sec-Fetch-Site": "same-origin", "X-Forwarded-For": f"10.9.{number // 250}.{number % 250 + 1}", **headers}
    return aiohttp.ClientSession(url or house.url, headers=told, cookie_jar=aiohttp.CookieJar(unsafe=True))


async def person(house: House, name: str, *roles: str) -> str:
    """Somebody of that name with these roles and the password of all in these tests."""
    with suppress(Invalid):  # made by an earlier test
        await add(house.ports, NewPerson(name, roles, PASSWORD), "the tests")
    return name


async def sign_in(who: aiohttp.ClientSession, name: str, password: str = PASSWORD, **more: str) -> Any:
    """The answer to the form."""
    sent = {"name": name, "password": password, **more}
    async with who.post("/sign-in", data=sent, allow_redirects=False) as answer:
        await answer.read()
        return answer


async def signed_in(house: House, role: str, name: str = "") -> aiohttp.ClientSession:
    """A browser in which somebody with this role is signed in; to be closed by who asked for it (`async with await …`)."""
    name = await person(house, name or f"ms {role}", role)
    who = browser(house)
    answer = await sign_in(who, name)
    assert answer.status == 303, await answer.text()
    return who
