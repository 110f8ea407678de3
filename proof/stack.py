"""Real processes on a real PostgreSQL: the simulator, servers, workers; killed, stopped and brought back.

`python -m unstuck.cli.main …` runs each part; a part with a seeded bug runs through `proof.bugged` instead.
"""

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from proof.world import PACK, Rule
from unstuck.app import add_account
from unstuck.config import Config
from unstuck.store.migrate import migrate
from unstuck.store.server import EmbeddedServer, Urls

HOME = Path(__file__).parent.parent
SECRET = "whsec_" + "cHJvb2YtY2FsbGJhY2stc2VjcmV0LXByb29m"
TOKEN = "unst_proof_0123456789abcdef0123456789"
LEASE_S = 2.0
READY_S = 60.0


@contextmanager
def place() -> Iterator[Path]:
    """A folder that the database's unprivileged user can reach."""
    folder = Path(tempfile.mkdtemp(prefix="unstuck-proof-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def database() -> Iterator[EmbeddedServer]:
    """A PostgreSQL of the proof's own, as durable as in production."""
    with place() as folder, EmbeddedServer.start(folder / "data") as server:
        yield server


async def fresh_database(server: EmbeddedServer, name: str) -> Urls:
    """One more migrated database on a running server."""
    urls = await asyncio.to_thread(server.create_database, name)
    await migrate(urls.owner)
    return urls


@dataclass
class Part:
    """One process of the stack, whatever its present number."""

    name: str
    arguments: tuple[str, ...]
    process: subprocess.Popen[bytes]
    since: float = field(default_factory=time.time)
    stopped: bool = False
    deaths: int = 0  # ended by itself


class Stack:
    """One Unstuck under test. `bugs` maps a command (`worker`, `serve`) to the seeded bug it runs with."""

    def __init__(
        self, server: EmbeddedServer, urls: Urls, folder: Path, *, workers: int, serves: int, bugs: Mapping[str, str]
    ) -> None:
        self.server, self.urls, self.folder, self.bugs = server, urls, folder, dict(bugs)
        self.parts: dict[str, Part] = {}
        self.ports = [_free_port() for _ in range(serves)]
        self.serve_urls = [f"http://127.0.0.1:{port}" for port in self.ports]
        self.admin = ""
        self._targets: dict[str, str] = {}
        self._workers = workers

    @property
    def ledger(self) -> Path:
        return self.folder / "ledger"

    async def start(self, systems: Mapping[str, Any], faults: list[Rule], seed: int) -> None:
        """Start the world, the account of the client, servers and workers; returns when the servers answer."""
        (self.folder / "log").mkdir(parents=True, exist_ok=True)
        await self._world({"seed": seed, "systems": systems, "faults": faults})
        await add_account(Config(pack=str(PACK)), self.urls.app, {"proof": (("engineer",), TOKEN)})
        for number, port in enumerate(self.ports):
            self._start(f"serve-{number + 1}", "serve", "--host", "127.0.0.1", "--port", str(port))
        for number in range(self._workers):
            self._start(f"worker-{number + 1}", "worker")
        await self.ready()

    async def ready(self) -> None:
        """Wait until every server answers with its database."""
        until = time.monotonic() + READY_S
        async with aiohttp.ClientSession() as session:
            for url in self.serve_urls:
                while not await _answers(session, f"{url}/readyz"):
                    if time.monotonic() > until:
                        raise RuntimeError(f"{url} does not answer; see {self.folder}/log")
                    self.revive()
                    await asyncio.sleep(0.1)

    def names(self, command: str) -> list[str]:
        """The parts that run this command."""
        return [name for name, part in self.parts.items() if part.arguments[0] == command]

    def kill(self, name: str) -> int:
        """kill -9, and start it again; the number it had."""
        part = self.parts[name]
        pid = part.process.pid
        part.process.kill()
        part.process.wait()
        self._start(name, *part.arguments)
        return pid

    def halt(self, name: str) -> int:
        """SIGSTOP: alive, and doing nothing."""
        part = self.parts[name]
        part.process.send_signal(signal.SIGSTOP)
        part.stopped = True
        return part.process.pid

    def go_on(self, name: str) -> None:
        """SIGCONT: a zombie that believes it still owns what it had."""
        self.parts[name].process.send_signal(signal.SIGCONT)
        self.parts[name].stopped = False

    def kill_database(self) -> int:
        """SIGKILL the postmaster and bring the database back."""
        pid = self.server.pid
        if pid is None:
            raise RuntimeError("there is no database to kill")
        os.kill(pid, signal.SIGKILL)
        while self.server.pid == pid:
            time.sleep(0.01)
        self.server.restart_if_dead()
        return pid

    def revive(self) -> list[str]:
        """Start again what ended by itself, as `unstuck up` does; the names."""
        dead = [name for name, part in self.parts.items() if name != "simulate" and part.process.poll() is not None]
        for name in dead:
            self.parts[name].deaths += 1
            self._start(name, *self.parts[name].arguments)
        return dead

    def deaths(self) -> int:
        """How often a part ended by itself."""
        return sum(part.deaths for part in self.parts.values())

    def stop(self) -> None:
        """End every process."""
        for part in self.parts.values():
            if part.stopped:
                part.process.send_signal(signal.SIGCONT)
            part.process.terminate()
        for part in self.parts.values():
            try:
                part.process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                part.process.kill()
                part.process.wait()

    async def _world(self, world: dict[str, Any]) -> None:
        file = self.folder / "world.json"
        callbacks = {"callback_url": f"{self.serve_urls[0]}/api/v1/callbacks", "callback_secret": SECRET}
        file.write_text(json.dumps({**world, **callbacks, "ledger_dir": str(self.ledger)}))
        part = self._start("simulate", "simulate", "--config", str(file))
        assert part.process.stdout is not None
        line = await asyncio.to_thread(part.process.stdout.readline)
        if not line:
            raise RuntimeError(f"the simulator did not start; see {self.folder}/log/simulate.log")
        said = json.loads(line)
        self._targets, self.admin = said["systems"], said["admin"]

    def _start(self, name: str, *arguments: str) -> Part:
        bug = self.bugs.get(arguments[0])
        module = ("proof.bugged", bug) if bug else ("unstuck.cli.main",)
        out = subprocess.PIPE if arguments[0] == "simulate" else subprocess.DEVNULL
        with (self.folder / "log" / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *module, *arguments],
                stdin=subprocess.DEVNULL, stdout=out, stderr=log, env=self._environment(), cwd=self.folder,
                start_new_session=True,
            )  # fmt: skip
        if name in self.parts:
            part = self.parts[name]
            part.process, part.since, part.stopped = process, time.time(), False
        else:
            part = self.parts[name] = Part(name, arguments, process)
        return part

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("UNSTUCK_")}
        return {
            **kept,
            "PYTHONPATH": str(HOME),
            "UNSTUCK_DATA": str(self.folder / "unstuck"),
            "UNSTUCK_DATABASE_URL": self.urls.app,
            "UNSTUCK_TARGETS": json.dumps(self._targets),
            "UNSTUCK_CALLBACK_SECRET": SECRET,
            "UNSTUCK_LEASE_S": str(LEASE_S),
            "UNSTUCK_CHECKPOINT_DIR": str(self.folder / "checkpoints"),
            "UNSTUCK_PACK": str(PACK),
        }


async def _answers(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url, timeout=aiohttp.ClientTimeout(total=2)) as reply:
            return reply.status == 200
    except (aiohttp.ClientError, TimeoutError, OSError):
        return False


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
