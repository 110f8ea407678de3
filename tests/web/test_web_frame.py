"""The frame of the pages: nothing inline, nothing from elsewhere, files that are kept for ever, colours one can read."""

import gzip
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from pages_lab import browser, signed_in
from web_lab import TOKENS, House, fiber, refused

from unstuck.kernel.actor import Actor
from unstuck.web.pages import assets, render
from unstuck.web.problem import problem

PAGES = Path(str(files("unstuck.web.pages")))
STATIC = PAGES / "static"
TEMPLATES = sorted((PAGES / "templates").rglob("*.html"))
KB = 1024
# Nothing here may run or look by itself: the policy would stop it in a browser, and nobody would see why.
INLINE = {
    "a script of its own": r"<script(?![^>]*\ssrc=)",
    "a style of its own": r"<style\b",
    "a style attribute": r"\sstyle\s*=",
    "a handler": r"\son[a-z]+\s*=",
    "a handler of htmx": r"hx-on\b|hx-on:",
    "script in an attribute": r"javascript:|\bjs:",
    "a condition that needs eval": r'hx-trigger="[^"]*\[',
    "text that is not escaped": r"\|\s*safe\b|autoescape\s+false",
    "something from elsewhere": r'(?:src|href)="(?:https?:)?//',
}


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_templates_hold_nothing_inline(path: Path) -> None:
    found = [what for what, pattern in INLINE.items() if re.search(pattern, path.read_text(), re.IGNORECASE)]
    assert found == []


def test_the_policy_lets_only_our_own_files_in() -> None:
    rules = {name: set(sources) for name, *sources in (rule.split() for rule in render.CSP.split("; "))}
    assert rules["default-src"] == rules["base-uri"] == rules["frame-ancestors"] == {"'none'"}
    assert rules["script-src"] == rules["style-src"] == rules["connect-src"] == rules["form-action"] == {"'self'"}
    assert "unsafe" not in render.CSP and "*" not in render.CSP and "http" not in render.CSP


async def test_pages_come_with_safe_headers_and_are_not_kept(house: House) -> None:
    page = await house.call("GET", "/parts")
    assert page.status == 200
    assert page.headers["Content-Security-Policy"] == render.CSP
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert page.headers["Cache-Control"] == "no-store"
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"


async def test_every_file_of_a_page_is_there_kept_for_ever_and_what_it_says_it_is(house: House) -> None:
    named = addresses((await house.call("GET", "/parts")).raw.decode())
    assert sum(name.endswith(".css") for name in named) <= 2 and any(name.endswith("keys.js") for name in named)
    for name in named:
        file = await house.call("GET", name, who=None)
        assert (file.status, file.headers["Cache-Control"]) == (200, "public, max-age=31536000, immutable"), name
        assert file.headers["Content-Type"].partition(";")[0] in assets.KINDS.values()
        assert file.headers["X-Content-Type-Options"] == "nosniff"


def addresses(page: str) -> list[str]:
    return re.findall(r'(?:src|href)="(/static/[^"]+)"', page)


async def test_another_version_of_a_file_is_not_here(house: House) -> None:
    here = assets.address("css/unstuck.css")
    digest = here.split("/")[2]
    for wrong in (
        here.replace(digest, "0" * 16),
        here.replace("unstuck.css", "none.css"),
        f"/static/{digest}/css/../../texts/frame.toml",
        f"/static/{digest}/css/%2e%2e/%2e%2e/texts/frame.toml",
        f"/static/{digest}//etc/passwd",
    ):
        assert (await house.call("GET", wrong, who=None)).status == 404, wrong


def packed(path: Path) -> int:
    return len(gzip.compress(path.read_bytes(), 9))


def test_what_a_browser_loads_is_small() -> None:
    sizes = {kind: {path.name: packed(path) for path in STATIC.rglob(f"*.{kind}")} for kind in ("css", "js")}
    vendor = {path.name for path in (STATIC / "vendor").glob("*.js")}
    ours = sum(size for name, size in sizes["js"].items() if name not in vendor)
    css, theirs = sum(sizes["css"].values()), sum(sizes["js"].values()) - ours
    print(f"\ngz: css {css / KB:.1f} kB, our scripts {ours / KB:.1f} kB, theirs {theirs / KB:.1f} kB: {sizes}")
    assert css <= 14 * KB
    assert ours <= 16 * KB  # 12 of the frame, the rest of single pages
    assert css + ours + theirs <= 48 * KB  # leaves 12 of a first load for the page itself


async def test_a_theme_is_chosen_without_a_script_and_kept(house: House) -> None:
    async with browser(house, Authorization=f"Bearer {TOKENS['repair-agent']}") as who:
        for theme in ("dark", "light"):
            answer = await who.post("/theme", data={"theme": theme, "next": "/parts?a=b"}, allow_redirects=False)
            assert (answer.status, answer.headers["Location"]) == (303, "/parts?a=b")
            assert f'<html lang="en" data-theme="{theme}">' in await (await who.get("/parts")).text()
        await who.post("/theme", data={"theme": "", "next": "/parts"})
        assert '<html lang="en">' in await (await who.get("/parts")).text()


@pytest.mark.parametrize(
    "place", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)", ""]
)
async def test_choosing_a_theme_leads_nowhere_else(house: House, place: str) -> None:
    async with browser(house) as who:
        answer = await who.post("/theme", data={"theme": "dark", "next": place}, allow_redirects=False)
        assert (answer.status, answer.headers["Location"]) == (303, "/queue")


async def test_a_theme_that_is_none_is_refused_on_a_page(house: House) -> None:
    async with browser(house) as who:
        answer = await who.post("/theme", data={"theme": '"><script>', "next": "/parts"})
        assert answer.status == 422
        assert "<script>" not in (await answer.text()).replace('<script src="', "")


async def test_what_was_done_is_said_in_words_of_ours_alone(house: House) -> None:
    page = (await house.call("GET", "/parts?done=%3Cscript%3E")).raw.decode()
    assert '<p class="flash" role="status" id="done">Done.</p>' in page
    assert "&lt;script&gt;</" not in page


async def test_the_name_of_who_is_signed_in_is_text(house: House) -> None:
    name = "ana <b>&amp; co"
    page = render.part("parts/person.html", who=Actor(name), here="/parts", theme="")
    assert "<bdi>ana &lt;b&gt;&amp;amp; co</bdi>" in page


async def test_a_person_gets_a_page_and_a_program_a_problem(house: House) -> None:
    page = await house.call("GET", "/nowhere/%3Cscript%3E")
    assert (page.status, page.headers["Content-Type"]) == (404, "text/html; charset=utf-8")
    assert page.headers["X-Trace-Id"] in page.raw.decode() and b"<script>" not in page.raw
    assert page.headers["Content-Security-Policy"] == render.CSP
    program = await house.call("GET", "/api/v1/nowhere")
    assert (program.status, program.headers["Content-Type"]) == (404, "application/problem+json")


@pytest.mark.parametrize("status", [401, 403, 404, 409, 412, 429, 500, 503])
def test_a_problem_says_what_happened_what_to_do_and_the_id_that_finds_it(status: int) -> None:
    told = problem(status, "because <i>", "trace-1", rule="a-rule")
    page = render.part("problem.html", problem=told, theme="dark")
    assert told.title in page and "because &lt;i&gt;" in page and "trace-1" in page and "a-rule" in page
    assert render.texts.text(f"problem.do_{status}") in page.replace("&#39;", "'")


async def test_a_stream_of_a_page_that_nobody_may_hear_is_refused_as_one(house: House) -> None:
    """A redirect would be followed and the page behind it read as events."""
    assert (await house.call("GET", "/live/queue", who=None)).status in (401, 404)


async def test_the_frame_names_the_places_of_who_looks(house: House) -> None:
    async with await signed_in(house, "repair-agent") as who:
        page = await (await who.get("/parts")).text()
    assert 'href="/queue"' in page and 'id="count-queue"' in page and 'action="/sign-out"' in page
    assert page.index('class="skip"') < page.index("<header")


async def test_the_frame_says_where_one_is(house: House) -> None:
    for path, current in (("/queue", "page"), ("/queue?view=open", "page"), ("/orders", "page")):
        page = (await house.call("GET", path)).raw.decode()
        assert re.findall(r'class="place" href="([^"]+)" aria-current="(\w+)"', page) == [
            (path.partition("?")[0], current)
        ]
    page = (await house.call("GET", "/parts")).raw.decode()
    assert 'aria-current="page"' not in page


async def test_a_case_is_below_the_queue(house: House) -> None:
    house.targets.will("C-below", "activateFiber", refused("INVALID_ADDRESS"))
    placed = await house.place(fiber(), customer="C-below")
    await house.work()
    page = (await house.call("GET", f"/cases/{(await house.case_of(placed['id']))['number']}")).raw.decode()
    assert re.findall(r'class="place" href="([^"]+)" aria-current="(\w+)"', page) == [("/queue", "true")]


def frame(**more: Any) -> dict[str, Any]:
    return {
        "who": Actor("ana"), "links": [], "live": "/live/queue", "theme": "", "path": "/parts", "here": "/parts",
        "done": "", "trace_id": "", "now": "2026-01-01T00:00:00+00:00", **more,
    }  # fmt: skip


def test_without_the_browser_parts_the_page_says_that_it_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    bare = {name: asset for name, asset in assets._assets().items() if not name.startswith("vendor/")}
    monkeypatch.setattr(assets, "_assets", lambda: bare)
    page = render.part("base.html", **frame())
    assert render.texts.text("app.unlive") in page
    assert "htmx" not in page.replace("hx-", "") and "live.js" not in page


def tokens() -> dict[str, tuple[str, str]]:
    """The colours by name, light and dark."""
    css = (STATIC / "css" / "unstuck.css").read_text()
    return {name: (a, b) for name, a, b in re.findall(r"--([a-z-]+): light-dark\((#\w{6}), (#\w{6})\)", css)}


def light(colour: str) -> float:
    """Relative luminance (WCAG 2)."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    high, low = sorted((light(one), light(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


TONES = ("neutral", "good", "warn", "bad", "info", "unknown")
GROUNDS = ("page", "card", "raised", "sunken", "hover")
TEXT_ON = [
    *[(ink, ground) for ink in ("ink", "soft", "accent", "bad") for ground in GROUNDS],
    *[(tone, f"{tone}-fill") for tone in TONES],
    *[(tone, ground) for tone in TONES for ground in ("page", "card")],
    *[("ink", f"{tone}-fill") for tone in TONES],
    *[("soft", "info-fill"), ("accent-deep", "info-fill"), ("on-accent", "accent"), ("on-accent", "accent-deep")],
    ("ink", "mark"),
]
SHAPES_ON = [("edge", "page"), ("edge", "card"), ("edge", "sunken"), ("accent", "page"), ("accent", "card")]


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(("ink", "ground"), TEXT_ON)
def test_text_can_be_read(ink: str, ground: str, theme: int) -> None:
    assert contrast(tokens()[ink][theme], tokens()[ground][theme]) >= 4.5


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(("shape", "ground"), SHAPES_ON)
def test_what_can_be_used_can_be_seen(shape: str, ground: str, theme: int) -> None:
    assert contrast(tokens()[shape][theme], tokens()[ground][theme]) >= 3


def test_no_colour_stands_outside_the_tokens() -> None:
    for path in STATIC.rglob("*.css"):
        rules = path.read_text().partition("}")[2] if path.name == "unstuck.css" else path.read_text()
        assert re.findall(r"(?<![\w&])#[0-9a-fA-F]{3,8}\b|rgba?\(|hsla?\(", rules) == [], path.name
