"""What a receiver does not take: its stream waits, the others go on, and in the end a person decides."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest
from aiohttp import web

from unstuck.connect.webhook import Reply
from unstuck.kernel.refusal import Missing
from unstuck.repair.outcome import Result
from unstuck.service.events_out import subscriptions
from unstuck.service.events_out.outbox import Progress
from unstuck.store.keys import KeyFiles

from .conftest import Rig
from .receiver_lab import ADMIN, QUICK, Got, Post, Receiver, receiving


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as one:
        yield one


@pytest.fixture
def post(rig: Rig, tmp_path: Path) -> Post:
    return Post(rig, KeyFiles("test", tmp_path / "signing.key"))


def refusing(stream: UUID, seq: int, status: int = 422) -> object:
    """A receiver that does not take one message."""

    def answer(got: Got) -> int:
        return status if got.stream == stream and got.seq == seq else 200

    return answer


async def until_rest(rig: Rig, post: Post, seconds: float = 3600) -> None:
    """Let every wait be over, and send, until nothing waits any more."""
    for _ in range(QUICK.tries + 2):
        rig.clock.pass_by(seconds)
        await post.drain()


async def test_a_refused_message_parks_its_own_stream_alone(rig: Rig, post: Post, receiver: Receiver) -> None:
    made = await post.subscribe(receiver)
    bad, *good = [await rig.order("fiber-internet") for _ in range(4)]
    receiver.answer = refusing(bad, 2)
    await post.drain()
    assert receiver.seqs(bad) == [1]
    assert all(receiver.seqs(order) == [1, 2, 3] for order in good)
    shown = await post.shown(made.id)
    assert (shown.waiting, shown.dead, shown.behind) == (2, 0, 0)

    await rig.run()
    await post.drain()
    assert receiver.seqs(bad) == [1], "what comes later waits behind it"
    assert all(len(receiver.seqs(order)) > 3 for order in good)

    receiver.answer = lambda _: 200
    rig.clock.pass_by(5)
    await post.drain()
    events = await post.streams()
    assert receiver.seqs(bad) == list(range(1, events[bad] + 1))
    assert receiver.twice() == []
    assert (await post.shown(made.id)).waiting == 0


async def test_what_is_refused_too_often_is_dead_until_somebody_has_it_sent_again(
    rig: Rig, post: Post, receiver: Receiver
) -> None:
    made = await post.subscribe(receiver)
    order = await rig.order("fiber-internet")
    other = await rig.order("fiber-internet")
    receiver.answer = refusing(order, 2)
    await post.drain()
    await until_rest(rig, post)
    asked = receiver.asked
    await rig.run()
    await until_rest(rig, post)
    events = await post.streams()
    assert receiver.seqs(order) == [1]
    assert receiver.seqs(other) == list(range(1, events[other] + 1))
    assert receiver.asked == asked + events[other] - 3, "a dead stream is not tried again"

    dead = (await subscriptions.dead(rig.ports, made.id, ADMIN)).dead
    assert [message.event for message in dead] == [f"{order}-{n}" for n in range(2, events[order] + 1)]
    assert (dead[0].tries, dead[0].status, dead[0].because) == (QUICK.tries, 422, "as told")
    assert [message.tries for message in dead[1:]] == [0] * (len(dead) - 1)

    receiver.answer = lambda _: 200
    version = (await post.shown(made.id)).version
    await subscriptions.replay_dead(rig.ports, made.id, version, ADMIN)
    await post.drain()
    assert receiver.seqs(order) == list(range(1, events[order] + 1))
    assert (await post.shown(made.id)).dead == 0


async def test_a_dead_message_given_up_lets_those_behind_it_go_on(rig: Rig, post: Post, receiver: Receiver) -> None:
    made = await post.subscribe(receiver)
    order = await rig.order("fiber-internet")
    receiver.answer = refusing(order, 2)
    await post.drain()
    await until_rest(rig, post)
    first, *_ = (await subscriptions.dead(rig.ports, made.id, ADMIN)).dead
    version = (await post.shown(made.id)).version
    with pytest.raises(Missing, match="a dead message"):
        await subscriptions.drop(rig.ports, made.id, version, ADMIN, first.leaf - 1)
    await subscriptions.drop(rig.ports, made.id, version, ADMIN, first.leaf)
    await post.drain()
    assert receiver.seqs(order) == [1, 3]
    assert await rig.events(made.id) == ["subscription.created", "subscription.message-dropped"]


async def test_a_receiver_that_asks_for_time_gets_it(rig: Rig, post: Post, receiver: Receiver) -> None:
    made = await post.subscribe(receiver, types=("unstuck.order.*",))
    await rig.order("fiber-internet")
    receiver.answer = lambda _: web.Response(status=503, headers={"Retry-After": "120"})
    await post.drain()
    assert receiver.asked == 1
    rig.clock.pass_by(119)
    await post.drain()
    assert receiver.asked == 1
    shown = await post.shown(made.id)
    assert (shown.waiting, shown.dead, shown.because) == (0, 0, "HTTP 503 ")
    receiver.answer = lambda _: 200
    rig.clock.pass_by(2)
    await post.drain()
    assert len(receiver.got) == 3


async def test_what_was_taken_before_the_receiver_went_away_is_not_sent_again(
    rig: Rig, post: Post, receiver: Receiver
) -> None:
    made = await post.subscribe(receiver, types=("unstuck.order.*",))
    first, *others = [await rig.order("fiber-internet") for _ in range(5)]
    receiver.answer = lambda got: 503 if got.stream == first else 200
    await post.drain()
    taken = len(receiver.got)
    assert taken > 0 and receiver.seqs(first) == []
    receiver.answer = lambda _: 200
    await until_rest(rig, post)
    assert all(receiver.seqs(order) == [1, 2, 3] for order in (first, *others))
    assert receiver.twice() == []
    assert (await post.shown(made.id)).delivered == 15


async def test_who_refuses_everything_is_away_and_no_message_is_to_blame(
    rig: Rig, post: Post, receiver: Receiver
) -> None:
    made = await post.subscribe(receiver)
    orders = [await rig.order("fiber-internet") for _ in range(30)]
    receiver.answer = lambda _: 500
    await post.drain()
    shown = await post.shown(made.id)
    assert shown.held_until is not None and "in a row were refused" in shown.because
    for _ in range(20):
        rig.clock.pass_by(3600)
        await post.drain()
    shown = await post.shown(made.id)
    assert shown.dead == 0
    assert shown.failures > 10
    assert receiver.asked < 200, "it is asked a little now and then"

    receiver.answer = lambda _: 200
    await until_rest(rig, post)
    assert all(receiver.seqs(order) == [1, 2, 3] for order in orders)
    assert (await post.shown(made.id)).waiting == 0


async def test_one_poisoned_message_does_not_keep_a_receiver_that_recovered_away(
    rig: Rig, post: Post, receiver: Receiver
) -> None:
    await post.subscribe(receiver)
    bad, *good = [await rig.order("fiber-internet") for _ in range(12)]
    receiver.answer = lambda _: 500
    await post.drain()
    receiver.answer = refusing(bad, 1)
    await until_rest(rig, post)
    assert all(receiver.seqs(order) == [1, 2, 3] for order in good)
    assert receiver.seqs(bad) == []


async def test_several_messages_of_one_event_come_together_again(rig: Rig, post: Post, receiver: Receiver) -> None:
    """An unknown outcome is published beside the move it came with; when the second is refused both come again."""
    await post.subscribe(receiver, types=("unstuck.order.*",))
    order = await rig.order("wifi-router")
    rig.target.will("reserve", Result.UNKNOWN)
    kinds: list[str] = []

    def answer(got: Got) -> int:
        kinds.append(got.event["type"])
        return 400 if kinds.count("unstuck.order.unknown-outcome-detected") == 1 and "unknown" in kinds[-1] else 200

    receiver.answer = answer
    dispatcher = rig.dispatcher()
    await dispatcher.cycle()
    while dispatcher._calls:
        await post.seal()
    await dispatcher.cycle()
    await post.drain()
    rig.clock.pass_by(5)
    await post.drain()
    moved, unknown = "unstuck.order.advanced", "unstuck.order.unknown-outcome-detected"
    assert [kind for kind in kinds if kind in (moved, unknown)] == [moved, unknown, moved, unknown]
    assert [got.id for got in receiver.got if got.event["type"] == unknown] == [f"{order}-4-1"]


async def test_a_success_between_refusals_starts_the_count_again() -> None:
    """The rule by itself: only refusals in a row make a receiver hopeless."""
    claim = type("Claimed", (), {"refusals": 0})
    progress = Progress(claim, QUICK)  # type: ignore[arg-type]
    step = type("Sent", (), {"leaf": type("Leaf", (), {"n": 1})})
    for _ in range(QUICK.refusals - 1):
        progress.told(step, Reply(500))  # type: ignore[arg-type]
    assert not progress.hopeless
    progress.told(step, Reply(204))  # type: ignore[arg-type]
    assert progress.in_a_row == 0
    progress.told(step, Reply(0, "gone"))  # type: ignore[arg-type]
    assert progress.hopeless and progress.enough
