"""Events out: sealed leaves become messages for each subscription, in order for each case and order, at least once.

A subscription's `kind` names its renderer: the one function that turns leaves into messages of that kind. To add a
kind, write a `Renderer` and give it to the relay in `app`. Everything else (reading leaves, order, signing, waiting,
dead letters) is the same for all kinds.

A receiver that answers nothing, 429 or 503 is *away*: its cursor stays, it is asked again later and later, and nothing
piles up. One that answers anything else but 2xx *refuses that message*: its stream is parked, the others go on. A
message refused too often is dead, and with it what comes after it in its stream, until a person has it sent again or
gives it up. Too many refusals in a row without one success are taken for a receiver that is away.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Protocol, Self
from uuid import UUID

import msgspec

from unstuck.connect.signature import sign
from unstuck.connect.webhook import Reply
from unstuck.fallout.published import About, Leaf, cloud_events, wanted
from unstuck.kernel.canonical import encode_trusted
from unstuck.service.ports import Ports
from unstuck.store import outbox as rows
from unstuck.store.outbox import Parked, Standing
from unstuck.store.unit import Unit

AWAY = (0, 429, 503)
WINDOW = 500  # leaves read in one batch
DUE_STREAMS, DUE_ROWS = 20, 200
PROBES = 5  # streams tried at a receiver that took nothing the last time
CLOUD_EVENT = "application/cloudevents+json; charset=utf-8"


class Patience(msgspec.Struct, frozen=True):
    """How often and how long: tries of one message, refusals in a row, seconds between tries (doubled each time)."""

    tries: int = 8
    refusals: int = 20
    first_s: float = 5.0
    longest_s: float = 3600.0
    away_first_s: float = 1.0
    away_longest_s: float = 300.0
    lease_s: float = 30.0


class Subscription(msgspec.Struct, frozen=True):
    """A receiver as the relay sees it. `types` are globs; `settings` belong to its kind."""

    id: UUID
    name: str
    kind: str
    url: str
    types: tuple[str, ...]
    settings: dict[str, Any]
    owner: str


class Message(msgspec.Struct, frozen=True):
    """One POST. `id` is the same at every delivery: receivers drop what they have seen.

    `path` is appended to the subscription's URL; `url` takes its place. Either is checked like every webhook.
    `confidential`: what the receiver answers is not kept, as it may repeat what it was sent.
    """

    id: str
    body: bytes
    content_type: str
    path: str = ""
    url: str = ""
    confidential: bool = False


class Renderer(Protocol):
    """Turns leaves into messages: one list for each leaf, in the same order; an empty list for what is not wanted.

    It may read (`ports.store.reading`) and must not write or call anybody. The messages of one leaf are sent in the
    order given, and all again when one of them could not be delivered.
    """

    async def __call__(
        self, ports: Ports, subscription: Subscription, leaves: Sequence[Leaf]
    ) -> list[list[Message]]: ...


Renderers = Mapping[str, Renderer]


class Claim(msgspec.Struct, frozen=True):
    """A receiver in our hands, and what there is for it: `fresh` leaves from the cursor on, `due` parked ones."""

    subscription: Subscription
    fence: UUID
    locked: tuple[bytes, ...]  # its secrets, as the database has them
    failures: int
    refusals: int
    end: int
    ahead: frozenset[int]
    fresh: list[Leaf]
    due: list[Leaf]
    tries: dict[int, int]
    parked: frozenset[UUID]


class Step(msgspec.Struct, frozen=True):
    """One leaf with its messages; `tries` counts earlier refusals, None when it is fresh."""

    leaf: Leaf
    messages: list[Message]
    tries: int | None = None


Lane = list[Step]  # the steps of one stream, in order


async def claim(ports: Ports, limit: int, patience: Patience) -> list[Claim]:
    """Take up to `limit` receivers that have something to get; nobody else sends to them until the lease is over."""
    if limit <= 0:
        return []
    async with ports.store.unit(ports.now()) as unit:
        lease = unit.now + timedelta(seconds=patience.lease_s)
        taken = await rows.claim(unit, ports.new_id(), lease, limit)
        return [await _claimed(ports, unit, row) for row in taken]


async def _claimed(ports: Ports, unit: Unit, row: Any) -> Claim:
    fresh = [leaf_of(r) for r in await rows.leaves(unit, row["next_leaf"], WINDOW)]
    tries = await rows.due(unit, row["id"], DUE_STREAMS, DUE_ROWS)
    due = [leaf_of(r) for r in await rows.leaves_again(unit, list(tries))] if tries else []
    return Claim(
        subscription=subscription_of(row),
        fence=row["fence"],
        locked=_locked(unit, row),
        failures=row["failures"],
        refusals=row["refusals"],
        end=fresh[-1].n + 1 if fresh else row["next_leaf"],
        ahead=frozenset(row["ahead"]),
        fresh=[leaf for leaf in fresh if leaf.n not in row["ahead"]],
        due=due,
        tries=tries,
        parked=await rows.parked(unit, row["id"], list({leaf.stream for leaf in fresh})),
    )


class Batch(msgspec.Struct, frozen=True):
    """What to send to a receiver: a lane for each stream; `behind` are leaves that must queue behind a parked one."""

    claim: Claim
    secrets: tuple[str, ...]
    lanes: list[Lane]
    behind: list[Leaf]

    @classmethod
    def unsent(cls, claim: Claim) -> Self:
        """A claim of which nothing could be made."""
        return cls(claim, (), [[Step(leaf, [])] for leaf in claim.fresh], [])


async def prepare(ports: Ports, renderers: Renderers, claim: Claim) -> Batch:
    """Make the messages of a claim. Raises when they cannot be made: its kind is unknown, its secret does not open."""
    subscription = claim.subscription
    if subscription.kind not in renderers:
        raise LookupError(f"nothing here makes messages of kind {subscription.kind}")
    render = renderers[subscription.kind]
    secrets = tuple(ports.outside.vault.unlock(locked, subscription.id).decode() for locked in claim.locked)
    lanes: dict[UUID, Lane] = {}
    for leaf, messages in zip(claim.due, await render(ports, subscription, claim.due), strict=True):
        lanes.setdefault(leaf.stream, []).append(Step(leaf, messages, claim.tries[leaf.n]))
    behind = []
    for leaf, messages in zip(claim.fresh, await render(ports, subscription, claim.fresh), strict=True):
        if messages and leaf.stream in claim.parked:
            behind.append(leaf)
        elif messages:
            lanes.setdefault(leaf.stream, []).append(Step(leaf, messages))
    return Batch(claim, secrets, list(lanes.values()), behind)


class Progress:
    """What became of a batch so far. Steps of one lane are told in their order; lanes may be told in any."""

    def __init__(self, claim: Claim, patience: Patience) -> None:
        self.done: list[Step] = []
        self.refused: dict[int, tuple[Step, Reply]] = {}
        self.away: Reply | None = None
        self._in_a_row, self._limit = claim.refusals, patience.refusals
        self._left = max(patience.refusals - claim.refusals, PROBES)

    def told(self, step: Step, reply: Reply) -> bool:
        """Take in what a receiver answered to a step; whether its lane goes on."""
        if taken(reply):
            self.done.append(step)
            self._in_a_row, self._left = 0, self._limit
            return True
        if reply.status in AWAY:
            self.away = self.away or reply
            return False
        self.refused[step.leaf.n] = (step, reply)
        self._in_a_row += 1
        self._left -= 1
        return False

    def broken(self, because: str) -> None:
        """Nothing can be sent for a reason of our own: the receiver waits as if it were away."""
        self.done, self.refused, self.away = [], {}, Reply(0, because)

    @property
    def in_a_row(self) -> int:
        """Refusals since the last success."""
        return self._in_a_row

    @property
    def hopeless(self) -> bool:
        """Whether the receiver is away, or refuses whatever it is sent: then no message is to blame."""
        return self.away is not None or self._in_a_row >= self._limit

    @property
    def enough(self) -> bool:
        """Whether to send no more of this batch. One that refused everything is still asked a few times each batch."""
        return self.away is not None or self._left <= 0


def taken(reply: Reply) -> bool:
    """Whether the receiver has the message."""
    return 200 <= reply.status < 300


async def settle(ports: Ports, batch: Batch, progress: Progress, patience: Patience) -> bool:
    """Record what became of a batch, in one transaction; False when another claim has taken the receiver since."""
    claim = batch.claim
    async with ports.store.unit(ports.now()) as unit:
        parked = [] if progress.hopeless else _parked(ports, unit, batch, progress, patience)
        standing = _standing(ports, unit, batch, progress, patience, {p.leaf for p in parked})
        done = [step.leaf.n for step in progress.done]
        again = [(step.leaf.n, step.leaf.stream) for step in progress.done if step.tries is not None]
        return await rows.settle(unit, claim.subscription.id, claim.fence, standing, parked, done, again)


def _parked(ports: Ports, unit: Unit, batch: Batch, progress: Progress, patience: Patience) -> list[Parked]:
    """What was refused, with its next try; and the fresh ones that must wait behind it."""
    out = [Parked(leaf.n, leaf.stream, "WAITING", 0, None, 0, "") for leaf in batch.behind]
    for lane in batch.lanes:
        stopped = False
        for step in lane:
            if step.leaf.n in progress.refused:
                stopped = True
                out.append(_refused(ports, unit, step, progress.refused[step.leaf.n][1], patience))
            elif stopped and step.tries is None:
                out.append(Parked(step.leaf.n, step.leaf.stream, "WAITING", 0, None, 0, ""))
    return out


def _refused(ports: Ports, unit: Unit, step: Step, reply: Reply, patience: Patience) -> Parked:
    tries = (step.tries or 0) + 1
    leaf = step.leaf
    if tries >= patience.tries:
        return Parked(leaf.n, leaf.stream, "DEAD", tries, None, reply.status, reply.because)
    wait = max(_backoff(tries, patience.first_s, patience.longest_s, ports.chance()), reply.wait_s)
    due = unit.now + timedelta(seconds=wait)
    return Parked(leaf.n, leaf.stream, "WAITING", tries, due, reply.status, reply.because)


def _standing(
    ports: Ports, unit: Unit, batch: Batch, progress: Progress, patience: Patience, placed: set[int]
) -> Standing:
    """The cursor goes up to the first leaf that is neither delivered nor parked; what is so beyond it is remembered."""
    claim, over = batch.claim, {step.leaf.n for step in progress.done} | placed
    fresh = {step.leaf.n for lane in batch.lanes for step in lane if step.tries is None}
    fresh |= {leaf.n for leaf in batch.behind}
    next_leaf = min(fresh - over, default=claim.end)
    ahead = sorted(n for n in (fresh & over) | claim.ahead if n > next_leaf)
    if not progress.hopeless:
        failures = 0 if progress.done else claim.failures
        return Standing(next_leaf, ahead, None, failures, progress.in_a_row, _words(progress))
    reply = progress.away or Reply(0, f"{progress.in_a_row} messages in a row were refused: {_words(progress)}")
    wait = max(
        _backoff(claim.failures + 1, patience.away_first_s, patience.away_longest_s, ports.chance()), reply.wait_s
    )
    because = f"HTTP {reply.status} {reply.because}" if reply.status else reply.because
    until = unit.now + timedelta(seconds=wait)
    return Standing(next_leaf, ahead, until, claim.failures + 1, progress.in_a_row, because)


def _words(progress: Progress) -> str:
    """The last refusal, for people."""
    if not progress.refused:
        return ""
    _, reply = list(progress.refused.values())[-1]
    return f"HTTP {reply.status} {reply.because}"


def _backoff(times: int, first_s: float, longest_s: float, chance: float) -> float:
    """Doubled each time, and spread, so that what failed together does not come back together."""
    return float(min(first_s * 2 ** min(times - 1, 30), longest_s)) * (0.5 + chance / 2)


def address_of(subscription: Subscription, message: Message) -> str:
    """Where a message goes."""
    return message.url or (subscription.url.rstrip("/") + message.path if message.path else subscription.url)


def headers_of(ports: Ports, batch: Batch, message: Message) -> dict[str, str]:
    """The headers of Standard Webhooks, signed with every secret in force."""
    now = ports.now()
    return {
        "Content-Type": message.content_type,
        "webhook-id": message.id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(sign(secret, message.id, now, message.body) for secret in batch.secrets),
    }


async def cloud_event_messages(ports: Ports, subscription: Subscription, leaves: Sequence[Leaf]) -> list[list[Message]]:
    """The renderer of kind `cloudevents`: each type that is wanted, structured JSON."""
    source = subscription.settings.get("source")
    return [
        [
            Message(event["id"], encode_trusted(event), CLOUD_EVENT)
            for event in cloud_events(leaf, ports.outside.origin)
            if wanted(subscription.types, event["type"]) and source in (None, leaf.about.source)
        ]
        for leaf in leaves
    ]


def leaf_of(row: Any) -> Leaf:
    """The leaf a row holds."""
    about = About(**{name: row[name] for name in About.__struct_fields__})
    data = msgspec.json.decode(row["data"])
    return Leaf(row["n"], row["stream"], row["seq"], row["at"], row["type"], row["v"], row["by"], data, about)


def subscription_of(row: Any) -> Subscription:
    """The subscription a row holds."""
    plain = {name: row[name] for name in ("id", "name", "kind", "url", "owner")}
    return Subscription(**plain, types=tuple(row["types"]), settings=msgspec.json.decode(row["settings"]))


def _locked(unit: Unit, row: Any) -> tuple[bytes, ...]:
    """The secrets in force: the newest first, and beside it the one before for as long as it still counts."""
    old = row["old_until"] is not None and row["old_until"] > unit.now
    return (row["secret"], row["old_secret"]) if old else (row["secret"],)
