"""Negative controls: a suite that cannot fail proves nothing. Each seeded bug must be caught by the same oracles.

Not here yet, because what they would break is not built: self-approval, timer without uniqueness, breaker, lease on a
worker row.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from proof import p3, p4, p4_foreign
from proof.bugged import BUGS
from proof.chaos import Chaos, Step, draw_plan
from proof.late import late_commits
from proof.p1p2 import Ordeal, Outcome, endure
from proof.races import interleaved_seal, siblings
from proof.stack import HOME, Stack, fresh_database, place
from proof.world import ACCOUNT, BOX, LANDS_MS, LINE, VISIT, rule
from unstuck.store.server import EmbeddedServer

Caught = dict[str, Any]
KILLS = 10


def _with(bug: str, command: str, **more: Any) -> Callable[[int], Ordeal]:
    """A small ordeal of one bug. The first call of every order suffers the fault."""

    def made(seed: int) -> Ordeal:
        given = {"chaos": Chaos([]), "faults": [], "workers": 1, "serves": 1, "orders_per_s": 20.0, **more}
        if "kills" in given:
            given["chaos"] = draw_plan(seed, given.pop("kills"), every_s=1.2, database_kills=0, weights={"worker": 1})
        return Ordeal(seed, bugs={command: bug}, **given)

    return made


def _first(fault: str, system: str, **params: Any) -> list[dict[str, Any]]:
    return [{**rule(fault, 1.0, system, **params), "first": 1}]


ORDEALS: dict[str, tuple[Callable[[int], Ordeal], str]] = {
    "new_key_per_retry": (
        _with("new_key_per_retry", "worker", faults=_first("F2", ACCOUNT[0]), offers=["account"], least_orders=10, most_orders=10, least_faults=10),
        "doubled",
    ),
    "blind_retry": (
        _with("blind_retry", "worker", faults=_first("F2", VISIT[0]), offers=["visit"], least_orders=10, most_orders=10, least_faults=10),
        "doubled",
    ),
    "expired_lease_runs_again": (
        _with(
            "expired_lease_runs_again", "worker", kills=KILLS, workers=2, offers=["box", "visit"],
            latency_ms=(200, 900), least_orders=40, most_orders=120, orders_per_s=8.0, still_s=20.0,
        ),
        "doubled",
    ),
    "absent_at_once": (
        _with(
            "absent_at_once", "worker", faults=_first("F9", BOX[0], delay_ms=LANDS_MS), offers=["box"], least_orders=10, most_orders=10, least_faults=10
        ),
        "doubled",
    ),
    "callback_regresses": (
        _with("callback_regresses", "serve", faults=_first("F7", LINE[0]), offers=["line"], least_orders=10, most_orders=10, least_faults=10),
        "regressed",
    ),
    "ack_before_commit": (
        _with("ack_before_commit", "serve", chaos=Chaos([Step(2.0, "serve", 0.0)]), workers=0, still_s=0.0),
        "lost",
    ),
}  # fmt: skip


async def run(server: EmbeddedServer, seed: int, only: str = "") -> dict[str, Caught]:
    """Each bug with what caught it; the same oracle on the healthy product stays silent where that is cheap to show."""
    found: dict[str, Caught] = {}
    for name, (ordeal, expected) in ORDEALS.items():
        if only in ("", name):
            found[name] = await _endured(server, name, ordeal(seed), expected)
    for name, control in DIRECT.items():
        if only in ("", name):
            _say(name)
            found[name] = await control(server, seed)
    return found


async def _endured(server: EmbeddedServer, name: str, ordeal: Ordeal, expected: str) -> Caught:
    _say(name)
    urls = await fresh_database(server, f"neg_{name}_{ordeal.seed}")
    with place() as folder:
        outcome: Outcome = await endure(ordeal, server, urls, Path(folder))
    counts = outcome.counts()
    return {"caught": counts[expected] > 0, "by": expected, "count": counts[expected], "orders": counts["orders"]}


async def _token_race(server: EmbeddedServer, seed: int) -> Caught:
    urls = await fresh_database(server, f"neg_token_{seed}")
    found = await p4.race(urls.app, seed, 30, bug="check_then_act_token")
    return {"caught": found["more_winners"] > 0, "by": "P4: more than one winner", "count": found["more_winners"]}


async def _leave_race(server: EmbeddedServer, seed: int) -> Caught:
    urls = await fresh_database(server, f"neg_leave_{seed}")
    found = await p4_foreign.race(urls.app, seed, 20, bug="check_then_act_leave")
    count = found["foreign_more_winners"]
    return {"caught": count > 0, "by": "P4: more than one winner", "count": count}


async def _token_reused(server: EmbeddedServer, seed: int) -> Caught:
    urls = await fresh_database(server, f"neg_reuse_{seed}")
    # A process of its own, as the bug cannot be taken out again.
    code = (
        "import asyncio, json, sys; from proof import p4; from proof.bugged import BUGS; BUGS['token_reused']();"
        "print(json.dumps(asyncio.run(p4.forgeries(sys.argv[1], int(sys.argv[2])))))"
    )
    found = await _in_a_process(code, urls.app, str(seed))
    wins = found["forged_wins"] + found["reused_wins"]
    return {"caught": found["reused_wins"] > 0, "by": "P4: a used or forged token won", "count": wins}


async def _if_match(server: EmbeddedServer, seed: int) -> Caught:
    urls = await fresh_database(server, f"neg_if_match_{seed}")
    with place() as folder:
        stack = Stack(server, urls, folder, workers=0, serves=2, bugs={"serve": "if_match_ignored"})
        found = await p4.http_races(stack, seed, 3)
    return {"caught": found["stale_taken"] > 0, "by": "P4: a stale If-Match was taken", "count": found["stale_taken"]}


async def _if_match_model(server: EmbeddedServer, seed: int) -> Caught:
    urls = await fresh_database(server, f"neg_model_{seed}")
    code = (
        "import asyncio, json, sys; from proof.p5 import walk; from proof.bugged import BUGS; BUGS['if_match_ignored']();"
        "v = asyncio.run(walk(sys.argv[1], int(sys.argv[2]), 300)).broken;"
        "print(json.dumps({law: len(found) for law, found in v.items()}))"
    )
    found = await _in_a_process(code, urls.app, str(seed))
    caught = found["stale_taken"] > 0 and found["not_one_winner"] > 0
    return {"caught": caught, "by": "P5: a stale version was taken", "count": found["stale_taken"]}


async def _failure_acked(_server: EmbeddedServer, seed: int) -> Caught:
    kills = [p3.Step(after, p3.SERVE, 0.0) for after in (5, 15, 25)]
    found = (await p3.endure(kills, seed, change="failure_acked_before_commit")).account
    return {"caught": bool(found.lost), "by": "P3: lost", "count": len(found.lost)}


async def _late_commit(_server: EmbeddedServer, seed: int) -> Caught:
    found = await late_commits(seed, "smoke")
    return {"caught": found.ok, "by": "P3: a failure that is told to nobody", "count": found.by_cursor}


async def _one_statement(server: EmbeddedServer, seed: int) -> Caught:
    healthy = await siblings((await fresh_database(server, f"neg_lock_ok_{seed}")).app, f"ok-{seed}", 40)
    urls = await fresh_database(server, f"neg_lock_{seed}")
    code = (
        "import asyncio, json, sys; from proof.races import siblings; from proof.bugged import BUGS;"
        "BUGS['lock_and_load_in_one'](); print(json.dumps(asyncio.run(siblings(sys.argv[1], sys.argv[2], 40))))"
    )
    found = await _in_a_process(code, urls.app, f"bug-{seed}")
    caught = found["stuck"] > 0 and healthy["stuck"] == 0
    return {"caught": caught, "by": "invisible: an order with nothing that moves it", "count": found["stuck"]}


async def _seal_by_identity(server: EmbeddedServer, seed: int) -> Caught:
    healthy = await interleaved_seal(await fresh_database(server, f"neg_seal_ok_{seed}"), by_time=False)
    found = await interleaved_seal(await fresh_database(server, f"neg_seal_{seed}"), by_time=True)
    return {"caught": found > 0 and healthy == 0, "by": "an event without a leaf", "count": found}


async def _in_a_process(code: str, *arguments: str) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, *arguments, stdout=asyncio.subprocess.PIPE, cwd=HOME
    )
    out, _ = await process.communicate()
    if process.returncode != 0:
        raise RuntimeError("a control fell; its traceback is above")
    found: dict[str, Any] = json.loads(out)
    return found


DIRECT: dict[str, Callable[[EmbeddedServer, int], Awaitable[Caught]]] = {
    "check_then_act_token": _token_race,
    "check_then_act_leave": _leave_race,
    "token_reused": _token_reused,
    "if_match_ignored": _if_match,
    "if_match_ignored_by_all": _if_match_model,
    "failure_acked_before_commit": _failure_acked,
    "told_by_time": _late_commit,
    "lock_and_load_in_one": _one_statement,
    "seal_by_identity": _seal_by_identity,
}
NAMES = (*ORDEALS, *DIRECT)
assert set(BUGS) <= set(NAMES)


def _say(name: str) -> None:
    print(f"  seeded bug: {name}", file=sys.stderr)
