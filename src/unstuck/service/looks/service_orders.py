"""Orders as TM Forum is told of them: everything a projection reads, of many orders at once, in one consistent view."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from msgspec.structs import replace

from unstuck.fallout.lifecycle import CASE_IS_RESOLVED, CaseState
from unstuck.kernel.refusal import Invalid, Missing
from unstuck.kernel.strict import NOT_JSON
from unstuck.order.lifecycle import ItemState, OrderState, TaskState
from unstuck.order.plan import OrderDraft
from unstuck.order.tmf import all_waits
from unstuck.service.messages import messages
from unstuck.service.ports import Ports
from unstuck.store.listing import service_orders as store
from unstuck.store.listing.service_orders import Found
from unstuck.store.unit import Unit

WAITS_FOR_OTHERS = (
    CaseState.WAITING_CUSTOMER,
    CaseState.WAITING_PARTNER,
    CaseState.WAITING_VENDOR,
    CaseState.WAITING_FIELD,
)
CHANNEL = "tmf641"
WALK_LIMIT = 10_000
CHUNK = 200


class ToldTask(msgspec.Struct, frozen=True):
    """One task, by its names in the plan."""

    no: int
    key: str
    type: str
    target: str
    item: str
    state: TaskState
    since: datetime | None


class ToldCase(msgspec.Struct, frozen=True):
    """What a projection reads of a case."""

    id: UUID
    state: CaseState
    item: str
    step: str
    reason: str
    system: str
    code: str
    raw_code: str
    raw_message: str
    recoverability: str
    resolution: str
    detected_at: datetime

    @property
    def is_open(self) -> bool:
        """Whether it still stands for something that is not resolved."""
        return self.state not in CASE_IS_RESOLVED


class Late(msgspec.Struct, frozen=True):
    """An alert that a task is later than expected."""

    seq: int
    at: datetime
    task: int


class Told(msgspec.Struct):
    """One order. `came` is what its sender said, `words` what was added since, both as they said it."""

    id: UUID
    number: int
    external_id: str
    source: str
    state: OrderState
    version: int
    item_states: list[ItemState]
    received_at: datetime
    promised_at: datetime | None
    finished_at: datetime | None
    draft: OrderDraft
    came: dict[str, Any]
    words: dict[str, Any]
    tasks: list[ToldTask] = []
    cases: list[ToldCase] = []
    late: list[Late] = []

    @property
    def waits(self) -> bool:
        """Whether all that remains of it waits for others."""
        waiting = waiting_steps((case.step, case.state) for case in self.cases if case.is_open)
        return all_waits(((task.key, task.state) for task in self.tasks), waiting)

    @property
    def failed(self) -> set[int]:
        """The items that ended for good because nothing could be done."""
        ended = {c.item for c in self.cases if c.resolution == "cancel" and c.recoverability == "terminal"}
        return {number for number, item in enumerate(self.draft.items) if item.id in ended}


def waiting_steps(cases: Any) -> set[str]:
    """The steps whose every open case waits for others; `cases` are pairs of step and state."""
    states: dict[str, set[str]] = defaultdict(set)
    for step, state in cases:
        states[step].add(state)
    return {step for step, of_step in states.items() if of_step <= set(WAITS_FOR_OTHERS)}


class Page(msgspec.Struct):
    """A page of orders, and how many fit in all."""

    orders: list[Told]
    total: int


Match = Callable[[Told], bool]
Key = Callable[[Told], Any]


async def told(ports: Ports, order_id: UUID, seen_by: str) -> Told:
    """One order; Missing when there is none. Who sent it is shown all of it, anybody else what is not sensitive."""
    found = await many(ports, [order_id], seen_by)
    if not found:
        raise Missing(f"order {order_id}")
    return found[0]


async def many(ports: Ports, ids: Sequence[UUID], seen_by: str) -> list[Told]:
    """These orders, in this order."""
    async with ports.store.reading(ports.now()) as unit:
        return await _shown(ports, unit, ids, seen_by)


async def page(ports: Ports, wanted: Found, offset: int, limit: int, seen_by: str) -> Page:
    """A page of what the columns alone decide."""
    async with ports.store.reading(ports.now()) as unit:
        waits = await _waiting(ports, unit, wanted)
        ids = await store.found(unit, wanted, waits, offset, limit)
        return Page(await _shown(ports, unit, ids, seen_by), await store.counted(unit, wanted, waits))


async def walk(
    ports: Ports, wanted: Found, match: Match, key: Key | None, offset: int, limit: int, seen_by: str
) -> Page:
    """A page of what must be read to be decided: at most WALK_LIMIT orders, else Invalid says how to ask for less.

    It is decided by what is shown, so nobody finds an order by a value that is hidden from them.
    """
    async with ports.store.reading(ports.now()) as unit:
        waits = await _waiting(ports, unit, wanted)
        ids = await store.found(unit, wanted, waits, 0, WALK_LIMIT + 1)
        if len(ids) > WALK_LIMIT:
            because = (
                f"more than {WALK_LIMIT} orders would have to be read for this filter or sort; narrow it by state,"
                " externalId, orderDate, completionDate or relatedParty.id"
            )
            raise Invalid(because)
        fit: list[tuple[Any, UUID]] = []
        for start in range(0, len(ids), CHUNK):
            chunk = await _shown(ports, unit, ids[start : start + CHUNK], seen_by)
            fit += [(key(one) if key else None, one.id) for one in chunk if match(one)]
        if key:
            fit.sort(key=lambda pair: pair[0])
        wanted_ids = [id for _, id in fit[offset : offset + limit]]
        return Page(await _shown(ports, unit, wanted_ids, seen_by), len(fit))


class Rejected(msgspec.Struct, frozen=True):
    """What was sent as an order and not taken: when, with which answer and why."""

    id: UUID
    at: datetime
    answer: int
    because: str


async def rejected(ports: Ports, id: UUID) -> Rejected | None:
    """What TM Forum's intake refused under this id."""
    async with ports.store.reading(ports.now()) as unit:
        row = await store.refused(unit, id, CHANNEL)
    return Rejected(**row) if row else None


class Cancellation(msgspec.Struct, frozen=True):
    """A request to cancel an order, as it came, and what it led to: cancelled, kept or impossible."""

    id: UUID
    order_id: UUID
    at: datetime
    outcome: str
    because: str
    body: bytes


async def cancellation(ports: Ports, id: UUID) -> Cancellation:
    """One request to cancel."""
    async with ports.store.reading(ports.now()) as unit:
        row = await store.cancellation(unit, id)
    if row is None:
        raise Missing(f"cancelServiceOrder {id}")
    return Cancellation(**row)


async def cancellations(
    ports: Ports, of_orders: Sequence[UUID] | None, offset: int, limit: int
) -> tuple[list[Cancellation], int]:
    """A page of requests to cancel, newest first, and how many there are."""
    async with ports.store.reading(ports.now()) as unit:
        rows, total = await store.cancellations(unit, of_orders, offset, limit)
        return [Cancellation(**row) for row in rows], total


async def all_cancellations(ports: Ports, of_orders: Sequence[UUID] | None) -> tuple[list[Cancellation], int]:
    """Every request to cancel, to be looked through; Invalid when they are too many for that."""
    rows, total = await cancellations(ports, of_orders, 0, WALK_LIMIT)
    if total > WALK_LIMIT:
        raise Invalid(f"more than {WALK_LIMIT} requests would have to be read; narrow it by serviceOrder.id")
    return rows, total


async def _waiting(ports: Ports, unit: Unit, wanted: Found) -> list[UUID]:
    """Which orders wait for others, when the search asks for that."""
    if not any({"inProgress", "pending"} & set(states) for states in wanted.states):
        return []
    candidates = await store.may_wait(unit, WAITS_FOR_OTHERS, WALK_LIMIT + 1)
    if len(candidates) > WALK_LIMIT:
        raise Invalid(f"more than {WALK_LIMIT} orders may be pending; ask by externalId, orderDate or relatedParty.id")
    found = []
    for start in range(0, len(candidates), CHUNK):
        found += [one.id for one in await _load(ports, unit, candidates[start : start + CHUNK]) if one.waits]
    return found


async def _shown(ports: Ports, unit: Unit, ids: Sequence[UUID], seen_by: str) -> list[Told]:
    """These orders without the sensitive values of those that somebody else sent."""
    orders, mask = await _load(ports, unit, ids), ports.book.mask()
    others = [order for order in orders if order.source != seen_by] if mask.hides else []
    said = await messages(unit, ports, [case.id for order in others for case in order.cases])
    for order in others:
        mask = ports.book.mask()
        mask.learn((msgspec.json.encode(order.draft), msgspec.json.encode(order.came)))
        order.came, order.words = mask.value(order.came), mask.value(order.words)
        items = [replace(item, characteristics=mask.value(item.characteristics)) for item in order.draft.items]
        order.draft = replace(order.draft, items=type(order.draft.items)(items))
        order.cases = [replace(case, raw_message=said[case.id]) for case in order.cases]
    return orders


async def _load(ports: Ports, unit: Unit, ids: Sequence[UUID]) -> list[Told]:
    rows = {row["id"]: _told(row) for row in await store.orders(unit, ids)} if ids else {}
    if not rows:
        return []
    plans = {row_id: plan for row_id, (_, plan) in rows.items()}
    orders = {row_id: order for row_id, (order, _) in rows.items()}
    for row in await store.tasks(unit, ids):
        planned = await ports.book.shape(plans[row["order_id"]])
        orders[row["order_id"]].tasks.append(_task(planned.plan, row))
    for row in await store.cases(unit, ids):
        orders[row["order_id"]].cases.append(_case(row))
    for row in await store.annotations(unit, ids):
        merge(orders[row["order_id"]].words, msgspec.json.decode(row["body"]))
    for row in await store.late(unit, ids):
        fact = msgspec.json.decode(row["data"])
        orders[row["stream"]].late.append(Late(row["seq"], row["at"], fact["no"]))
    return [orders[id] for id in ids if id in orders]


def merge(into: dict[str, Any], patch: dict[str, Any]) -> None:
    """Merge a patch as RFC 7386 says, but keep the nulls at the top: they hide what came with the order."""
    for name, value in patch.items():
        if isinstance(value, dict) and isinstance(into.get(name), dict):
            merge(into[name], value)
        else:
            into[name] = value


def _told(row: Any) -> tuple[Told, str]:
    order = Told(
        id=row["id"],
        number=row["number"],
        external_id=row["external_id"],
        source=row["source"],
        state=OrderState(row["state"]),
        version=row["version"],
        item_states=[ItemState(state) for state in row["item_states"]],
        received_at=row["received_at"],
        promised_at=row["promised_at"],
        finished_at=row["finished_at"],
        draft=msgspec.json.decode(row["draft"], type=OrderDraft),
        came=_object(row["came"]) if not row["truncated"] else {},
        words={},
    )
    return order, row["plan"] or ""


def _task(plan: Any, row: Any) -> ToldTask:
    planned = plan.tasks[row["no"]]
    item, _offer = plan.items[planned.item]
    return ToldTask(
        row["no"], planned.key, planned.type, planned.target, item, TaskState(row["state"]), row["since"]
    )  # fmt: skip


def _case(row: Any) -> ToldCase:
    values = {name: row[name] for name in ToldCase.__struct_fields__}
    return ToldCase(**{**values, "state": CaseState(row["state"])})


def _object(body: bytes) -> dict[str, Any]:
    """What came in another form than an object (an order of our own command line) has no words of its own."""
    try:
        came = msgspec.json.decode(body)
    except NOT_JSON:
        return {}
    return came if isinstance(came, dict) else {}
