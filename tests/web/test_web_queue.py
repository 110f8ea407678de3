"""The triage queue as agents read it: every view has its rows, every number is true, nothing is lost between pages."""

import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from lists_lab import BEGAN, OPEN, Row, some_cases, some_orders, written
from queue_lab import Seen, queue
from web_lab import House, opened

from unstuck.service.looks import queue_page
from unstuck.store.listing import walk
from unstuck.store.server import EmbeddedServer

MANY = 420
RESOLVED = {"RESOLVED_RESUME", "RESOLVED_CANCEL", "RESOLVED_COMPENSATE", "RESOLVED_NONE", "CLOSED"}
SHOWS = {
    "open": lambda row: row["state"] in OPEN,
    "mine": lambda row: row["state"] in OPEN and row["owner"] == "the repair-agent",
    "unassigned": lambda row: row["state"] in ("DETECTED", "CLASSIFIED", "QUEUED"),
    "unknown": lambda row: row["state"] in OPEN and row["recoverability"] == "unknown_outcome",
    "waiting": lambda row: row["state"].startswith("WAITING_"),
    "repair": lambda row: (
        row["state"] in ("CORRECTION_PROPOSED", "APPROVAL_REQUIRED", "CORRECTION_APPLIED", "VERIFYING")
    ),
    "resolved": lambda row: row["state"] in RESOLVED,
    "support": lambda row: row["state"] in OPEN,
    "fulfilment": lambda row: row["state"] in OPEN,
    "engineering": lambda row: row["state"] in OPEN and row["domain"] in ("platform", ""),
    "finance": lambda row: row["state"] in OPEN and row["domain"] in ("billing", "pricing"),
    "manager": lambda row: row["state"] in OPEN,
    "auditor": lambda row: True,
}
WORDS = {
    "open": "All open", "mine": "Mine", "unassigned": "Unassigned", "unknown": "Outcome unknown", "waiting": "Waiting",
    "repair": "Being repaired", "resolved": "Resolved, latest first", "support": "Support", "fulfilment": "Fulfilment",
    "engineering": "Engineering", "finance": "Finance", "manager": "Manager", "auditor": "Auditor",
}  # fmt: skip


class Desk:
    """The application with cases of every kind in it, and the same as plain rows."""

    def __init__(self, house: House, cases: list[Row]) -> None:
        self.house, self.cases = house, cases

    async def pages(self, **query: str) -> list[Seen]:
        """Every page of a list, from the first on."""
        out = [await queue(self.house, **query)]
        while older := out[-1].link("Older"):
            out.append(await queue(self.house, older))
        return out

    def named(self, shows: Any) -> set[str]:
        return {f"FC-{row['number']}" for row in self.cases if shows(row)}


@pytest.fixture(scope="module")
async def desk(cluster: EmbeddedServer, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    chance = random.Random(7)
    orders = some_orders(chance, 30)
    cases = some_cases(chance, MANY, orders)
    for row in cases:
        unowned = row["state"] in ("DETECTED", "CLASSIFIED", "QUEUED")
        row["owner"] = "" if unowned else chance.choice(("ana", "budi", "the repair-agent"))
        row["recoverability"] = chance.choice(("unknown_outcome", "repairable", "repairable"))
        row["domain"] = chance.choice(("billing", "pricing", "data", "platform", ""))
    folder: Path = tmp_path_factory.mktemp("queue")
    async with opened(cluster, template, folder) as house:
        await written(house, orders, cases)
        yield Desk(house, cases)


@pytest.mark.parametrize("view", SHOWS)
async def test_a_view_shows_its_cases_once_each_and_its_number_is_theirs(desk: Desk, view: str) -> None:
    pages = await desk.pages(view=view, group="none")
    shown = [name for page in pages for name in page.names]
    assert len(shown) == len(set(shown))
    assert set(shown) == desk.named(SHOWS[view])
    assert pages[0].chips[WORDS[view]] == f"{len(shown):,}"
    assert f"{len(shown)} case" in pages[0].main
    assert all(len(page.names) == queue_page.PAGE for page in pages[:-1])


async def test_a_queue_has_a_chip_with_what_is_open_in_it(desk: Desk) -> None:
    chips = (await queue(desk.house)).chips
    for name in {row["queue"] for row in desk.cases}:
        shown = desk.named(lambda row, name=name: row["state"] in OPEN and row["queue"] == name)
        known = desk.house.ports.book.current.fallout.queues.get(name)
        title = known.title if known else name
        assert chips[title] == str(len(shown))
        link = (await queue(desk.house)).link(title)
        assert {n for page in await desk.pages(view="open", queue=name) for n in page.names} == shown
        assert len((await queue(desk.house, link)).names) == min(len(shown), queue_page.PAGE)


@pytest.mark.parametrize(
    ("query", "shows"),
    [
        ({"view": "open", "code": "PORT_TAKEN"}, lambda row: row["state"] in OPEN and row["code"] == "PORT_TAKEN"),
        ({"view": "open", "system": "billing", "reason": "unknown"},
         lambda row: row["state"] in OPEN and (row["system"], row["reason"]) == ("billing", "unknown")),
        ({"view": "auditor", "source": "engine"}, lambda row: not row["source"]),
        ({"view": "auditor", "owner": "me"}, lambda row: row["owner"] == "the repair-agent"),
        ({"view": "unassigned", "state": "queued"}, lambda row: row["state"] == "QUEUED"),
        ({"view": "open", "q": "try 4"}, lambda row: row["state"] in OPEN and "try 4" in row["raw_message"]),
        ({"view": "auditor", "until": "2026-01-01"}, lambda row: row["detected_at"] < BEGAN),
        ({"view": "auditor", "since": "2026-01-01T00:02:00Z"}, lambda row: row["detected_at"].minute >= 2),
        ({"view": "finance", "domain": "billing,data"}, lambda row: row["state"] in OPEN and row["domain"] == "billing"),
    ],
)  # fmt: skip
async def test_a_filter_narrows_a_view_and_is_shown_to_be_taken_away(desk: Desk, query: Any, shows: Any) -> None:
    pages = await desk.pages(**query)
    assert {name for page in pages for name in page.names} == desk.named(shows)
    chips = pages[0].root.one(id="queue-filters").all("a")
    assert len(chips) == len(query)  # each filter, and "all of them"; the view is no filter
    for name, value in query.items():
        if name != "view":
            (chip,) = [c for c in chips if value in c.text]
            left = await queue(desk.house, chip.attributes["href"])
            assert f"&{name}=" not in chip.attributes["href"]
            assert len(left.names) >= len(pages[0].names)


async def test_a_view_and_a_filter_that_exclude_each_other_show_nothing_and_say_so(desk: Desk) -> None:
    page = await queue(desk.house, view="waiting", state="QUEUED")
    assert page.names == [] and "exclude each other" in page.main


async def test_paging_while_cases_arrive_shows_each_case_exactly_once(desk: Desk) -> None:
    """What was there stays in its place; what comes is on the first page, when that is looked at again."""
    first = await queue(desk.house, view="open")
    await desk.house.owner.execute(
        "INSERT INTO fallout_case (id, state, version, seq, order_id, item, step, attempt, reason, system, operation,"
        " raw_code, raw_message, raw_sha256, raw, dedup_key, detected_at, touched_at, pack, queue) SELECT"
        " '00000000-0000-7000-8000-00000000ffff', 'QUEUED', 1, 1, order_id, item, step, attempt, reason, system, operation,"
        " raw_code, raw_message, raw_sha256, raw, 'just now', detected_at + interval '1 day', touched_at, pack,"
        " 'BILLING_L2' FROM fallout_case WHERE source = '' LIMIT 1"
    )
    try:
        shown, page = list(first.names), first
        while older := page.link("Older"):
            page = await queue(desk.house, older)
            shown += page.names
        assert len(shown) == len(set(shown)) and set(shown) == desk.named(SHOWS["open"])
        back = []
        while newer := page.link("Newer"):
            page = await queue(desk.house, newer)
            back.append(page)
        assert back[-1].names[1:] == first.names[: queue_page.PAGE - 1]
        assert not back[-1].link("Newer") and not back[-1].link("First")
    finally:
        await desk.house.owner.execute("DELETE FROM fallout_case WHERE dedup_key = 'just now'")


@pytest.mark.parametrize("sort", ["detected_at", "-detected_at", "touched_at", "-touched_at", "number", "-number"])
async def test_newer_leads_back_over_the_same_pages(desk: Desk, sort: str) -> None:
    pages = await desk.pages(view="auditor", sort=sort)
    page = pages[-1]
    for wanted in reversed(pages[:-1]):
        after = page.names
        page = await queue(desk.house, page.link("Newer"))
        assert page.names == wanted.names
        assert (await queue(desk.house, page.link("Older"))).names == after
    assert not page.link("Newer")
    by = {f"FC-{row['number']}": row for row in desk.cases}
    keys = [by[name][sort.lstrip("-")] for one in pages for name in one.names]
    assert keys == sorted(keys, reverse=sort.startswith("-"))


@pytest.mark.parametrize(
    ("query", "name", "says"),
    [
        ({"colour": "red"}, "colour", "view"), ({"view": "nice"}, "view", "unassigned"), ({"state": "BROKEN"}, "state", "QUEUED"),
        ({"since": "yesterday"}, "since", "2026-11-03"), ({"sort": "colour"}, "sort", "-touched_at"), ({"after": "x"}, "after", "first page"),
        ({"group": "moon"}, "group", "boundary"), ({"q": "x" * 201}, "q", "200"), ({"queue": "a,,b"}, "queue", "20 values"),
        ({"q": "a\x00b"}, "q", "printable"), ({"before": "x"}, "before", "first page"),
    ],
)  # fmt: skip
async def test_what_cannot_be_asked_for_is_told_in_place_and_the_page_still_works(
    desk: Desk, query: dict[str, str], name: str, says: str
) -> None:
    page = await queue(desk.house, status=422, **{"view": "open", **query})
    (notice,) = [n for n in page.notices if "left out" in n]
    assert says in notice and page.names


@pytest.mark.parametrize("by", ["code", "boundary", "queue", "product"])
async def test_groups_count_what_their_link_shows(desk: Desk, by: str) -> None:
    page = await queue(desk.house, view="open", group=by)
    groups = page.root.all("details", cls="queue-group")
    counted = [int(g.all("summary")[0].all(cls="number")[0].text.replace(",", "")) for g in groups]
    assert sum(counted) == len(desk.named(SHOWS["open"])) and counted == sorted(counted, reverse=True)
    for group, many in zip(groups, counted, strict=True):
        rows = [r.attributes["data-case"] for r in group.all("tr") if "data-case" in r.attributes]
        assert len(rows) == min(many, queue_page.SAMPLE)
        if by != "product":  # these cases have no plan, so no product
            whole = await queue(
                desk.house, next(a for a in group.all("a") if a.text.startswith("All")).attributes["href"]
            )
            assert f"{many} case" in whole.main and whole.names[: len(rows)] == rows


async def test_a_manager_sees_what_each_queue_holds_first_and_the_rows_when_asked(desk: Desk) -> None:
    first = await queue(desk.house, who="fallout-manager")
    groups = first.root.all("details", cls="queue-group")
    titled = desk.house.ports.book.current.fallout.queues
    names = {row["queue"] for row in desk.cases if row["state"] in OPEN}
    assert {g.all("summary")[0].one("bdi").text for g in groups} == {
        titled[name].title if name in titled else name for name in names
    }
    assert "Counted just now" in first.main
    rows = await queue(desk.house, first.link("nothing"), who="fallout-manager")
    assert not rows.root.all("details", cls="queue-group") and len(rows.names) == queue_page.PAGE
    again = await queue(desk.house, rows.link("Older"), who="fallout-manager")
    assert again.names and not set(again.names) & set(rows.names)
    whole = await queue(desk.house, groups[0].all("a")[-1].attributes["href"], who="fallout-manager")
    assert not whole.root.all("details", cls="queue-group") and whole.names


async def test_every_open_case_is_in_what_some_role_sees_first(desk: Desk) -> None:
    """Who has the technical ones beside them loses none: what one role does not begin with, another does."""
    begins = [page for view in ("engineering", "finance", "fulfilment") for page in await desk.pages(view=view)]
    assert {name for page in begins for name in page.names} == desk.named(SHOWS["open"])
    waits = [name for page in await desk.pages(view="support") for name in page.names]
    assert waits == list(reversed([name for page in await desk.pages(view="open") for name in page.names]))


async def test_a_walk_that_ends_early_says_so_and_counts_at_least(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "WALKED", 20)
    page = await queue(desk.house, view="engineering")
    assert "not at all of them" in page.main and "At least" in page.main and page.chips["Engineering"].endswith("+")
    assert page.link("Older")
    assert "not at all of them" in (await queue(desk.house, view="open", group="code")).main


async def test_more_than_a_thousand_is_said_as_at_least(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unstuck.service.looks.counts.LIMIT", 50)
    assert (await queue(desk.house, view="open")).chips["All open"] == "50+"


async def test_each_role_begins_with_its_own_view(desk: Desk) -> None:
    for role, view in (
        ("support", "Support"), ("repair-agent", "Fulfilment"), ("engineer", "Engineering"), ("finance", "Finance"),
        ("fallout-manager", "Manager"), ("operations-manager", "Manager"), ("auditor", "Auditor"), ("approver", "All open"),
    ):  # fmt: skip
        page = await queue(desk.house, who=role)
        assert page.root.one("h1").text == view
        works = role in ("repair-agent", "fallout-manager", "engineer")
        assert bool(page.root.all("input", name="case")) is works  # who may do nothing is offered nothing
    assert (await desk.house.call("GET", "/queue", who="integration")).status == 403


async def test_the_wide_view_has_every_field_there_is(desk: Desk) -> None:
    page = await queue(desk.house, view="open", columns="wide")
    heads = [head.text for head in page.root.one("thead").all("th")]
    assert len(heads) == 18 and {"Reason", "What was said", "Owner", "Item", "You may", "Last change ↓"} & set(heads)
    assert all("list-box" in table.parent.attributes["class"] for table in page.root.all("table"))
