"""Checkpoints sent to a place outside, in order and none left out, however long that place is away."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

from unstuck.service.ports import Ports
from unstuck.store.checking import audit_look

LEASE_S, LONGEST_WAIT_S = 60, 300
Post = Callable[[str, int, str], Awaitable[str]]


async def ship_next(ports: Ports, post: Post, destination: str) -> int:
    """Send the next checkpoint that is due; how many were taken. `post` says why it was not, or nothing when it was."""
    until = ports.now() + timedelta(seconds=LEASE_S)
    async with ports.store.unit(ports.now()) as unit:
        due = await audit_look.take_shipment(unit, destination, until)
    if due is None:
        return 0
    because = await post(destination, due["size"], due["note"])
    async with ports.store.unit(ports.now()) as unit:
        if not because:
            await audit_look.shipped(unit, destination, due["size"])
            return 1
        # Between half and all of it, so that places that went away together do not come back together.
        wait_s = min(2.0 ** min(due["tries"], 20), LONGEST_WAIT_S) * (1 + ports.chance()) / 2
        await audit_look.not_shipped(unit, destination, ports.now() + timedelta(seconds=wait_s), because)
    return 0
