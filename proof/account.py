"""The reckoning: what was acknowledged against what the public API shows, what the receiver got, what the stream said."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from proof.listening import Heard, Listener, Receiver, everything
from proof.traffic import EVENTS, NDJSON, SOURCES, Sent, written

STILL_FOR_S = 90.0
AT_ONCE = 300
SHOWN = 5


@dataclass
class Account:
    """What does not add up, by kind; each names what it is about."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    undelivered: list[str] = field(default_factory=list)
    out_of_order: list[str] = field(default_factory=list)
    unheard: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    settled_in_s: float = 0.0

    @property
    def ok(self) -> bool:
        return not any(self.kinds().values())

    def kinds(self) -> dict[str, list[str]]:
        """Everything that may not be."""
        return {
            "lost": self.lost, "doubled": self.doubled, "undelivered": self.undelivered,
            "out_of_order": self.out_of_order, "unheard": self.unheard, "wrong": self.wrong,
        }  # fmt: skip

    def offenders(self) -> dict[str, list[str]]:
        """The first few of each."""
        return {name: found[:SHOWN] for name, found in self.kinds().items() if found}


class Api:
    """The public API as an auditor of the proof reads it; the product is whole again, so every answer is a 2xx."""

    def __init__(self, url: str, tokens: dict[str, str]) -> None:
        self._url, self._tokens = url, tokens
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60))

    async def close(self) -> None:
        await self._session.close()

    async def get(self, path: str, role: str = "engineer") -> Any:
        """What is there; None when there is nothing."""
        return (await self._call("GET", path, role))[1]

    async def post(self, path: str, role: str, data: bytes, media: str = "application/json", version: int = 0) -> Any:
        """What is answered."""
        match = {"If-Match": f'"{version}"'} if version else {}
        return (await self._call("POST", path, role, data, {"Content-Type": media, **match}))[1]

    async def _call(
        self, method: str, path: str, role: str, data: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        sent = {"Authorization": f"Bearer {self._tokens[role]}", **(headers or {})}
        async with self._session.request(method, self._url + path, data=data, headers=sent) as answer:
            if answer.status == 404:
                return 404, None
            said = await answer.json(content_type=None)
            if answer.status >= 300:
                raise RuntimeError(f"{method} {path}: {answer.status} {said}")
            return answer.status, said


async def settle(api: Api, subscription: str, listener: Listener, account: Account) -> int:
    """Wait until receiver and listener have everything that is sealed, and nothing new is sealed; how many leaves.

    However long that takes, as long as something moves.
    """
    began = moved = time.monotonic()
    seen: tuple[Any, ...] = ()
    while True:
        view = await api.get(f"/api/v1/subscriptions/{subscription}", "admin")
        size = view["next_leaf"] + view["behind"]
        level = view["behind"] == view["waiting"] == view["dead"] == 0
        now = (size, view["next_leaf"], view["delivered"], listener.last)
        if level and now == seen and listener.last == str(size - 1):
            break
        if now != seen:
            moved = time.monotonic()
        if time.monotonic() - moved > STILL_FOR_S:
            account.wrong.append(f"not settled: {view}, the listener is at {listener.last}")
            break
        seen = now
        await asyncio.sleep(1.0)  # longer than what is committed takes to be sealed
    account.settled_in_s = round(time.monotonic() - began, 1)
    return int(size)


async def reckon(
    api: Api, url: str, tokens: dict[str, str], sent: Sent, receiver: Receiver, listener: Listener, account: Account,
    size: int,
) -> None:  # fmt: skip
    """Compare. Nothing here looks into our tables."""
    account.wrong += [*sent.wrong, *listener.wrong]
    if receiver.heard.unsigned:
        account.wrong.append(f"{receiver.heard.unsigned} messages without a good signature")
    await _known_again(api, sent, account)
    await _one_case_each(api, sent, account)
    await _orders_there(api, sent, account)
    whole = await everything(url, tokens["engineer"], size)
    _delivered(sent, receiver.heard, whole, account)
    _heard(listener.heard, whole, account)


async def _known_again(api: Api, sent: Sent, account: Account) -> None:
    """Every acknowledged event is known when it is sent again, and under the very case that was named."""
    everything_sent = list(sent.failures.values())
    for start in range(0, len(everything_sent), AT_ONCE):
        part = everything_sent[start : start + AT_ONCE]
        body, _ = written("lines", [one for one, _ in part])
        results = (await api.post(EVENTS, "integration", body, NDJSON))["results"]
        for (one, case), result in zip(part, results, strict=True):
            if result.get("was") != "known":
                account.lost.append(f"{one.id}: acknowledged, and {result.get('was')} when sent again")
            elif result["case"] != case or result.get("body_differs"):
                account.wrong.append(f"{one.id}: filed under {case}, known under {result}")


async def _one_case_each(api: Api, sent: Sent, account: Account) -> None:
    """What belongs together is one case, what does not is another; and there are no more cases than that."""
    cases: dict[tuple[str, ...], set[str]] = {}
    for one, case in sent.failures.values():
        cases.setdefault(one.group, set()).add(case)
    account.doubled += [f"{group}: {sorted(found)}" for group, found in cases.items() if len(found) > 1]
    named = {case for found in cases.values() for case in found}
    if len(named) < len(cases):
        account.wrong.append(f"{len(cases)} things that stand still share {len(named)} cases")
    there = await _listed(api)
    account.lost += [f"case {case} is not in the list" for case in named - there]
    account.doubled += [f"case {case} is nobody's" for case in there - named]


async def _listed(api: Api) -> set[str]:
    found: set[str] = set()
    after = ""
    while True:
        more = f"&after={after}" if after else ""
        page = await api.get(f"/api/v1/fallout-cases?source={','.join(SOURCES)}&fields=id&sort=number&limit=500{more}")
        found |= {row["id"] for row in page["cases"]}
        if not (after := page.get("next") or ""):
            return found


async def _orders_there(api: Api, sent: Sent, account: Account) -> None:
    for name, id in sent.orders.items():
        shown = await api.get(f"/api/v1/orders/{id}")
        if shown is None or shown["external_id"] != name:
            account.lost.append(f"order {name}: acknowledged as {id}, now {shown and shown['external_id']}")


def _delivered(sent: Sent, received: Heard, whole: dict[str, dict[str, Any]], account: Account) -> None:
    """Each acknowledged event reached the receiver, for its case; each stream in its order, and without a gap."""
    account.undelivered += [f"{id} ({event['type']})" for id, event in whole.items() if id not in received.events]
    told: dict[str, list[str]] = {}
    for event in received.events.values():
        data = event["data"]
        if "sourceEventId" in data:
            told.setdefault(f"{data['sourceSystem']}/{data['sourceEventId']}", []).append(event["subject"])
    for id, (_, case) in sent.failures.items():
        if case not in told.get(id, ()):
            account.undelivered.append(f"failure {id} of case {case}")
        elif len(told[id]) > 1:
            account.doubled.append(f"failure {id} is told of {told[id]}")
    subjects = {event["subject"] for event in received.events.values()}
    account.undelivered += [f"order {name}" for name, id in sent.orders.items() if id not in subjects]
    for stream, events in received.by_stream().items():
        if not _in_order(events):
            account.out_of_order.append(f"{stream}: {[_seq(event) for event in events]}")


def _heard(live: Heard, whole: dict[str, dict[str, Any]], account: Account) -> None:
    """The listener has each leaf from its first on, once, in the order of the leaves."""
    sequences = [event["sequence"] for event in live.events.values()]
    if sequences != sorted(sequences):
        account.out_of_order.append("the stream went back")
    first = min(sequences, default="")
    account.unheard += [id for id, event in whole.items() if event["sequence"] >= first and id not in live.events]
    account.wrong += [f"{id} was only ever on the stream" for id in live.events if id not in whole and first > "0" * 20]


def _in_order(events: Sequence[dict[str, Any]]) -> bool:
    """Dense from 1 in the order of arrival; several types of one leaf share its number."""
    seqs = [_seq(event) for event in events]
    return seqs == sorted(seqs) and set(seqs) == set(range(1, max(seqs) + 1))


def _seq(event: dict[str, Any]) -> int:
    return int(event["id"][len(event["subject"]) + 1 :].partition("-")[0])
