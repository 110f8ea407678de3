"""Events out: everything arrives, signed and in order for each case, whatever dies on the way."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import msgspec
import pytest

from unstuck.fallout.events import NOTED
from unstuck.kernel.event import Event
from unstuck.repair.outcome import Result
from unstuck.service.events_out import outbox, subscriptions
from unstuck.store.keys import KeyFiles
from unstuck.store.rows import Changes, RegistryChange
from unstuck.store.seal import seal
from unstuck.store.vault import FileVault

from .conftest import Rig
from .receiver_lab import ADMIN, QUICK, RENDERERS, Post, Receiver, receiving


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as one:
        yield one


@pytest.fixture
def post(rig: Rig, tmp_path: Path) -> Post:
    return Post(rig, KeyFiles("test", tmp_path / "signing.key"))


def note(stream: UUID, rig: Rig, seq: int = 0) -> Changes:
    """One event on a stream of its own."""
    made = Event(NOTED, rig.clock(), "ana", {"text": "x"})
    return Changes(registry=[RegistryChange("", stream, [made], seq=seq)])


async def test_everything_arrives_signed_and_each_stream_in_its_order(rig: Rig, post: Post, receiver: Receiver) -> None:
    made = await post.subscribe(receiver)
    rig.target.will("reserve", Result.REFUSED)
    for _ in range(5):
        await rig.order("fiber-internet", "wifi-router")
    await rig.run()
    await post.drain()

    streams = await post.streams()
    assert len(streams) == 6, "five orders and a case"
    assert {stream: receiver.seqs(stream) for stream in streams} == {
        s: list(range(1, n + 1)) for s, n in streams.items()
    }
    assert receiver.twice() == []
    receiver.signed_by(made.secret, rig)
    shown = await post.shown(made.id)
    assert (shown.behind, shown.waiting, shown.dead) == (0, 0, 0)


async def test_a_receiver_gets_only_what_it_asked_for(rig: Rig, post: Post, receiver: Receiver) -> None:
    await post.subscribe(receiver, types=("unstuck.fallout-case.detected", "unstuck.order.comp*"))
    rig.target.will("reserve", Result.REFUSED)
    await rig.order("fiber-internet")
    await rig.order("wifi-router")
    await rig.run()
    await post.drain()
    kinds = sorted(got.event["type"] for got in receiver.got)
    assert kinds == ["unstuck.fallout-case.detected", "unstuck.order.completed"]


async def test_a_dead_receiver_holds_up_nobody_and_piles_up_nothing(rig: Rig, post: Post, receiver: Receiver) -> None:
    async with receiving() as gone:
        dead = await post.subscribe(gone, "gone")
        alive = await post.subscribe(receiver, "alive")
        await gone.close()
        for _ in range(4):
            await rig.order("fiber-internet")
            await rig.run()
            await post.drain()
        streams = await post.streams()
        assert all(receiver.seqs(stream) == list(range(1, n + 1)) for stream, n in streams.items())
        waiting = await post.shown(dead.id)
        assert (waiting.delivered, waiting.waiting, waiting.dead) == (0, 0, 0)
        assert waiting.failures == 1, "it was asked once, then waited for"
        assert waiting.held_until is not None and waiting.held_until > rig.clock()
        assert "Connect call failed" in waiting.because

        rig.clock.pass_by(1)
        await post.drain()
        assert (await post.shown(dead.id)).failures == 2

        await gone.open()
        rig.clock.pass_by(3)
        await post.drain()
        assert all(gone.seqs(stream) == list(range(1, n + 1)) for stream, n in streams.items())
        assert (await post.shown(dead.id)).failures == 0
        assert (await post.shown(alive.id)).behind == 0


async def test_a_late_commit_is_not_skipped(rig: Rig, post: Post, receiver: Receiver) -> None:
    """The event that began first commits last. Who remembers the highest transaction or time seen would lose it."""
    await post.subscribe(receiver)
    await post.drain()
    first, second = rig.ports.new_id(), rig.ports.new_id()
    naive = "SELECT stream FROM event WHERE xid > $1::text::xid8 ORDER BY xid"
    by_time = "SELECT stream FROM event WHERE recorded_at > $1"
    newest = "SELECT max(xid::text::bigint)::text AS xid, max(recorded_at) AS at FROM event"

    async with rig.ports.store.unit(rig.clock()) as early:
        await early.record(note(first, rig))
        rig.clock.pass_by(0.001)
        async with rig.ports.store.unit(rig.clock()) as late:
            await late.record(note(second, rig))
        seen = await rig.pool.fetchrow(newest)
        await outbox_pass(post)
        assert receiver.seqs(first) == []
    await post.drain()
    assert receiver.seqs(first) == receiver.seqs(second) == [1]

    lost = {row["stream"] for row in await rig.pool.fetch(naive, seen["xid"])}
    assert first not in lost, "a cursor over the transaction's number never sees it"
    assert first not in {row["stream"] for row in await rig.pool.fetch(by_time, seen["at"])}, "nor one over time"


async def test_leaves_follow_commits_where_numbers_get_longer(rig: Rig, post: Post, receiver: Receiver) -> None:
    """Transaction 999… ends before transaction 1000… and its events come first, though as text it comes later."""
    await post.subscribe(receiver)
    burn = """
        DO $$ BEGIN FOR n IN 1..%d LOOP
            BEGIN
                INSERT INTO policy_pack VALUES ('burnt', '', '', 'epoch');
                RAISE EXCEPTION 'each writing subtransaction takes a number';
            EXCEPTION WHEN raise_exception THEN NULL; END;
        END LOOP; END $$"""
    now = int(await rig.pool.fetchval("SELECT pg_current_xact_id()::text"))
    await rig.pool.execute(burn % (10 ** len(str(now)) - now - 6))
    stream = rig.ports.new_id()
    for seq in range(10):
        async with rig.ports.store.unit(rig.clock()) as unit:
            await unit.record(note(stream, rig, seq))
    numbers = [len(row[0]) for row in await rig.pool.fetch("SELECT xid::text FROM event WHERE stream = $1", stream)]
    assert len(set(numbers)) == 2, "some on each side"
    await post.drain()
    assert receiver.seqs(stream) == list(range(1, 11))


async def outbox_pass(post: Post) -> None:
    """Seal what can be sealed, and send it."""
    await seal(post.rig.pool, post.keys, post.rig.clock(), None)
    relay = post.relay()
    await relay.cycle()
    await relay.idle()


async def test_what_was_sent_and_not_recorded_is_sent_again_under_the_same_id(
    rig: Rig, post: Post, receiver: Receiver
) -> None:
    made = await post.subscribe(receiver)
    order = await rig.order("fiber-internet")
    await post.seal()
    await _send_and_die(rig)
    sent = list(receiver.seqs(order))
    assert sent == [1, 2, 3]

    await post.drain()
    assert receiver.seqs(order) == sent, "nobody sends while the lease lasts"
    rig.clock.pass_by(QUICK.lease_s + 1)
    await rig.run()
    await post.drain()
    events = (await post.streams())[order]
    assert receiver.seqs(order) == [*sent, *range(1, events + 1)]
    assert {f"{order}-{n}" for n in sent} <= set(receiver.twice())
    receiver.signed_by(made.secret, rig)


async def _send_and_die(rig: Rig) -> outbox.Batch:
    """All that a worker does but the last: it sends, and does not come to record it."""
    (claim,) = await outbox.claim(rig.ports, 1, QUICK)
    batch = await outbox.prepare(rig.ports, RENDERERS, claim)
    for lane in batch.lanes:
        for step in lane:
            for message in step.messages:
                headers = outbox.headers_of(rig.ports, batch, message)
                await rig.ports.outside.webhooks.post(claim.subscription.url, headers, message.body)
    return batch


async def test_who_lost_the_lease_records_nothing(rig: Rig, post: Post, receiver: Receiver) -> None:
    made = await post.subscribe(receiver)
    order = await rig.order("fiber-internet")
    await post.seal()
    late = await _send_and_die(rig)
    rig.clock.pass_by(QUICK.lease_s + 1)
    await rig.run()
    await post.drain()
    before = await post.shown(made.id)
    progress = outbox.Progress(late.claim, QUICK)
    assert not await outbox.settle(rig.ports, late, progress, QUICK)
    assert await post.shown(made.id) == before
    await post.drain()
    assert set(receiver.seqs(order)) == set(range(1, (await post.streams())[order] + 1))


async def test_two_workers_share_receivers_and_never_one_of_them(rig: Rig, post: Post, receiver: Receiver) -> None:
    for n in range(3):
        await post.subscribe(receiver, f"crm-{n}", types=("unstuck.order.*",))
    running = [post.relay(lanes=4) for _ in range(2)]
    tasks = [asyncio.create_task(relay.run()) for relay in running]
    for _ in range(12):
        await rig.order("fiber-internet")
        await rig.run()
        await post.seal()
    expected = sum(n for s, n in (await post.streams()).items()) * 3
    async with asyncio.timeout(20):
        while len(receiver.got) < expected:
            await asyncio.sleep(0.01)
    for relay in running:
        relay.stop()
    await asyncio.gather(*tasks)
    assert len(receiver.got) == expected, "each of the three once, whoever sent it"
    for stream in await post.streams():
        came = receiver.seqs(stream)
        assert all(came.count(seq) == 3 for seq in came)
        firsts = [seq for n, seq in enumerate(came) if seq not in came[:n]]
        assert firsts == sorted(firsts)


async def test_a_stop_waits_for_nobody_and_gives_the_receiver_back(rig: Rig, post: Post, receiver: Receiver) -> None:
    made = await post.subscribe(receiver)
    order = await rig.order("fiber-internet")
    await post.seal()
    receiver.pause.clear()
    relay = post.relay()
    task = asyncio.create_task(relay.run())
    async with asyncio.timeout(5):
        while not receiver.asked:
            await asyncio.sleep(0.01)
    began = time.monotonic()
    relay.stop()
    await task
    assert time.monotonic() - began < 2
    receiver.pause.set()
    await post.drain()
    assert receiver.seqs(order)[-1] == 3
    assert (await post.shown(made.id)).behind == 0


async def test_a_paused_receiver_gets_what_came_meanwhile(rig: Rig, post: Post, receiver: Receiver) -> None:
    made = await post.subscribe(receiver)
    paused = await subscriptions.pause(rig.ports, made.id, made.version, ADMIN)
    order = await rig.order("fiber-internet")
    await post.drain()
    assert receiver.got == []
    await subscriptions.resume(rig.ports, made.id, paused.version, ADMIN)
    await post.drain()
    assert receiver.seqs(order) == [1, 2, 3]


async def test_a_replay_begins_again_where_it_is_told(rig: Rig, post: Post, receiver: Receiver) -> None:
    order = await rig.order("fiber-internet")
    await post.seal()
    made = await post.subscribe(receiver, first=0)
    await post.drain()
    version = (await post.shown(made.id)).version
    await subscriptions.replay_from(rig.ports, made.id, version, ADMIN, 1)
    await post.drain()
    assert receiver.seqs(order) == [1, 2, 3, 2, 3]


async def test_both_secrets_sign_for_a_day_after_a_rotation(rig: Rig, post: Post, receiver: Receiver) -> None:
    made = await post.subscribe(receiver)
    rotated = await subscriptions.rotate(rig.ports, made.id, made.version, ADMIN)
    await rig.order("fiber-internet")
    await post.drain()
    receiver.signed_by(made.secret, rig)
    receiver.signed_by(rotated.secret, rig)

    rig.clock.pass_by(timedelta(hours=24, seconds=1).total_seconds())
    receiver.got.clear()
    await rig.order("fiber-internet")
    await post.drain()
    receiver.signed_by(rotated.secret, rig)
    with pytest.raises(Exception, match="does not fit"):
        receiver.signed_by(made.secret, rig)


async def test_a_secret_is_nowhere_in_the_database(rig: Rig, post: Post, receiver: Receiver) -> None:
    made = await post.subscribe(receiver)
    row = await rig.pool.fetchrow("SELECT secret FROM subscription WHERE id = $1", made.id)
    assert made.secret.encode() not in row["secret"]
    found = await rig.pool.fetch("SELECT data FROM event WHERE stream = $1", made.id)
    assert found and all(b"whsec" not in event["data"] for event in found)


async def test_a_kind_nobody_can_write_holds_its_own_receiver_only(rig: Rig, post: Post, receiver: Receiver) -> None:
    odd = await post.subscribe(receiver, "odd", kind="morse")
    plain = await post.subscribe(receiver, "plain")
    order = await rig.order("fiber-internet")
    await post.drain()
    assert receiver.seqs(order) == [1, 2, 3]
    assert "nothing here makes messages of kind morse" in (await post.shown(odd.id)).because
    assert (await post.shown(plain.id)).because == ""
    relay = post.relay(renderers={**RENDERERS, "morse": outbox.cloud_event_messages})
    rig.clock.pass_by(2)
    await post.drain(relay)
    assert (await post.shown(odd.id)).behind == 0


async def test_a_secret_of_another_key_file_is_said_and_waited_for(
    rig: Rig, post: Post, receiver: Receiver, tmp_path: Path
) -> None:
    made = await post.subscribe(receiver)
    await rig.order("fiber-internet")
    other = msgspec.structs.replace(rig.ports.outside, vault=FileVault(tmp_path / "other.key"))
    lost = Post(Rig(msgspec.structs.replace(rig.ports, outside=other), rig.clock, rig.target, rig.url), post.keys)
    await lost.drain()
    assert receiver.asked == 0
    assert "does not open this secret" in (await post.shown(made.id)).because
