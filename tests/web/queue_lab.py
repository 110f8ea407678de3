"""The triage queue as a person without JavaScript meets it: its rows, chips and links, read out of the page."""

from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlencode

import msgspec
from web_lab import Answer, House

VOID = {"meta", "link", "input", "br", "hr", "use", "rect", "path", "circle", "line"}


class Node:
    """An element with what is in it."""

    def __init__(self, tag: str, attributes: dict[str, str], parent: "Node | None") -> None:
        self.tag, self.attributes, self.parent = tag, attributes, parent
        self.inside: list[Node | str] = []

    @property
    def text(self) -> str:
        parts = (part if isinstance(part, str) else part.text for part in self.inside)
        return " ".join("".join(parts).split())

    def all(self, tag: str = "", **wanted: str) -> "list[Node]":
        """Everything inside with this tag and these attributes (`cls` is one of its classes)."""
        out = []
        for part in self.inside:
            if isinstance(part, Node):
                if part.fits(tag, wanted):
                    out.append(part)
                out += part.all(tag, **wanted)
        return out

    def one(self, tag: str = "", **wanted: str) -> "Node":
        found = self.all(tag, **wanted)
        assert len(found) == 1, (tag, wanted, len(found))
        return found[0]

    def fits(self, tag: str, wanted: dict[str, str]) -> bool:
        if tag and self.tag != tag:
            return False
        classes = self.attributes.get("class", "").split()
        return all(v in classes if k == "cls" else self.attributes.get(k) == v for k, v in wanted.items())


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.root = self.here = Node("", {}, None)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        node = Node(tag, {name: value or "" for name, value in attrs}, self.here)
        self.here.inside.append(node)
        if tag not in VOID:
            self.here = node

    def handle_endtag(self, tag: str) -> None:
        node: Node | None = self.here
        while node is not None and node.tag != tag:
            node = node.parent
        if node is not None and node.parent is not None:
            self.here = node.parent

    def handle_data(self, data: str) -> None:
        self.here.inside.append(data)


def parse(text: str) -> Node:
    """A page, or a part of one."""
    reader = _Reader()
    reader.feed(text)
    return reader.root


class Seen(msgspec.Struct):
    """A page of the queue."""

    answer: Answer
    root: Any

    @property
    def names(self) -> list[str]:
        """The cases shown, from top to bottom."""
        return [row.attributes["data-case"] for row in self.root.all("tr") if "data-case" in row.attributes]

    @property
    def chips(self) -> dict[str, str]:
        """What the chips say is in each list."""
        found = self.root.one(id="queue-chips").all("a")
        return {chip.one(cls="chip-text").text: chip.one(cls="chip-count").text for chip in found}

    @property
    def main(self) -> str:
        return str(self.root.one("main").text)

    @property
    def notices(self) -> list[str]:
        return [notice.text for notice in self.root.all(cls="notice")]

    def row(self, name: str) -> Node:
        return self.root.one(id=f"case-{name}")

    def cell(self, name: str, label: str) -> str:
        return str(
            next(
                c for c in self.row(name).inside if isinstance(c, Node) and c.attributes.get("data-label") == label
            ).text
        )

    def link(self, text: str) -> str:
        """Where the link that begins with this text leads; empty without one."""
        return next((a.attributes["href"] for a in self.root.all("a") if a.text.startswith(text)), "")

    @property
    def form(self) -> dict[str, Any]:
        """The hidden fields of the form over the rows."""
        form = self.root.one(id="queue-form")
        return {i.attributes["name"]: i.attributes["value"] for i in form.all("input", type="hidden")}

    def version(self, name: str) -> str:
        return str(self.row(name).one("input", name="case").attributes["value"])


async def queue(house: House, at: str = "", *, who: str = "repair-agent", status: int = 200, **query: str) -> Seen:
    """The queue, or the page of it that a link leads to."""
    answer = await house.call("GET", at or f"/queue?{urlencode(query)}", who=who)
    assert answer.status == status, answer.raw.decode()
    return Seen(answer, parse(answer.raw.decode()))


async def send(
    house: House, action: str, fields: list[tuple[str, str]], *, who: str = "repair-agent", at: str = ""
) -> Answer:
    """The form over the rows, with the button `action` pressed."""
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return await house.call(
        "POST", f"/queue/do/{action}{at}", data=urlencode(fields).encode(), who=who, headers=headers
    )


async def stopped(house: House, operation: str, *replies: Any, items: Any, **more: Any) -> str:
    """An order that stops at `operation`: the number of its case."""
    order = await house.place(*items, **more)
    house.targets.will(order["relatedParty"][0]["id"], operation, *replies)
    await house.work()
    return str((await house.case_of(order["id"]))["number"])
