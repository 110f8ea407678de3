"""The views of the triage queue: each a named filter, an order and the columns that serve it. Pure.

| view       | shows                                            | for whom, without a choice            |
|------------|--------------------------------------------------|---------------------------------------|
| open       | every open case                                  | anybody the rows below do not name    |
| mine       | open cases that I own                            |                                       |
| unassigned | open cases in a state that has no owner          |                                       |
| unknown    | open cases of which nobody knows what took effect |                                      |
| waiting    | open cases that wait for somebody outside        |                                       |
| repair     | open cases with a repair under way               |                                       |
| resolved   | cases that are over, last changed first          |                                       |
| support    | open cases, whose customers wait longest first   | support                               |
| fulfilment | open cases as steps of an owner group            | repair-agent                          |
| engineering | open cases of platform, configuration, catalogue | engineer                             |
| finance    | open cases of billing and pricing                | finance                               |
| manager    | open cases by queue, the oldest of each first    | fallout-manager, operations-manager   |
| auditor    | every case, last changed first                   | auditor                               |
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from unstuck.fallout.case import Case
from unstuck.fallout.lifecycle import CaseState
from unstuck.fallout.published import Leaf
from unstuck.kernel.actor import Actor
from unstuck.store.listing.case_list import NOT_RESOLVED, RESOLVED, REVENUE, UNKNOWN_OUTCOME, UNOWNED, Wanted

AGENT = ("number", "state", "what", "where", "order", "queue", "age", "promised")
WIDE = (
    "number", "state", "what", "code", "where", "item", "error", "order", "customer", "queue", "owner", "severity", "age",
    "promised", "retries", "next", "changed", "may",
)  # fmt: skip
WAITING = tuple(state.value for state in CaseState if state.startswith("WAITING_"))
UNDER_REPAIR = ("CORRECTION_PROPOSED", "APPROVAL_REQUIRED", "CORRECTION_APPLIED", "VERIFYING")
TECHNICAL = ("platform", "configuration", "catalog", "")  # and what nothing is known of yet
NEWEST, OLDEST, LAST_CHANGED = "-detected_at", "detected_at", "-touched_at"


Filter = Wanted  # what a list is asked for, as pages hold it
ME, ENGINE, OPEN = "me", "engine", "open"


class View(msgspec.Struct, frozen=True):
    """One view. `mine`: owned by who looks. `role`: whether it is how one kind of people look at all of it.

    `group` is what it is shown by as long as nobody asks for something else.
    """

    name: str
    columns: tuple[str, ...] = AGENT
    states: tuple[str, ...] = NOT_RESOLVED
    equals: Mapping[str, tuple[str, ...]] = {}
    sort: str = NEWEST
    group: str = ""
    mine: bool = False
    role: bool = False


_VIEWS = (
    View("open"),
    View("mine", mine=True),
    View("unassigned", states=UNOWNED),
    View("unknown", equals={"recoverability": (UNKNOWN_OUTCOME,)}),
    View("waiting", states=WAITING),
    View("repair", states=UNDER_REPAIR),
    View(
        "resolved", ("number", "state", "what", "order", "resolution", "age", "changed"), RESOLVED, sort=LAST_CHANGED
    ),
    View(
        "support", ("number", "state", "order", "what", "age", "promised", "queue", "changed"), sort=OLDEST, role=True
    ),
    View(
        "fulfilment", ("number", "state", "where", "order", "queue", "age", "promised", "next"),
        role=True,
    ),
    View(
        "engineering", ("number", "state", "where", "error", "code", "retries", "correlation", "source", "age", "changed"),
        equals={"domain": TECHNICAL}, role=True,
    ),
    View(
        "finance", ("number", "state", "what", "order", "customer", "queue", "age", "promised"),
        equals={"domain": REVENUE}, role=True,
    ),
    View(
        "manager", ("number", "state", "what", "queue", "age", "promised", "retries", "changed"), sort=OLDEST, group="queue",
        role=True,
    ),
    View(
        "auditor", ("number", "state", "what", "order", "resolution", "owner", "age", "changed"), (), sort=LAST_CHANGED,
        role=True,
    ),
)  # fmt: skip
VIEWS: Mapping[str, View] = {view.name: view for view in _VIEWS}
BY_ROLE = {
    "support": "support",
    "repair-agent": "fulfilment",
    "engineer": "engineering",
    "finance": "finance",
    "fallout-manager": "manager",
    "operations-manager": "manager",
    "auditor": "auditor",
}
# What can bring a case that exists already into a list: what opens it again, and what changes a column of a filter.
OPENS = frozenset({"detected", "reopened", "resume-expired", "resume-ignored", "resume-stale"})
CHANGES = {
    "owner": frozenset({"assigned", "released"}),
    "code": frozenset({"classified"}),
    "domain": frozenset({"classified"}),
    "recoverability": frozenset({"classified"}),
    "queue": frozenset({"classified", "queued"}),
    "customer": frozenset({"order-linked"}),
    "product": frozenset({"order-linked"}),
}

DECIDED = ("owner", "code", "domain", "recoverability", "queue")  # what events say anew of a case, beside its state


def default_for(who: Actor) -> View:
    """The view of somebody who has chosen none: that of the first of their roles which has one."""
    named = (BY_ROLE[role] for role in BY_ROLE if role in who.roles)
    return VIEWS[next(named, "open")]


def filtered(
    given: Mapping[str, Sequence[str]], who: Actor, since: datetime | None, until: datetime | None, text: str
) -> Filter:
    """What is asked for in people's words: `me` is who looks, `open` every open state, `engine` our own as a source."""
    equals = {name: tuple(dict.fromkeys(values)) for name, values in given.items() if name != "state"}
    for name, word, meant in (("owner", ME, who.id), ("source", ENGINE, "")):
        if name in equals:
            equals[name] = tuple(meant if value == word else value for value in equals[name])
    states = [s for name in given.get("state", ()) for s in (NOT_RESOLVED if name == OPEN else (name,))]
    return Wanted(equals, tuple(dict.fromkeys(states)), None, since, until, text)


def narrowed(view: View, given: Wanted, who: Actor) -> Wanted | None:
    """What a view shows of what is `given` beside it; None when the two have nothing in common."""
    equals = {**view.equals, **({"owner": (who.id,)} if view.mine else {})}
    for name, values in given.equals.items():
        equals[name] = tuple(value for value in values if value in equals.get(name, values))
    states = _both(view.states, given.states)
    if not all(equals.values()) or (not states and (view.states or given.states)):
        return None
    return msgspec.structs.replace(given, equals=equals, states=states)


def may_bring_in(wanted: Wanted, leaf: Leaf) -> bool:
    """Whether what this leaf tells can make a case appear in a list where it was not before."""
    kind = leaf.type.removeprefix("fallout-case.")
    if kind in OPENS or (wanted.orders is not None and kind == "order-linked"):
        return True
    if any(kind in CHANGES.get(name, ()) for name in wanted.equals):
        return True
    return bool(wanted.states) and _is_part(wanted.states) and "to" in leaf.data


def met(wanted: Wanted, case: Case, *, linked: bool) -> bool:
    """Whether a case as it once was met what can change of a list; `linked`: its order had been found by then."""
    by_order = wanted.orders is not None or "product" in wanted.equals
    by_order = by_order or case.customer not in wanted.equals.get("customer", (case.customer,))
    if by_order and not linked:
        return False
    if wanted.states and case.state not in wanted.states:
        return False
    return all(getattr(case, name) in wanted.equals[name] for name in DECIDED if name in wanted.equals)


def _is_part(states: Collection[Any]) -> bool:
    """Whether these are other states than all the open ones, so that a move can lead in."""
    return set(states) != set(NOT_RESOLVED)


def _both(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(state for state in one if state in other) if one and other else one or other
