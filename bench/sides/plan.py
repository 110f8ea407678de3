"""The order every side executes: a, b, c in parallel, then d and e, then f; and the no-op target."""

from __future__ import annotations

import json

STEPS = ("a", "b", "c", "d", "e", "f")
FIRST = STEPS[:3]
TARGETS = ("crm", "network", "billing")
TARGET_OF = {step: TARGETS[no % 3] for no, step in enumerate(STEPS)}
SUCCESSORS = {"a": "de", "b": "de", "c": "de", "d": "f", "e": "f", "f": ""}
PREDECESSORS = {"d": 3, "e": 3, "f": 2}

PAYLOAD_BYTES = 300


def padded(document: dict[str, object]) -> str:
    """JSON text of PAYLOAD_BYTES characters."""
    bare = len(json.dumps(document | {"pad": ""}))
    return json.dumps(document | {"pad": "x" * (PAYLOAD_BYTES - bare)})


RESPONSE = padded({"accepted": True, "reference": "R-0001"})


def request(order: int, step: str) -> str:
    """What a target is asked to do for one step of one order."""
    return padded({"order": order, "step": step, "target": TARGET_OF[step]})


class Target:
    """Does nothing, and counts how often it was asked to."""

    def __init__(self) -> None:
        self.calls = 0

    async def call(self, request: str) -> str:
        """Answer at once, without looking at the request."""
        self.calls += 1
        return RESPONSE
