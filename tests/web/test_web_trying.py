"""The cases that a demo offers to try: on the queue, on the case itself, folded away by who has seen enough."""

import json
from contextlib import asynccontextmanager

import msgspec
from web_lab import SECRET, TOKENS, fiber, refused, served

from unstuck.service.looks.trying import Try, nothing_to_try, written_in
from unstuck.web.server import build

SENT = {"Authorization": f"Bearer {TOKENS['repair-agent']}", "Sec-Fetch-Site": "same-origin"}


@asynccontextmanager
async def demo(house, *tries):
    """The same house where a demo runs that offers these."""
    ports = msgspec.structs.replace(house.ports, trying=lambda: tries)
    async with served(build(ports, callback_secret=SECRET, body_limit=10_000_000)) as url:
        yield url


async def page(house, url, path, **more):
    async with house.client.get(url + path, headers={**SENT, **more}) as answer:
        assert answer.status == 200
        return await answer.text()


async def stopped(house, customer):
    """The number of a case that was refused for its address."""
    house.targets.will(customer, "activateFiber", refused("ADDRESS_NOT_SERVICEABLE"))
    order = await house.place(fiber(), customer=customer)
    await house.work()
    return (await house.case_of(order["id"]))["number"]


async def test_the_queue_offers_the_cases_and_says_which_are_done(house):
    tries = Try("unknown", "FC-7001", done=False), Try("address", "FC-7002", done=True)
    async with demo(house, *tries) as url:
        text = await page(house, url, "/queue")
    assert "2 cases to try" in text
    assert "1 of 2 done" in text
    assert "<details open>" in text.partition('id="try"')[2]
    assert [name in text for name in ('href="/cases/FC-7001"', 'href="/cases/FC-7002"')] == [True, True]


async def test_where_no_demo_runs_nothing_is_offered(house):
    assert 'id="try"' not in await page(house, house.url, "/queue")


async def test_who_has_seen_enough_folds_it_away_and_can_open_it_again(house):
    async with demo(house, Try("unknown", "FC-7001", done=False)) as url:
        async with house.client.post(url + "/try/fold", headers=SENT, data={}, allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (303, "/queue")
            assert "HttpOnly" in answer.headers["Set-Cookie"]
            cookie = answer.headers["Set-Cookie"].partition(";")[0]
        text = await page(house, url, "/queue", Cookie=cookie)
    assert "<details>" in text.partition('id="try"')[2][:400]
    assert 'href="/cases/FC-7001"' in text


async def test_the_case_says_how_to_go_about_it_until_it_is_done(house):
    number = await stopped(house, "C-try")
    async with demo(house, Try("address", number, done=False)) as url:
        assert "An address that nobody knows" in await page(house, url, f"/cases/{number}")
    async with demo(house, Try("address", number, done=True)) as url:
        assert "An address that nobody knows" not in await page(house, url, f"/cases/{number}")


def test_what_the_demo_wrote_is_read_as_it_is_now(tmp_path):
    path = tmp_path / "demo.json"
    assert written_in(path) == nothing_to_try() == ()
    for done in (False, True):
        path.write_text(json.dumps({"cases": [{"name": "router", "number": "FC-1", "done": done}]}))
        assert written_in(path) == (Try("router", "FC-1", done),)
