"""The fiber scenario's page, and what a seed makes of its cast and its world."""

from typing import Any

import msgspec

from unstuck.rehearsal.cast import GROUP_BY, Casting, Wanted
from unstuck.rehearsal.sheet import Page

PAGE = Page.parse("""
    | id       | when    | must be seen                                                                                      |
    |----------|---------|---------------------------------------------------------------------------------------------------|
    | fiber-01 | now     | exactly one case stands on the order                                                              |
    | fiber-02 | now     | the case is UNKNOWN_OUTCOME, domain provisioning, recoverability unknown_outcome                  |
    | fiber-03 | not yet | its severity is raised by the promise date of tomorrow, with the sum shown                        |
    | fiber-04 | not yet | policy puts it in queue FIXED_ACTIVATION_L2                                                       |
    | fiber-05 | now     | the router is reserved and untouched: completed, one attempt                                      |
    | fiber-06 | now     | the installation is booked and untouched: completed, one attempt                                  |
    | fiber-07 | now     | billing account and subscription are made and untouched: completed, one attempt each              |
    | fiber-08 | now     | billing's own ledger has the subscription with its billing start held                             |
    | fiber-09 | now     | the static IP is blocked, not failed: pending, no attempt, no effect there                        |
    | fiber-10 | now     | the static IP has no case of its own                                                              |
    | fiber-11 | now     | the order is IN_PROGRESS                                                                          |
    | fiber-12 | now     | TMF641 shows inProgress with a Critical jeopardy UNKNOWN_OUTCOME and no error message             |
    | fiber-13 | not yet | the customer is told "We are confirming your activation"                                          |
    | fiber-14 | not yet | the clocks that apply are running and shown                                                       |
    | fiber-15 | now     | once somebody works on it, query_by_key, read_back and escalate are allowed                       |
    | fiber-16 | now     | retry is refused because the outcome is unknown                                                    |
    | fiber-17 | now     | force_complete is refused because the outcome is unknown                                           |
    | fiber-18 | now     | proposing either all the same is 403 with the rule, and changes nothing                           |
    | fiber-19 | now     | the preview of a read-back changes nothing                                                        |
    | fiber-20 | now     | a command decided on an older version is 412, one without a version 428, and neither is taken     |
    | fiber-21 | now     | the read-back finds the service                                                                   |
    | fiber-22 | now     | what the target answered is kept as read_back evidence that proves the resolution                 |
    | fiber-23 | now     | resolving without evidence is refused, and nothing moves                                          |
    | fiber-24 | now     | resolving to SKIP_STEP_ALREADY_DONE with that evidence gives a resume token with all its fields   |
    | fiber-25 | now     | the token is redeemed once                                                                        |
    | fiber-26 | now     | the static IP runs then, and not before                                                           |
    | fiber-27 | now     | the order is COMPLETED                                                                            |
    | fiber-28 | now     | TMF641 shows completed and no jeopardy                                                            |
    | fiber-29 | now     | the case closes                                                                                   |
    | fiber-30 | now     | provisioning's ledger has exactly one activation of this fiber                                    |
    | fiber-31 | now     | the ledgers have exactly one of each of its other effects                                         |
    | fiber-32 | now     | never over the whole run: a second activateFiber of this customer                                 |
    | fiber-33 | now     | never over the whole run: a static IP that failed                                                 |
    | fiber-34 | now     | never over the whole run: a second case on the order, or one on an order beside it                |
    | fiber-35 | now     | the healthy orders beside it complete                                                             |
    | fiber-36 | now     | variant absent: the same case, and provisioning's ledger has no activation                        |
    | fiber-37 | now     | variant absent: the read-back says so, kept as evidence that proves it                            |
    | fiber-38 | now     | variant absent: RETRY_FAILED_STEP sends the same key again, once                                  |
    | fiber-39 | now     | variant absent: one activation, the order completed, its one case closed                          |
    | fiber-40 | now     | over the whole run each system was called as often as the orders need, and once more for that key |
    | fiber-41 | not yet | variant terminal: compensation in reverse dependency order, the customer told                     |
    | fiber-42 | not yet | the upstream suggestion is recorded: idempotent activation and callback                           |
""")

KINDS = {"provisioning": "A", "inventory": "A", "billing": "A", "warehouse": "B", "field": "C"}
MAY_CALL_BACK = ("billing", "warehouse", "field")  # a callback of provisioning would settle the case by itself
BESIDE = (("wifi-router",), ("phone-line",), ("fiber-internet",), ("fiber-internet", "static-ip"))


class Cast(msgspec.Struct, frozen=True):
    """Who plays. `opening` is sent at once, the stuck order among it; `later` while it is stuck."""

    stuck: Wanted
    absent: Wanted
    opening: tuple[Wanted, ...]
    later: tuple[Wanted, ...]
    world: dict[str, Any]

    @property
    def all(self) -> tuple[Wanted, ...]:
        """Every order of the run."""
        return self.opening + self.later

    @property
    def beside(self) -> tuple[Wanted, ...]:
        """The healthy ones."""
        return tuple(order for order in self.all if order not in (self.stuck, self.absent))


def cast(seed: int) -> Cast:
    """The cast and the world of a seed."""
    casting = Casting("fiber", seed)
    draw = casting.random
    stuck = casting.order("fiber-internet", "static-ip", "wifi-router")
    absent = casting.order("fiber-internet", "static-ip", "wifi-router")
    beside = [casting.order(*offers) for offers in draw.sample(BESIDE, draw.randint(2, 4))]
    opening = [stuck, absent, beside[0]]
    draw.shuffle(opening)
    faults = [
        *_faults(stuck, "F2", draw.choice((True, False)), draw.randint(5, 60)),
        *_faults(absent, "F1", False, draw.randint(5, 60)),
    ]
    systems = {name: _system(casting, name, kind) for name, kind in KINDS.items()}
    return Cast(stuck, absent, tuple(opening), tuple(beside[1:]), {"seed": seed, "systems": systems, "faults": faults})


def _faults(order: Wanted, fault: str, hang: bool, delay_ms: int) -> list[dict[str, Any]]:
    """The first activation suffers; a slow answer to any further one puts every later call on the fault plan's books."""
    which = {"system": "provisioning", "operation": "activateFiber", "match": {"customer": order.customer}}
    first = {**which, "fault": fault, "first": 1, "params": {"hang": hang}}
    return [first, {**which, "fault": "F4", "params": {"delay_ms": delay_ms}}]


def _system(casting: Casting, name: str, kind: str) -> dict[str, Any]:
    quick, slow = casting.random.randint(2, 20), casting.random.randint(25, 80)
    calls_back = name in MAY_CALL_BACK and casting.random.random() < 0.5
    mode = "callback" if calls_back else "sync"
    return {"kind": kind, "mode": mode, "group_by": list(GROUP_BY), "latency_ms": [quick, slow]}
