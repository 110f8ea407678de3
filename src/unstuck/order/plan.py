"""Decomposition: an order becomes a plan of tasks with dependencies (mission A4). Pure; no mapping, no crash."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from unstuck.kernel.canonical import digest, encode, encode_trusted
from unstuck.order.template import Offer, Templates


class OrderItem(msgspec.Struct, frozen=True):
    """One line of an order, as intake understood it."""

    id: str
    offer: str
    action: str = "add"
    characteristics: dict[str, Any] = {}


class OrderDraft(msgspec.Struct, frozen=True):
    """An order as intake understood it, whatever dialect it came in."""

    external_id: str
    source: str
    customer: str
    items: tuple[OrderItem, ...]
    promised_at: str = ""
    fields: dict[str, Any] = {}


class PlannedTask(msgspec.Struct, frozen=True, array_like=True):
    """One task: its key (`item.task`), its type and target, the item it belongs to, what it waits for."""

    key: str
    type: str
    target: str
    item: int
    after: tuple[int, ...]


class Plan(msgspec.Struct, frozen=True):
    """The shape of an order's work. Content-addressed, so equal orders share one row; it never changes."""

    pack: str
    revision: int
    items: tuple[tuple[str, str], ...]  # (item id, offer)
    tasks: tuple[PlannedTask, ...]

    def id(self) -> str:
        """The digest that names this plan."""
        return digest(encode_trusted(msgspec.to_builtins(self)))

    def successors(self) -> tuple[tuple[int, ...], ...]:
        """For each task, the tasks that wait for it."""
        return tuple(
            tuple(no for no, task in enumerate(self.tasks) if before in task.after) for before in range(len(self.tasks))
        )

    def downstream(self, no: int) -> frozenset[int]:
        """The task itself and everything that waits for it, however far."""
        reached, frontier, successors = {no}, [no], self.successors()
        while frontier:
            fresh = [n for n in successors[frontier.pop()] if n not in reached]
            reached.update(fresh)
            frontier.extend(fresh)
        return frozenset(reached)


class Unplannable(Exception):
    """No plan can be made of this order; `code` and `because` become a case, never a crash."""

    def __init__(self, code: str, because: str, item: str = "") -> None:
        super().__init__(because)
        self.code, self.because, self.item = code, because, item


def decompose(draft: OrderDraft, templates: Templates, pack: str) -> tuple[Plan, tuple[bytes, ...]]:
    """Return the plan of `draft` and, task by task, the command body it will send.

    Raises Unplannable with UNKNOWN_OFFER, MISSING_CHARACTERISTIC, INVALID_DATA or EMPTY_PLAN.
    """
    offers = [_offer(item, templates) for item in draft.items]
    keys = _task_keys(draft.items, offers)
    if not keys:
        raise Unplannable("EMPTY_PLAN", "none of the order's offers has a task to do")
    tasks, bodies = [], []
    for (index, name), _no in keys.items():
        item, template = draft.items[index], offers[index].tasks[name]
        task_type = templates.task_types[template.type]
        after = tuple(sorted(set(_waits_for(index, template.after, draft.items, keys))))
        tasks.append(PlannedTask(f"{item.id}.{name}", template.type, task_type.target, index, after))
        bodies.append(render(task_type.send, draft, item))
    if len({task.key for task in tasks}) < len(tasks):
        raise Unplannable("INVALID_DATA", "two items of the order have the same id")
    items = tuple((item.id, item.offer) for item in draft.items)
    return Plan(pack, 0, items, tuple(tasks)), tuple(bodies)


def render(send: Mapping[str, str], draft: OrderDraft, item: OrderItem) -> bytes:
    """The command body: canonical JSON of the fields that `send` names, from order and item."""
    body = {field: _value(source, draft, item) for field, source in send.items()}
    try:
        return encode({field: value for field, value in body.items() if value is not None})
    except ValueError as error:
        raise Unplannable("INVALID_DATA", f"item {item.id}: {error}", item.id) from error


def command_key(order_id: str, task: str, revision: int, correction: int) -> str:
    """The one business identity of a call: the same on every attempt, new only for a new intent."""
    return f"{order_id}.{task}.p{revision}.c{correction}"


def cycle(after: Mapping[str, Iterable[str]]) -> list[str]:
    """A cycle among named dependencies, first node repeated at the end; empty when there is none."""
    done: set[str] = set()

    def walk(node: str, path: list[str]) -> list[str]:
        if node in path:
            return [*path[path.index(node) :], node]
        if node in done:
            return []
        found = next((c for n in after.get(node, ()) if (c := walk(n, [*path, node]))), [])
        done.add(node)
        return found

    return next((c for node in after if (c := walk(node, []))), [])


def _offer(item: OrderItem, templates: Templates) -> Offer:
    offer = templates.offers.get(item.offer)
    if offer is None:
        raise Unplannable(
            "UNKNOWN_OFFER", f"item {item.id} orders {item.offer!r}, which this pack does not know", item.id
        )
    missing = [name for name in offer.needs if item.characteristics.get(name) in (None, "")]
    if missing:
        raise Unplannable(
            "MISSING_CHARACTERISTIC", f"item {item.id} ({item.offer}) lacks {', '.join(missing)}", item.id
        )
    return offer


def _task_keys(items: Sequence[OrderItem], offers: Sequence[Offer]) -> dict[tuple[int, str], int]:
    pairs = [(index, name) for index in range(len(items)) for name in offers[index].tasks]
    return {pair: no for no, pair in enumerate(pairs)}


def _waits_for(
    index: int, after: Iterable[str], items: Sequence[OrderItem], keys: Mapping[tuple[int, str], int]
) -> Iterable[int]:
    for name in after:
        offer, _, task = name.rpartition("/")
        if not offer:
            yield keys[index, task]
            continue
        yield from (keys[i, task] for i, other in enumerate(items) if other.offer == offer and i != index)


def _value(source: str, draft: OrderDraft, item: OrderItem) -> Any:
    scope, _, name = source.partition(".")
    match scope:
        case "order":
            known = {
                "customer": draft.customer,
                "external_id": draft.external_id,
                "promised_at": draft.promised_at,
            }
            return known.get(name, draft.fields.get(name))
        case "item":
            return {"id": item.id, "offer": item.offer, "action": item.action}[name]
        case "char":
            return item.characteristics.get(name)
        case _:
            return source.removeprefix("=")
