"""What browsers load that is not ours: taken from npm by its lock file into `static/vendor`, where the wheel finds it.

Runs as a hook of every build, and by itself for `make setup` (`fill`) and `make check` (`check`). Without npm the pages
work all the same, they only stand still; a line says so.
"""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # by itself there is no builder
    BuildHookInterface = object

ROOT = Path(__file__).resolve().parent
STATIC = Path("src/unstuck/web/pages/static")
VENDOR = STATIC / "vendor"
FILES = {
    "htmx.org/dist/htmx.min.js": "htmx.min.js",
    "htmx.org/dist/ext/hx-sse.min.js": "hx-sse.min.js",
    "htmx.org/LICENSE": "htmx.LICENSE.txt",
}
WITHOUT = "npm is missing or failed ({why}): the pages work, but stand still; install npm and run make setup"


class Frontend(BuildHookInterface):  # type: ignore[misc]
    """The build hook: fills `static/vendor` before the files of a wheel or a checkout are counted."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by the builder before it builds."""
        fill(Path(self.root), self.app.display_warning)


def fill(root: Path, say: Callable[[str], None], *, tests: bool = False) -> bool:
    """Put the locked files in place; nothing is done when they are there. `tests` takes also what tests need."""
    lock, seen = root / "package-lock.json", root / VENDOR / ".lock"
    ready = seen.exists() and seen.read_bytes() == lock.read_bytes()
    if ready and (not tests or (root / "node_modules" / "axe-core").is_dir()):
        return True
    if why := _install(root, tests):
        say(WITHOUT.format(why=why))
        return ready
    (root / VENDOR).mkdir(parents=True, exist_ok=True)
    for source, name in FILES.items():
        shutil.copyfile(root / "node_modules" / source, root / VENDOR / name)
    seen.write_bytes(lock.read_bytes())
    return True


def check(root: Path) -> bool:
    """Whether every script of ours is one that a browser can read; says so when there is no node to ask."""
    node = shutil.which("node")
    if node is None:
        print("scripts: not checked, node is missing")
        return True
    scripts = sorted((root / STATIC / "js").glob("*.js"))
    bad = [script for script in scripts if subprocess.run([node, "--check", str(script)], check=False).returncode]
    print(f"scripts: {len(scripts)} read, {len(bad)} broken")
    return not bad


def _install(root: Path, tests: bool) -> str:
    """Let npm install what the lock names, running nothing of it; why not, when it could not."""
    npm = shutil.which("npm")
    if npm is None:
        return "not found"
    quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    done = subprocess.run(
        [npm, "ci", *quiet, *([] if tests else ["--omit=dev"])], cwd=root, capture_output=True, text=True, check=False
    )
    said = [line for line in done.stderr.splitlines() if line.startswith("npm error")]
    return "" if done.returncode == 0 else (said or [f"exit {done.returncode}"])[0]


if __name__ == "__main__":
    if sys.argv[1:] == ["check"]:
        sys.exit(not check(ROOT))
    fill(ROOT, lambda text: print(text, file=sys.stderr), tests=True)  # without it everything works, unlive
