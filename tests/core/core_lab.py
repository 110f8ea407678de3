"""What the tests of the core share: the shipped pack, a clock that stands still, and builders in domain words."""

from datetime import UTC, datetime, timedelta
from importlib.resources import files
from uuid import UUID

from hypothesis import settings

from unstuck.fallout.case import Case
from unstuck.fallout.lifecycle import CaseState
from unstuck.kernel.actor import Actor, Grant, Verdict
from unstuck.order.advance import Shape, item_state
from unstuck.order.lifecycle import OrderState, TaskState
from unstuck.order.plan import OrderDraft, OrderItem, Plan, PlannedTask
from unstuck.order.state import Order, Task
from unstuck.policy.check import load
from unstuck.repair.correction import ActionCode, Correction, Facts
from unstuck.repair.evidence import Evidence, EvidenceType
from unstuck.repair.policy import FieldRule, Target

NOW = datetime(2026, 3, 14, 9, 0, tzinfo=UTC)
MINIMAL = {f.name: f.read_text("utf-8") for f in files("unstuck.packs").joinpath("minimal").iterdir()}
PACK = load(MINIMAL)

law = settings(deadline=None, max_examples=100, print_blob=True)
long_law = settings(deadline=None, max_examples=250, print_blob=True)


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def uid(number: int) -> UUID:
    return UUID(int=number)


def item(id: str, offer: str, **characteristics) -> OrderItem:
    return OrderItem(id, offer, characteristics=characteristics)


def draft(*items: OrderItem, **fields) -> OrderDraft:
    return OrderDraft("PO-1", "crm", "C-77", items, promised_at="2026-04-01", fields=fields)


def fiber(id: str = "1") -> OrderItem:
    return item(id, "fiber-internet", address="Jl. Merdeka 1", speed="100 Mbit/s")


def plan_of(after, items=None) -> Plan:
    """A plan from `after` alone: task n waits for after[n]; `items` says to which item each task belongs."""
    owner = items or [0] * len(after)
    tasks = tuple(
        PlannedTask(f"{i}.t{n}", "x", "billing", i, tuple(a)) for n, (a, i) in enumerate(zip(after, owner, strict=True))
    )
    return Plan("p", 0, tuple((str(n), "o") for n in range(max(owner) + 1)), tasks)


def fresh(plan: Plan) -> tuple[Shape, Order, list[Task]]:
    """An order of this plan as intake leaves it before it starts."""
    shape, tasks = Shape(plan), [Task(n) for n in range(len(plan.tasks))]
    states = tuple(item_state(tasks[n].state for n in own) for own in shape.of_item)
    return shape, Order(uid(1), 1, OrderState.NOT_STARTED, 0, 0, "p", plan.id(), states), tasks


def case(state: CaseState = CaseState.IN_PROGRESS, **changes) -> Case:
    facts = {
        "id": uid(9), "number": 1042, "state": state, "version": 3, "seq": 7, "order_id": uid(1), "item": "1",
        "step": "1.activate", "task": 3, "attempt": 1, "reason": "unknown", "system": "provisioning",
        "operation": "activateFiber", "raw_code": "TIMEOUT", "raw_message": "no reply", "raw_sha256": "00",
        "dedup_key": "k", "detected_at": NOW, "touched_at": NOW, "pack": PACK.hash,
    }  # fmt: skip
    return Case(**{**facts, **changes})


def evidence(says: str = "", type: EvidenceType = EvidenceType.READ_BACK, proves: bool = True) -> Evidence:
    return Evidence(
        uid(5), type, "ab", 2, "application/json", "provisioning", "ana", NOW, proves_resolution=proves, says=says
    )


def facts(**changes) -> Facts:
    """The facts of a step of a B target whose outcome is unknown, unless told otherwise."""
    said = changes.pop("proven", "")
    kind = changes.pop("kind", "B")
    state = changes.get("task_state", TaskState.UNKNOWN)
    given = {
        "order_id": "O", "order_state": "IN_PROGRESS", "task": 3, "task_key": "1.activate",
        "task_type": "activate_fiber", "task_state": state, "attempt": 1, "identity": 0, "key": "O.1.activate.p0.c0",
        "target_name": "provisioning", "target": Target("Provisioning", kind, max_in_flight_s=20),
        "operation": "activateFiber", "body": b'{"address":"Jl. Merdeka 1","speed":"100 Mbit/s"}', "running": False,
        "item_tasks": (("1.account", "COMPLETED"), ("1.activate", state.value), ("2.activate", "PENDING")),
        "evidence": (evidence(said),) if said else (),
        "correctable": {
            "address": FieldRule(max_length=30),
            "speed": FieldRule(pattern="[0-9]{1,5} Mbit/s", max_length=20),
            "vlan": FieldRule(type="integer", minimum=1, maximum=4094),
            "count": FieldRule(type="integer"),
        },
    }  # fmt: skip
    return Facts(**{**given, **changes})


def correction(action: ActionCode = ActionCode.RETRY) -> Correction:
    return Correction(uid(6), action, "PROPOSED", "cause_fixed", "the line is up", {}, "ana")


def grant(actor: str = "ana", **refused: Verdict) -> Grant:
    """Leave to do every repair but the refused ones."""
    return Grant(Actor(actor), {code: Verdict() for code in ActionCode} | refused)
