"""The table of views: every role has one, each says what it shows, and what can lead into a list is known."""

import random
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from unstuck.fallout import events
from unstuck.fallout.lifecycle import CASE, CASE_IS_RESOLVED, CaseAction, CaseState
from unstuck.fallout.published import About, Leaf
from unstuck.kernel.actor import Actor
from unstuck.policy.check import load
from unstuck.service.looks import queue_views
from unstuck.service.looks.queue_views import BY_ROLE, VIEWS, WIDE, View, default_for, may_bring_in, narrowed
from unstuck.store.listing.case_list import NOT_RESOLVED, Wanted
from unstuck.web.pages.texts import has

ANA = Actor("ana", frozenset({"repair-agent"}))
LOSES_ITS_OWNER = {CaseAction.RELEASE, CaseAction.REOPEN}


def leaf(kind: str, **data: Any) -> Leaf:
    return Leaf(
        1, UUID(int=1), 1, datetime.now(UTC), f"fallout-case.{kind}", 1, "ana", data, About(case_id=UUID(int=1))
    )


def test_every_view_and_every_column_of_it_has_words() -> None:
    for view in VIEWS.values():
        assert has(f"queue.view.{view.name}") and has(f"queue.says.{view.name}")
        assert all(has(f"queue.column.{name}") for name in view.columns), view.name
    assert all(has(f"queue.column.{name}") for name in WIDE)


def test_every_view_is_in_the_table_that_people_read() -> None:
    rows = [line.split("|") for line in (queue_views.__doc__ or "").splitlines() if line.startswith("|")][2:]
    told = {cells[1].strip(): {role.strip() for role in cells[3].split(",")} for cells in rows}
    assert set(told) == set(VIEWS)
    for role, view in BY_ROLE.items():
        assert role in told[view]


def test_each_role_of_the_pack_sees_a_view_first() -> None:
    assert default_for(Actor("x", frozenset({"fallout-manager", "auditor"}))) is VIEWS["manager"]
    assert default_for(Actor("x")) is default_for(Actor("x", frozenset({"a role of tomorrow"}))) is VIEWS["open"]
    assert {view.name for view in VIEWS.values() if view.role} == set(BY_ROLE.values())


def test_a_case_has_no_owner_exactly_in_the_states_of_the_unassigned() -> None:
    """Walked at random through the life cycle from its beginning: who owns it follows from where it stands."""
    chance, met = random.Random(3), {CaseState.DETECTED}
    for _ in range(400):
        state, owned = CaseState.DETECTED, False
        for _ in range(30):
            action = chance.choice(sorted(CASE.actions(state)))
            state = chance.choice(sorted(CASE.rows[state][action]))
            owned = (owned or action is CaseAction.ASSIGN) and action not in LOSES_ITS_OWNER
            if state not in CASE_IS_RESOLVED:
                assert (state.value in queue_views.UNOWNED) is not owned, (action, state)
                met.add(state)
            elif not owned and chance.random() < 0.5:
                break
    assert met == set(CaseState) - CASE_IS_RESOLVED


@pytest.mark.parametrize(
    ("view", "given", "found"),
    [
        ("mine", Wanted({"owner": ("ana", "budi")}), {"owner": ("ana",)}),
        ("mine", Wanted({"owner": ("budi",)}), None),
        ("open", Wanted({"owner": ("budi",)}), {"owner": ("budi",)}),
        ("finance", Wanted({"domain": ("data", "pricing")}), {"domain": ("pricing",)}),
        ("finance", Wanted({"domain": ("data",)}), None),
        ("engineering", Wanted({"domain": ("platform", "data")}), {"domain": ("platform",)}),
        ("waiting", Wanted(states=("QUEUED",)), None),
        ("open", Wanted(states=("CLOSED",)), None),
        ("auditor", Wanted(states=("CLOSED",)), {}),
    ],
)
def test_a_filter_narrows_a_view_and_never_widens_it(view: str, given: Wanted, found: dict[str, Any] | None) -> None:
    wanted = narrowed(VIEWS[view], given, ANA)
    assert (wanted.equals if wanted else None) == found


def test_a_view_by_itself_is_what_it_says() -> None:
    for view in VIEWS.values():
        wanted = narrowed(view, Wanted(), ANA)
        assert wanted is not None and wanted.states == view.states
    assert narrowed(View("x", mine=True), Wanted(), ANA) == Wanted({"owner": ("ana",)}, NOT_RESOLVED)


@pytest.mark.parametrize(
    ("view", "kind", "data", "leads_in"),
    [
        ("open", "detected", {}, True), ("open", "noted", {}, False), ("open", "assigned", {"to": "ASSIGNED"}, False),
        ("open", "reopened", {"to": "QUEUED"}, True), ("open", "resume-expired", {"to": "IN_PROGRESS"}, True),
        ("mine", "assigned", {"to": "ASSIGNED"}, True), ("mine", "started", {"to": "IN_PROGRESS"}, False),
        ("waiting", "waiting", {"to": "WAITING_FIELD"}, True), ("waiting", "evidence-attached", {}, False),
        ("unassigned", "released", {"to": "QUEUED"}, True), ("unknown", "classified", {"to": "CLASSIFIED"}, True),
        ("resolved", "closed", {"to": "CLOSED"}, True), ("auditor", "assigned", {"to": "ASSIGNED"}, False),
    ],
)  # fmt: skip
def test_what_can_lead_a_case_into_a_list_is_known(view: str, kind: str, data: Any, leads_in: bool) -> None:
    wanted = narrowed(VIEWS[view], Wanted(), ANA)
    assert wanted is not None and may_bring_in(wanted, leaf(kind, **data)) is leads_in


def test_what_opens_and_changes_are_events_that_exist() -> None:
    known = {kind.name.removeprefix("fallout-case.") for kind in events.ALL}
    assert known >= queue_views.OPENS.union(*queue_views.CHANGES.values())


def test_every_view_of_a_shipped_role_is_one_it_may_open() -> None:
    from unstuck.app import read_pack

    roles = load(read_pack("minimal")).document.roles
    assert set(BY_ROLE) <= set(roles) and all("case.read" in roles[role].may for role in BY_ROLE)
