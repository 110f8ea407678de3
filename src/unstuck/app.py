"""The composition root: fills in the ports, and starts what a process is made of."""

import asyncio
import gc
import os
import secrets
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any, TextIO, cast

import msgspec
import structlog

from unstuck.config import Config
from unstuck.connect.address import allowed
from unstuck.connect.http import HttpConnector
from unstuck.connect.jws import TokenSigner
from unstuck.connect.note import NotePost
from unstuck.connect.tmf import OrderManagers
from unstuck.connect.webhook import TIMEOUT_S, HttpWebhooks
from unstuck.engine.dispatch import Dispatcher, reap
from unstuck.engine.loops import Loop
from unstuck.engine.relay import Relay
from unstuck.engine.resume import resume_round
from unstuck.kernel.ids import uuid7
from unstuck.policy.check import load
from unstuck.policy.hurry import hurried
from unstuck.policy.pack import Pack
from unstuck.service.access.sessions import forget_ended
from unstuck.service.book import Book
from unstuck.service.elsewhere.decisions import KIND as DECISION
from unstuck.service.elsewhere.decisions import decision_messages
from unstuck.service.elsewhere.foreign import expire_due
from unstuck.service.events_out import hub
from unstuck.service.events_out.outbox import Patience, Renderer, cloud_event_messages
from unstuck.service.failures_in.sources import watch
from unstuck.service.history.shipping import ship_next
from unstuck.service.looks.trying import FILE, nothing_to_try, written_in
from unstuck.service.once import forget_old
from unstuck.service.order_work.fire import classify_due, late_due, recheck_due
from unstuck.service.ports import Foreign, Outside, Ports
from unstuck.store.blobs import FileBlobs
from unstuck.store.keys import KeyFiles
from unstuck.store.migrate import MigrationError, inspect_server
from unstuck.store.seal import seal
from unstuck.store.unit import AWAY, connect, is_away
from unstuck.store.vault import FileVault
from unstuck.web.tmf import notifications

SERVER_PATIENCE_S = 3.0  # somebody waits for the answer; thrice this is what a lost connection costs at most
WORKER_PATIENCE_S = 15.0  # a statement of a worker may be large: all that is to be sealed after a burst
PARTITIONS_AHEAD = 7
PARTITIONS_LOCK = 0x70617274  # "part"
RENDERERS: Mapping[str, Renderer] = {
    "cloudevents": cloud_event_messages,
    DECISION: decision_messages,
    hub.KIND: notifications.messages,
}


class Stderr:
    """Where log lines go. On a full disk a line is lost, and never the work that it tells of."""

    def write(self, text: str) -> None:
        """Write it now, or not at all."""
        with suppress(OSError):
            os.write(sys.stderr.fileno(), text.encode("utf-8", "backslashreplace"))

    def flush(self) -> None:
        """Nothing is held back."""


def log_plainly() -> None:
    """One JSON line an event on stderr; tracebacks without the values of variables, which may be secrets."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", Stderr())),
    )


def utc_now() -> datetime:
    """The clock of this process."""
    return datetime.now(UTC)


def read_pack(name: str) -> dict[str, str]:
    """The files of a shipped pack by name, or of a folder."""
    folder = Path(name)
    if folder.is_dir():
        return {path.name: path.read_text() for path in sorted(folder.glob("*.yaml"))}
    shipped = files("unstuck.packs").joinpath(name)
    return {path.name: path.read_text() for path in sorted(shipped.iterdir(), key=str) if path.name.endswith(".yaml")}


def current_pack(config: Config) -> tuple[Pack, dict[str, str]]:
    """The pack in force, its durations divided by the speed of a rehearsal, and the files that name it."""
    contents = hurried(read_pack(config.pack), config.speed)
    return load(contents), contents


async def fit_server(url: str) -> tuple[str, ...]:
    """Refuse a database server that our promises cannot rest on; return what weakens them without breaking them."""
    facts = await inspect_server(url)
    if facts.refusal:
        raise MigrationError(facts.refusal)
    return facts.warnings


@asynccontextmanager
async def open_ports(
    config: Config, url: str, *, size: int = 8, patience_s: float | None = None
) -> AsyncIterator[Ports]:
    """Everything the service needs, closed again at the end. The database is waited for `patience_s` a statement."""
    async with AsyncExitStack() as stack:
        store = await connect(url, size=size, patience_s=patience_s)
        stack.push_async_callback(store.pool.close)
        pack, contents = current_pack(config)
        await store.keep_pack(pack.hash, pack.document.name, msgspec.json.encode(contents), utc_now())
        connectors = {}
        for target, base in config.targets.items():
            room = pack.document.targets[target].room if target in pack.document.targets else 8
            connectors[target] = HttpConnector(base, utc_now, connections=room)
            stack.push_async_callback(connectors[target].close)
        reached, others = await stack.enter_async_context(outside(config))
        yield Ports(
            store=store,
            book=Book(store, pack),
            now=utc_now,
            new_id=lambda: uuid7(utc_now(), secrets.randbits(74)),
            chance=lambda: secrets.randbelow(1 << 20) / (1 << 20),
            connectors=connectors,
            blobs=FileBlobs(config.data_dir / "evidence"),
            lease_s=config.lease_s,
            worker=f"{socket.gethostname()}:{os.getpid()}",
            outside=reached,
            foreign=others,
            trying=partial(written_in, config.data_dir / FILE) if config.demo else nothing_to_try,
        )


@asynccontextmanager
async def outside(config: Config) -> AsyncIterator[tuple[Outside, Foreign]]:
    """What events out need: the way to strangers, the key of their secrets, the name we publish under; and how orders
    that are not ours go on, under the same name."""
    webhooks = HttpWebhooks(allowed(config.webhook_allow), utc_now, timeout_s=min(TIMEOUT_S, config.lease_s / 3))
    vault = FileVault(Path(config.secrets_key_file or config.data_dir / "secrets.key"))
    try:
        name = config.public_url or f"urn:unstuck:{config.origin}"
        tokens = TokenSigner(name, keyring(config).seeds)
        managers = OrderManagers(webhooks, config.data_dir / "secrets")
        yield Outside(webhooks, vault, name), Foreign(tokens, managers)
    finally:
        await webhooks.close()


def keyring(config: Config) -> KeyFiles:
    """The signing keys: files of 32 bytes, readable to their owner alone; the first is made at first use."""
    return KeyFiles(config.origin, Path(config.signing_key_file or config.data_dir / "signing.key"))


def calm_the_collector() -> None:
    """Collect rarely, and never what was there at the start: batches make many values that die together."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)


async def work(config: Config, url: str) -> None:
    """A worker: dispatcher, reaper, timers, sealer; ends cleanly at SIGTERM or SIGINT."""
    log_plainly()
    await fit_server(url)
    async with open_ports(config, url, patience_s=WORKER_PATIENCE_S) as ports:
        room = {name: config.room or ports.book.current.document.targets[name].room for name in config.targets}
        dispatcher = Dispatcher(ports, room)
        loops = worker_loops(config, ports)
        relay = Relay(ports, RENDERERS, patience=Patience(lease_s=config.lease_s))
        await make_partitions(ports)
        calm_the_collector()
        _on_signal(lambda: [stop() for stop in (*(loop.stop for loop in loops), dispatcher.stop, relay.stop)])
        async with asyncio.TaskGroup() as group:
            for loop in loops:
                group.create_task(loop.run())
            group.create_task(_dispatch(dispatcher))
            group.create_task(relay.run())


async def _dispatch(dispatcher: Dispatcher) -> None:
    while True:
        try:
            return await dispatcher.run()
        except AWAY as error:
            if not is_away(error):
                raise
            await asyncio.sleep(0.5)


async def make_partitions(ports: Ports) -> int:
    """Day partitions for attempts and outcomes, ahead of their day; one process at a time, or both make the same."""
    async with ports.store.pool.acquire() as conn, conn.transaction():
        await conn.execute("SELECT pg_advisory_xact_lock($1)", PARTITIONS_LOCK)
        await conn.execute("SELECT make_partitions($1, $2)", utc_now().date(), PARTITIONS_AHEAD)
    return 0


def worker_loops(config: Config, ports: Ports) -> list[Loop]:
    """The background duties of a worker beside dispatching."""
    keys = keyring(config)
    ship_to = Path(config.checkpoint_dir) if config.checkpoint_dir else None
    pool, post = ports.store.pool, NotePost()

    return [
        Loop("reap", lambda: reap(ports), every_s=min(1.0, config.lease_s / 4), away=is_away),
        Loop("classify", lambda: classify_due(ports, 200), every_s=0.1, away=is_away),
        Loop("late", lambda: late_due(ports, 200), every_s=0.5, away=is_away),
        Loop("recheck", lambda: recheck_due(ports, 50), every_s=0.5, away=is_away),
        *(
            [Loop("ship", lambda: ship_next(ports, post, config.checkpoint_url), every_s=1.0, away=is_away)]
            if config.checkpoint_url
            else []
        ),
        Loop("seal", lambda: seal(pool, keys, utc_now(), ship_to), every_s=0.2, away=is_away),
        Loop("token expiry", lambda: expire_due(ports, 200), every_s=0.5, away=is_away),
        Loop("resume", lambda: resume_round(ports), every_s=0.2, away=is_away),
        Loop("silence", lambda: watch(ports), every_s=1.0, away=is_away),
        Loop("answers", lambda: forget_old(ports, 1000), every_s=60, away=is_away),
        Loop("sessions", lambda: forget_ended(ports, 1000), every_s=60, away=is_away),
        Loop("partitions", lambda: make_partitions(ports), every_s=3600, away=is_away),
    ]


def _on_signal(stop: Callable[[], object]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)


async def serve(config: Config, url: str) -> None:
    """The web server; ends cleanly at SIGTERM or SIGINT (uvicorn takes both)."""
    from unstuck.web.server import build, server
    from unstuck.web.site import Site, is_loopback

    log_plainly()
    warnings = await fit_server(url)
    async with open_ports(config, url, size=16, patience_s=SERVER_PATIENCE_S) as ports:
        app = build(
            ports, callback_secret=config.callback_secret, body_limit=config.body_limit, warnings=warnings,
            site=Site(config.public_url, demo=config.demo and is_loopback(config.host) and not config.public_url),
        )  # fmt: skip
        await server(app, config.host, config.port).serve()


async def add_account(config: Config, url: str, accounts: Mapping[str, tuple[tuple[str, ...], str]]) -> None:
    """Give each name its roles and token."""
    from unstuck.service.access.accounts import add_token

    async with open_ports(config, url, size=1) as ports:
        for name, (roles, secret) in accounts.items():
            await add_token(ports, name, roles, secret)


async def let_in(config: Config, url: str, demo: Mapping[str, Mapping[str, str]]) -> tuple[bool, str]:
    """Let the people of a demo in (role and password by name), if this database is for them; whether it is, and where
    nobody can sign in at all the secret of the link that makes the first administrator."""
    from unstuck.service.access.people import NewPerson, first_link, make_demo

    wishes = [NewPerson(name, (one["role"],), one["password"]) for name, one in demo.items()]
    async with open_ports(config, url, size=2) as ports:
        made = bool(wishes) and await make_demo(ports, wishes)
        return made, "" if made else await first_link(ports)


async def audit(
    config: Config, url: str, keys: Sequence[str], checkpoints: Sequence[str], progress: Callable[[str, int], None]
) -> dict[str, Any]:
    """Verify the history of a database against its keys and the checkpoints that were held elsewhere."""
    from unstuck.store.checking.audit import verify

    store = await connect(url, size=1)
    try:
        report = await verify(
            store.pool,
            FileBlobs(config.data_dir / "evidence"),
            verifier_keys=keys,
            checkpoints_elsewhere=checkpoints,
            progress=progress,
        )
    finally:
        await store.pool.close()
    shown: dict[str, Any] = msgspec.to_builtins(report)
    return {**shown, "ok": report.ok, "unsealed": report.unsealed}
