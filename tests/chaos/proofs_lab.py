"""The proofs that tests ask for, one after the other beside all other tests: they wait more than they work."""

import json
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any

HOME = Path(__file__).parents[2]
SEED = "7"
LONGEST_S = 600  # of one proof; what goes on in it has limits of its own
ENDS_WITHIN_S = 60

Promises = tuple[str, ...]
Kept = dict[str, Any]


class Proofs:
    """What was asked for is begun at once, in that order; whoever needs the figures waits for them."""

    def __init__(self) -> None:
        self._out = tempfile.TemporaryDirectory(prefix="unstuck-proofs-")
        self._thread = ThreadPoolExecutor(1, "proofs")
        self._asked: dict[Promises, Future[Kept]] = {}
        self._running: subprocess.Popen[str] | None = None
        self._over, self._lock = False, Lock()

    def ask(self, promises: Promises) -> "Future[Kept]":
        """What these promises kept, by name."""
        if promises not in self._asked:
            self._asked[promises] = self._thread.submit(self._prove, promises)
        return self._asked[promises]

    def close(self) -> None:
        """Begin nothing more; what runs is interrupted as by a person, so that it ends what it has started."""
        with self._lock:
            self._over = True
            if self._running is not None and self._running.poll() is None:
                self._running.send_signal(signal.SIGINT)
        self._thread.shutdown(cancel_futures=True)
        self._out.cleanup()

    def _prove(self, promises: Promises) -> Kept:
        """Run the proof as `make proof` does."""
        out = Path(self._out.name) / "-".join(promises)
        only = ("--only", ",".join(promises), "--out", str(out))
        process = self._started(sys.executable, "-m", "proof.run", "--scale", "smoke", "--seed", SEED, *only)
        told = _ended(process)
        files = [out / f"{name}.json" for name in promises]
        assert process.returncode in (0, 1) and all(file.exists() for file in files), told
        kept = {name: json.loads(file.read_text()) for name, file in zip(promises, files, strict=True)}
        assert process.returncode == (0 if all(one["ok"] for one in kept.values()) else 1), told
        return kept

    def _started(self, *command: str) -> "subprocess.Popen[str]":
        with self._lock:
            assert not self._over, "the tests are over"
            self._running = subprocess.Popen(
                command, cwd=HOME, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                start_new_session=True,  # told of an end by us alone: who is interrupted twice leaves things behind
            )  # fmt: skip
            return self._running


def _ended(process: "subprocess.Popen[str]") -> str:
    """What it said until it ended; one that takes too long is made to end."""
    try:
        return process.communicate(timeout=LONGEST_S)[1]
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
    try:
        return process.communicate(timeout=ENDS_WITHIN_S)[1]
    except subprocess.TimeoutExpired:
        process.kill()
        return process.communicate()[1]
