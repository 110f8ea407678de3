"""Work on several cases of the queue at once: each is decided by itself, and nobody is told otherwise."""

from typing import Any

from queue_lab import Seen, parse, queue, send, stopped
from web_lab import CASES, LOST, Answer, House, fiber, item, refused

HOSTILE = "<script>alert(1)</script>\u202eevil\u2066 =cmd|' /C calc'!A0 " + "W" * 400 + '" onmouseover="x'


async def some(house: House, many: int) -> list[str]:
    return [await stopped(house, "activateFiber", LOST, items=[fiber()]) for _ in range(many)]


async def take_and_start(house: House, name: str, *, start: bool) -> None:
    for command, body in (("assign", {"to": "me"}), ("start", {})) if start else ():
        version = (await house.get(f"{CASES}/{name}"))["version"]
        answer = await house.call("POST", f"{CASES}/{name}/{command}", body, version=version)
        assert answer.status == 200, answer.raw


def chosen(page: Seen, names: list[str], **more: str) -> list[tuple[str, str]]:
    return [("case", page.version(name)) for name in names] + [("key", page.form["key"]), *more.items()]


async def owner(house: House, name: str) -> Any:
    return (await house.get(f"{CASES}/{name}"))["owner"]


def seen(answer: Answer) -> Seen:
    return Seen(answer, parse(answer.raw.decode()))


async def test_several_are_given_to_somebody_and_one_comes_back_to_the_list(house: House) -> None:
    names = await some(house, 3)
    page = await queue(house, view="unassigned")
    answer = await send(
        house, "assign", chosen(page, names, to="budi"), at="?view=unassigned&queue=FIXED_ACTIVATION_L2"
    )
    assert (answer.status, answer.headers["Location"].partition("?")[0]) == (303, "/queue")
    assert "queue=FIXED_ACTIVATION_L2" in answer.headers["Location"]
    assert [await owner(house, name) for name in names] == ["budi"] * 3
    back = await queue(house, answer.headers["Location"])
    assert not set(names) & set(back.names)


async def test_a_stale_one_among_them_stands_back_and_the_others_are_done(house: House) -> None:
    names = await some(house, 3)
    page = await queue(house, view="open")
    version = (await house.get(f"{CASES}/{names[1]}"))["version"]
    await house.call("POST", f"{CASES}/{names[1]}/assign", {"to": "ana"}, version=version)
    answer = await send(house, "take", chosen(page, names), at="?view=open")
    assert answer.status == 409
    told = seen(answer)
    assert [await owner(house, name) for name in names] == ["the repair-agent", "ana", "the repair-agent"]
    (notice,) = told.notices
    assert "1 of 3 were not done" in notice and "moved on to version" in notice and "if-match" in notice
    checked = [i.attributes["value"] for i in told.root.all("input", name="case") if "checked" in i.attributes]
    assert checked == [told.version(names[1])]  # it stays selected, now as it is
    again = await send(house, "take", chosen(told, [names[1]]), at="?view=open")
    assert again.status == 303 and await owner(house, names[1]) == "the repair-agent"


async def test_the_same_form_sent_twice_answers_the_same_and_does_it_once(house: House) -> None:
    names = await some(house, 2)
    page = await queue(house, view="open")
    form = chosen(page, names, to="cem")
    first, second = await send(house, "assign", form), await send(house, "assign", form)
    assert (first.status, second.status) == (303, 303)
    for name in names:
        view = await house.get(f"{CASES}/{name}")
        assert [e["type"] for e in view["timeline"]].count("unstuck.fallout-case.assigned") == 1


async def test_release_needs_a_reason_and_keeps_what_was_typed(house: House) -> None:
    (name,) = await some(house, 1)
    await send(house, "take", chosen(await queue(house, view="open"), [name]))
    page = await queue(house, view="mine")
    refused_one = await send(house, "release", chosen(page, [name], note="", to="somebody else"), at="?view=mine")
    assert refused_one.status == 422
    told = seen(refused_one)
    assert (
        told.root.one(id="queue-note").attributes["aria-invalid"] == "true"
        and told.root.one(id="queue-note-error").text
    )
    assert told.root.one(id="queue-to").attributes["value"] == "somebody else"
    assert "checked" in told.row(name).one("input", name="case").attributes
    done = await send(house, "release", chosen(told, [name], note="needs a field engineer"), at="?view=mine")
    assert done.status == 303 and await owner(house, name) == ""


async def test_a_form_that_is_none_of_ours_does_nothing(house: House) -> None:
    (name,) = await some(house, 1)
    page = await queue(house, view="open")
    good = chosen(page, [name], to="eve")
    for form, status in (
        ([f for f in good if f[0] != "case"], 422), ([("case", "FC-1"), *good[1:]], 422), ([f for f in good if f[0] != "key"], 422),
        ([*good, ("role", "admin")], 422), ([("case", f"{name}.x"), *good[1:]], 422), ([*good[:-1], ("to", "\u202e")], 422),
    ):  # fmt: skip
        answer = await send(house, "assign", form)
        assert answer.status == status, form
    assert (await send(house, "burn", good)).status == 404
    assert (await send(house, "assign", good, who="support")).status == 403
    assert await owner(house, name) == ""


async def test_a_case_that_cannot_be_released_is_told_with_its_rule(house: House) -> None:
    names = await some(house, 2)
    page = await queue(house, view="open")
    await send(house, "take", chosen(page, names[:1]))
    page = await queue(house, view="open")
    answer = await send(house, "release", chosen(page, names, note="enough"), at="?view=open")
    (notice,) = seen(answer).notices
    assert answer.status == 409 and f"{names[0]}: done" in notice and "life-cycle" in notice


async def test_what_strangers_wrote_is_text_and_nothing_else(house: House) -> None:
    customer = "<img src=x onerror=alert(2)> " + "L" * 120
    name = await stopped(
        house,
        "reserve",
        refused("<b>E-17</b>", HOSTILE),
        items=[item("1", "wifi-router", model="m")],
        customer=customer,
    )
    for query in (
        {"view": "open"},
        {"view": "open", "columns": "wide"},
        {"view": "open", "group": "boundary"},
        {"q": customer[:60]},
    ):
        page = await queue(house, **query)
        raw = page.answer.raw.decode()
        assert name in page.names or "q" in query
        assert "<script>alert" not in raw and "<img src=x" not in raw and "<b>E-17" not in raw
        assert not [node for node in page.root.all() if any(key.startswith("on") for key in node.attributes)]
    page = await queue(house, view="open", columns="wide")
    assert "alert(1)" in page.row(name).text and page.row(name).all("script") == [] == page.row(name).all("img")
    isolated = [bdi.text for bdi in page.row(name).all("bdi")]
    assert any("evil" in text for text in isolated) and any("onerror" in text for text in isolated)


async def test_an_empty_list_says_when_anything_was_heard_and_who_is_silent(house: House) -> None:
    page = await queue(house, view="open", queue="NOBODY")
    assert "Nothing open here" in page.main and "Last event just now" in page.main
    await house.owner.execute(
        "INSERT INTO source (id, name, registered, version, seq, heartbeat_s, last_heard, silent_since) VALUES"
        " ('00000000-0000-7000-8000-000000000001', 'dead-oms', true, 1, 1, 60, now() - interval '3 hours 5 minutes', now()),"
        " ('00000000-0000-7000-8000-000000000002', 'live-oms', true, 1, 1, 60, now(), NULL)"
    )
    page = await queue(house, view="open", queue="NOBODY")
    (notice,) = page.notices
    assert "A source should have been heard" in notice and "dead-oms" in notice and "3 h ago" in notice
    assert "live-oms" not in notice and "2 sources" in page.main
    assert "dead-oms" in (await queue(house, view="open")).notices[0]  # also where there is something to see


async def test_what_is_next_is_named_with_what_comes_behind_it(house: House) -> None:
    asked = await stopped(house, "activateFiber", LOST, items=[fiber()])
    person = await stopped(house, "bookAppointment", LOST, items=[fiber()])
    plain = await stopped(house, "createAccount", refused("ACCOUNT_NOT_FOUND"), items=[fiber()])
    page = await queue(house, view="fulfilment")
    assert [page.cell(name, "Next") for name in (asked, person, plain)] == [
        "Assign, then: Ask the target", "Assign, then: Attach evidence", "Assign, then: Send again",
    ]  # fmt: skip
    assert "Outcome unknown" in page.cell(asked, "State") and "Outcome unknown" not in page.cell(plain, "State")
    assert page.cell(asked, "Where it stands").startswith("activateFiber at provisioning")
    for name, words in ((asked, "Ask the target"), (person, "Attach evidence")):
        await take_and_start(house, name, start=True)
        assert (await queue(house, view="fulfilment")).cell(name, "Next") == words
    chip = (await queue(house)).link("Outcome unknown")
    assert {asked, person} <= set((await queue(house, chip)).names) and plain not in (await queue(house, chip)).names


async def test_products_are_groups_and_filters(house: House) -> None:
    router = await stopped(house, "reserve", refused("SKU_OUT_OF_STOCK"), items=[item('ä"1', "wifi-router", model="m")])
    page = await queue(house, view="open", group="product")
    group = next(
        g for g in page.root.all("details", cls="queue-group") if g.all("summary")[0].text.startswith("Wi-Fi router")
    )
    link = next(a for a in group.all("a") if a.text.startswith("All")).attributes["href"]
    found = await queue(house, link)
    assert router in found.names and f"{len(found.names)} case" in found.main
    assert group.all("summary")[0].all(cls="number")[0].text == str(len(found.names))
    assert router not in (await queue(house, view="open", product="fiber-internet")).names


async def test_a_promise_is_a_clock_and_says_when_it_is_broken(house: House) -> None:
    day = 86400
    house.clock.jump(0)
    due = house.clock().isoformat().replace("+00:00", "Z")
    name = await stopped(house, "activateFiber", LOST, items=[fiber()], requestedCompletionDate=due)
    await house.owner.execute(
        "UPDATE orders SET received_at = now() - interval '9 days', promised_at = now() + interval '1 day 1 hour' WHERE id ="
        " (SELECT order_id FROM fallout_case WHERE number = $1)", int(name[3:])
    )  # fmt: skip
    clock = next(c for c in (await queue(house, view="open")).row(name).all(cls="clock"))
    assert "tone-warn" in clock.attributes["class"] and "in 1 d" in clock.text
    house.clock.jump(3 * day)
    clock = next(c for c in (await queue(house, view="open")).row(name).all(cls="clock"))
    assert "tone-bad" in clock.attributes["class"] and "late: 1 d ago" in clock.text
