"""A private stack for one run: own folder, own database, own faulty world; gone afterwards."""

import base64
import json
import os
import secrets
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

START_S = 120
STOP_S = 40
OWN_SETTINGS = ("UNSTUCK_PG_BIN",)  # everything else of the caller's configuration stays outside


class NotStarted(Exception):
    """The private stack did not come up; the sentence says why."""


class Stack:
    """`unstuck up` as a process, with a world of the scenario's making. `said` is its own first line."""

    def __init__(self, world: Mapping[str, Any], *, speed: float, keep: bool) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="unstuck-scenario-"))
        self.folder.chmod(0o711)  # started by root, the database runs as another user and must pass through
        self.said: dict[str, Any] = {}
        self._world, self._speed, self._keep = world, speed, keep
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:  # also when interrupted: nothing is left behind
            self._stop()
            raise
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._stop()

    def _start(self) -> None:
        port = _free_port()
        secret = f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"
        callbacks = {"callback_url": f"http://127.0.0.1:{port}/api/v1/callbacks", "callback_secret": secret}
        world = self.folder / "world.json"
        world.touch(mode=0o600)  # it holds the secret of the callbacks
        world.write_text(json.dumps({**self._world, "ledger_dir": str(self.folder / "ledger"), **callbacks}))
        kept = {name: text for name, text in os.environ.items() if not _is_setting(name)}
        own = {"UNSTUCK_SPEED": str(self._speed), "UNSTUCK_CALLBACK_SECRET": secret}
        data = self.folder / "data"
        arguments = ["up", "--json", "--port", str(port), "--data", str(data), "--world", str(world)]
        with (self.folder / "up.log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "unstuck.cli.main", *arguments],
                cwd=self.folder, env={**kept, **own}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log,
                start_new_session=True,  # a Ctrl-C reaches us alone, and we stop it in order
            )  # fmt: skip
        self.said = self._first_line(self._process)

    def _first_line(self, process: subprocess.Popen[bytes]) -> dict[str, Any]:
        out = process.stdout
        ready = out is not None and select.select([out], [], [], START_S)[0]
        line = out.readline() if out is not None and ready else b""
        if not line:
            log = (self.folder / "up.log").read_text(errors="replace").strip().splitlines()
            raise NotStarted(
                f"the private stack did not start: {log[-1].removeprefix('unstuck: ') if log else 'it said nothing'}"
            )
        said: dict[str, Any] = json.loads(line)
        return said

    def _stop(self) -> None:
        process = self._process
        if process is not None:
            if process.poll() is None:
                process.terminate()
            try:
                process.wait(timeout=STOP_S)
            except subprocess.TimeoutExpired:
                self._kill(process)
            if process.stdout is not None:
                process.stdout.close()
        if not self._keep:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _kill(self, process: subprocess.Popen[bytes]) -> None:
        """It does not stop when told: end exactly the processes that it named as its own."""
        process.kill()
        process.wait()
        for pid in (*self.said.get("pids", {}).values(), self.said.get("database", {}).get("pid")):
            if pid:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def _is_setting(name: str) -> bool:
    return name.startswith("UNSTUCK_") and name not in OWN_SETTINGS


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
