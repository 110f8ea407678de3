"""Being signed in: for how long it counts, what ends it, and that it opens nothing but pages."""

import asyncio
import time
from contextlib import AsyncExitStack
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from pages_lab import PASSWORD, browser, person, sign_in, signed_in
from web_lab import CASES, SECRET, TMF, House, fiber, opened, served

from unstuck.fallout.published import About, Leaf, cloud_events, known_types
from unstuck.kernel.refusal import Invalid, Missing
from unstuck.service.access import people, sessions
from unstuck.service.access.accounts import add_token
from unstuck.service.access.people import NewPerson
from unstuck.store.unit import AWAY
from unstuck.web import auth
from unstuck.web.server import build

COOKIE = "unstuck_session"
HOUR = 3600


def cookie_of(who: aiohttp.ClientSession) -> str:
    """What the browser keeps."""
    return next(c.value for c in who.cookie_jar if c.key == COOKIE)


async def is_in(who: aiohttp.ClientSession) -> bool:
    """Whether they are signed in."""
    async with who.get("/account", allow_redirects=False) as answer:
        assert answer.status in (200, 303)
        return answer.status == 200


async def test_a_session_that_nobody_uses_ends_after_eight_hours(house: House) -> None:
    async with await signed_in(house, "support", "Idle") as used, await signed_in(house, "support", "Idle") as left:
        for _ in range(2):
            house.clock.jump(5 * HOUR)
            assert await is_in(used)
        assert not await is_in(left)


async def test_a_page_that_only_listens_does_not_keep_its_session(house: House) -> None:
    async with await signed_in(house, "support", "Tab left open") as who:
        shown = (cookie_of(who).encode(), False)
        for hours in (5, 4):
            held = await sessions.holders(house.ports, [shown], demo=False)
            assert held[0] is not None
            house.clock.jump(hours * HOUR)
        assert await sessions.holders(house.ports, [shown], demo=False) == [None]
        assert not await is_in(who)


async def test_however_busy_a_session_ends_after_a_day(house: House) -> None:
    async with await signed_in(house, "support", "Busy") as who:
        for _ in range(3):
            house.clock.jump(7 * HOUR)
            assert await is_in(who)
        house.clock.jump(3 * HOUR)
        assert not await is_in(who)
    assert await sessions.forget_ended(house.ports, 1000) > 0
    assert not await house.owner.fetchval("SELECT count(*) FROM session WHERE until < $1", house.clock())


async def test_who_is_disabled_is_out_at_once_and_cannot_come_back(house: House) -> None:
    async with await signed_in(house, "engineer", "Leaver") as who:
        await people.disable(house.ports, "leaver", "the tests")
        assert not await is_in(who)
        assert (await sign_in(who, "Leaver")).status == 401
        await people.enable(house.ports, "Leaver", "the tests")
        assert not await is_in(who)
        assert (await sign_in(who, "Leaver")).status == 303


async def test_a_session_of_somebody_disabled_behind_our_back_does_not_count(house: House) -> None:
    async with await signed_in(house, "engineer", "Struck out") as who:
        await house.owner.execute("UPDATE person SET disabled_at = now() WHERE name = 'Struck out'")
        assert not await is_in(who)


async def test_roles_are_those_of_this_moment(house: House) -> None:
    async with await signed_in(house, "repair-agent", "Moves on") as who:
        async with who.get("/account") as before:
            assert "Repair agent" in await before.text()
        await people.change_roles(house.ports, "Moves on", ("auditor",), "the tests")
        async with who.get("/account") as after:
            text = await after.text()
        assert "Auditor" in text
        assert "Repair agent" not in text


async def test_signing_out_ends_this_session_and_no_other(house: House) -> None:
    async with await signed_in(house, "support", "Two") as one, await signed_in(house, "support", "Two") as other:
        kept = cookie_of(one)
        async with one.post("/sign-out", allow_redirects=False) as answer:
            assert answer.status == 303
            assert "Max-Age=0" in answer.headers["Set-Cookie"]
        assert not [c for c in one.cookie_jar if c.key == COOKIE]
        async with browser(house, Cookie=f"{COOKIE}={kept}") as copy:
            assert not await is_in(copy)
        assert await is_in(other)


async def test_signing_out_everywhere_ends_them_all(house: House) -> None:
    async with await signed_in(house, "support", "Many") as one, await signed_in(house, "support", "Many") as other:
        async with one.post("/account/sign-out-everywhere", allow_redirects=False) as answer:
            assert answer.headers["Location"] == "/sign-in?done=signed-out-everywhere"
        assert not await is_in(one)
        assert not await is_in(other)


async def test_another_password_ends_every_other_session(house: House) -> None:
    new = "five other plain words here"
    async with (
        await signed_in(house, "support", "Changed") as one,
        await signed_in(house, "support", "Changed") as other,
    ):
        former = cookie_of(one)
        form = {"old": PASSWORD, "password": new, "again": new}
        async with one.post("/account/password", data=form, allow_redirects=False) as answer:
            assert answer.headers["Location"] == "/account?done=password-changed"
        assert cookie_of(one) != former
        assert await is_in(one)
        assert not await is_in(other)
        assert (await sign_in(other, "Changed")).status == 401
        assert (await sign_in(other, "Changed", new)).status == 303


@pytest.mark.parametrize(
    ("change", "status", "because"),
    [
        ({"old": "not the password at all"}, 401, "this is not your password so far"),
        ({"password": "short", "again": "short"}, 422, "12 to 200 characters"),
        ({"password": "aaaaaaaaaaaaaaaa", "again": "aaaaaaaaaaaaaaaa"}, 422, "5 different characters"),
        ({"password": "careful-2026", "again": "careful-2026"}, 422, "not the name with a little added"),
        ({"again": "something else"}, 422, "the two passwords differ"),
    ],
)
async def test_a_password_that_cannot_be_taken_is_told_why(
    house: House, change: dict[str, str], status: int, because: str
) -> None:
    async with await signed_in(house, "support", "Careful") as who:
        form = {"old": PASSWORD, "password": "plain words again", "again": "plain words again"}
        async with who.post("/account/password", data=form | change, allow_redirects=False) as answer:
            assert answer.status == status
            assert because in await answer.text()
        assert await is_in(who)


async def test_who_found_an_open_browser_does_not_guess_the_password_there(house: House) -> None:
    async with await signed_in(house, "support", "Away from desk") as who:
        found = []
        for n in range(6):
            form = {"old": f"guess number {n}", "password": PASSWORD + "!", "again": PASSWORD + "!"}
            async with who.post("/account/password", data=form, allow_redirects=False) as answer:
                found.append(answer.status)
    assert found == [401] * 5 + [429]


async def test_a_session_opens_pages_and_never_what_programs_use(house: House) -> None:
    async with await signed_in(house, "engineer", "Curious") as who:
        for path in (CASES, "/api/v1/orders", "/api/v1/stream", TMF, "/api/v1/audit/checkpoints"):
            async with who.get(path) as answer:
                assert answer.status == 401, path
        async with who.post(TMF, json={}) as answer:
            assert answer.status == 401


async def test_a_wrong_token_is_not_mended_by_a_session(house: House) -> None:
    async with await signed_in(house, "support", "Both") as who:
        for header in ("Bearer wrong", "Basic YTpi", ""):
            async with who.get("/account", headers={"Authorization": header}, allow_redirects=False) as answer:
                assert answer.status == 303


@pytest.mark.parametrize(
    "header",
    ["", "=", ";;;", "unstuck_session", "unstuck_session=", "x" * 8000, 'a="b; unstuck_session=c', "\xff=\xfe"],
)
async def test_a_cookie_that_is_none_is_nobodys(house: House, header: str) -> None:
    answer = await house.call("GET", "/account", who=None, headers={"Cookie": header})
    assert answer.status == 303


async def test_of_a_page_without_a_session_one_comes_back_to_it_after_signing_in(house: House) -> None:
    async with browser(house) as who:
        async with who.get("/queue?view=mine&q=a%20b", allow_redirects=False) as asked:
            assert asked.headers["Location"] == "/sign-in?next=/queue%3Fview%3Dmine%26q%3Da%2520b"
        async with who.get("/queue", headers={"HX-Request": "true"}) as part:
            assert part.headers["HX-Redirect"] == "/sign-in?next=/queue"
        async with who.post("/account/password", data={"old": "x"}) as form:
            assert form.status == 401
            assert "sign in and do it again" in await form.text()
        async with who.get("/live/queue") as stream:
            assert stream.status == 401


async def test_who_may_not_is_told_who_may(house: House) -> None:
    async with await signed_in(house, "integration", "Program") as who:
        async with who.get("/queue", allow_redirects=False) as answer:
            assert answer.status == 403
            page = await answer.text()
    assert "none of your roles may do this (case.read)" in page
    assert "Support agent, Repair agent, Approver" in page
    answer = await house.call("POST", TMF, who="support", data=b"{}")
    assert "it is for Engineer, Integration, Administrator" in answer.json["message"]


async def test_names_are_peoples_own(house: House) -> None:
    await person(house, "Only One", "support")
    await add_token(house.ports, "A Program", ("support",), "a-token-of-a-program-that-is-here")
    for name in (
        "only one",
        "ONLY ONE",
        "Ｏnly One",
        "a program",
        "unstuck:engine",
        "nobody",
        "",
        " ",
        "a\nb",
        "a<b",
        "x" * 61,
    ):
        with pytest.raises(Invalid):
            await people.add(house.ports, NewPerson(name, ("support",), PASSWORD), "the tests")
    with pytest.raises(Invalid, match="somebody who signs in"):
        await add_token(house.ports, "only ONE", ("support",), "a-token-that-would-be-somebody")
    with pytest.raises(Invalid, match="no such role"):
        await people.add(house.ports, NewPerson("New", ("king",), PASSWORD), "the tests")
    with pytest.raises(Missing):
        await people.disable(house.ports, "not there", "the tests")


async def test_one_name_given_out_many_times_at_the_same_moment_is_ones(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def at_once(password: str) -> str:
        return "a digest that no password has"

    monkeypatch.setattr(people.passwords, "digest_of", at_once)
    for n in range(5):
        wishes = [NewPerson(name, ("support",), PASSWORD) for name in (f"Twin {n}", f"TWIN {n}") * 3]
        made = await asyncio.gather(
            *(people.add(house.ports, wish, "x") for wish in wishes),
            add_token(house.ports, f"twin {n}", ("support",), f"a-token-of-that-very-name-{n}"),
            return_exceptions=True,
        )
        assert sum(not isinstance(one, BaseException) for one in made) == 1, made
        assert sum(isinstance(one, Invalid) for one in made) == 6, made


async def test_many_who_ask_at_once_are_looked_up_together(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async with AsyncExitStack() as stack:
        who = await stack.enter_async_context(await signed_in(house, "support", "Gathered"))
        asked: list[int] = []
        real = sessions.holders

        async def counted(ports: Any, seen: Any, *, demo: bool) -> Any:
            asked.append(len(seen))
            return await real(ports, seen, demo=demo)

        monkeypatch.setattr(sessions, "holders", counted)
        await asyncio.gather(*(is_in(who) for _ in range(40)))
    assert sum(asked) == 40
    assert len(asked) < 40


async def beats(stream: aiohttp.ClientResponse) -> None:
    """Wait until the stream has said that it is there."""
    async with asyncio.timeout(3):
        async for line in stream.content:
            if b"beat" in line:
                return
    raise AssertionError("the stream has ended")


async def ended(stream: aiohttp.ClientResponse) -> float:
    """How long it took until the stream was over."""
    began = time.monotonic()
    async with asyncio.timeout(5):
        async for _ in stream.content:
            pass
    return time.monotonic() - began


@pytest.mark.parametrize("end", ["revoked_at = now()", "roles = '{integration}'"])
async def test_the_stream_of_a_program_ends_within_a_beat_of_its_tokens_end(house: House, end: str) -> None:
    app = build(house.ports, callback_secret=SECRET, body_limit=1_000_000, beat_s=0.3)
    secret = f"a-token-that-listens-until-{end}"
    await add_token(house.ports, f"listens until {end}", ("support",), secret)
    headers = {"Authorization": f"Bearer {secret}"}
    async with served(app) as url, house.client.get(url + "/api/v1/stream", headers=headers) as stream:
        await beats(stream)
        await house.owner.execute(f"UPDATE api_token SET {end} WHERE name = $1", f"listens until {end}")
        assert await ended(stream) < 1


async def test_the_stream_of_a_page_ends_within_a_beat_of_its_session(house: House) -> None:
    app = build(house.ports, callback_secret=SECRET, body_limit=1_000_000, beat_s=0.3)
    live = f"/live/orders/{(await house.place(fiber()))['id']}"
    async with served(app) as url, browser(house, url) as who:
        for out in (sessions.sign_out_everywhere, lambda ports, name: people.disable(ports, name, "the tests")):
            await person(house, "Listens", "support")
            await people.enable(house.ports, "Listens", "the tests")
            assert (await sign_in(who, "Listens")).status == 303
            async with who.get(live) as stream:
                assert stream.status == 200, await stream.text()
                await beats(stream)
                await out(house.ports, "Listens")
                assert await ended(stream) < 1
            async with who.get(live) as again:
                assert again.status == 401


async def test_nobody_is_sent_away_from_a_stream_because_the_database_is_away(house: House) -> None:
    async def away() -> Any:
        raise AWAY[0]("gone")

    asked: Any = SimpleNamespace(
        scope={"user": None, "auth": auth.Proof("session", "", away)},
        route_handler=SimpleNamespace(opt={"permission": auth.SIGNED_IN}),
    )
    assert await auth.still_may(asked, house.ports)()


async def test_who_signs_in_is_nobodys_business_outside(house: House) -> None:
    leaf = Leaf(1, house.ports.new_id(), 1, house.clock(), "person.signed-in", 1, "ana", {"name": "ana"}, About())
    assert cloud_events(leaf, "urn:x") == []
    assert not [kind for kind in known_types() if "person" in kind]


async def test_a_fresh_house_lets_nobody_in(cluster: Any, template: str, tmp_path: Any) -> None:
    async with opened(cluster, template, tmp_path) as fresh, browser(fresh) as who:
        assert not await people.anybody(fresh.ports)
        assert (await sign_in(who, "admin", "admin")).status == 401
