"""The HTTP door of one system: calls go in, questions are answered."""

from aiohttp import web

from unstuck.simulator.answers import answer, hang_up, no
from unstuck.simulator.call import Malformed, read_call
from unstuck.simulator.ledger import Effect
from unstuck.simulator.mishaps import suffer
from unstuck.simulator.system import System


async def serve(system: System, request: web.BaseRequest) -> web.StreamResponse:
    """Answer one HTTP request. Calls are counted even when the system is down."""
    target = request.path.removeprefix("/")
    if request.method == "POST":
        system.calls[target] += 1
    if system.down:
        return hang_up(request)
    match request.method, target:
        case "POST", operation if operation and "/" not in operation:
            return await _called(system, request, operation)
        case "GET", "effects":
            return _asked(system, dict(request.query))
        case "GET", "health":
            return answer(200, {"system": system.name, "status": "up"})
        case _:
            return no(404, "NOT_FOUND", f"{system.name} has no {request.method} {request.path}")


async def _called(system: System, request: web.BaseRequest, operation: str) -> web.StreamResponse:
    key, body = request.headers.get("Idempotency-Key"), await request.read()
    try:
        call = read_call(system.name, operation, system.config.group_by, key, body)
    except Malformed as problem:
        return no(400, "MALFORMED", str(problem))
    return await suffer(system, request, call, system.choose(call))


def _asked(system: System, query: dict[str, str]) -> web.Response:
    kind = system.config.kind
    if kind == "C":
        return no(404, "CANNOT_BE_ASKED", f"{system.name} cannot say what it did")
    if "key" not in query:
        return _found(list(system.ledger.find(query.pop("operation", None), query)))
    if kind == "B":
        return no(400, "KEY_NOT_SUPPORTED", f"{system.name} does not keep idempotency keys")
    effect = system.ledger.by_key(query["key"])
    return _found([] if effect is None else [effect])


def _found(effects: list[Effect]) -> web.Response:
    """An effect on the ledger is done, whatever was said about it."""
    told = [
        {"reference": effect.reference, "operation": effect.operation, "at": effect.at, "status": "done"}
        for effect in effects
    ]
    return answer(200, {"count": len(told), "effects": told})
