"""`unstuck up`: database, migrations, demo world, workers and server, started together and stopped together."""

import asyncio
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import typer

from unstuck.cli import demo_people
from unstuck.cli.demo import SCENE
from unstuck.cli.said import fail, show
from unstuck.config import Config, from_environment

ROLES = ("support", "repair-agent", "approver", "fallout-manager", "engineer", "auditor", "integration", "admin")
COLLEAGUES = {
    "demo-webshop": "integration", "demo-maya": "repair-agent", "demo-jonas": "repair-agent",
    "demo-salma": "fallout-manager", "demo-tarik": "support",
}  # fmt: skip
READY_WAIT_S = 60
LOOPBACK = "127.0.0.0/8"  # the demo world is there, and is no stranger


def up(
    port: Annotated[int | None, typer.Option(help="0 for any free port.")] = None,
    data: Annotated[str | None, typer.Option(help="Where everything is kept.")] = None,
    database_url: Annotated[str | None, typer.Option(help="A PostgreSQL of your own.")] = None,
    no_demo: Annotated[bool, typer.Option("--no-demo", help="No demo world, no demo accounts.")] = False,
    workers: Annotated[int | None, typer.Option()] = None,
    world: Annotated[Path | None, typer.Option(help="The demo world's own configuration.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Say where everything is as one JSON line.")] = False,
) -> None:
    """Everything in one go. Example: unstuck up --port 8080 --data .data"""
    flags = {"port": port, "data": data, "database_url": database_url, "workers": workers}
    settings, _ = from_environment(flags)
    stack = Stack(settings, demo=not no_demo, world=world)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _interrupt)  # also where a script started us with SIGINT ignored
    try:
        stack.start()
        show(stack.said(), as_json, stack.welcome())
        sys.stdout.flush()
        _tell_unlive()
        stack.watch(tell_tries=not as_json)
    except KeyboardInterrupt:
        pass
    finally:
        stack.stop()


def _interrupt(_number: int, _frame: Any) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C would leave half of it running
    raise KeyboardInterrupt


class Stack:
    """The processes of one Unstuck. What dies is started again; a stop stops all of it."""

    def __init__(self, settings: Config, *, demo: bool, world: Path | None) -> None:
        self.settings, self.demo, self.world = settings, demo, world
        self.data = Path(settings.data).resolve()
        self.port = settings.port or _free_port()
        self.url = f"http://{settings.host}:{self.port}"
        self.tokens: dict[str, str] = {}
        self.people: dict[str, dict[str, str]] = {}
        self._first_link = ""
        self._passes: dict[str, str] = {}
        self.targets: dict[str, str] = dict(settings.targets)
        self.admin = ""
        self.order_manager = ""
        self._server: Any = None
        self._database_url = settings.database_url
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._trouble = ""  # why the database does not come back

    def start(self) -> None:
        """Bring everything up; returns when the server answers."""
        self.data.mkdir(parents=True, exist_ok=True)
        lives = self.demo and not self.targets and self.world is None
        simulator = self._simulate() if self.demo and not self.targets else None
        self._database()
        if simulator is not None:
            self._await_world(simulator)
        for number in range(self.settings.workers):
            self._child(f"worker-{number + 1}", "worker")
        self._child("serve", "serve", "--port", str(self.port), "--host", self.settings.host)
        self._accounts()
        self._people()
        self._await_ready()
        if lives:
            self._write_scene()
            self._child("demo", "demo", "--data", str(self.data))

    def watch(self, *, tell_tries: bool = False) -> None:
        """Until interrupted: start again what has died, and the database with it; tell once what there is to try."""
        died = dict.fromkeys(self._children, 0.0)
        told = not tell_tries or "demo" not in self._children
        while True:
            time.sleep(0.2)
            told = told or self._tell_tries()
            self._mind_database()
            for name, child in list(self._children.items()):
                if child.poll() is None or name == "simulate" or time.monotonic() - died[name] < 1:
                    continue
                died[name] = time.monotonic()
                _tell(f"{name} ended with {child.returncode}; starting it again")
                self._child(name, *_arguments(child))

    def _mind_database(self) -> None:
        """Bring it back when it died. What prevents that, as a full disk does, may pass: it is told and tried again."""
        from unstuck.store.binaries import ServerError
        from unstuck.store.unit import AWAY

        if self._server is None:
            return
        try:
            self._server.restart_if_dead()
            self._trouble = ""
        except (ServerError, *AWAY) as error:
            if not self._trouble:
                _tell(f"the database cannot be started, and is tried again: {error}")
            self._trouble = str(error) or type(error).__name__

    def stop(self) -> None:
        """Stop every process, the database last."""
        for child in self._children.values():
            if child.poll() is None:
                child.terminate()
        for child in self._children.values():
            _ended(child)
        if self._server is not None:
            self._server.stop()
            self._server = None

    def said(self) -> dict[str, Any]:
        """Where everything is, for programs."""
        pids = {name: child.pid for name, child in self._children.items()}
        database = {"pid": self._server.pid, "url": self._server.superuser_url} if self._server else {}
        return {
            "url": self.url, "people": self.people, "tokens": self.tokens, "systems": self.targets, "admin": self.admin, "pids": pids,
            "order_manager": self.order_manager,
            "database": database, "data": str(self.data),
        }  # fmt: skip

    def welcome(self) -> str:
        """Where everything is, for people."""
        lines = [f"Unstuck is running at {self.url}   (Ctrl-C stops everything)", ""]
        if self.people:
            lines += ["Sign in there with one press (no password is asked on this machine), or as:"]
            lines += [f"  {name:<8} {one['password']:<18} {one['role']}" for name, one in self.people.items()] + [""]
        if self._first_link:
            lines += [
                "Make the first account (works once, for a day):",
                f"  {self.url}/first-start?link={self._first_link}",
                "",
            ]
        if self.tokens:
            token = self.tokens["engineer"]
            lines += [
                f"For the command line, in another terminal (more tokens: {self.data}/demo-accounts.json):",
                f"  export UNSTUCK_URL={self.url} UNSTUCK_TOKEN={token} WORLD={self.admin}",
            ]
        return "\n".join(lines)

    def _tell_tries(self) -> bool:
        """Say which cases there are to try, once there are; whether it was said."""
        from unstuck.service.looks.trying import FILE, written_in
        from unstuck.web.pages.texts import text

        tries = written_in(self.data / FILE)
        if tries:
            title = text("try.title", n=len(tries))
            lines = [f"  {self.url}/cases/{one.number}  {text(f'try.story.{one.name}.title')}" for one in tries]
            print("\n".join(["", f"{title}:", *lines]), flush=True)
        return bool(tries)

    def _database(self) -> None:
        from unstuck.store.binaries import ServerError
        from unstuck.store.migrate import MigrationError, migrate
        from unstuck.store.server import EmbeddedServer

        try:
            owner = self.settings.migrate_url or self._database_url
            if not self._database_url:
                self._server = EmbeddedServer.start(self.data)
                self._database_url, owner = self._server.app_url, self._server.owner_url
            asyncio.run(migrate(owner))
        except (ServerError, MigrationError) as error:
            self.stop()
            fail(str(error))

    def _simulate(self) -> subprocess.Popen[bytes]:
        file = self.world or self.data / "world.json"
        if self.world is None:
            file.write_text(json.dumps(self._default_world()))
        return self._child("simulate", "simulate", "--config", str(file), out=subprocess.PIPE)

    def _default_world(self) -> dict[str, Any]:
        from unstuck.rehearsal.demo_world import world

        callbacks = {"callback_url": f"{self.url}/api/v1/callbacks", "callback_secret": self._secret()}
        return world(self.settings.speed, ledger_dir=str(self.data / "ledger"), **callbacks)

    def _write_scene(self) -> None:
        """Where the demo plays and with which passes, for its process alone."""
        from unstuck.service.looks.trying import FILE

        passes = {f"demo-{role}": token for role, token in self.tokens.items()} | self._passes
        path = self.data / SCENE
        path.unlink(missing_ok=True)
        scene = {
            "url": self.url, "order_manager": self.order_manager, "passes": passes, "speed": self.settings.speed,
            "hints": str(self.data / FILE),
        }  # fmt: skip
        _kept(path, lambda: json.dumps(scene))

    def _await_world(self, simulator: subprocess.Popen[bytes]) -> None:
        line = simulator.stdout.readline() if simulator.stdout else b""
        if not line:
            self.stop()
            fail("the demo world did not start; its message is above")
        said = json.loads(line)
        self.targets, self.admin = said["systems"], said["admin"]
        self.order_manager = said.get("order_manager", "")

    def _child(self, name: str, *arguments: str, out: int | None = None) -> subprocess.Popen[bytes]:
        log = (self.data / "log").resolve()
        log.mkdir(exist_ok=True)
        with (log / f"{name}.log").open("ab") as file:
            child = subprocess.Popen(
                [sys.executable, "-m", "unstuck.cli.main", *arguments],
                stdin=subprocess.DEVNULL, stdout=out or file, stderr=file, env=self._environment(),
                start_new_session=True,
            )  # fmt: skip
        self._children[name] = child
        return child

    def _environment(self) -> dict[str, str]:
        given = {
            "UNSTUCK_DATA": str(self.data),
            "UNSTUCK_DATABASE_URL": self._database_url,
            "UNSTUCK_TARGETS": json.dumps(self.targets),
            "UNSTUCK_CALLBACK_SECRET": self._secret(),
            "UNSTUCK_CHECKPOINT_DIR": self.settings.checkpoint_dir or str(self.data / "checkpoints"),
            "UNSTUCK_DEMO": "true" if self.demo else "",
            "UNSTUCK_WEBHOOK_ALLOW": self.settings.webhook_allow or (LOOPBACK if self.demo else ""),
        }
        return {**os.environ, **{name: value for name, value in given.items() if value}}

    def _secret(self) -> str:
        if self.settings.callback_secret:
            return self.settings.callback_secret
        return _kept(self.data / "callback.secret", lambda: f"whsec_{_base64(secrets.token_bytes(32))}")

    def _accounts(self) -> None:
        """The demo's tokens: made with the data directory, read again at every later start."""
        if not self.demo:
            return
        path = self.data / "demo-accounts.json"
        fresh = not path.exists()
        made = {role: f"unst_demo_{role}_{secrets.token_urlsafe(16)}" for role in ROLES}
        self.tokens = json.loads(_kept(path, lambda: json.dumps(made)))
        path = self.data / "demo-colleagues.json"
        fresh = fresh or not path.exists()
        passes = {name: f"unst_{name}_{secrets.token_urlsafe(16)}" for name in COLLEAGUES}
        self._passes = json.loads(_kept(path, lambda: json.dumps(passes)))
        if fresh:
            from unstuck.app import add_account

            accounts = {f"demo-{role}": ((role,), secret) for role, secret in self.tokens.items()}
            accounts |= {name: ((COLLEAGUES[name],), secret) for name, secret in self._passes.items()}
            asyncio.run(add_account(self.settings, self._database_url, accounts))

    def _people(self) -> None:
        """Who signs in: a demo's people, only where no other machine reaches them; else the link that makes the first."""
        from unstuck.app import let_in
        from unstuck.web.site import is_loopback

        demo: dict[str, dict[str, str]] = {}
        if self.demo and is_loopback(self.settings.host) and not self.settings.public_url:
            demo = json.loads(_kept(self.data / "demo-people.json", demo_people.made))
        made, self._first_link = asyncio.run(let_in(self.settings, self._database_url, demo))
        self.people = demo if made else {}

    def _await_ready(self) -> None:
        until = time.monotonic() + READY_WAIT_S
        while time.monotonic() < until:
            try:
                with urllib.request.urlopen(f"{self.url}/readyz", timeout=2):
                    return
            except OSError:
                if self._children["serve"].poll() is not None:
                    break
                time.sleep(0.02)
        self.stop()
        fail(f"the server did not start; see {self.data}/log/serve.log (is port {self.port} taken?)")


def _tell_unlive() -> None:
    """Say when the pages stand still because what browsers load was never taken from npm."""
    from unstuck.web.pages.texts import text

    if not files("unstuck.web.pages").joinpath("static", "vendor", "htmx.min.js").is_file():
        _tell(text("app.unlive"))


def _tell(text: str) -> None:
    """A line for who reads our log; on a full disk nobody does."""
    with suppress(OSError):
        print(f"unstuck: {text}", file=sys.stderr, flush=True)


def _arguments(child: subprocess.Popen[bytes]) -> list[str]:
    return [str(a) for a in child.args[3:]]  # type: ignore[index]


def _ended(child: subprocess.Popen[bytes]) -> None:
    try:
        child.wait(timeout=15)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _kept(path: Path, make: Any) -> str:
    if not path.exists():
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(make())
    return path.read_text()


def _base64(data: bytes) -> str:
    import base64

    return base64.b64encode(data).decode()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
