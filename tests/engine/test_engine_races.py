"""Many hands on one order: workers, people, callbacks. Against a real PostgreSQL, with negative controls."""

import asyncio
from collections import Counter
from uuid import UUID

import asyncpg
import msgspec
import pytest

from unstuck.fallout import case as commands
from unstuck.kernel.refusal import Refused, Stale
from unstuck.repair.outcome import CallKind, Outcome, Result
from unstuck.service.case_work import cases, repair, resolve
from unstuck.service.case_work.repair import Proposal
from unstuck.service.order_work import callbacks
from unstuck.service.order_work.advance import advance
from unstuck.service.order_work.fire import late_due
from unstuck.store.seal import Signer, seal
from unstuck.store.statements import sql
from unstuck.store.unit import Unit

from .conftest import ENGINEER, Rig

LOCK_AND_LOAD_IN_ONE = """
WITH o AS (SELECT id FROM orders WHERE id = $1 FOR UPDATE)
SELECT (SELECT array_agg(state ORDER BY no) FROM task WHERE order_id = o.id) AS states FROM o
"""


async def _in_progress(rig: Rig, order: UUID) -> UUID:
    """The order's one case, taken and started."""
    (row,) = await rig.cases(order)
    for name, command in (("assign", commands.Assign("ana")), ("start", commands.Start())):
        version = await rig.pool.fetchval("SELECT version FROM fallout_case WHERE id = $1", row["id"])
        await cases.command(rig.ports, row["id"], version, ENGINEER, name, lambda _case, c=command: c)
    return UUID(str(row["id"]))


async def _version(rig: Rig, case: UUID) -> int:
    return int(await rig.pool.fetchval("SELECT version FROM fallout_case WHERE id = $1", case))


async def test_two_workers_on_the_tasks_of_one_order_lose_no_successor(rig: Rig) -> None:
    orders = [await rig.order("fiber-internet", "static-ip", "wifi-router") for _ in range(60)]
    workers = [rig.dispatcher(f"w{n}", batch=7, linger_s=0) for n in range(4)]
    running = [asyncio.create_task(worker.run()) for worker in workers]
    async with asyncio.timeout(60):
        while await rig.pool.fetchval("SELECT count(*) FROM orders WHERE state <> 'COMPLETED'"):
            await asyncio.sleep(0.05)
    for worker in workers:
        worker.stop()
    await asyncio.gather(*running)
    assert Counter(key for _, key in rig.target.sent).most_common(1)[0][1] == 1
    assert len(rig.target.sent) == 6 * len(orders)


async def test_lock_and_load_in_one_statement_reads_what_was_before_the_wait(rig: Rig) -> None:
    """The negative control of the rule that they are two."""
    order = await rig.order("fiber-internet")
    async with rig.pool.acquire() as first, rig.pool.acquire() as second:
        async with first.transaction():
            await first.fetch(sql("lock_orders"), [order])
            waiting = asyncio.create_task(_states(second, order))
            await _until_blocked(rig, 1)
            await first.execute("UPDATE task SET state = 'COMPLETED' WHERE order_id = $1", order)
        in_one, in_two = await waiting
    assert "COMPLETED" not in in_one
    assert set(in_two) == {"COMPLETED"}


async def _states(conn: asyncpg.Connection, order: UUID) -> tuple[list[str], list[str]]:
    async with conn.transaction():
        in_one = await conn.fetchval(LOCK_AND_LOAD_IN_ONE, order)
        (row,) = await conn.fetch(sql("load_tasks"), [order])
        return in_one, row["state"]


async def _until_blocked(rig: Rig, count: int) -> None:
    query = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    async with asyncio.timeout(10):
        while await rig.pool.fetchval(query) < count:
            await asyncio.sleep(0.01)


async def test_two_workers_racing_with_the_same_failure_make_one_case(rig: Rig) -> None:
    rig.target.will("reserve", Result.REFUSED)
    order = await rig.order("wifi-router")
    await rig.run()
    (case,) = await rig.cases(order)
    with pytest.raises(asyncpg.UniqueViolationError):
        await rig.pool.execute(
            "INSERT INTO fallout_case (id, state, version, seq, order_id, item, step, attempt, reason, system,"
            " operation, raw_code, raw_message, raw_sha256, raw, dedup_key, detected_at, touched_at, pack, queue)"
            " SELECT gen_random_uuid(), 'QUEUED', 1, 1, order_id, item, step, attempt, reason, system, operation,"
            " raw_code, raw_message, raw_sha256, raw, dedup_key, detected_at, touched_at, pack, queue"
            " FROM fallout_case WHERE id = $1",
            case["id"],
        )


async def test_sixteen_resolvers_against_a_flushing_engine_never_deadlock_and_one_wins_each(rig: Rig) -> None:
    rig.target.will("reserve", *[Result.REFUSED] * 8)
    orders = [await rig.order("wifi-router", "phone-line") for _ in range(8)]
    await rig.run()
    held = []
    for order in orders:
        case = await _in_progress(rig, order)
        proposed = await repair.propose(
            rig.ports, case, await _version(rig, case), ENGINEER,
            Proposal("correct_data", "typing_error", "wrong model", {"fields": {"model": "BX-2"}}),
        )  # fmt: skip
        await repair.apply(rig.ports, case, await _version(rig, case), ENGINEER, proposed.correction.id)
        evidence = [e["id"] for e in await rig.pool.fetch("SELECT id FROM evidence WHERE case_id = $1", case)]
        held.append((case, await _version(rig, case), evidence))
    noise = [await rig.order("phone-line") for _ in range(40)]
    worker = rig.dispatcher("busy", batch=5, linger_s=0)
    running = asyncio.create_task(worker.run())
    tries = [
        resolve.resolve(rig.ports, case, version, ENGINEER, resolve.Decision("resume", evidence, "RETRY_FAILED_STEP"))
        for case, version, evidence in held
        for _ in range(16)
    ]
    answers = await asyncio.gather(*tries, return_exceptions=True)
    won = [a for a in answers if not isinstance(a, BaseException)]
    assert len(won) == len(held)
    assert {type(a) for a in answers if isinstance(a, BaseException)} <= {Stale, Refused}
    async with asyncio.timeout(60):
        while await rig.pool.fetchval("SELECT count(*) FROM orders WHERE state <> 'COMPLETED'"):
            await asyncio.sleep(0.05)
    worker.stop()
    await running
    assert await rig.pool.fetchval("SELECT count(*) FROM resume_use") == len(held)
    assert len(noise) == 40


async def test_a_corrected_payload_gets_a_new_identity_only_when_the_old_is_proven_dead(rig: Rig) -> None:
    rig.target.will("reserve", Result.REFUSED)
    order = await rig.order("wifi-router")
    await rig.run()
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await rig.pool.execute("UPDATE task SET identity = 1, replaces = 0 WHERE order_id = $1 AND no = 0", order)
    with pytest.raises(asyncpg.CheckViolationError):
        await rig.pool.execute("UPDATE task SET identity = 1 WHERE order_id = $1 AND no = 0", order)


async def test_a_callback_settles_once_and_never_takes_a_task_backwards(rig: Rig) -> None:
    rig.target.will("activateVoice", Result.ACCEPTED)
    order = await rig.order("phone-line")
    await rig.run()
    key = (await rig.pool.fetchval("SELECT key FROM command WHERE order_id = $1 AND task = 1", order)) or ""
    said = [("e1", "done"), ("e1", "done"), ("e2", "done"), ("e0", "accepted"), ("e3", "failed")]
    verdicts = []
    for event, status in said:
        body = msgspec.json.encode({"id": event, "key": key, "status": status})
        verdicts.append(await callbacks.receive(rig.ports, "provisioning", body))
    assert verdicts == ["settled", "repeated", "noted", "noted", "contradiction"]
    await rig.run()
    assert await rig.state(order) == "COMPLETED"
    assert [case["code"] for case in await rig.cases(order)] == ["CONTRADICTING_OUTCOME"]


async def test_racing_callbacks_settle_once(rig: Rig) -> None:
    rig.target.will("activateVoice", Result.ACCEPTED)
    order = await rig.order("phone-line")
    await rig.run()
    key = await rig.pool.fetchval("SELECT key FROM command WHERE order_id = $1 AND task = 1", order)
    bodies = [msgspec.json.encode({"id": f"e{n % 4}", "key": key, "status": "done"}) for n in range(16)]
    verdicts = await asyncio.gather(*(callbacks.receive(rig.ports, "provisioning", body) for body in bodies))
    assert Counter(verdicts)["settled"] == 1
    assert Counter(verdicts)["repeated"] == 12
    assert (await rig.events(order)).count("order.completed") == 1


async def test_an_overdue_callback_is_an_unknown_outcome_that_a_late_one_settles(rig: Rig) -> None:
    rig.target.will("bookAppointment", Result.ACCEPTED)
    order = await rig.order("fiber-internet")
    await rig.run()
    rig.clock.pass_by(400)
    await rig.run()
    assert "order.jeopardy-raised" in await rig.events(order)
    rig.clock.pass_by(400)
    await rig.run()
    (case,) = await rig.cases(order)
    assert (case["reason"], case["state"]) == ("unknown", "QUEUED")
    key = await rig.pool.fetchval("SELECT key FROM command WHERE order_id = $1 AND key LIKE '%installation%'", order)
    body = msgspec.json.encode({"id": "late", "key": key, "status": "done"})
    assert await callbacks.receive(rig.ports, "field", body) == "settled"
    (case,) = await rig.cases(order)
    assert (case["state"], case["resolution"]) == ("RESOLVED_NONE", "settled_outside")


async def test_a_commit_that_comes_late_is_sealed_and_none_is_skipped(rig: Rig) -> None:
    """Two interleaved commits: the one that began first commits last. A cursor over identity values loses it."""
    signer = Signer("test", bytes(32))
    row = "INSERT INTO event (stream, seq, at, recorded_at, type, v, by, data) VALUES ($1, 1, now(), now(), 't', 1, 'x', '{}')"
    early, late = rig.ports.new_id(), rig.ports.new_id()
    async with rig.pool.acquire() as slow, rig.pool.acquire() as quick:
        async with slow.transaction():
            await slow.execute(row, early)
            await quick.execute(row, late)
            await seal(rig.pool, signer, rig.clock(), None)
            sealed = {r["stream"] for r in await quick.fetch("SELECT stream FROM leaf")}
            assert early not in sealed
        await seal(rig.pool, signer, rig.clock(), None)
        sealed = {r["stream"] for r in await quick.fetch("SELECT stream FROM leaf")}
    assert {early, late} <= sealed


async def test_history_cannot_be_changed_by_the_application(rig: Rig) -> None:
    await rig.order("wifi-router")
    for statement in ("UPDATE event SET type = 'x'", "DELETE FROM event", "TRUNCATE event", "DELETE FROM leaf"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await rig.pool.execute(statement)


async def test_a_callback_that_comes_before_the_case_was_classified_settles_it(rig: Rig) -> None:
    rig.target.will("bookAppointment", Result.UNKNOWN)
    order = await rig.order("fiber-internet")
    worker = rig.dispatcher()
    for _ in range(4):  # the engine alone: nobody classifies
        await worker.cycle()
        while worker._calls:
            await asyncio.sleep(0)
    (case,) = await rig.cases(order)
    assert case["state"] == "DETECTED"
    key = await rig.pool.fetchval("SELECT key FROM command WHERE order_id = $1 AND key LIKE '%installation%'", order)
    body = msgspec.json.encode({"id": "early", "key": key, "status": "done"})
    assert await callbacks.receive(rig.ports, "field", body) == "settled"
    await rig.run()
    assert (await rig.cases(order))[0]["state"] == "RESOLVED_NONE"
    assert await rig.state(order) == "COMPLETED"


async def test_two_answers_for_one_task_in_one_batch_count_once(rig: Rig) -> None:
    rig.target.will("reserve", Result.UNKNOWN)
    order = await rig.order("wifi-router")
    worker = rig.dispatcher()
    await worker.cycle()
    while worker._calls:
        await asyncio.sleep(0)
    await worker.cycle()  # the outcome is unknown now, and a read-back is due
    rig.clock.pass_by(10)
    await worker.cycle()
    while worker._calls:
        await asyncio.sleep(0)
    (asked,) = worker._arrived
    late = msgspec.structs.replace(
        asked, attempt=99, kind=CallKind.SEND, outcome=Outcome(Result.DONE, rig.clock(), 200, body=b"{}")
    )
    await advance(rig.ports, [late, asked], {})
    assert await rig.state(order) == "COMPLETED"
    assert (await rig.events(order)).count("order.completed") == 1


async def _jeopardies(rig: Rig) -> int:
    """How often one overdue warning is said when eight workers look at the same time."""
    rig.target.will("bookAppointment", Result.ACCEPTED)
    order = await rig.order("fiber-internet")
    await rig.run()
    rig.clock.pass_by(400)
    await asyncio.gather(*(late_due(rig.ports, 100) for _ in range(8)))
    return (await rig.events(order)).count("order.jeopardy-raised")


async def test_a_timer_that_eight_workers_see_fires_once(rig: Rig) -> None:
    assert await _jeopardies(rig) == 1


async def test_a_timer_that_is_only_looked_at_fires_more_than_once(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control: without taking the row, each worker that saw it has its effect."""
    monkeypatch.setattr(Unit, "due_timers", Unit.timers)
    assert await _jeopardies(rig) > 1
