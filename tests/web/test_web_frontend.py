"""What browsers load that is not ours: taken by the lock file, once, and missed aloud."""

import importlib.util
import json
import os
import stat
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
NPM = """#!/bin/sh
echo "$@" >> "{calls}"
test -e "{broken}" && echo "npm error network is away" >&2 && exit 1
mkdir -p node_modules/htmx.org/dist/ext
for file in dist/htmx.min.js dist/ext/hx-sse.min.js LICENSE; do echo "$file" > node_modules/htmx.org/$file; done
"""


class Yard:
    """A checkout with an npm that writes down how it was called."""

    def __init__(self, root: Path) -> None:
        self.root, self.calls, self.broken = root, root / "calls", root / "broken"
        self.bin = root / "bin"
        self.bin.mkdir()
        (self.bin / "npm").write_text(NPM.format(calls=self.calls, broken=self.broken))
        (self.bin / "npm").chmod(stat.S_IRWXU)
        (root / "package-lock.json").write_text("{}")
        self.said: list[str] = []

    def fill(self) -> bool:
        return bool(frontend().fill(self.root, self.said.append))

    @property
    def vendor(self) -> Path:
        return self.root / "src/unstuck/web/pages/static/vendor"

    @property
    def called(self) -> int:
        return len(self.calls.read_text().splitlines()) if self.calls.exists() else 0


def frontend() -> ModuleType:
    spec = importlib.util.spec_from_file_location("frontend", ROOT / "frontend.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def yard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Yard:
    made = Yard(tmp_path)
    monkeypatch.setenv("PATH", f"{made.bin}{os.pathsep}/usr/bin{os.pathsep}/bin")
    return made


def test_files_come_once_for_each_lock(yard: Yard) -> None:
    assert yard.fill() and yard.fill()
    assert yard.called == 1
    assert sorted(path.name for path in yard.vendor.iterdir()) == [
        ".lock", "htmx.LICENSE.txt", "htmx.min.js", "hx-sse.min.js",
    ]  # fmt: skip
    (yard.root / "package-lock.json").write_text('{"other": 1}')
    assert yard.fill() and yard.called == 2


def test_nothing_of_a_package_is_run(yard: Yard) -> None:
    yard.fill()
    assert "ci --ignore-scripts" in yard.calls.read_text()


def test_without_npm_nothing_breaks_and_a_line_says_so(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(yard.root))
    assert not yard.fill()
    assert len(yard.said) == 1 and "npm is missing" in yard.said[0] and "make setup" in yard.said[0]
    assert not yard.vendor.exists()


def test_an_npm_that_fails_is_named_and_the_files_of_before_stay(yard: Yard) -> None:
    yard.fill()
    yard.broken.touch()
    (yard.root / "package-lock.json").write_text('{"other": 1}')
    assert not yard.fill()
    assert "network is away" in yard.said[0]
    assert (yard.vendor / "htmx.min.js").exists()


def test_the_lock_names_exact_versions_with_their_digests() -> None:
    wanted = json.loads((ROOT / "package.json").read_text())
    lock = json.loads((ROOT / "package-lock.json").read_text())["packages"]
    for name, version in {**wanted["dependencies"], **wanted["devDependencies"]}.items():
        assert lock[f"node_modules/{name}"]["version"] == version
        assert lock[f"node_modules/{name}"]["integrity"].startswith("sha512-")


def test_scripts_are_ones_that_a_browser_can_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scripts = tmp_path / "src/unstuck/web/pages/static/js"
    scripts.mkdir(parents=True)
    (scripts / "good.js").write_text("const a = 1;")
    assert frontend().check(tmp_path)
    (scripts / "bad.js").write_text("const = ;")
    assert frontend().check(tmp_path) is ("node is missing" in capsys.readouterr().out.splitlines()[-1])
