"""Decomposition (A4): from an order and the shipped pack to a plan, its command bodies, its names."""

import itertools
from copy import deepcopy

import pytest
from core_lab import PACK, draft, fiber, item, law, plan_of
from hypothesis import given
from hypothesis import strategies as st

from unstuck.order.plan import OrderDraft, Unplannable, command_key, cycle, decompose, render
from unstuck.order.template import Offer, TaskTemplate, Templates

TEMPLATES = PACK.templates


def plan(*items, **fields):
    return decompose(draft(*items, **fields), TEMPLATES, PACK.hash)


def waits(made):
    return {task.key: {made.tasks[n].key for n in task.after} for task in made.tasks}


def test_a_fiber_order_becomes_its_four_tasks():
    made, bodies = plan(fiber())
    assert waits(made) == {
        "1.account": set(),
        "1.subscription": {"1.account"},
        "1.installation": set(),
        "1.activate": {"1.account", "1.installation"},
    }
    assert [t.target for t in made.tasks] == ["billing", "billing", "field", "provisioning"]
    assert bodies[3] == (
        b'{"address":"Jl. Merdeka 1","customer":"C-77","item":"1","service":"fiber","speed":"100 Mbit/s"}'
    )
    assert (made.pack, made.revision, made.items) == (PACK.hash, 0, (("1", "fiber-internet"),))


def test_a_static_ip_waits_for_the_fiber_it_was_ordered_with():
    made, _ = plan(item("ip", "static-ip"), fiber("f"))
    assert waits(made)["ip.activate"] == {"f.activate"}


def test_a_static_ip_alone_waits_for_nobody():
    made, _ = plan(item("ip", "static-ip"), item("w", "wifi-router", model="AX3"))
    assert waits(made) == {"ip.activate": set(), "w.reserve": set()}


def test_it_waits_for_every_item_of_the_other_offer():
    made, _ = plan(fiber("a"), item("ip", "static-ip"), fiber("b"))
    assert waits(made)["ip.activate"] == {"a.activate", "b.activate"}


def test_each_command_body_belongs_to_its_own_item():
    made, bodies = plan(item("a", "phone-line", number="+6221555"), item("b", "phone-line", number="+6221777"))
    sent = dict(zip((t.key for t in made.tasks), bodies, strict=True))
    assert b"+6221555" in sent["a.port"] and b"+6221777" in sent["b.port"]


@pytest.mark.parametrize(
    ("items", "code", "item_id", "because"),
    [
        ([item("1", "satellite")], "UNKNOWN_OFFER", "1", "'satellite'"),
        ([fiber("1"), item("2", "")], "UNKNOWN_OFFER", "2", "does not know"),
        ([item("1", "fiber-internet")], "MISSING_CHARACTERISTIC", "1", "lacks address"),
        ([item("1", "fiber-internet", address="")], "MISSING_CHARACTERISTIC", "1", "lacks address"),
        ([item("1", "fiber-internet", address=None)], "MISSING_CHARACTERISTIC", "1", "lacks address"),
        ([item("1", "fiber-internet", address="x", speed=1.5)], "INVALID_DATA", "1", "float"),
        ([item("1", "fiber-internet", address={"jalan é": 1})], "INVALID_DATA", "1", "not ASCII"),
        ([item("1", "fiber-internet", address=2**53)], "INVALID_DATA", "1", "2\\^53"),
        ([item("1", "fiber-internet", address="\ud800")], "INVALID_DATA", "1", "surrogates"),
        ([fiber("1"), fiber("1")], "INVALID_DATA", "", "same id"),
        ([], "EMPTY_PLAN", "", "task to do"),
    ],
)
def test_what_cannot_be_planned_says_why_and_never_crashes(items, code, item_id, because):
    with pytest.raises(Unplannable, match=because) as no:
        plan(*items)
    assert (no.value.code, no.value.item) == (code, item_id)


def test_two_tasks_can_never_have_one_key():
    tasks = {"c": TaskTemplate("reserve_router"), "b.c": TaskTemplate("reserve_router")}
    templates = Templates({"x": Offer("X", tasks)}, TEMPLATES.task_types)
    with pytest.raises(Unplannable, match="same id"):
        decompose(draft(item("a", "x"), item("a.b", "x")), templates, "p")


def test_a_field_comes_from_the_order_the_item_or_itself():
    send = {
        "c": "order.customer", "x": "order.external_id", "p": "order.promised_at", "f": "order.channel",
        "i": "item.id", "o": "item.offer", "a": "item.action", "m": "char.model", "none": "char.colour", "l": "=a.b",
    }  # fmt: skip
    order = draft(item("7", "wifi-router", model="AX3"), channel="web")
    assert render(send, order, order.items[0]) == (
        b'{"a":"add","c":"C-77","f":"web","i":"7","l":"a.b","m":"AX3","o":"wifi-router","p":"2026-04-01","x":"PO-1"}'
    )


@law
@given(st.permutations(["customer", "service", "item", "address", "speed"]))
def test_a_body_does_not_depend_on_how_the_pack_orders_its_fields(names):
    send = PACK.document.task_types["activate_fiber"].send
    order = draft(fiber())
    assert render({n: send[n] for n in names}, order, order.items[0]) == render(send, order, order.items[0])


ITEMS = st.lists(
    st.sampled_from(["fiber-internet", "static-ip", "wifi-router", "phone-line"]), min_size=1, max_size=6
).map(lambda offers: [item(str(n), o, address="a", model="m", number="+62123") for n, o in enumerate(offers)])


@law
@given(ITEMS)
def test_every_plan_is_whole_and_without_a_cycle(items):
    made, bodies = plan(*items)
    assert len(bodies) == len(made.tasks) == sum(len(TEMPLATES.offers[i.offer].tasks) for i in items)
    assert len({t.key for t in made.tasks}) == len(made.tasks)
    assert not cycle({t.key: [made.tasks[n].key for n in t.after] for t in made.tasks})
    for no, after in enumerate(made.successors()):
        assert all(no in made.tasks[n].after for n in after)
        assert made.downstream(no) >= {no, *after}
    assert all(t.after == tuple(sorted(set(t.after))) for t in made.tasks)


@law
@given(ITEMS, st.text(max_size=5), st.text(max_size=5))
def test_equal_orders_share_one_plan_whoever_orders(items, customer, external_id):
    mine, _ = plan(*items)
    other = OrderDraft(external_id, "web", customer, tuple(deepcopy(items)), fields={"x": 1})
    theirs, _ = decompose(other, TEMPLATES, PACK.hash)
    assert mine.id() == theirs.id()


def test_another_shape_or_pack_is_another_plan():
    one, _ = plan(fiber())
    names = {one.id(), plan(fiber("2"))[0].id(), decompose(draft(fiber()), TEMPLATES, "other")[0].id()}
    names.add(plan(fiber(), item("2", "static-ip"))[0].id())
    assert len(names) == 4
    assert one.id() == plan(fiber())[0].id() and len(one.id()) == 64


@law
@given(st.integers(0, 9), st.integers(0, 9), st.sampled_from(["1.a", "1.b", "2.a"]), st.uuids())
def test_a_command_key_is_the_intent_and_nothing_else(revision, correction, task, order):
    key = command_key(str(order), task, revision, correction)
    assert key == command_key(str(order), task, revision, correction)  # it has no attempt to depend on
    others = {
        command_key(str(order), task, revision, correction + 1),
        command_key(str(order), task, revision + 1, correction),
        command_key(str(order), task + "x", revision, correction),
    }
    assert key not in others and len(others) == 3


@pytest.mark.parametrize(
    ("after", "found"),
    [
        ({}, []),
        ({"a": ["b"], "b": ["c"], "c": []}, []),
        ({"a": ["b", "c"], "b": ["d"], "c": ["d"]}, []),
        ({"a": ["a"]}, ["a", "a"]),
        ({"a": ["b"], "b": ["a"]}, ["a", "b", "a"]),
        ({"start": ["x"], "x": ["y"], "y": ["z"], "z": ["x"]}, ["x", "y", "z", "x"]),
    ],
)
def test_the_cycle_finder_names_the_cycle(after, found):
    assert cycle(after) == found


@law
@given(st.dictionaries(st.integers(0, 7), st.lists(st.integers(0, 7), max_size=4), max_size=8))
def test_a_cycle_is_found_exactly_when_there_is_one(graph):
    named = {str(k): [str(v) for v in after] for k, after in graph.items()}
    found = cycle(named)
    left = dict(named)
    while ends := [n for n in left if not any(b in left for b in left[n])]:
        for n in ends:
            del left[n]
    assert bool(found) == bool(left)
    if found:
        assert found[0] == found[-1]
        assert all(b in named[a] for a, b in itertools.pairwise(found))


def test_downstream_is_everything_that_waits_however_far():
    made = plan_of([(), (0,), (1,), (0,), (), (4,)])
    assert made.downstream(0) == {0, 1, 2, 3}
    assert made.downstream(4) == {4, 5}
    assert made.successors() == ((1, 3), (2,), (), (), (5,), ())
