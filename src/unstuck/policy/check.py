"""What typing cannot see in a pack: names that point nowhere, cycles, conditions that do not compile. Pure."""

import re
from collections.abc import Iterator, Mapping

from unstuck.fallout.policy import REASONS
from unstuck.kernel.condition import BadCondition, compiled
from unstuck.order import dialect
from unstuck.order.plan import cycle
from unstuck.order.tmf import LEGAL
from unstuck.policy.masking import bare
from unstuck.policy.pack import BadPack, Document, Finding, Lines, Pack, decode, hash_of
from unstuck.repair.correction import ActionCode
from unstuck.repair.evidence import EvidenceType

CASE_FACTS = (
    ("attempt", "int"),
    ("category_hint", "string"),
    ("message", "string"),
    ("operation", "string"),
    ("raw_code", "string"),
    ("reason", "string"),
    ("severity_hint", "string"),
    ("source", "string"),
    ("step", "string"),
    ("system", "string"),
)
SOURCE = re.compile(r"(order|char)\..+|item\.(id|offer|action)|=.*", re.DOTALL)
PERMISSIONS = (
    "order.read",
    "order.submit",
    "order.manage",
    "case.read",
    "case.work",
    "case.repair",
    "case.approve",
    "case.open",
    "evidence.add",
    "sensitive.reveal",
    "failure.report",
    "source.read",
    "source.manage",
    "audit.read",
    "subscription.manage",
    "subscription.manage-all",
)
Problem = tuple[tuple[str, ...], str, str]


def load(files: Mapping[str, str]) -> Pack:
    """Read and check a pack; raises BadPack with every finding."""
    document, lines = decode(files)
    findings = tuple(check(document, lines))
    if findings:
        raise BadPack(findings)
    return Pack(document, hash_of(files))


def check(document: Document, lines: Lines) -> Iterator[Finding]:
    """Every finding of every rule, in the order of the rules."""
    for rule in (_offers, _cycles, _task_types, _settling, _tables, _roles, _actions, _mappings, _dialects, _sensitive):
        for path, name, because in rule(document):
            yield Finding(*lines.of(path), name, because)


def _offers(doc: Document) -> Iterator[Problem]:
    for name, offer in doc.offers.items():
        if not offer.tasks:
            yield ("offers", name), "offer-has-tasks", f"offer {name} has no task"
        for key, task in offer.tasks.items():
            path = ("offers", name, "tasks", key)
            if task.type not in doc.task_types:
                yield (
                    (*path, "type"),
                    "known-task-type",
                    f"{name}.{key} is of type {task.type}, which is not declared",
                )
            for before in task.after:
                other, _, step = before.rpartition("/")
                known = doc.offers.get(other or name)
                if known is None or step not in known.tasks:
                    yield (
                        (*path, "after"),
                        "known-dependency",
                        f"{name}.{key} waits for {before}, which does not exist",
                    )


def _cycles(doc: Document) -> Iterator[Problem]:
    graph = {
        f"{offer}/{key}": [b if "/" in b else f"{offer}/{b}" for b in task.after]
        for offer, template in doc.offers.items()
        for key, task in template.tasks.items()
    }
    if found := cycle(graph):
        offer, _, key = found[0].partition("/")
        yield ("offers", offer, "tasks", key), "no-cycle", "tasks wait for each other: " + " -> ".join(found)


def _task_types(doc: Document) -> Iterator[Problem]:
    for name, kind in doc.task_types.items():
        path = ("task_types", name)
        if kind.target not in doc.targets:
            yield (*path, "target"), "known-target", f"{name} goes to {kind.target}, which is not declared"
        for source in kind.send.values():
            if not SOURCE.fullmatch(source):
                yield (
                    (*path, "send"),
                    "known-source",
                    f"{name} sends {source!r}: order.…, item.id, item.offer, item.action, char.… or =literal",
                )
        for field in set(kind.business_key) - kind.send.keys():
            yield (*path, "business_key"), "known-field", f"{name} asks by {field}, which it does not send"
        if not kind.timeouts.expected <= kind.timeouts.warning <= kind.timeouts.breach:
            yield (*path, "timeouts"), "timeouts-in-order", f"{name}: expected <= warning <= breach"


def _settling(doc: Document) -> Iterator[Problem]:
    for name, rule in doc.on_unknown.items():
        if (rule.settle_by_asking is None) is not rule.case_at_once:
            yield ("on_unknown", name), "one-way", f"{name}: settle_by_asking or case_at_once, one of the two"
        kind = doc.task_types.get(name)
        target = doc.targets.get(kind.target) if kind else None
        if target and target.kind == "C" and not rule.case_at_once:
            yield ("on_unknown", name), "askable", f"{name}: {kind.target if kind else ''} cannot be asked"


def _tables(doc: Document) -> Iterator[Problem]:
    for table in ("retry", "on_unknown"):
        rows = getattr(doc, table)
        if "default" not in rows:
            yield (table,), "has-default", f"{table} needs a row `default`"
        for name in rows.keys() - doc.task_types.keys() - {"default"}:
            yield (table, name), "known-task-type", f"{table} names {name}, which is no task type"
    if "default" not in doc.dedup:
        yield ("dedup",), "has-default", "dedup needs a row `default`"
    for name in doc.dedup.keys() - set(REASONS) - {"default"}:
        yield ("dedup", name), "known-reason", f"dedup names {name}; reasons are {', '.join(REASONS)}"
    for name, fields in doc.correctable.items():
        sent = doc.task_types[name].send if name in doc.task_types else None
        for field in fields:
            if sent is None or field not in sent:
                yield ("correctable", name, field), "known-field", f"{name} sends no {field}"
            if problem := _no_pattern(fields[field].pattern):
                yield ("correctable", name, field, "pattern"), "pattern", f"{name}.{field}: {problem}"


def _no_pattern(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        return str(error)
    return ""


def _roles(doc: Document) -> Iterator[Problem]:
    for name, role in doc.roles.items():
        for permission in set(role.may) - set(PERMISSIONS):
            yield ("roles", name), "known-permission", f"{name} may {permission}; there is {', '.join(PERMISSIONS)}"


def _actions(doc: Document) -> Iterator[Problem]:
    for name, action in doc.actions.items():
        if name not in set(ActionCode):
            yield (
                ("actions", name),
                "known-action",
                f"there is no action {name}; known: {', '.join(ActionCode)}",
            )
        for role in set(action.roles) - doc.roles.keys():
            yield ("actions", name, "roles"), "known-role", f"{name} is for {role}, which is no role"
        for kind in set(action.needs) - set(EvidenceType):
            yield (
                ("actions", name, "needs"),
                "known-evidence",
                f"{name} needs {kind}, which is no evidence type",
            )


def _mappings(doc: Document) -> Iterator[Problem]:
    if "TRIAGE" not in doc.queues:
        yield ("queues",), "has-triage", "queues needs TRIAGE: where what no rule knows goes"
    for number, row in enumerate(doc.mappings):
        path = ("mappings", str(number))
        if row.queue not in doc.queues:
            yield (*path, "queue"), "known-queue", f"{row.code} goes to {row.queue}, which is not declared"
        if row.downstream and row.downstream not in doc.targets:
            yield (
                (*path, "downstream"),
                "known-target",
                f"{row.code} is of {row.downstream}, which is not declared",
            )
        if row.reason and row.reason not in REASONS:
            yield (*path, "reason"), "known-reason", f"{row.code}: reasons are {', '.join(REASONS)}"
        if row.when:
            try:
                compiled(row.when, CASE_FACTS)
            except BadCondition as error:
                yield (*path, "when"), "condition", f"{row.code}: {error}"


def _dialects(doc: Document) -> Iterator[Problem]:
    for name, spoken in doc.dialects.items():
        path = ("dialects", name)
        for theirs, ours in spoken.states.items():
            if ours not in LEGAL:
                yield (
                    (*path, "states", theirs),
                    "known-state",
                    f"{ours} is no TMF641 state; there are {', '.join(LEGAL)}",
                )
        for theirs, ours in spoken.events.items():
            if ours not in dialect.EVENTS:
                known = ", ".join(dialect.EVENTS)
                yield (*path, "events", theirs), "known-event", f"{ours} is no TMF641 event; there are {known}"
        for number, sign in enumerate(spoken.fallout):
            at = (*path, "fallout", str(number))
            if sign.state not in ("", *LEGAL):
                yield at, "known-state", f"{sign.state} is no TMF641 state; there are {', '.join(LEGAL)}"
            if (not sign.state and not sign.contains) or bool(sign.contains) is not bool(sign.field):
                yield (
                    at,
                    "sign-says-something",
                    f"{name}: a sign of fallout is a state, or a field and what it contains",
                )


def _sensitive(doc: Document) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for number, name in enumerate(doc.sensitive.fields):
        path = ("sensitive", "fields", str(number))
        if not bare(name):
            yield path, "sensitive-field", f"{name!r} is no name of a field: it needs a letter or a digit"
        elif bare(name) in seen:
            yield (
                path,
                "sensitive-field",
                f"{name} is the same field as {seen[bare(name)]}: case and separators do not count",
            )
        seen.setdefault(bare(name), name)
