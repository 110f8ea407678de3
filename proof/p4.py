"""P4: a resume token works once. Sixteen redeemers from four processes race for each; what is not meant for it, loses."""

import asyncio
import multiprocessing
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from proof import p4_foreign
from proof.bugged import BUGS
from proof.client import Client
from proof.stack import Stack, fresh_database, place
from proof.world import PACK, order_body, systems
from unstuck.app import open_ports
from unstuck.config import Config
from unstuck.kernel.actor import Actor
from unstuck.kernel.refusal import Refused
from unstuck.repair.outcome import Outcome, Result
from unstuck.repair.token import ResumeMode, ResumeToken
from unstuck.service.case_work import resolve
from unstuck.service.order_work.advance import Arrival, advance
from unstuck.service.order_work.fire import classify_due
from unstuck.service.order_work.intake import Sent, submit
from unstuck.service.ports import Ports
from unstuck.store.rows import Changes
from unstuck.store.server import EmbeddedServer
from unstuck.web.tmf.reader import read_order

PROCESSES, EACH = 4, 4
SCALES = {"smoke": (100, 5), "gate": (1_000, 50), "release": (1_000, 50)}  # races, races over HTTP
OWN_WRONG = (
    "no_winner", "more_winners", "forged_wins", "first_use_lost", "reused_wins", "http_other_than_one", "http_odd",
    "stale_taken",
)  # fmt: skip
FOREIGN_SHARE = 2  # of the races: each needs a case worked up to its resolution
RACER = Actor("proof", frozenset({"engineer"}))


class Stuck(NamedTuple):
    """A failed step with its case."""

    order_id: UUID
    case_id: UUID
    attempt: int


async def run(server: EmbeddedServer, scale: str, seed: int) -> dict[str, Any]:
    """All of it on one database of its own."""
    races, over_http = SCALES[scale]
    urls = await fresh_database(server, f"p4_{seed}")
    found = await race(urls.app, seed, races)
    found |= await forgeries(urls.app, seed)
    found |= await p4_foreign.race(urls.app, seed, races // FOREIGN_SHARE)
    found |= await p4_foreign.forgeries(urls.app, seed)
    with place() as folder:
        stack = Stack(server, urls, folder, workers=0, serves=2, bugs={})
        found |= await http_races(stack, seed, over_http, p4_foreign.over_http)
    wrong = (*OWN_WRONG, *p4_foreign.WRONG)
    return {"ok": not any(found[name] for name in wrong), **found}


async def race(url: str, seed: int, races: int, bug: str = "") -> dict[str, int]:
    """Each token redeemed by sixteen at once; how often nobody or more than one won."""
    with place() as folder:
        async with open_ports(_config(folder), url, size=2) as ports:
            stuck = await fail_orders(ports, f"R-{seed}{bug}", races)
            tokens = [_token(ports, one) for one in stuck]
            await _keep(ports, tokens)
        wins = await asyncio.to_thread(race_for, url, folder, [token.id for token in tokens], bug, _redeem)
    return {
        "races": races,
        "racers": PROCESSES * EACH,
        "no_winner": sum(n == 0 for n in wins),
        "more_winners": sum(n > 1 for n in wins),
    }


async def forgeries(url: str, seed: int, bug: str = "") -> dict[str, int]:
    """Expired, another's, for another step, order or plan: none may win; nor a used one after the step failed again."""
    with place() as folder:
        async with open_ports(_config(folder), url, size=2) as ports:
            first, other = await fail_orders(ports, f"F-{seed}{bug}", 2)
            now, good, fresh = ports.now(), _token(ports, first), _token(ports, other)
            bad = [
                _changed(ports, good, expires_at=now - timedelta(seconds=1)),
                _changed(ports, good, audience="another-order-manager"),
                _changed(ports, good, attempt=good.attempt - 1),
                _changed(ports, good, attempt=good.attempt + 1),
                _changed(ports, good, plan_revision=good.plan_revision + 1),
            ]
            await _keep(ports, [good, fresh, *bad])
            forged = sum([await _redeem(ports, token.id) for token in bad])
            forged += await _redeem_for(ports, good, other.order_id)
            forged += await _redeem(ports, good.id, "another-order-manager")
            first_use = await _redeem(ports, fresh.id)
            await _fail_again(ports)
            reused = await _redeem(ports, fresh.id)
    return {"forgeries": len(bad) + 2, "forged_wins": forged, "first_use_lost": 1 - first_use, "reused_wins": reused}


async def http_races(
    stack: Stack,
    seed: int,
    races: int,
    beside: Callable[[Ports, Sequence[str], int, int], Awaitable[dict[str, int]]] | None = None,
) -> dict[str, int]:
    """Sixteen resolve one case with the same If-Match over two servers; before, one tries with a version long past.

    `beside` races for something else over the same servers.
    """
    config = _config(stack.folder)
    client = Client(stack.serve_urls, stack.folder / "acks.ndjson")
    found = {"http_races": races, "http_other_than_one": 0, "http_odd": 0, "stale_taken": 0}
    try:
        await stack.start(systems((1, 2)), [], seed)
        async with open_ports(config, stack.urls.app, size=2) as ports:
            stuck = await fail_orders(ports, f"H-{seed}", races)
            while await classify_due(ports, 500):
                pass
        for number, one in enumerate(stuck, 1):
            _progress(f"race {number} of {races} over HTTP")
            path = f"/api/v1/fallout-cases/{one.case_id}"
            stale, version, evidence = await _prepare(client, path)
            body = {"decision": "resume", "mode": "RETRY_FAILED_STEP", "evidence": [evidence]}
            status, _ = await client.post(f"{path}/resolve", body, stale)
            found["stale_taken"] += status != 412
            answers = await asyncio.gather(
                *(client.post(f"{path}/resolve", body, version, n) for n in range(PROCESSES * EACH))
            )
            statuses = [status for status, _ in answers]
            found["http_other_than_one"] += statuses.count(200) != 1
            found["http_odd"] += sum(status not in (200, 409, 412) for status in statuses)
        if beside is not None:
            async with open_ports(config, stack.urls.app, size=4) as ports:
                found |= await beside(ports, stack.serve_urls, seed, races)
    finally:
        await client.close()
        stack.stop()
    return found


async def fail_orders(ports: Ports, name: str, count: int) -> list[Stuck]:
    """Orders of one step, which its target refused: each has a case and may be resumed."""
    ids = []
    for number in range(count):
        body = order_body(f"{name}-{number}", f"C-{name}-{number}", "account")
        received = await submit(ports, read_order(body, "proof"), Sent("tmf641", "proof", "", body, len(body)))
        ids.append(received.order_id)
    await _fail_again(ports)
    rows = await ports.store.pool.fetch(
        "SELECT c.order_id, c.id, t.attempt FROM fallout_case c JOIN task t ON t.order_id = c.order_id AND t.no = 0"
        " WHERE c.order_id = ANY($1)",
        ids,
    )
    return [Stuck(*row) for row in rows]


async def _fail_again(ports: Ports) -> None:
    """Call everything that is ready and let its target refuse it."""
    while started := await advance(ports, [], {"billing": 200}):
        refusal = Outcome(Result.REFUSED, ports.now(), status=422, code="REJECTED")
        arrivals = [
            Arrival(UUID(str(one.call.order_id)), one.call.task, one.call.attempt, one.call.kind, one.day, refusal)
            for one in started
        ]
        await advance(ports, arrivals, {})


def race_for(
    url: str, folder: Path, prizes: Sequence[Any], bug: str, redeem: Callable[[Ports, Any], Awaitable[int]]
) -> list[int]:
    """The wins of each prize, over all processes: in each of them four try `redeem` at once."""
    spawn = multiprocessing.get_context("spawn")
    barrier, answers = spawn.Barrier(PROCESSES), spawn.SimpleQueue()
    work = (url, folder, list(prizes), bug, redeem, barrier, answers)
    racers = [spawn.Process(target=_racer, args=work, daemon=True) for _ in range(PROCESSES)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    if any(racer.exitcode != 0 for racer in racers):
        raise RuntimeError("a racer fell; its traceback is above")
    return [sum(wins) for wins in zip(*(answers.get() for _ in racers), strict=True)]


def _racer(url: str, folder: Path, prizes: Sequence[Any], bug: str, redeem: Any, barrier: Any, answers: Any) -> None:
    if bug:
        BUGS[bug]()
    answers.put(asyncio.run(_redeem_all(url, folder, prizes, redeem, barrier)))


async def _redeem_all(url: str, folder: Path, prizes: Sequence[Any], redeem: Any, barrier: Any) -> list[int]:
    wins = []
    async with open_ports(_config(folder), url, size=EACH + 1) as ports:
        await asyncio.gather(*(ports.store.pool.fetchval("SELECT pg_sleep(0.05)") for _ in range(EACH)))
        for prize in prizes:
            barrier.wait(timeout=60)
            wins.append(sum(await asyncio.gather(*(redeem(ports, prize) for _ in range(EACH)))))
    return wins


async def _redeem(ports: Ports, token: UUID, audience: str = resolve.ENGINE) -> int:
    try:
        await resolve.redeem(ports, token, audience, RACER)
    except Refused:
        return 0
    return 1


async def _redeem_for(ports: Ports, token: ResumeToken, order_id: UUID) -> int:
    async with ports.store.unit(ports.now()) as unit:
        order, tasks = await unit.order(order_id)
        try:
            await resolve._redeem(ports, unit, token, resolve.ENGINE, order, tasks, RACER)
        except Refused:
            return 0
    return 1


async def _prepare(client: Client, path: str) -> tuple[int, int, str]:
    """Work a case up to its resolution: a version long past, the one now, the evidence."""
    _, shown = await client.post(f"{path}/assign", {"to": "me"}, (await client.get(path))["version"])
    _, shown = await client.post(f"{path}/start", {}, shown["version"])
    stale = shown["version"]
    proof = {"type": "document", "source": "proof", "content": "the cause is gone", "proves_resolution": True}
    _, attached = await client.post(f"{path}/evidence", proof, stale)
    evidence = attached["evidence"]["id"]
    _, shown = await client.post(f"{path}/verify", {"evidence": [evidence]}, attached["version"])
    return stale, shown["version"], evidence


def _token(ports: Ports, one: Stuck) -> ResumeToken:
    now: datetime = ports.now()
    return ResumeToken(
        id=ports.new_id(), audience=resolve.ENGINE, case_id=one.case_id, order_id=one.order_id, item="1",
        failed_step="1.account", mode=ResumeMode.RETRY_FAILED_STEP, correction=None, evidence=(), plan_revision=0,
        task=0, attempt=one.attempt, issued_at=now, expires_at=now + timedelta(hours=1),
    )  # fmt: skip


def _changed(ports: Ports, token: ResumeToken, **other: Any) -> ResumeToken:
    return msgspec.structs.replace(token, id=ports.new_id(), **other)


async def _keep(ports: Ports, tokens: Sequence[ResumeToken]) -> None:
    async with ports.store.unit(ports.now()) as unit:
        await unit.record(Changes(tokens=list(tokens)))


def _config(folder: Path) -> Config:
    return Config(pack=str(PACK), data=str(folder / "unstuck"))


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r  {text:<60}", end="", file=sys.stderr)
