"""What P5 commands: cases, orders and sources, each with the proof's own idea of its state and version.

The tables here are not the product's: they say again, independently, what may follow what and which command moves the
version others decide on.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from unstuck.fallout import case as commands
from unstuck.fallout.source import SourceSettings
from unstuck.kernel.actor import Actor
from unstuck.repair.evidence import Evidence, EvidenceType
from unstuck.service.case_work import cases, repair, resolve
from unstuck.service.failures_in import sources
from unstuck.service.order_work import orders
from unstuck.service.ports import Ports

OPEN = ("QUEUED", "ASSIGNED", "IN_PROGRESS", "WAITING_CUSTOMER", "VERIFYING", "CORRECTION_PROPOSED")
Moves = Mapping[str, Mapping[str, str]]


def _same(*states: str) -> dict[str, str]:
    return {state: state for state in states}


CASE_MOVES: Moves = {
    "assign": {"QUEUED": "ASSIGNED", **_same("ASSIGNED", "IN_PROGRESS")},
    "release": {"ASSIGNED": "QUEUED", "IN_PROGRESS": "QUEUED"},
    "start": {"ASSIGNED": "IN_PROGRESS"},
    "wait": {"IN_PROGRESS": "WAITING_CUSTOMER"},
    "continue": {"WAITING_CUSTOMER": "IN_PROGRESS"},
    "note": _same(*OPEN),
    "escalate": _same(*OPEN),
    "attach": _same(*OPEN, "RESOLVED_NONE"),
    "verify": {"IN_PROGRESS": "VERIFYING"},
    "resolve": {"IN_PROGRESS": "RESOLVED_NONE", "VERIFYING": "RESOLVED_NONE"},
    "close": {"RESOLVED_NONE": "CLOSED"},
    "reopen": {"RESOLVED_NONE": "QUEUED", "CLOSED": "QUEUED"},
}
REPAIR_MOVES: Moves = {
    **{name: moves for name, moves in CASE_MOVES.items() if name not in ("resolve", "close", "reopen", "verify")},
    "propose": {"IN_PROGRESS": "CORRECTION_PROPOSED"},
    "reject": {"CORRECTION_PROPOSED": "IN_PROGRESS"},
    "apply": {"CORRECTION_PROPOSED": "VERIFYING"},
}
ORDER_MOVES: Moves = {
    "suspend": {"IN_PROGRESS": "SUSPENDED"},
    "resume": {"SUSPENDED": "IN_PROGRESS"},
    "fail": {"IN_PROGRESS": "FAILED", "SUSPENDED": "FAILED"},
    "resolve_failure": {"FAILED": "what it was"},
    "cancel": {"IN_PROGRESS": "CANCELLED", "SUSPENDED": "CANCELLED", "FAILED": "CANCELLED"},
}
SOURCE_MOVES: Moves = {"register": _same("REGISTERED")}
LEAVE_THE_VERSION = ("note", "escalate")
NEED_EVIDENCE = ("resolve",)
RARE = {"cancel": 0.02, "apply": 0.1, "close": 0.3}


@dataclass
class Subject:
    """Something commands are given on. `version` and `state` are the proof's own count."""

    kind: str
    id: UUID
    name: str
    state: str
    version: int
    moves: Moves
    evidence: list[UUID] = field(default_factory=list)
    correction: UUID | None = None
    failed_from: str = ""

    def may(self, command: str) -> bool:
        """Whether this command can be carried out now, by one who knows the version."""
        ready = bool(self.evidence) or command not in NEED_EVIDENCE
        return ready and self.state in self.moves[command]

    def done(self, command: str, answer: Any) -> None:
        """It was carried out."""
        was, to = self.state, self.moves[command][self.state]
        self.state = self.failed_from if command == "resolve_failure" else to
        self.failed_from = was if command == "fail" else self.failed_from
        self.version += command not in LEAVE_THE_VERSION
        if command == "attach":
            self.evidence = [*self.evidence[-2:], answer.evidence.id]
        if command == "propose":
            self.correction = answer.correction.id
        if command == "reopen":
            self.evidence = []


async def carry_out(ports: Ports, subject: Subject, command: str, version: int, actor: Actor) -> Any:
    """One command of this actor, decided on this version; what the product answers."""
    return await DOES[subject.kind](ports, subject, command, version, actor)


async def _on_case(ports: Ports, subject: Subject, command: str, version: int, actor: Actor) -> Any:
    if command in LIFE_CYCLE:
        made, allowed_as = LIFE_CYCLE[command](actor), "escalate" if command == "note" else command
        return await cases.command(ports, subject.id, version, actor, allowed_as, lambda _case: made)
    return await REPAIRS[command](ports, subject, version, actor)


async def _attach(ports: Ports, subject: Subject, version: int, actor: Actor) -> Any:
    described = Evidence(
        ports.new_id(), EvidenceType.DOCUMENT, "", 0, "text/plain", "proof", actor.id, ports.now(), False, True, None
    )
    return await repair.attach(ports, subject.id, version, actor, f"{subject.name} {version}".encode(), described)


async def _verify(ports: Ports, subject: Subject, version: int, actor: Actor) -> Any:
    return await cases.verify(ports, subject.id, version, actor, subject.evidence, "it holds")


async def _resolve(ports: Ports, subject: Subject, version: int, actor: Actor) -> Any:
    decision = resolve.Decision("none", subject.evidence, None, "a false alarm")
    return await resolve.resolve(ports, subject.id, version, actor, decision)


async def _propose(ports: Ports, subject: Subject, version: int, actor: Actor) -> Any:
    proposal = repair.Proposal("retry", "cause_fixed", "the cause is gone", {})
    return await repair.propose(ports, subject.id, version, actor, proposal)


async def _reject(ports: Ports, subject: Subject, version: int, actor: Actor) -> Any:
    return await repair.reject(ports, subject.id, version, actor, subject.correction or subject.id, "not this one")


async def _apply(ports: Ports, subject: Subject, version: int, actor: Actor) -> Any:
    return await repair.apply(ports, subject.id, version, actor, subject.correction or subject.id)


async def _on_order(ports: Ports, subject: Subject, command: str, version: int, actor: Actor) -> Any:
    return await getattr(orders, command)(ports, subject.id, version, actor, "the proof wants it")


async def _on_source(ports: Ports, subject: Subject, command: str, version: int, actor: Actor) -> Any:
    said = sources.Described(f"{subject.name} at {version}", None, SourceSettings())
    source, _ = await sources.register(ports, subject.name, version, actor, said)
    return source


LIFE_CYCLE: dict[str, Callable[[Actor], commands.Command]] = {
    "assign": lambda actor: commands.Assign(actor.id),
    "release": lambda _: commands.Release("for somebody else"),
    "start": lambda _: commands.Start(),
    "wait": lambda _: commands.Wait("CUSTOMER", "they call back"),
    "continue": lambda _: commands.Continue("they did"),
    "note": lambda _: commands.Note("looked at it"),
    "escalate": lambda _: commands.Escalate("a manager", "it takes long"),
    "close": lambda _: commands.Close(),
    "reopen": lambda _: commands.Reopen("it came back"),
}
REPAIRS: dict[str, Callable[[Ports, Subject, int, Actor], Awaitable[Any]]] = {
    "attach": _attach, "verify": _verify, "resolve": _resolve, "propose": _propose, "reject": _reject, "apply": _apply,
}  # fmt: skip
DOES: dict[str, Callable[[Ports, Subject, str, int, Actor], Awaitable[Any]]] = {
    "case": _on_case, "order": _on_order, "source": _on_source,
}  # fmt: skip


PRINTS = {
    "case": """SELECT c.version, c.state, md5(c::text) AS row,
        (SELECT count(*) FROM event WHERE stream = c.id) AS events,
        (SELECT string_agg(t::text, ';' ORDER BY t.kind, t.epoch) FROM timer t WHERE t.subject = c.id) AS timers,
        (SELECT count(*) FROM evidence WHERE case_id = c.id) AS evidence,
        (SELECT string_agg(x.id || x.state, ';' ORDER BY x.id) FROM correction x WHERE x.case_id = c.id) AS corrections,
        (SELECT md5(o::text) FROM orders o WHERE o.id = c.order_id) AS its_order,
        (SELECT md5(string_agg(t::text, ';' ORDER BY t.order_id, t.no)) FROM task t WHERE t.order_id = c.order_id) AS tasks,
        (SELECT count(*) FROM idempotency WHERE key = $2) AS answers
        FROM fallout_case c WHERE c.id = $1""",
    "order": """SELECT o.version, o.state, md5(o::text) AS row,
        (SELECT count(*) FROM event WHERE stream = o.id) AS events,
        (SELECT count(*) FROM timer WHERE subject IN (SELECT id FROM fallout_case WHERE order_id = o.id)) AS timers,
        (SELECT md5(string_agg(t::text, ';' ORDER BY t.order_id, t.no)) FROM task t WHERE t.order_id = o.id) AS tasks,
        (SELECT string_agg(c::text, ';' ORDER BY c.id) FROM fallout_case c WHERE c.order_id = o.id) AS cases,
        (SELECT count(*) FROM idempotency WHERE key = $2) AS answers
        FROM orders o WHERE o.id = $1""",
    "source": """SELECT s.version, 'REGISTERED' AS state, md5(s::text) AS row,
        (SELECT count(*) FROM event WHERE stream = s.id) AS events,
        (SELECT count(*) FROM idempotency WHERE key = $2) AS answers
        FROM source s WHERE s.id = $1""",
}


async def print_of(ports: Ports, subject: Subject, key: str) -> dict[str, Any]:
    """Everything a command on it may write: row, events, timers, what hangs on it, and the kept answer of `key`."""
    row = await ports.store.pool.fetchrow(PRINTS[subject.kind], subject.id, key)
    return dict(row)


def report_body(name: str, event: str) -> bytes:
    """A failure as its source writes it."""
    said = {
        "sourceSystem": "proof",
        "sourceEventId": event,
        "serviceOrderId": name,
        "reasonCode": "TIMEOUT",
        "message": "no",
    }
    return json.dumps(said).encode()
