"""The outside world of a proof: its systems, what each offer must leave there, and the faults in four mixtures.

The simulator groups effects by fields named here, never by our key.
"""

import json
from pathlib import Path
from typing import Any

PACK = Path(__file__).parent / "pack"
KIND = {"billing": "A", "provisioning": "A", "warehouse": "B", "shipping": "B", "field": "C", "survey": "C"}
CALLS_BACK = ("provisioning", "shipping", "survey")
GROUP_BY = ("operation", "customer")
ACCOUNT, BILL = ("billing", "openAccount"), ("billing", "startBilling")
LINE, BOX = ("provisioning", "activateLine"), ("warehouse", "reserveBox")
SHIP, VISIT, SURVEY = ("shipping", "shipBox"), ("field", "bookVisit"), ("survey", "orderSurvey")
EFFECTS = {
    "bundle": (ACCOUNT, LINE, BOX, SHIP, VISIT, SURVEY),
    "machine": (ACCOUNT, BOX, LINE, SHIP, BILL),
    "account": (ACCOUNT,),
    "box": (BOX,),
    "visit": (VISIT,),
    "line": (LINE,),
    "fan": (ACCOUNT, BOX, BILL),
}
LATE_MS = 13_000  # F5: after the ten seconds the pack waits for a callback
SLOW_MS = 2500  # F4: after the second and a half it waits for a reply
LANDS_MS = 1200  # F9 below max_in_flight_s, which is five seconds
LANDS_TOO_LATE_MS = 7500  # F9 above it

Rule = dict[str, Any]


def rule(fault: str, probability: float, system: str | None = None, **params: Any) -> Rule:
    """One line of the simulator's fault plan."""
    return {"fault": fault, "probability": probability, "system": system, "params": params}


def everything(much: float = 1.0) -> list[Rule]:
    """F1 to F9 over all systems; F9 stays below max_in_flight_s."""
    shares = (
        ("F1", 0.06, {}),
        ("F2", 0.06, {}),
        ("F3", 0.07, {"retry_after_s": 1}),
        ("F4", 0.02, {"delay_ms": SLOW_MS}),
        ("F9", 0.03, {"delay_ms": LANDS_MS}),
        ("F5", 0.05, {"delay_ms": LATE_MS}),
        ("F6", 0.12, {"times": 4}),
        ("F7", 0.12, {"gap_ms": 150}),
        ("F8", 0.01, {"gap_ms": 200}),
    )
    return [rule(fault, share * much, **params) for fault, share, params in shares]


def systems(latency_ms: tuple[float, float]) -> dict[str, Any]:
    """The six systems, two of each kind: one answers at once, the other calls back."""
    return {
        name: {
            "kind": kind,
            "mode": "callback" if name in CALLS_BACK else "sync",
            "group_by": list(GROUP_BY),
            "latency_ms": list(latency_ms),
        }
        for name, kind in KIND.items()
    }


def order_body(external_id: str, customer: str, offer: str) -> bytes:
    """A TMF641 order of one item."""
    item = {"id": "1", "action": "add", "service": {"serviceSpecification": {"name": offer}}}
    party = {"id": customer, "role": "customer", "@referredType": "Customer"}
    return json.dumps({"externalId": external_id, "relatedParty": [party], "serviceOrderItem": [item]}).encode()
