"""What people and systems are shown of one order or one case, read in one consistent view."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec

from unstuck.fallout.case import Case
from unstuck.fallout.classify import TRIAGE
from unstuck.fallout.ending import Standing, endings
from unstuck.fallout.lifecycle import CASE_IS_RESOLVED, CaseState
from unstuck.kernel.actor import Actor, Verdict
from unstuck.kernel.ids import as_id, as_number, rfc3339
from unstuck.kernel.refusal import Missing
from unstuck.order.lifecycle import ItemState, OrderState, TaskState
from unstuck.order.plan import Plan, PlannedTask
from unstuck.order.state import Order
from unstuck.policy.grant import allowed
from unstuck.policy.masking import FILES, Mask
from unstuck.policy.pack import Pack
from unstuck.policy.suggestion import suggest
from unstuck.repair.correction import ActionCode, Facts
from unstuck.repair.evidence import MADE_BY_US, Evidence
from unstuck.repair.token import ResumeToken
from unstuck.service.case_work.cases import step_facts
from unstuck.service.looks import shown
from unstuck.service.looks.shown import CaseRow, CaseView, Graph, OrderRow, OrderView
from unstuck.service.messages import teach
from unstuck.service.ports import Ports
from unstuck.store.listing import look
from unstuck.store.rows import CorrectionRow
from unstuck.store.unit import Unit, case_of

CLOSED = tuple(state.value for state in CASE_IS_RESOLVED)
AS_IT_IS = (
    "id", "version", "order_id", "item", "step", "reason", "system", "operation", "code", "domain", "recoverability",
    "queue", "owner", "repeats", "resolution", "resolved_by", "raw_code", "raw_message", "source", "order_ref",
    "order_version", "customer", "correlation_id", "category_hint", "severity_hint",
)  # fmt: skip


async def case_view(ports: Ports, case_id: UUID, actor: Actor, mask: Mask | None = None) -> CaseView:
    """Everything about one case, with the actions allowed to this actor and the refused ones with their reason."""
    async with ports.store.reading(ports.now()) as unit:
        return await case_in(unit, ports, case_id, actor, mask or ports.book.mask())


async def case_in(unit: Unit, ports: Ports, case_id: UUID, actor: Actor, mask: Mask) -> CaseView:
    """The case as this unit sees it, what is sensitive hidden by `mask`."""
    row = await look.case_row(unit, case_id)
    case = case_of(row)
    order, tasks = await unit.peek(case.order_id) if case.order_id else (None, [])
    pack = await ports.book.pack(case.pack)
    shape = await ports.book.shape(order.plan) if order and order.plan else None
    facts = await step_facts(unit, case, order, tasks, shape, pack)
    corrections = await unit.corrections(case_id)
    standing = await _standing(unit, case, facts, order, corrections)
    may, may_not = _actions(allowed(case, facts, actor, pack).verdicts, pack, facts)
    attempts = await look.attempts(unit, order.id, case.task) if order else ()
    await teach(unit, [case_id], mask)
    mask.learn(_said([*attempts, *corrections]))
    view = CaseView(
        **_case_fields(row),
        order_number=f"ORD-{order.number}" if order else None,
        title=_title(pack, case.code),
        raw=shown.Raw(case.raw_code, case.raw_message, case.raw_sha256, _text(mask.body(row["raw"][: look.CUT]))),
        task_state=facts.task_state if facts else None,
        outcome_proven=facts.proven if facts else "",
        allowed_actions=may,
        refused_actions=may_not,
        suggestion=suggest(case, facts, marked=standing.marked),
        endings=list(endings(standing)),
        order_graph=await _graph(unit, ports, order.id, order.plan) if order else Graph([], []),
        attempts=[_attempt(row, mask) for row in attempts],
        evidence=await unit.evidence(case_id),
        corrections=[_correction(row, mask) for row in corrections],
        resume_tokens=await _tokens(unit, case_id),
        timeline=await _timeline(unit, case_id),
        hidden=[],
    )
    view.raw_message = view.raw.message = mask.sentence(case.raw_message)
    if mask.hides and any(piece.type not in MADE_BY_US for piece in view.evidence):
        mask.met.add(FILES)
    view.hidden = sorted(mask.met)
    return view


async def _standing(
    unit: Unit, case: Case, facts: Facts | None, order: Order | None, corrections: Sequence[CorrectionRow]
) -> Standing:
    done_outside = ("APPLIED", ActionCode.MARK_DONE_OUTSIDE)
    beside = await look.cases_of(unit, order.id) if order and case.is_open else ()
    others = [c for c in beside if c["id"] != case.id and c["step"] == case.step and c["state"] not in CLOSED]
    return Standing(
        case=case,
        facts=facts,
        order_state=order.state if order else None,
        planned=order is not None and order.plan is not None,
        marked=any(row.id == case.correction and (row.state, row.action) == done_outside for row in corrections),
        shared=bool(others),
    )


async def require_database(ports: Ports) -> None:
    """Raise when the database does not answer."""
    await look.answers(ports.store)


async def evidence_of(ports: Ports, case_id: UUID) -> tuple[Evidence, ...]:
    """The evidence of a case, oldest first; Missing when there is no such case."""
    async with ports.store.reading(ports.now()) as unit:
        await look.case_row(unit, case_id)
        return await unit.evidence(case_id)


async def find_case(ports: Ports, name: str) -> UUID:
    """A case by id or by its number (`FC-1042`)."""
    return await _find(ports, name, "FC-", "fallout_case", "case")


async def find_order(ports: Ports, name: str) -> UUID:
    """An order by id or by its number (`ORD-1042`)."""
    return await _find(ports, name, "ORD-", "orders", "order")


async def order_view(ports: Ports, order_id: UUID) -> OrderView:
    """One order: its items, tasks, attempts, cases and timeline."""
    async with ports.store.reading(ports.now()) as unit:
        row, mask = await look.order_row(unit, order_id), ports.book.mask()
        cases, attempts = await look.cases_of(unit, order_id), await look.attempts(unit, order_id, None)
        await teach(unit, [case["id"] for case in cases], mask)
        mask.learn(_said(attempts))
        view = OrderView(
            **_order_fields(row),
            graph=await _graph(unit, ports, order_id, row["plan"]),
            attempts=[_attempt(row, mask) for row in attempts],
            callbacks=await callbacks_in(unit, order_id, mask),
            cases=[case_shown({**case, "raw_message": mask.sentence(case["raw_message"])}) for case in cases],
            timeline=await _timeline(unit, order_id),
            hidden=[],
        )
        view.hidden = sorted(mask.met)
        return view


def case_shown(row: Any) -> CaseRow:
    """A case's row as lists show it."""
    return CaseRow(**_case_fields(row))


def order_shown(row: Any) -> OrderRow:
    """An order's row as lists show it."""
    return OrderRow(**_order_fields(row))


def _case_fields(row: Any) -> dict[str, Any]:
    return {
        **{name: row[name] for name in AS_IT_IS},
        "number": f"FC-{row['number']}",
        "state": CaseState(row["state"]),
        "detected_at": rfc3339(row["detected_at"]),
        "touched_at": rfc3339(row["touched_at"]),
        "resolved_at": _at(row["resolved_at"]),
    }


def _order_fields(row: Any) -> dict[str, Any]:
    return {
        **{name: row[name] for name in ("id", "external_id", "source", "customer", "version", "pack")},
        "number": f"ORD-{row['number']}",
        "state": OrderState(row["state"]),
        "item_states": [ItemState(state) for state in row["item_states"]],
        "received_at": rfc3339(row["received_at"]),
        "promised_at": _at(row["promised_at"]),
        "finished_at": _at(row["finished_at"]),
    }


def _actions(
    verdicts: Mapping[str, Verdict], pack: Pack, facts: Facts | None
) -> tuple[list[shown.AllowedAction], list[shown.RefusedAction]]:
    may = [_allowed(name, pack, facts) for name, verdict in verdicts.items() if verdict.allowed]
    refused = ((name, verdict) for name, verdict in verdicts.items() if not verdict.allowed)
    return may, [shown.RefusedAction(name, verdict.rule, verdict.because) for name, verdict in refused]


def _allowed(name: str, pack: Pack, facts: Facts | None) -> shown.AllowedAction:
    definition = pack.document.actions.get(name)
    if definition is None:
        return shown.AllowedAction(action=name, title=name)
    known = shown.AllowedAction(action=name, **msgspec.structs.asdict(definition))
    if name == "correct_data" and facts:
        known.fields = dict(facts.correctable)
    return known


async def _graph(unit: Unit, ports: Ports, order_id: UUID, plan_id: str | None) -> Graph:
    if plan_id is None:
        return Graph([], [])
    shape, pack = await ports.book.both(plan_id)
    plan, offers = shape.plan, pack.document.offers
    rows = await look.tasks(unit, order_id)
    tasks = [_task(row, planned, plan, pack) for planned, row in zip(plan.tasks, rows, strict=True)]
    return Graph([shown.GraphItem(id, offer, offers[offer].title) for id, offer in plan.items], tasks)


def _task(row: Any, planned: PlannedTask, plan: Plan, pack: Pack) -> shown.GraphTask:
    return shown.GraphTask(
        no=row["no"],
        key=planned.key,
        type=planned.type,
        title=pack.document.task_types[planned.type].title,
        target=planned.target,
        item=plan.items[planned.item][0],
        after=list(planned.after),
        state=TaskState(row["state"]),
        running=row["lease"] is not None,
        identity=row["identity"],
        attempts=row["attempt"],
        due=_at(row["due"]),
        since=_at(row["since"]),
    )


def _said(rows: Iterable[Any]) -> Iterator[bytes]:
    """What went out and what came back, of calls and of corrections."""
    for row in rows:
        pair = (row.given, row.preview) if isinstance(row, CorrectionRow) else (row["request"], row["reply"])
        yield from (body for body in pair if body)


def _attempt(row: Any, mask: Mask) -> shown.Attempt:
    names = ("task", "attempt", "kind", "key", "result", "status", "code", "reference")
    return shown.Attempt(
        **{name: row[name] for name in names},
        at=rfc3339(row["at"]),
        worker=row["owner"],
        request=_text(mask.body(row["request"])),
        answered_at=_at(row["answered_at"]),
        reply=_text(mask.body(row["reply"] or b"")),
    )


async def callbacks_in(unit: Unit, order_id: UUID, mask: Mask) -> list[shown.Callback]:
    """The callbacks of an order, what is sensitive hidden."""
    names = ("system", "event_id", "task", "status", "verdict")
    return [
        shown.Callback(**{name: row[name] for name in names}, at=rfc3339(row["at"]), body=_text(mask.body(row["body"])))
        for row in await look.callbacks(unit, order_id)
    ]


async def _tokens(unit: Unit, case_id: UUID) -> list[shown.Token]:
    rows = await look.tokens(unit, case_id)
    tokens = ((msgspec.json.decode(row["body"], type=ResumeToken), row["used_at"]) for row in rows)
    return [shown.Token(**msgspec.structs.asdict(token), redeemed_at=_at(used)) for token, used in tokens]


async def _timeline(unit: Unit, stream: UUID) -> list[shown.TimelineEntry]:
    return [
        shown.TimelineEntry(
            row["seq"], rfc3339(row["at"]), f"unstuck.{row['type']}", row["by"], msgspec.json.decode(row["data"])
        )
        for row in await look.events(unit, stream)
    ]


def _correction(row: CorrectionRow, mask: Mask) -> shown.Correction:
    values = msgspec.structs.asdict(row)
    for name in ("given", "preview"):
        values[name] = mask.value(msgspec.json.decode(values[name]))
    values["proposed_at"], values["applied_at"] = rfc3339(row.proposed_at), _at(row.applied_at)
    return shown.Correction(**values)


def _title(pack: Pack, code: str) -> str:
    return next((row.title for row in pack.fallout.mappings if row.code == code), TRIAGE.title if code else "")


def _text(body: bytes) -> str:
    return body[: look.SHOWN].decode("utf-8", "replace").replace("\x00", "�")


def _at(at: Any) -> str | None:
    return rfc3339(at) if at else None


async def _find(ports: Ports, name: str, prefix: str, table: str, what: str) -> UUID:
    number = as_number(name, prefix)
    found = as_id(name) if number is None else await look.by_number(ports.store, table, number)
    if found is None:
        raise Missing(f"{what} {name[:80]}")
    return found
