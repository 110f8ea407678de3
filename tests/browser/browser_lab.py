"""What the tests of real browsers share: the whole product on one socket, and a browser that overlooks nothing."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import msgspec
from pages_lab import PASSWORD, person
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Request, Response, WebError
from web_lab import CASES, SECRET, TOKENS, House, Targets

from unstuck.app import make_partitions, open_ports, worker_loops
from unstuck.config import Config
from unstuck.engine.dispatch import Dispatcher
from unstuck.repair.outcome import Outcome
from unstuck.service.access.accounts import add_token
from unstuck.store.server import EmbeddedServer
from unstuck.web.edge import Edge
from unstuck.web.server import build, server

CHROMIUM = Path("/usr/bin/chromium")
NO_CHROMIUM = "there is no Chromium: apt-get install chromium"
FLAGS = (  # a browser that asks nobody but us
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
SHOTS = Path(__file__).resolve().parents[2] / "shots"
PEOPLE = {"ana": "repair-agent", "budi": "fallout-manager", "farah": "engineer", "eko": "auditor", "dewi": "support"}
TIMEOUT_MS = 8000
BEAT_S = 0.25  # how soon a page hears that its person is signed out
DESKTOP, PHONE = (1280, 800), (390, 844)
# A page that goes takes with it what it still waits for, and the palette gives up what was typed over.
LEFT = re.compile(r"/(live/|static/|search\.json).* net::ERR_ABORTED")
# Also what a browser keeps to itself becomes an error on the console, which fails the test.
TELL = """
addEventListener('securitypolicyviolation', e => console.error(`policy: ${e.violatedDirective} ${e.blockedURI}`));
addEventListener('unhandledrejection', e => console.error(`rejected: ${e.reason}`));
"""
WIDER = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


def wall_clock() -> datetime:
    """The time a browser sees, too."""
    return datetime.now(UTC)


async def until(probe: Callable[[], Awaitable[Any]], what: str, seconds: float = 10.0) -> Any:
    """What `probe` finds, as soon as it finds something."""
    try:
        async with asyncio.timeout(seconds):
            while not (found := await probe()):
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"not within {seconds:.0f} s: {what}") from None
    return found


class Door:
    """A web server that can go away and come back at the same address."""

    def __init__(self, make: Callable[[], Edge]) -> None:
        self.make, self._port = make, 0
        self._running: Any = None
        self._task: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def open(self) -> None:
        """Let people in."""
        app = self.make()
        door = socket.socket(proto=socket.IPPROTO_TCP)  # said so, or asyncio leaves Nagle's delay on
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.bind(("127.0.0.1", self._port))
        door.listen(128)
        self._port = door.getsockname()[1]
        self._running = server(app, "127.0.0.1", 0)
        self._task = asyncio.create_task(self._running.serve(sockets=[door]))

    async def close(self) -> None:
        """Let nobody in, and everybody go."""
        if self._task is not None:
            self._running.should_exit = True
            await self._task
            self._task = None


class Stage:
    """The product as it runs: server, engine, sealer and database, with downstream systems that say what we want."""

    def __init__(self, house: House, door: Door) -> None:
        self.house, self.door = house, door
        self.signed_in: dict[str, Any] = {}

    async def stopped(
        self, operation: str, *replies: Outcome, items: Any = None, customer: str = "", **more: Any
    ) -> Any:
        """An order that stopped at `operation`, as its case."""
        self.house.targets.will(customer, operation, *replies)
        order = await self.house.place(*items, customer=customer, **more)
        return await self.case(order["id"])

    async def case(self, order_id: str) -> Any:
        """The open case of an order, once it is classified."""

        async def queued() -> Any:
            found = (await self.house.get(f"{CASES}?order_id={order_id}&state=open"))["cases"]
            return found and found[0]["state"] == "QUEUED" and found[0]

        return await until(queued, "a classified case")

    async def order_is(self, order_id: str, state: str) -> None:
        """Wait until the order has come to this state."""

        async def there() -> bool:
            return bool((await self.house.get(f"/api/v1/orders/{order_id}"))["state"] == state)

        await until(there, f"order {order_id} {state}")


@asynccontextmanager
async def staged(cluster: EmbeddedServer, template: str, folder: Path) -> AsyncIterator[Stage]:
    """A fresh database with everything that works on it; gone at the end."""
    name = f"browser_{folder.name.replace('-', '_').lower()}"
    urls = cluster.create_database(name, template=template)
    config = Config(data=str(folder), callback_secret=SECRET)
    async with AsyncExitStack() as stack:
        stack.callback(cluster.drop_database, name)
        targets = Targets(wall_clock)  # type: ignore[arg-type]
        ports = await stack.enter_async_context(open_ports(config, urls.app, size=12))
        connectors = dict.fromkeys(ports.book.current.document.targets, targets)
        ports = msgspec.structs.replace(ports, connectors=connectors)
        for role, token in TOKENS.items():
            await add_token(ports, f"the {role}", (role,), token)
        door = Door(lambda: build(ports, callback_secret=SECRET, body_limit=config.body_limit, beat_s=BEAT_S))
        await door.open()
        stack.push_async_callback(door.close)
        await make_partitions(ports)
        await stack.enter_async_context(working(config, ports))
        client = await stack.enter_async_context(aiohttp.ClientSession())
        owner = await asyncpg.connect(urls.owner)
        stack.push_async_callback(owner.close, timeout=5)
        house = House(ports, door.url, client, owner, (None, wall_clock, targets))
        for name, role in PEOPLE.items():
            await person(house, name, role)
        yield Stage(house, door)


@asynccontextmanager
async def working(config: Config, ports: Any) -> AsyncIterator[None]:
    """A worker: what `unstuck worker` runs, in this process."""
    dispatcher = Dispatcher(ports, dict.fromkeys(ports.connectors, 32))
    loops = worker_loops(config, ports)
    tasks = [asyncio.create_task(one.run()) for one in (*loops, dispatcher)]
    yield
    for one in (*loops, dispatcher):
        one.stop()
    await asyncio.gather(*tasks)


class Watch:
    """Everything that goes wrong in a browser: errors on the console, of scripts, of the policy, and failed requests."""

    def __init__(self, context: BrowserContext) -> None:
        self.trouble: list[str] = []
        self.log: list[str] = []
        self._expected: list[str] = []
        context.on("console", self._console)
        context.on("weberror", self._error)
        context.on("request", self._asked)
        context.on("requestfailed", self._failed)
        context.on("response", self._answered)

    def expect(self, *parts: str) -> None:
        """From now on what says one of these is part of the story."""
        self._expected += parts

    def _console(self, message: ConsoleMessage) -> None:
        self.log.append(f"{message.type}: {message.text}")
        if message.type in ("error", "warning"):
            self._wrong(f"console: {message.text} ({message.location.get('url', '')})")

    def _error(self, error: WebError) -> None:
        self._wrong(f"script: {error.error}")

    def _failed(self, request: Request) -> None:
        if not LEFT.search(said := f"{request.url} {request.failure}"):
            self._wrong(f"request: {said}")

    def _asked(self, request: Request) -> None:
        self.log.append(f"asked {request.method} {request.url}")

    def _answered(self, response: Response) -> None:
        self.log.append(f"{response.status} {response.request.method} {response.url}")
        if response.status >= 400:
            self._wrong(f"answer: {response.status} {response.request.method} {response.url}")

    def _wrong(self, said: str) -> None:
        self.log.append(said)
        if not any(part in said for part in self._expected):
            self.trouble.append(said)


class Visitor:
    """One person in one browser: a page, and what went wrong in it."""

    def __init__(self, stage: Stage, context: BrowserContext, page: Page) -> None:
        self.stage, self.context, self.page = stage, context, page
        self.watch = Watch(context)

    async def live(self) -> None:
        """Wait until the page hears what happens."""
        await self.page.wait_for_selector("#live-badge[data-state=live]")

    async def tab(self) -> Page:
        """Another tab of the same browser."""
        return await self.context.new_page()


Visits = Callable[..., Awaitable[Visitor]]


def described(**how: Any) -> Mapping[str, Any]:
    """How a browser is set up: its width, its theme, with or without JavaScript."""
    width, height = how.pop("size", DESKTOP)
    return {
        "viewport": {"width": width, "height": height},
        "color_scheme": how.pop("theme", "light"),
        "java_script_enabled": how.pop("js", True),
        "reduced_motion": "reduce",
        "timezone_id": "Asia/Jakarta",
        "locale": "en-GB",
        **how,
    }


async def visit(browser: Browser, stage: Stage, who: str = "", *, own: bool = False, **how: Any) -> Visitor:
    """A new browser for `who`, signed in; for nobody when no name is given. `own`: with a session of its own."""
    state = await session_of(browser, stage, who) if who and not own else None
    context = await browser.new_context(base_url=stage.door.url, storage_state=state, **described(**how))
    context.set_default_timeout(TIMEOUT_MS)
    await context.add_init_script(TELL)
    visitor = Visitor(stage, context, await context.new_page())
    if own:
        await sign_in(visitor.page, who)
    return visitor


async def session_of(browser: Browser, stage: Stage, who: str) -> Any:
    """The cookies of `who` after signing in as people do; once a stage, for signing in is made slow."""
    if who not in stage.signed_in:
        context = await browser.new_context(base_url=stage.door.url, **described(js=False))
        await sign_in(await context.new_page(), who)
        stage.signed_in[who] = await context.storage_state()
        await context.close()
    return stage.signed_in[who]


async def sign_in(page: Page, who: str) -> None:
    """Fill in the form and be let in."""
    await page.goto("/sign-in")
    await page.fill("input[name=name]", who)
    await page.fill("input[name=password]", PASSWORD)
    await page.click("main button[type=submit]")
    await page.wait_for_url("**/queue*")
