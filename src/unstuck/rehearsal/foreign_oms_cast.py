"""The foreign-oms scenario's page, and what a seed makes of its order manager, its orders and their course."""

from random import Random
from typing import Any

import msgspec

from unstuck.rehearsal.sheet import Page

PAGE = Page.parse("""
    | id             | when | must be seen                                                                                           |
    |----------------|------|--------------------------------------------------------------------------------------------------------|
    | foreign-oms-01 | now  | a failure that an order manager posts is one case, in that manager's words for order, item and step    |
    | foreign-oms-02 | now  | the very same event posted again is known, and makes no second case                                    |
    | foreign-oms-03 | now  | the case is classified and queued; no order of ours comes into being and no system of ours is called   |
    | foreign-oms-04 | now  | resolving without evidence is refused, and without verifying it first too                              |
    | foreign-oms-05 | now  | resolved with proof, the desk sees a token for that source, and not its text; the case waits for it    |
    | foreign-oms-06 | now  | decision and leave come by webhook; the order manager checks both signatures                           |
    | foreign-oms-07 | now  | it redeems its leave, and its order goes on and is done                                                |
    | foreign-oms-08 | now  | the redemption is in the case's history, and only then the case closes                                 |
    | foreign-oms-09 | now  | redeemed twice: the second is refused, the order went on once                                          |
    | foreign-oms-10 | now  | raced by sixteen: one wins, the order went on once                                                     |
    | foreign-oms-11 | now  | replayed after the case was closed: refused                                                            |
    | foreign-oms-12 | now  | expired: refused                                                                                       |
    | foreign-oms-13 | now  | expired: the case is back in progress and says so; its order stood still                               |
    | foreign-oms-14 | now  | redeemed by another order manager, with a token of its own: refused                                    |
    | foreign-oms-15 | now  | redeemed with a signature that was tampered with: refused                                              |
    | foreign-oms-16 | now  | the order has moved to another version: refused, and it is not resumed                                 |
    | foreign-oms-17 | now  | every refusal is in the case's history with its rule                                                   |
    | foreign-oms-18 | now  | a PATCH answered 200 and ignored is not taken for success: the case is back in progress                |
    | foreign-oms-19 | now  | the order before and after that PATCH is kept as evidence                                              |
    | foreign-oms-20 | now  | a PATCH that is honoured is success, proven by a look at the order afterwards                          |
    | foreign-oms-21 | now  | a PATCH whose answer is lost is settled by a look: it is not sent again                                |
    | foreign-oms-22 | now  | an order that moved before it was asked is not asked at all                                            |
    | foreign-oms-23 | now  | without a webhook decisions are fetched: the same leave, redeemed, and then gone from the list         |
    | foreign-oms-24 | now  | a source's decisions are shown to nobody else                                                          |
    | foreign-oms-25 | now  | leave to cancel cancels the order                                                                      |
    | foreign-oms-26 | now  | never over the whole run: the text of a token in a case, a list, a timeline or the stream of events    |
    | foreign-oms-27 | now  | never over the whole run: an order that went on without leave taken or a request, or more than once    |
""")
STEPS = ("line-up", "number-port", "access-activate", "router-bind", "voice-enable")
NAMES = ("acme", "borealis", "cumulus", "delta", "ember")


class Order(msgspec.Struct, frozen=True):
    """One order at the other manager: whose it is, where it falls out, how it is treated there."""

    ref: str
    account: str
    line: str
    step: str
    habit: str = "redeem"
    mischief: str = ""
    slow_ms: int = 0

    def body(self) -> dict[str, Any]:
        """As the manager is told to set it up."""
        told = msgspec.structs.asdict(self)
        step = told.pop("step")
        return {**told, "falls_out_at": step}


class Cast(msgspec.Struct, frozen=True):
    """Who plays. Accounts: heard by webhook, in a hurry, without a webhook, and one that only knows PATCH."""

    world: dict[str, Any]
    heard: str
    hasty: str
    fetching: str
    mute: str
    orders: dict[str, Order]
    acts: tuple[str, ...]
    mode: str


def cast(seed: int) -> Cast:
    """Everything a seed decides."""
    random = Random(f"foreign-oms-{seed}")
    name = random.choice(NAMES)
    heard, hasty, fetching, mute = (f"{name}-{kind}" for kind in ("oms", "express", "batch", "legacy"))
    numbers = random.sample(range(10_000, 99_999), 20)

    def order(account: str, **more: Any) -> Order:
        slow = random.choice((0, 0, 30, 120))
        return Order(
            f"{name[:2].upper()}{numbers.pop()}",
            account,
            f"L{random.randint(1, 9)}",
            random.choice(STEPS),
            slow_ms=slow,
            **more,
        )

    orders = {
        "first": order(heard),
        "twice": order(heard, habit="twice"),
        "raced": order(heard, habit="hold"),
        "late": order(hasty, habit="hold"),
        "stolen": order(heard, habit="hold"),
        "moved": order(heard, habit="hold"),
        "cancelled": order(heard),
        "fetched": order(fetching),
        "ignored": order(mute, mischief="ignore"),
        "honoured": order(mute),
        "lost": order(mute, mischief="hang_up"),
        "gone": order(mute),
    }
    acts = ["twice", "raced", "late", "stolen", "moved", "cancelled", "fetched", "ignored", "honoured", "lost", "gone"]
    random.shuffle(acts)
    runs_ms = random.randint(20, 200)
    world = {"seed": seed, "order_manager": {"runs_ms": runs_ms}}
    mode = random.choice(("RETRY_FAILED_STEP", "SKIP_STEP_ALREADY_DONE", "REPLAN_FROM_STEP"))
    return Cast(world, heard, hasty, fetching, mute, orders, tuple(acts), mode)
