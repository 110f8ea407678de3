"""The reference pages are those of this code, and what the README shows works."""

import importlib.util
import json
import re
from pathlib import Path

import pytest

from unstuck.web.tmf.reader import read_order

ROOT = Path(__file__).resolve().parents[2]


def _pages() -> dict[str, str]:
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made: dict[str, str] = module.pages()
    return made


@pytest.mark.parametrize(
    "name", ["states.md", "events.md", "published-events.md", "settings.md", "commands.md", "refusals.md"]
)
def test_a_reference_page_is_what_the_code_says(name: str) -> None:
    written = (ROOT / "docs" / "reference" / name).read_text()
    assert written == _pages()[name], "run: python docs/generate.py"


def test_every_command_has_an_example() -> None:
    parts = re.split(r"^## ", _pages()["commands.md"], flags=re.M)[1:]
    assert [part.splitlines()[0] for part in parts if "Example:" not in part] == []


def test_links_in_the_readme_lead_somewhere() -> None:
    targets = re.findall(r"\]\(([^)#:]+)\)", (ROOT / "README.md").read_text())
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_the_example_order_is_one_that_intake_reads() -> None:
    draft = read_order((ROOT / "examples" / "fiber.json").read_bytes(), "readme")
    assert [item.offer for item in draft.items] == ["fiber-internet", "static-ip", "wifi-router"]
    assert json.loads((ROOT / "examples" / "fiber.json").read_text())["externalId"]


def test_no_file_is_longer_than_500_lines() -> None:
    files = [p for folder in ("src", "tests", "proof", "bench", "docs") for p in (ROOT / folder).rglob("*.py")]
    long = [str(p) for p in files if ".venv" not in p.parts and len(p.read_text().splitlines()) > 500]
    assert long == []
