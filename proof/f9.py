"""F9 above a target's max_in_flight: nobody can prevent the duplicate at a B, so it must be seen and become a case."""

import asyncio
import time
from collections import Counter
from typing import Any

from proof.client import Client, View
from proof.oracle import read_lines
from proof.stack import Stack, fresh_database, place
from proof.world import BOX, LANDS_TOO_LATE_MS, rule, systems
from unstuck.store.server import EmbeddedServer

STILL_FOR_S = 45.0


async def run(server: EmbeddedServer, seed: int, orders: int) -> dict[str, Any]:
    """Orders whose first request lands after read-back said *absent* and the machine had sent again."""
    late = {**rule("F9", 1.0, BOX[0], delay_ms=LANDS_TOO_LATE_MS), "first": 1}
    with place() as folder:
        stack = Stack(
            server, await fresh_database(server, f"f9_above_{seed}"), folder, workers=1, serves=1, bugs={}
        )  # fmt: skip
        client = Client(stack.serve_urls, folder / "acks.ndjson")
        try:
            await stack.start(systems((2, 10)), [late], seed)
            names = [f"L-{seed}-{number}" for number in range(orders)]
            await asyncio.gather(*(client.submit(name, f"C-{name}", "box", 0) for name in names))
            return await _watch(stack, client, orders)
        finally:
            await client.close()
            stack.stop()


async def _watch(stack: Stack, client: Client, orders: int) -> dict[str, Any]:
    moved, most = time.monotonic(), -1
    while True:
        effects = Counter(line["group"]["customer"] for line in read_lines(stack.ledger, "effects-warehouse.ndjson"))
        doubled = [ack for ack in client.acks if effects[ack.customer] > 1]
        views = await client.all_orders([ack.order_id for ack in doubled])
        detected = sum(_says_duplicate(view) for view in views.values() if view)
        if len(doubled) + detected > most:
            moved, most = time.monotonic(), len(doubled) + detected
        if (len(doubled) == orders == detected) or time.monotonic() - moved > STILL_FOR_S:
            ok = 0 < len(doubled) == detected
            return {"ok": ok, "orders": orders, "duplicates": len(doubled), "detected": detected}
        await asyncio.sleep(0.5)


def _says_duplicate(view: View) -> bool:
    return any(case["reason"] == "duplicate" and case["resolved_at"] is None for case in view["cases"])
