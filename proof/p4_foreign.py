"""P4 for order managers that are not ours: leave to resume is taken once, in time, by its source, as it was decided."""

import asyncio
import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import aiohttp
import msgspec

from proof.stack import place
from proof.world import PACK
from unstuck.app import open_ports
from unstuck.config import Config
from unstuck.fallout.case import Assign, Reopen, Start
from unstuck.fallout.failure import Failure
from unstuck.fallout.source import SourceSettings
from unstuck.kernel.actor import Actor
from unstuck.kernel.refusal import Refused
from unstuck.repair.evidence import Evidence, EvidenceType
from unstuck.repair.token import claims
from unstuck.service.case_work import cases, repair, resolve
from unstuck.service.case_work.resolve import Decision
from unstuck.service.elsewhere import foreign
from unstuck.service.failures_in import sources
from unstuck.service.failures_in.failures import Filed, Report, receive
from unstuck.service.failures_in.sources import Described
from unstuck.service.order_work.fire import classify_due
from unstuck.service.ports import Ports

RACERS = 16
SOURCE, OTHER = "proof-oms", "another-oms"
VERSION = "v7"
DESK = Actor("proof", frozenset({"engineer"}))
MANAGER = Actor("the order manager", frozenset({"integration"}), SOURCE)
STRANGER = Actor("another order manager", frozenset({"integration"}), OTHER)
WRONG = (
    "foreign_no_winner", "foreign_more_winners", "foreign_forged_wins", "foreign_first_use_lost",
    "foreign_http_other_than_one", "foreign_http_odd",
)  # fmt: skip


class Leave(NamedTuple):
    """A token that is out, as its source has it."""

    id: UUID
    case_id: UUID
    text: str


async def race(url: str, seed: int, races: int, bug: str = "") -> dict[str, int]:
    """Each leave redeemed by sixteen at once from four processes; how often nobody or more than one won."""
    from proof.p4 import race_for

    with place() as folder:
        async with open_ports(_config(folder), url, size=4) as ports:
            prizes = await leaves(ports, f"R-{seed}{bug}", races)
        wins = await asyncio.to_thread(race_for, url, folder, prizes, bug, redeem)
    return {
        "foreign_races": races,
        "foreign_no_winner": sum(n == 0 for n in wins),
        "foreign_more_winners": sum(n > 1 for n in wins),
    }


async def forgeries(url: str, seed: int) -> dict[str, int]:
    """Expired, another order's, another version, another audience, other words, other signature: none may win."""
    with place() as folder:
        async with open_ports(_config(folder), url, size=4) as ports:
            good, another, hasty, reopened = await leaves(ports, f"F-{seed}", 4)
            head, payload, signature = good.text.split(".")
            flipped = f"{head}.{payload}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}"
            longer = await _signed(ports, good, exp=2**40)
            tries = [
                redeem(ports, good, actor=STRANGER),
                redeem(ports, good, actor=DESK),
                redeem(ports, good, version="v8"),
                redeem(ports, good, version=""),
                redeem(ports, good._replace(text=another.text)),
                redeem(ports, good._replace(text=flipped)),
                redeem(ports, good._replace(text=longer)),
                redeem(ports, good._replace(text=await _signed(ports, good, mode="SKIP_STEP_ALREADY_DONE"))),
                redeem(ports, good._replace(text=await _signed(ports, good, aud=OTHER)), actor=STRANGER),
            ]
            forged = sum([await one for one in tries])
            first_use = await redeem(ports, good)
            forged += await redeem(ports, good)
            await cases.command(
                ports, reopened.case_id, await _version(ports, reopened.case_id), DESK, "reopen",
                lambda _case: Reopen("it was another line"),
            )  # fmt: skip
            forged += await redeem(ports, reopened)
            later = _later(ports, hours=25)
            forged += await redeem(later, hasty)
            await foreign.expire_due(later, 100)
            forged += await redeem(later, hasty)
    return {"foreign_forgeries": len(tries) + 4, "foreign_forged_wins": forged, "foreign_first_use_lost": 1 - first_use}


async def over_http(ports: Ports, urls: Sequence[str], seed: int, races: int) -> dict[str, int]:
    """Sixteen redeem one leave over all servers with the source's own token."""
    prizes = await leaves(ports, f"H-{seed}", races)
    _, secret = await sources.issue_key(ports, SOURCE, DESK, "the order manager")
    headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
    found = {"foreign_http_races": races, "foreign_http_other_than_one": 0, "foreign_http_odd": 0}
    async with aiohttp.ClientSession(headers=headers) as session:
        for prize in prizes:
            body = json.dumps({"token": prize.text, "order_version": VERSION})
            path = f"/api/v1/resume-tokens/{prize.id}/redeem"
            statuses = await asyncio.gather(*(_post(session, urls[n % len(urls)] + path, body) for n in range(RACERS)))
            found["foreign_http_other_than_one"] += statuses.count(200) != 1
            found["foreign_http_odd"] += sum(status not in (200, 409) for status in statuses)
    return found


async def leaves(ports: Ports, name: str, count: int) -> list[Leave]:
    """Failures of the other order manager, each worked up to its resolution: the leave to resume of each."""
    await _known(ports)
    reports = [_report(f"{name}-{n}") for n in range(count)]
    filed = [one for start in range(0, count, 200) for one in await receive(ports, reports[start : start + 200])]
    while await classify_due(ports, 500):
        pass
    out = []
    for one in filed:
        assert isinstance(one, Filed)
        out.append(await _decided(ports, one.case_id))
    return out


async def redeem(ports: Ports, leave: Leave, *, actor: Actor = MANAGER, version: str = VERSION) -> int:
    """One try; 1 when it was taken."""
    try:
        await foreign.redeem(ports, leave.id, leave.text, version, actor)
    except Refused:
        return 0
    return 1


async def _known(ports: Ports) -> None:
    settings = Described("the order manager of the proof", None, SourceSettings())
    for name in (SOURCE, OTHER):
        try:
            await sources.register(ports, name, None, DESK, settings)
        except Refused:
            continue  # an earlier part has registered it


def _report(name: str) -> Report:
    failure = Failure(
        source_system=SOURCE, source_event_id=f"evt-{name}", reason_code="REFUSED", message="the network said no",
        service_order_id=f"so-{name}", service_order_item_id="1", failed_step_key="activate", order_version=VERSION,
    )  # fmt: skip
    return Report(failure, json.dumps({"event": name}).encode(), MANAGER)


async def _decided(ports: Ports, case_id: UUID) -> Leave:
    await cases.command(ports, case_id, await _version(ports, case_id), DESK, "assign", lambda _case: Assign(DESK.id))
    done = await cases.command(ports, case_id, await _version(ports, case_id), DESK, "start", lambda _case: Start())
    proof = Evidence(
        ports.new_id(),
        EvidenceType.DOCUMENT,
        "",
        0,
        "text/plain",
        "proof",
        DESK.id,
        ports.now(),
        proves_resolution=True,
    )
    kept = await repair.attach(ports, case_id, done.version, DESK, b"the cause is gone", proof)
    assert isinstance(kept.evidence, Evidence)
    named = [kept.evidence.id]
    done = await cases.verify(ports, case_id, kept.version, DESK, named, "")
    decision = Decision("resume", named, "RETRY_FAILED_STEP")
    token = (await resolve.resolve(ports, case_id, done.version, DESK, decision)).resume_token
    assert token, "a decision to resume has a token"
    tokens = ports.foreign.tokens
    async with ports.store.reading(ports.now()) as unit:
        text = tokens.sign(claims(token, await unit.evidence(case_id), tokens.issuer))
    return Leave(token.id, case_id, text)


async def _signed(ports: Ports, leave: Leave, **other: Any) -> str:
    """The claims of a leave with some of them changed, signed with our own key: what a thief of the key could make."""
    tokens = ports.foreign.tokens
    return tokens.sign({**tokens.read(leave.text), **other})


async def _version(ports: Ports, case_id: UUID) -> int:
    return int(await ports.store.pool.fetchval("SELECT version FROM fallout_case WHERE id = $1", case_id))


async def _post(session: aiohttp.ClientSession, url: str, body: str) -> int:
    async with session.post(url, data=body) as answer:
        return answer.status


def _later(ports: Ports, *, hours: int) -> Ports:
    return msgspec.structs.replace(ports, now=lambda: ports.now() + timedelta(hours=hours))


def _config(folder: Path) -> Config:
    return Config(pack=str(PACK), data=str(folder / "unstuck"))
