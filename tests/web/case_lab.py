"""One person at the page of one case, without JavaScript: reads it, fills its forms as a browser would, presses buttons."""

import re
from collections.abc import Mapping
from html import unescape
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlencode

from desk_lab import Desk
from web_lab import TOKENS, Answer, House

URLENCODED = "application/x-www-form-urlencoded"


class Page(HTMLParser):
    """What a page says and the forms it has, as a browser without scripts knows them."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer, self.status = answer, answer.status
        self.html = answer.raw.decode()
        self.forms: list[dict[str, Any]] = []
        self.ids: set[str] = set()
        self._text: list[str] = []
        self._area = ""
        self._choosing: str = ""
        self.feed(self.html)
        self.text = re.sub(r"\s+", " ", " ".join(self._text))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if "id" in given:
            assert given["id"] not in self.ids, f"the id {given['id']} stands twice"
            self.ids.add(given["id"])
        if tag == "form":
            self.forms.append(
                {
                    "action": given.get("action", ""),
                    "enctype": given.get("enctype", ""),
                    "fields": [],
                    "names": set(),
                    "buttons": [],
                }
            )
        if not self.forms:
            return
        form = self.forms[-1]
        if tag in ("input", "select", "textarea") and given.get("name"):
            form["names"].add(given["name"])
        if tag == "input" and given.get("name") and "disabled" not in given:
            kind = given.get("type", "text")
            if kind not in ("checkbox", "radio", "file") or "checked" in given:
                form["fields"].append((given["name"], given.get("value", "on")))
        if tag == "select":
            self._choosing = given["name"]
        if tag == "option" and self._choosing and "selected" in given:
            form["fields"].append((self._choosing, given["value"]))
        if tag == "textarea":
            self._area = given["name"]
            form["fields"].append((self._area, ""))
        if tag == "button":
            form["buttons"].append(given)

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            self._area = ""
        if tag == "select":
            self._choosing = ""

    def handle_data(self, data: str) -> None:
        if self._area:
            name, before = self.forms[-1]["fields"][-1]
            self.forms[-1]["fields"][-1] = (name, before + data.removeprefix("\n"))
        self._text.append(data)

    def form(self, about: str) -> dict[str, Any]:
        """The one form that is sent to an address with `about` in it."""
        found = [form for form in self.forms if about in form["action"]]
        assert len(found) == 1, [form["action"] for form in self.forms]
        return found[0]

    def part(self, id: str) -> str:
        """The markup of a section by its id, up to its end."""
        begin = self.html.index(f'id="{id}"')
        return self.html[begin : self.html.find("</section>", begin)]


class Seat:
    """A person of one role at one case."""

    def __init__(self, house: House, number: str, who: str = "engineer") -> None:
        self.house, self.number, self.who = house, number, who
        self.at = f"/cases/{number}"

    @classmethod
    async def of(cls, desk: Desk, who: str = "engineer") -> "Seat":
        return cls(desk.house, (await desk.view())["number"], who)

    async def look(self, path: str = "", who: str = "") -> Page:
        answer = await self.house.call("GET", path or self.at, who=who or self.who)
        return Page(answer)

    async def opened(self, action: str) -> Page:
        return await self.look(f"{self.at}/do/{action}")

    async def send(
        self, page: Page, about: str, typed: Mapping[str, str] | None = None, *, to: str = "", who: str = ""
    ) -> Answer:
        """Press the button of a form: what it holds, with what was typed over it."""
        form = page.form(about)
        typed = dict(typed or {})
        fields = [(name, value) for name, value in form["fields"] if name not in typed]
        fields += list(typed.items())
        return await self.post(to or form["action"], fields, who=who)

    async def post(self, path: str, fields: Any, *, who: str = "", **headers: str) -> Answer:
        sent = {"Content-Type": URLENCODED, "Authorization": f"Bearer {TOKENS[who or self.who]}", **headers}
        data = urlencode(fields, doseq=True).encode()
        return await self.house.call("POST", path, who=None, data=data, headers=sent)

    async def does(self, action: str, typed: Mapping[str, str] | None = None) -> Page:
        """Open the form of an action, fill it, send it, and go where the answer leads."""
        answer = await self.send(await self.opened(action), f"/do/{action}", typed)
        assert answer.status == 303, Page(answer).text[:3000]
        return await self.look(answer.headers["Location"])


def words(markup: str) -> str:
    """The text of some markup."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", markup))).strip()
