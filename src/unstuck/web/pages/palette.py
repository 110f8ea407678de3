"""What the palette is given for what was typed: lists that are called so and what was found, each as a row in words."""

from collections.abc import Iterator
from typing import Any

import msgspec

from unstuck.kernel.actor import Actor
from unstuck.policy.grant import may
from unstuck.policy.pack import Pack
from unstuck.service.looks.queue_views import VIEWS
from unstuck.service.looks.search import Found, Group, Hit
from unstuck.web.pages.texts import text, word
from unstuck.web.pages.triage.queue_parts import titles

PLACES = {"order": "/orders/", "case": "/cases/"}


class Place(msgspec.Struct, frozen=True):
    """A list to go to."""

    name: str
    said: str
    href: str


def rows(found: Found, who: Actor, pack: Pack) -> dict[str, Any]:
    """The answer to a search, each hit with where it leads and what it says, behind the lists that are called so."""
    places = tuple(_called(found.q, pack)) if found.q and may(who, "case.read", pack) else ()
    return {
        "q": found.q,
        "places": places,
        "groups": tuple(map(_group, found.groups)),
        "looked_at": found.looked_at,
    }


def _called(wanted: str, pack: Pack) -> Iterator[Place]:
    """Views and queues whose name, or whose code, holds every word."""
    words = wanted.lower().split()
    views = (Place(word("queue.view", name), text("palette.view"), f"/queue?view={name}") for name in VIEWS)
    queues = (
        Place(title, text("palette.queue", code=name), f"/queue?view=open&queue={name}")
        for name, title in sorted(titles(pack).items())
    )
    for place in (*views, *queues):
        if all(part in f"{place.name} {place.said}".lower() for part in words):
            yield place


def _group(group: Group) -> dict[str, Any]:
    return {"name": group.name, "hits": tuple(map(_hit, group.hits)), "more": group.more}


def _hit(hit: Hit) -> dict[str, Any]:
    said = text("palette.found", state=word("state", hit.state), why=text(f"search.by_{hit.why}"))
    return {**msgspec.structs.asdict(hit), "said": said, "href": PLACES[hit.kind] + hit.name}
