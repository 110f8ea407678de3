"""The catalogue of the pages: every key is there, every key is used, and no English stands anywhere else."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from string import Formatter

import jinja2
import pytest
from jinja2 import nodes

from unstuck.fallout import events as of_cases
from unstuck.fallout.lifecycle import CaseState
from unstuck.order import events as of_orders
from unstuck.order.lifecycle import ItemState, OrderState, TaskState
from unstuck.web.pages import marks, texts

PAGES = Path(str(files("unstuck.web.pages")))
TEMPLATES = sorted((PAGES / "templates").rglob("*.html"))
SCRIPTS = sorted((PAGES / "static" / "js").glob("*.js"))
STATES = sorted({state.value for states in (CaseState, OrderState, ItemState, TaskState) for state in states})
# Said to people; what is in other attributes is for programs.
SAID = ("title", "aria-label", "placeholder", "alt", "data-label", "aria-description", "aria-placeholder", "summary")
LETTERS = re.compile(r"[^\W\d_]{2,}")
ATTRIBUTE = re.compile(r"""[\w:-]+=("[^"]*"|'[^']*')""")
HOLE = "§"  # where a template puts something in


class Asked:
    """What a piece of code asks of the catalogue: whole keys with the values it gives, and beginnings of keys."""

    def __init__(self) -> None:
        self.whole: list[tuple[str, set[str] | None, str]] = []
        self.begun: set[str] = set()

    def add(self, key: str | None, begun: str, given: set[str] | None, where: str) -> None:
        if key is not None:
            self.whole.append((key, given, where))
        elif begun:
            self.begun.add(begun)


@cache
def catalogue() -> dict[str, str]:
    return dict(texts._catalogue())


@cache
def asked() -> Asked:
    found = Asked()
    for path in TEMPLATES:
        for call in parsed(path).find_all(nodes.Call):
            of_template(found, call, path.name)
    for path in sorted(PAGES.rglob("*.py")):
        for one in ast.walk(ast.parse(path.read_text())):
            if isinstance(one, ast.Call):
                of_module(found, one, path.name)
    return found


def parsed(path: Path) -> nodes.Template:
    return jinja2.Environment().parse(path.read_text())


def of_template(found: Asked, call: nodes.Call, where: str) -> None:
    name = call.node.name if isinstance(call.node, nodes.Name) else ""
    if name in ("t", "has_text") and call.args:
        given = None if name == "has_text" or call.dyn_kwargs else {one.key for one in call.kwargs}
        for choice in choices(call.args[0]):
            key, begun = begins(choice)
            found.add(key if name == "t" else None, begun or key or "", given, where)
    elif name == "word":
        kind, _ = begins(call.args[0])
        found.begun.add(f"{kind}.")


def choices(node: nodes.Node | None) -> list[nodes.Node]:
    """What an expression may be: both sides of a choice."""
    if isinstance(node, nodes.CondExpr):
        return choices(node.expr1) + choices(node.expr2)
    return [] if node is None else [node]


def begins(node: nodes.Node) -> tuple[str | None, str]:
    """The whole key when it is written out, else how it begins."""
    if isinstance(node, nodes.Const):
        return str(node.value), ""
    first = node.nodes[0] if isinstance(node, nodes.Concat) else node.left if isinstance(node, nodes.Add) else None
    return None, str(first.value) if isinstance(first, nodes.Const) else ""


def of_module(found: Asked, call: ast.Call, where: str) -> None:
    name = getattr(call.func, "id", "")
    if isinstance(call.func, ast.Attribute) and getattr(call.func.value, "id", "") == "texts":
        name = call.func.attr
    if name not in ("text", "has", "word") or not call.args:
        return
    first = call.args[0]
    if isinstance(first, ast.Constant) and isinstance(first.value, str):
        given = None if any(one.arg is None for one in call.keywords) else {str(one.arg) for one in call.keywords}
        if name == "text":
            found.add(first.value, "", given, where)
        else:
            found.begun.add(f"{first.value}." if name == "word" else first.value)
    elif isinstance(first, ast.JoinedStr) and isinstance(first.values[0], ast.Constant):
        found.begun.add(str(first.values[0].value))


def forms(key: str) -> list[str]:
    """The texts that `key` may become: itself, or one for each number."""
    return [name for name in (key, f"{key}.one", f"{key}.other") if name in catalogue()]


def test_every_text_that_is_asked_for_is_there() -> None:
    missing = [f"{where}: {key}" for key, _, where in asked().whole if not forms(key)]
    missing += [f"…: {begun}…" for begun in asked().begun if not any(key.startswith(begun) for key in catalogue())]
    assert missing == []


def test_every_text_gets_the_values_it_names() -> None:
    short = [
        f"{where}: {name} needs {sorted(wanted)}"
        for key, given, where in asked().whole
        for name in forms(key)
        if given is not None and (wanted := holes(catalogue()[name]) - given)
    ]
    assert short == []


def holes(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def test_every_text_is_used() -> None:
    whole = {name for key, _, _ in asked().whole for name in forms(key)}
    written = {
        str(one.value)
        for path in PAGES.rglob("*.py")
        for one in ast.walk(ast.parse(path.read_text()))
        if isinstance(one, ast.Constant)
    }  # keys in tables of a module
    begun = tuple(asked().begun) + tuple(f"{key}." for key in written if "." in key)
    unused = [key for key in catalogue() if key not in whole | written and not key.startswith(begun)]
    assert unused == []


def test_what_is_said_after_something_was_done_needs_no_values() -> None:
    """The name comes from the address: what it picks must be sayable by itself."""
    assert [key for key, text in catalogue().items() if key.startswith("done.") and holes(text)] == []


@pytest.mark.parametrize("state", STATES)
def test_every_state_has_a_word_and_a_look(state: str) -> None:
    assert texts.has(f"state.{state}")
    assert marks.mark(state) is not marks.PLAIN


def test_every_state_with_a_look_is_a_state() -> None:
    assert sorted(marks._MARKS) == STATES


def test_only_an_unknown_outcome_looks_unknown() -> None:
    assert [state for state in STATES if marks.mark(state).tone == "unknown"] == ["UNKNOWN"]
    assert [state for state in STATES if marks.mark(state).sign == "unknown"] == ["UNKNOWN"]


def test_no_two_states_of_one_life_cycle_have_the_same_word() -> None:
    """Colour and sign may be shared; what is read never is."""
    for states in (CaseState, OrderState, ItemState, TaskState):
        assert len({texts.word("state", state) for state in states}) == len(states)


def test_every_event_has_a_word() -> None:
    for event in (*of_cases.ALL, *of_orders.ALL):
        assert texts.has(f"event.{event.name}"), event.name


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_templates_hold_no_english(path: Path) -> None:
    seen = Seen()
    seen.feed(stitched(path))
    assert [text for text in seen.texts if LETTERS.search(ATTRIBUTE.sub("", text))] == []


def stitched(path: Path) -> str:
    """The text of a template as a browser might get it: what is put in is a hole, what is decided is nothing."""
    out, depth = [], 0
    for _, kind, value in jinja2.Environment().lex(path.read_text()):
        if kind in ("variable_begin", "block_begin"):
            depth += 1
            out.append(HOLE if kind == "variable_begin" else "")
        elif kind in ("variable_end", "block_end"):
            depth -= 1
        elif kind == "data" and not depth:
            out.append(value)
    return "".join(out)


class Seen(HTMLParser):
    """What people read: texts, and the attributes that are said to them. Names of keys are no English."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self._inside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside.append(tag)
        self.texts += [value for name, value in attrs if name in SAID and value]
        if tag == "input":
            self._inside.pop()
            kinds = dict(attrs)
            self.texts += [kinds["value"] or ""] if kinds.get("type") in ("submit", "button") else []

    def handle_endtag(self, tag: str) -> None:
        while tag in self._inside and self._inside.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if "kbd" not in self._inside:
            self.texts.append(data)


@pytest.mark.parametrize("path", [p for p in TEMPLATES if p.name != "kit.html"], ids=lambda path: path.name)
def test_templates_put_in_no_english(path: Path) -> None:
    """A sentence as an argument is a sentence too."""
    assert [text for text in sentences(parsed(path)) if LETTERS.search(text)] == []


def sentences(tree: nodes.Template) -> Iterator[str]:
    for one in tree.find_all(nodes.Const):
        if isinstance(one.value, str) and re.search(r"[A-Z][a-z]+ [a-z]", one.value):
            yield one.value


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_hold_no_english(path: Path) -> None:
    code = re.sub(r"(?m)(^|\s)//.*$|/\*.*?\*/", "", path.read_text())
    said = re.findall(r"""(["'`])((?:(?!\1).)*[A-Z][a-z]+ [a-z](?:(?!\1).)*)\1""", code)
    assert [text for _, text in said] == []
