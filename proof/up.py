"""`unstuck up` under test: started as a person starts it, its parts found as a person finds them, and killed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proof.stack import HOME, READY_S, _free_port

SERVE, WORKER, DATABASE = "serve", "worker", "database"
LOOK_S = 0.02


@dataclass(frozen=True)
class Killed:
    """What was killed, and when."""

    what: str
    pid: int
    at: float


class Up:
    """One `unstuck up` on a data directory of its own, started as often as it is stopped.

    `change` names a change of `proof.launched` that its servers and workers run with. `database` and `owner` are the
    URLs of a PostgreSQL that is not its own.
    """

    def __init__(
        self, folder: Path, *, workers: int = 2, change: str = "", database: str = "", owner: str = "", **settings: str
    ) -> None:
        self.folder, self.data = folder, folder / "data"
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.tokens: dict[str, str] = {}
        self._change, self._workers = change, workers
        given = {"database_url": database, "migrate_url": owner, "webhook_allow": "127.0.0.0/8", **settings}
        self._settings = {f"UNSTUCK_{name.upper()}": value for name, value in given.items() if value}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; returns when it says where everything is."""
        module = ["proof.launched", self._change] if self._change else ["unstuck.cli.main"]
        flags = ["--json", "--port", str(self.port), "--data", str(self.data), "--workers", str(self._workers)]
        with (self.folder / "up.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *module, "up", *flags], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=log, cwd=self.folder, env=self._environment(), start_new_session=True,
            )  # fmt: skip
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"`unstuck up` did not start: {(self.folder / 'up.log').read_text()[-2000:]}")
        self.tokens = json.loads(line)["tokens"]

    def stop(self) -> float:
        """SIGTERM to it alone; how many seconds until it is gone."""
        process, began = self._running(), time.monotonic()
        process.terminate()
        process.wait(timeout=READY_S)
        return time.monotonic() - began

    def close(self) -> None:
        """End it whatever state it is in."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)
            self.stop()

    def halt(self) -> None:
        """SIGSTOP the supervisor: what dies stays dead."""
        self._running().send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """SIGCONT the supervisor."""
        self._running().send_signal(signal.SIGCONT)

    def pids(self, what: str) -> list[int]:
        """The processes of one part that live now."""
        if what == DATABASE:
            return [pid for pid in [self._postmaster()] if pid]
        return [pid for pid in _children(self._running().pid) if what in _arguments(pid)[3:5]]

    def kill(self, what: str, draw: float) -> Killed:
        """SIGKILL one process of a part, the one `draw` in [0, 1) chooses; waits until there is one."""
        pids = eventually(lambda: self.pids(what), f"no {what} to kill")
        pid = pids[int(draw * len(pids))]
        killed = Killed(what, pid, time.time())
        os.kill(pid, signal.SIGKILL)
        return killed

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Another command of the same Unstuck."""
        command = [sys.executable, "-m", "unstuck.cli.main", *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, cwd=self.folder, env=self._environment(), timeout=120, check=False
        )  # fmt: skip

    def _postmaster(self) -> int | None:
        try:
            pid = int((self.data / "pg" / "postmaster.pid").read_text().split("\n")[0])
            os.kill(pid, 0)
        except (FileNotFoundError, ValueError, ProcessLookupError):
            return None
        return pid

    def _running(self) -> "subprocess.Popen[bytes]":
        if self._process is None or self._process.poll() is not None:
            raise RuntimeError(f"`unstuck up` ended by itself: {(self.folder / 'up.log').read_text()[-2000:]}")
        return self._process

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("UNSTUCK_")}
        return {**kept, "PYTHONPATH": str(HOME), **self._settings}


def eventually(look: Callable[[], Any], otherwise: str, within_s: float = READY_S) -> Any:
    """What `look` finds, as soon as it finds something."""
    until = time.monotonic() + within_s
    while not (found := look()):
        if time.monotonic() > until:
            raise TimeoutError(otherwise)
        time.sleep(LOOK_S)
    return found


def _children(parent: int) -> list[int]:
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and _parent(int(folder.name)) == parent:
            found.append(int(folder.name))
    return sorted(found)


def _parent(pid: int) -> int:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(fields[1]) if fields[0] != "Z" else 0


def _arguments(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")[:-1]
    except (FileNotFoundError, ProcessLookupError):
        return []
