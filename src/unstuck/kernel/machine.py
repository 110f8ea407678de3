"""State tables written as the business writes them: a Markdown table, compiled and checked at import."""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Generic, TypeVar

from unstuck.kernel.refusal import IllegalTransition

S = TypeVar("S", bound=StrEnum)
A = TypeVar("A", bound=StrEnum)


class Machine(Generic[S, A]):
    """What is possible: from each state, which action leads where. Who may do it is policy's business."""

    def __init__(self, name: str, states: type[S], rows: Mapping[S, Mapping[A, frozenset[S]]]) -> None:
        self.name = name
        self.states = states
        self.rows = rows

    @classmethod
    def parse(cls, name: str, states: type[S], actions: type[A], table: str) -> "Machine[S, A]":
        """Compile `| from | action | to |` rows; a cell may list several states, blank-separated.

        An unknown word, a row given twice or a state with no way in or out of the table is a ValueError
        at import, so that a broken table never runs.
        """
        rows: dict[S, dict[A, frozenset[S]]] = {state: {} for state in states}
        for source, action, targets in _cells(table):
            for state in map(states, source.split()):
                if actions(action) in rows[state]:
                    raise ValueError(f"{name}: {state} {action} is given twice")
                rows[state][actions(action)] = frozenset(map(states, targets.split()))
        machine = cls(name, states, rows)
        lonely = set(states) - {s for edge in machine.edges() for s in (edge[0], edge[2])}
        if lonely:
            raise ValueError(f"{name}: no row mentions {', '.join(sorted(lonely))}")
        return machine

    def step(self, state: S, action: A, to: S | None = None) -> S:
        """Return the state `action` leads to; `to` chooses where the table branches."""
        targets = self.rows[state].get(action, frozenset())
        if to is None and len(targets) == 1:
            (to,) = targets
        if to is None or to not in targets:
            raise IllegalTransition(self.name, state, action)
        return to

    def actions(self, state: S) -> frozenset[A]:
        """The actions that are possible in `state`."""
        return frozenset(self.rows[state])

    def final(self) -> frozenset[S]:
        """The states that nothing leads out of."""
        return frozenset(state for state, ways in self.rows.items() if not ways)

    def edges(self) -> Iterator[tuple[S, A, S]]:
        """Every transition, in the order of the state enum: for diagrams, checks and exhaustive tests."""
        for state, ways in self.rows.items():
            for action, targets in ways.items():
                for target in sorted(targets):
                    yield state, action, target

    def mermaid(self) -> str:
        """The diagram of the table, for the docs."""
        lines = [f"    {a} --> {c}: {b}" for a, b, c in self.edges()]
        return "\n".join(["stateDiagram-v2", *lines])


def _cells(table: str) -> Iterator[tuple[str, str, str]]:
    lines = [line.strip() for line in table.strip().splitlines()]
    for line in lines[2:]:
        source, action, targets = (cell.strip() for cell in line.strip("|").split("|"))
        yield source, action, targets
