"""What each fault does to a call. `None` among the faults is the good day."""

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web

from unstuck.simulator.answers import answer, hang_up, hold, no, raw
from unstuck.simulator.call import Call
from unstuck.simulator.config import Fault
from unstuck.simulator.ledger import Effect
from unstuck.simulator.plan import Strike
from unstuck.simulator.system import System

Mishap = Callable[[System, web.BaseRequest, Call, Strike], Awaitable[web.Response]]


async def suffer(system: System, request: web.BaseRequest, call: Call, strike: Strike | None) -> web.Response:
    """Answer a call, or fail to, as the plan has it."""
    if strike is None or strike.rule.fault not in MISHAPS:
        await system.think(call)
        return acknowledge(system.commit(call, strike))
    return await MISHAPS[strike.rule.fault](system, request, call, strike)


def acknowledge(effect: Effect) -> web.Response:
    """The reply to a call that had this effect: the same each time, also after a restart."""
    if effect.mode == "sync":
        return answer(200, {"reference": effect.reference, "status": "done"})
    return answer(202, {"reference": effect.reference, "status": "accepted"})


async def dropped_before(system: System, request: web.BaseRequest, call: Call, _: Strike) -> web.Response:
    """F1: the connection dies and nothing was done."""
    await system.think(call)
    return hang_up(request)


async def dropped_after(system: System, request: web.BaseRequest, call: Call, strike: Strike) -> web.Response:
    """F2: all was done and the reply never comes."""
    await system.think(call)
    system.commit(call, strike)
    if strike.rule.params.hang:
        return await hold(request, system.background.closing)
    return hang_up(request)


async def busy(system: System, request: web.BaseRequest, call: Call, strike: Strike) -> web.Response:
    """F3: not now, and when to come back."""
    await system.think(call)
    params = strike.rule.params
    retry_after = {"Retry-After": str(params.retry_after_s)}
    return no(params.status or 503, "BUSY", f"{system.name} is busy", retry_after)


async def slow(system: System, request: web.BaseRequest, call: Call, strike: Strike) -> web.Response:
    """F4: done and answered, but later than the client waits. Its leaving changes nothing."""
    return acknowledge(await asyncio.shield(system.background.spawn(_land(system, call, strike))))


async def lands_later(system: System, request: web.BaseRequest, call: Call, strike: Strike) -> web.Response:
    """F9: the connection dies at once; the request is still on its way and lands in the end."""
    system.background.spawn(_land(system, call, strike))
    return hang_up(request)


async def _land(system: System, call: Call, strike: Strike) -> Effect:
    await asyncio.sleep(strike.rule.params.delay_ms / 1000)
    return system.commit(call, strike)


async def refused(system: System, request: web.BaseRequest, call: Call, strike: Strike) -> web.Response:
    """REFUSE: a clear no."""
    await system.think(call)
    params = strike.rule.params
    default = {"code": "REJECTED", "message": f"{system.name} rejects {call.operation}"}
    return answer(params.status or 422, default if params.body is None else params.body)


async def any_bytes(system: System, request: web.BaseRequest, call: Call, strike: Strike) -> web.Response:
    """RAW: whatever bytes the plan holds, after acting or not."""
    await system.think(call)
    params = strike.rule.params
    if params.commit:
        system.commit(call, strike)
    return raw(params.status or 200, params.body_base64)


MISHAPS: dict[Fault, Mishap] = {
    "F1": dropped_before,
    "F2": dropped_after,
    "F3": busy,
    "F4": slow,
    "F9": lands_later,
    "REFUSE": refused,
    "RAW": any_bytes,
}
