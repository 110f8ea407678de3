"""`audit verify` finds every kind of tampering by somebody with all rights, and nothing where nothing was done."""

import asyncio
import random
from collections.abc import Sequence

import msgspec
import pytest
from proof.p7 import HARMLESS, Lab, tamper_lab
from proof.small_world import Target, run, submit
from proof.tampering import Act, Hand, kinds, rewrite_history

from unstuck.store.checking.audit import Report, verify
from unstuck.store.seal import Signer
from unstuck.verifier.note import BadNote, Key, Keys

KINDS = kinds()
BY_WHICH_CHECK = {
    "cut the tail": "truncated",
    "rewrite history": "checkpoint",
    "edit event and leaf": "checkpoint",
    "edit leaf.hash": "event-changed",
    "edit event.by": "event-changed",
    "edit event.at": "event-changed",
    "edit event.type": "event-changed",
    "edit event.data": "event-changed",
    "swap events": "event-changed",
    "swap leaves": "checkpoint",
    "edit leaf.n": "leaf-number",
    "postpone event": "event-unsettled",
    "delete event": "event-missing",
    "forge event": "column",
    "insert old event": "event-without-leaf",
    "edit checkpoint.note": "signature",
    "edit checkpoint.root": "checkpoint",
    "edit orders.state": "column",
    "edit task.state": "column",
    "edit task.identity": "column",
    "edit outcome.body": "payload",
    "edit outcome.body and its digest": "column",
    "edit plan.body": "payload",
    "edit policy_pack.files": "payload",
    "edit evidence.customer_visible": "column",
    "edit file": "file-changed",
    "delete file": "file-missing",
    "delete resume_use": "missing-row",
    "forge outcome": "forged-row",
    "delete orders": "stream",
    "delete fallout_case": "stream",
}


def sql(*statements: str) -> Act:
    async def act(hand: Hand) -> None:
        for statement in statements:
            await hand.conn.execute(statement)

    return act


async def audit(lab: Lab, keys: Sequence[str], elsewhere: Sequence[str]) -> Report:
    pool = lab.world.ports.store.pool
    return await verify(pool, lab.blobs, verifier_keys=keys, checkpoints_elsewhere=elsewhere)


async def test_an_untouched_database_is_clean_and_was_looked_at(lab: Lab) -> None:
    report = await audit(lab, [lab.world.verifier], lab.world.elsewhere)
    assert (report.ok, report.findings, report.unsealed) == (True, [], 0)
    assert report.held_elsewhere == report.sealed == report.events > 500
    assert (report.orders, report.cases > 20, report.files > 40, report.payloads > 300) == (30, True, True, True)
    assert min(report.rows.values()) > 0, "every table has rows that were compared"
    assert set(report.rows) >= {"command", "outcome", "callback", "evidence", "dead_identity", "resume_use"}


@pytest.mark.parametrize("kind", KINDS)
async def test_tampering_is_found(lab: Lab, kind: str) -> None:
    report = await lab.after(KINDS[kind], random.Random(kind))
    assert not report.ok
    assert BY_WHICH_CHECK.get(kind, report.findings[0].what) in {finding.what for finding in report.findings}


@pytest.mark.parametrize("statement", HARMLESS)
async def test_what_is_operational_may_change(lab: Lab, statement: str) -> None:
    assert (await lab.after(sql(statement), random.Random(1))).findings == []


@pytest.mark.parametrize("value", ["'4000-01-01 BC'", "'infinity'", "'-infinity'"])
@pytest.mark.parametrize("column", ["event.recorded_at", "orders.received_at", "evidence.captured_at", "task.since"])
async def test_a_value_that_nobody_can_read_is_a_finding_and_no_crash(lab: Lab, column: str, value: str) -> None:
    table, _, name = column.partition(".")
    assert not (await lab.after(sql(f"UPDATE {table} SET {name} = {value}"), random.Random(1))).ok


@pytest.mark.parametrize("data", ["", "null", "[]", '{"tasks": [{"no": 99, "to": "READY"}]}', "[" * 100_000])
async def test_event_data_of_any_shape_is_a_finding_and_no_crash(lab: Lab, data: str) -> None:
    async def act(hand: Hand) -> None:
        await hand.conn.execute("UPDATE event SET data = $1", data.encode())

    report = await lab.after(act, random.Random(1))
    assert {"event-changed", "event-unfoldable"} <= {finding.what for finding in report.findings}
    assert report.found > len(report.findings) == 1000, "all are counted, the first are kept"


async def test_a_gap_in_a_stream_shows_whether_or_not_it_was_sealed(lab: Lab) -> None:
    gap = "DELETE FROM event WHERE seq = 2 AND stream = (SELECT id FROM orders LIMIT 1)"
    unsealed = ("DELETE FROM checkpoint", "DELETE FROM leaf", "UPDATE seal SET size = 0, frontier = '', below = '0'")
    report = await lab.after(sql(gap, *unsealed), random.Random(1), [])
    assert report.sealed == 0
    assert "seq" in {finding.what for finding in report.findings}


async def test_a_finding_says_where_and_what(lab: Lab) -> None:
    report = await lab.after(sql("UPDATE orders SET state = 'ABORTED' WHERE external_id = 'WEB-10'"), random.Random(1))
    order = await lab.superuser.fetchval("SELECT id FROM orders WHERE external_id = 'WEB-10'")
    (finding,) = report.findings
    assert (finding.what, finding.where) == ("column", f"orders {order} state")
    assert finding.because.startswith("is ABORTED, the history says ")


async def test_what_no_checkpoint_covers_is_unsealed_and_never_called_verified(lab: Lab) -> None:
    last = "DELETE FROM checkpoint WHERE size = (SELECT max(size) FROM checkpoint)"
    report = await lab.after(sql(last), random.Random(1), lab.world.elsewhere[:1])
    size = int(lab.world.elsewhere[0].split("\n")[1])
    assert report.ok
    assert (report.sealed, report.held_elsewhere, report.unsealed) == (size, size, report.events - size)
    assert report.unsealed > 100


async def test_a_history_rewritten_whole_is_found_only_by_a_checkpoint_held_elsewhere(lab: Lab) -> None:
    found = await lab.after(rewrite_history, random.Random(1))
    assert {finding.where.rpartition(" ")[0] for finding in found.findings} == {"checkpoint held elsewhere"}
    blind = await lab.after(rewrite_history, random.Random(1), [])
    assert (blind.sealed, blind.unsealed) == (0, blind.events), "nothing of it is called verified"


async def test_a_checkpoint_counts_only_when_a_trusted_key_signed_exactly_it(lab: Lab) -> None:
    known, note = lab.world.verifier, lab.world.elsewhere[-1]
    stranger = Signer("unstuck.local", b"x" * 32)
    assert {f.what for f in (await audit(lab, [stranger.verifier()], [note])).findings} == {"signature"}
    assert {f.what for f in (await audit(lab, [], [note])).findings} == {"signature"}
    size = note.split("\n")[1]
    for forged in (note.replace(size, "7", 1), stranger.note(int(size), b"r" * 32), "", note + "x", note[:-1]):
        report = await audit(lab, [known], [forged])
        assert [(f.what, f.where) for f in report.findings] == [("signature", "checkpoint held elsewhere")]
    assert (await audit(lab, [stranger.verifier(), known], [note])).ok


@pytest.mark.parametrize("line", ["", "unstuck.local", "unstuck.local+00000000+AQID", "n+1+!"])
async def test_an_unreadable_key_is_refused(line: str) -> None:
    with pytest.raises(BadNote):
        Key(line)


def test_a_signed_text_that_is_no_checkpoint_is_refused() -> None:
    signer = Signer("unstuck.local", b"s" * 32)
    keys = Keys(signer.verifier())
    assert keys.read(signer.note(5, b"r" * 32))[0].size == 5
    signed = signer.note(-5, b"r" * 32)
    with pytest.raises(BadNote, match="no checkpoint"):
        keys.read(signed)


async def test_an_audit_while_everything_moves_is_clean() -> None:
    async with tamper_lab(seed=2, orders=5) as busy:
        ports, target = busy.world.ports, Target(3)
        names = ports.book.current.document.targets
        moving = msgspec.structs.replace(ports, connectors=dict.fromkeys(names, target))
        work = asyncio.gather(submit(moving, 40, random.Random(3), "BUSY"), run(moving, target, names))
        reports = []
        while not work.done():
            reports.append(await audit(busy, [busy.world.verifier], busy.world.elsewhere))
            await asyncio.sleep(0.02)
        await work
    assert [report.findings for report in reports if not report.ok] == []
    assert reports[-1].unsealed > reports[0].unsealed >= 0
