"""Every page as people see it: pictures of a living demo world, in both themes and three widths.

`make screenshots` fills shots/ (not kept) and writes the two pictures that the README shows. Look at them.
"""

import json
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
SHOTS, PICTURES = ROOT / "shots", ROOT / "docs" / "pictures"
CHROMIUM = "/usr/bin/chromium"
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
WIDTHS = {1280: 800, 1920: 1080, 390: 844}
THEMES = ("light", "dark")
WHO = "ana"
WORLD_S = 120.0  # the demo world's beginning takes up to a minute
PICTURE_BYTES = 150_000
CASES = "/api/v1/fallout-cases"
KINDS = {  # the cases worth a picture: a name, and what to look for
    "unknown": {"state": "QUEUED", "code": "UNKNOWN_OUTCOME"},
    "refused": {"state": "QUEUED", "code": "ADDRESS_REJECTED"},
    "stock": {"state": "open", "code": "SKU_OUT_OF_STOCK"},
    "verifying": {"state": "VERIFYING"},
    "closed": {"state": "CLOSED"},
}


@contextmanager
def world() -> Iterator[dict[str, Any]]:
    """A demo world of its own, in full swing: what `unstuck up` says of it."""
    folder = Path(tempfile.mkdtemp(prefix="unstuck-shots-"))
    folder.chmod(0o755)  # the database runs as another account when we are root
    command = [sys.executable, "-m", "unstuck.cli.main", "up", "--port", "0", "--data", str(folder / "data"), "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline() if process.stdout else ""
        if not line:
            raise SystemExit("the demo world did not start; its message is above")
        yield json.loads(line)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)
        shutil.rmtree(folder, ignore_errors=True)


def asked(said: dict[str, Any], path: str) -> Any:
    """What the API answers the engineer of the demo."""
    request = urllib.request.Request(
        said["url"] + path, headers={"Authorization": f"Bearer {said['tokens']['engineer']}"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def until(probe: Callable[[], Any], what: str) -> Any:
    """What `probe` finds, as soon as it finds something."""
    deadline = time.monotonic() + WORLD_S
    while not (found := probe()):
        if time.monotonic() > deadline:
            raise SystemExit(f"not within {WORLD_S:.0f} s: {what}")
        time.sleep(0.5)
    return found


def places(said: dict[str, Any]) -> dict[str, str]:
    """Every page with a name for its picture."""
    found = {"queue": "/queue", "orders": "/orders", "search": "/search?q=", "parts": "/parts", "account": "/account"}
    found |= {
        "queue-wide": "/queue?columns=wide",
        "nothing-here": "/cases/FC-1",
        "queue-unknown": "/queue?view=unknown",
    }
    for name, query in KINDS.items():
        filters = urlencode(query)
        cases = asked(said, f"{CASES}?{filters}&limit=1")["cases"]
        if not cases:
            print(f"no case for the picture {name!r}", file=sys.stderr)
            continue
        found[f"case-{name}"] = f"/cases/{cases[0]['number']}"
        if cases[0]["order_id"]:
            found[f"order-{name}"] = f"/orders/{cases[0]['order_id']}"
    some = asked(said, f"{CASES}?code=SKU_OUT_OF_STOCK&limit=1")["cases"][0]
    return found | {"search-found": f"/search?{urlencode({'q': some['raw_code']})}"}


def forms(page: Page, case: str) -> dict[str, str]:
    """The forms that this case offers now, each by its action."""
    page.goto(case)
    links = page.eval_on_selector_all("a[href*='/do/']", "links => links.map(link => link.getAttribute('href'))")
    return {f"form-{link.partition('/do/')[2].partition('?')[0]}": link for link in links}


def signed_in(browser: Browser, said: dict[str, Any]) -> Any:
    """The cookies of the repair agent of the demo."""
    context = browser.new_context(base_url=said["url"])
    page = context.new_page()
    page.goto("/sign-in")
    page.screenshot(path=SHOTS / "sign-in.png", full_page=True)
    page.fill("input[name=name]", WHO)
    page.fill("input[name=password]", said["people"][WHO]["password"])
    page.press("input[name=password]", "Enter")
    page.wait_for_url("**/queue*")
    state = context.storage_state()
    context.close()
    return state


def pictures(context: BrowserContext, folder: Path, wanted: dict[str, str], size: ViewportSize) -> None:
    """One picture of each page, from top to bottom."""
    folder.mkdir(parents=True, exist_ok=True)
    page = context.new_page()
    for name, path in wanted.items():
        page.set_viewport_size(size)
        page.goto(path, wait_until="load")
        # As tall as the page, so that what sticks to the edge of the screen covers nothing.
        tall = page.evaluate("document.documentElement.scrollHeight")
        page.set_viewport_size({"width": size["width"], "height": max(tall, size["height"])})
        page.screenshot(path=folder / f"{name}.png")
        beside = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        if beside > 0:
            print(f"{folder.name}/{name}: the page is {beside} px wider than the screen", file=sys.stderr)
    page.close()


def packed(picture: bytes) -> bytes:
    """The same PNG, pressed harder: a browser is in a hurry, a repository is not."""
    out, data, at = [picture[:8]], b"", 8
    while at < len(picture):
        size, kind = struct.unpack(">I4s", picture[at : at + 8])
        if kind == b"IDAT":
            data += picture[at + 8 : at + 8 + size]
        elif kind == b"IEND":
            out.append(_chunk(b"IDAT", zlib.compress(zlib.decompress(data), 9)))
            out.append(picture[at : at + 12 + size])
        else:
            out.append(picture[at : at + 12 + size])
        at += 12 + size
    return b"".join(out)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def for_readers(context: BrowserContext, wanted: dict[str, str]) -> None:
    """The two pictures of the README: what fits on a screen, in few bytes."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    page = context.new_page()
    page.set_viewport_size({"width": 1280, "height": 720})
    for name, path in (("queue", wanted["queue"]), ("case", wanted["case-unknown"])):
        page.goto(path, wait_until="load")
        picture = packed(page.screenshot())
        if len(picture) > PICTURE_BYTES:
            raise SystemExit(f"{name}.png has {len(picture)} bytes, more than {PICTURE_BYTES}: make its page calmer")
        (PICTURES / f"{name}.png").write_bytes(picture)
        print(f"docs/pictures/{name}.png: {len(picture)} bytes")
    page.close()


def main() -> None:
    SHOTS.mkdir(exist_ok=True)
    with world() as said, sync_playwright() as playwright:
        until(lambda: asked(said, f"{CASES}?state=CLOSED&limit=10")["cases"][4:], "cases that colleagues have closed")
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        state, wanted = signed_in(browser, said), places(said)
        for width, height in WIDTHS.items():
            for theme in THEMES:
                size = ViewportSize(width=width, height=height)
                context = browser.new_context(
                    base_url=said["url"],
                    storage_state=state,
                    viewport=size,
                    color_scheme=theme,
                    reduced_motion="reduce",
                )
                if (width, theme) == (1280, "light"):
                    for_readers(context, wanted)
                    wanted |= forms(context.new_page(), wanted["case-unknown"])
                pictures(context, SHOTS / f"{theme}-{width}", wanted, size)
                context.close()
        browser.close()
    print(f"pictures in {SHOTS.relative_to(ROOT)}/")


if __name__ == "__main__":
    main()
