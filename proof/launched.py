"""`python -m proof.launched CHANGE up …` is `unstuck up` whose servers and workers run with one change from outside.

A change is a seeded bug of `proof.bugged`, or `clock`: the time is moved by the seconds a file says, while they run.
"""

import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from proof.bugged import BUGS

CLOCK = Path("clock")  # in the folder where all of it runs
PARTS = ("serve", "worker")


def clock() -> None:
    """The clock of a process is as wrong as the file says, from one look to the next."""
    from unstuck import app

    right = app.utc_now

    def wrong() -> datetime:
        return right() + timedelta(seconds=float(CLOCK.read_text() or 0))

    app.utc_now = wrong


class Changed(subprocess.Popen[bytes]):
    """Starts a server or worker with the change; remembers what was asked for, as it is started again from that."""

    change = ""

    def __init__(self, args: Any, **more: Any) -> None:
        ours = list(args[1:3]) == ["-m", "unstuck.cli.main"] and args[3] in PARTS
        super().__init__([args[0], "-m", "proof.launched", self.change, *args[3:]] if ours else args, **more)
        self.args = args


def main() -> None:
    """Put the change in, then be the command; `up` itself only passes it on."""
    from unstuck.cli.main import main as unstuck

    change, sys.argv = sys.argv[1], ["unstuck", *sys.argv[2:]]
    if sys.argv[1] == "up":
        Changed.change = change
        subprocess.Popen = Changed  # type: ignore[assignment, misc]
    else:
        CHANGES[change]()
    unstuck()


CHANGES = {**BUGS, "clock": clock}

if __name__ == "__main__":
    main()
