"""Restart, redeploy, rotation: `unstuck up` is stopped and started again and again under load, keys change, nothing is lost.

Streams and webhooks stay open on the side of those who listen; nobody lends them a hand.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from proof.account import Account
from proof.listening import Listener
from proof.p3 import LEASE_S, Watched, progress, watched
from proof.stack import place
from proof.up import Up

SCALES = {"smoke": 2, "gate": 10, "release": 10}  # restarts
STOPS_WITHIN_S = 5.0
READS_WITHIN_S = 30.0
STREAMS = 20
BETWEEN = 40  # acknowledgements between two restarts


@dataclass
class Stops:
    """How long each stop took, and what else went wrong."""

    took_s: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    rotated: int = 0


async def run(scale: str, seed: int) -> dict[str, Any]:
    """The whole of it; `offenders` names what does not add up."""
    account, stops, restarts = Account(), Stops(), SCALES[scale]
    with place() as folder:
        up = Up(folder, lease_s=LEASE_S)
        try:
            await asyncio.to_thread(up.start)
            house = await watched(up, folder, seed)
            try:
                await _again_and_again(house, stops, restarts)
                await house.finish(account)
                await _history_holds(up, account)
            finally:
                await house.close()
        finally:
            await asyncio.to_thread(up.close)
    account.wrong += stops.wrong
    return {"ok": account.ok and stops.rotated == 2, **_counts(house, stops), **_kinds(account)}


async def _again_and_again(house: Watched, stops: Stops, restarts: int) -> None:
    house.traffic.begin()
    more = [Listener(house.up.url, house.up.tokens["engineer"]) for _ in range(STREAMS)]
    for stream in more:
        stream.begin()
    try:
        for number in range(1, restarts + 1):
            await house.traffic.more(BETWEEN, READS_WITHIN_S)
            if number == (restarts + 1) // 2:
                await _rotate(house, stops)
                await house.traffic.more(BETWEEN, READS_WITHIN_S)
            stops.took_s.append(await asyncio.to_thread(house.up.stop))
            del house.receiver.secrets[:-1]  # whatever starts now knows the newest
            await asyncio.to_thread(house.up.start)
            progress(f"{number}/{restarts} restarts, stopped in {stops.took_s[-1]:.1f} s")
        await house.traffic.more(BETWEEN, READS_WITHIN_S)
    finally:
        for stream in more:
            await stream.close()
    stops.wrong += [f"a stop took {took:.1f} s" for took in stops.took_s if took > STOPS_WITHIN_S]


async def _rotate(house: Watched, stops: Stops) -> None:
    """A new key for the checkpoints, a new secret for the receiver, while everything runs."""
    done = await asyncio.to_thread(house.up.run, "audit", "rotate-key", "--data", str(house.up.data), "--json")
    if done.returncode == 0:
        stops.rotated += 1
    else:
        stops.wrong.append(f"the key was not rotated: {done.stderr.strip()[-300:]}")
    path = f"/api/v1/subscriptions/{house.subscription}"
    version = (await house.api.get(path, "admin"))["version"]
    made = await house.api.post(f"{path}/rotate-secret", "admin", b"", version=version)
    house.receiver.secrets.append(made["secret"])  # what is on its way has the old signature alone
    stops.rotated += 1


async def _history_holds(up: Up, account: Account) -> None:
    """The history verifies over the change of keys."""
    done = await asyncio.to_thread(up.run, "audit", "verify", "--data", str(up.data), "--json")
    if done.returncode != 0:
        account.wrong.append(f"audit verify: {done.returncode} {(done.stderr or done.stdout)[-500:]}")


def _counts(house: Watched, stops: Stops) -> dict[str, Any]:
    return {
        "restarts": len(stops.took_s),
        "rotations": stops.rotated,
        "slowest_stop_s": round(max(stops.took_s), 1),
        "acknowledged": len(house.traffic.sent.failures),
        "orders": len(house.traffic.sent.orders),
        "not_now": house.traffic.sent.refusals,
        "leaves": house.size,
        "delivered": len(house.receiver.heard.events),
        "delivered_again": house.receiver.heard.again,
        "stream_events": len(house.listener.heard.events),
        "stream_connects": house.listener.connects,
    }


def _kinds(account: Account) -> dict[str, Any]:
    found: dict[str, Any] = {name: len(kind) for name, kind in account.kinds().items()}
    return {**found, "settled_in_s": account.settled_in_s, "offenders": account.offenders()}
