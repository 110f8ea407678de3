"""A year of fallout made by the database itself: cases, orders, reports and events in statements with two numbers.

Everything follows from the row's own number, so that two runs, and a test beside them, meet the same world. Skew as in
a house we would call ordinary: a few queues and codes have most of it, a dozen sources hardly report, one customer in
two million has this case, owners have dozens, and every filter has a value that nearly nothing matches.

Standard library only.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

CUSTOMERS, CODES, OWNERS = 2_000_000, 200, 400
QUEUES = (
    "FIXED_L2",
    "MOBILE_L2",
    "BILLING_L2",
    "PARTNER_DESK",
    "CATALOG",
    "FIELD",
    "INVENTORY",
    "PORTING",
    "VIP",
    "TRIAGE",
)
SOURCES = ("legacy-oms", "crm", *(f"partner-{n}" for n in range(12)))
SYSTEMS = ("provisioning", "billing", "inventory", "crm", "partner", "tower")
DOMAINS = ("provisioning", "billing", "data", "inventory", "partner", "catalog", "platform", "pricing")
CLOSED = ("CLOSED",) * 17 + ("RESOLVED_RESUME", "RESOLVED_CANCEL", "RESOLVED_NONE")
OPEN = (
    *("QUEUED",) * 680, *("ASSIGNED",) * 120, *("IN_PROGRESS",) * 100, *("WAITING_CUSTOMER",) * 40, *("WAITING_PARTNER",) * 25,
    *("WAITING_VENDOR",) * 15, *("VERIFYING",) * 10, *("CORRECTION_APPLIED",) * 5, *("CORRECTION_PROPOSED",) * 2,
    *("APPROVAL_REQUIRED",) * 2, "WAITING_INCIDENT",
)  # fmt: skip
SEEN_EVERY = 20  # every so many cases have their events and an order with tasks and calls: those a person opens
BEGAN = "timestamptz '2025-11-01 00:00:00+00'"
ORDER_EVERY = 8  # cases to an order


def fraction(salt: int) -> str:
    """A number from 0 to 1 that follows from n."""
    return f"((hashint8extended(n, {salt}) & 16777215) / 16777216.0)"


def one_of(values: tuple[str, ...], where: str) -> str:
    """The value at the fraction `where` of `values`."""
    listed = ", ".join(f"'{value}'" for value in values)
    return f"(ARRAY[{listed}])[1 + floor({len(values)} * {where})::int]"


def moment(number: int) -> datetime:
    """When the case of that number was detected."""
    return datetime(2025, 11, 1, tzinfo=UTC) + number * timedelta(seconds=2.8)


def uuid(kind: int, number: str) -> str:
    return (
        f"(lpad(to_hex({number}), 8, '0') || '-0000-7{kind:03d}-8000-' || lpad(to_hex(({number}) * 7), 12, '0'))::uuid"
    )


def orders(first: int, many: int) -> str:
    """Orders; the pack and the plan are those in the database."""
    received = f"{BEGAN} + n * interval '25 seconds'"
    state = (
        f"CASE WHEN {fraction(1)} < 0.9 THEN 'COMPLETED' WHEN {fraction(1)} < 0.99 THEN 'IN_PROGRESS' ELSE 'FAILED' END"
    )
    return f"""
        INSERT INTO orders (id, source, external_id, customer, state, plan, item_states, version, seq, pack, received_at)
        SELECT {uuid(1, "n")}, {one_of(("shop", "crm"), fraction(2))}, 'PO-' || n,
            'C-' || floor({CUSTOMERS} * {fraction(3)})::int, {state}, CASE WHEN n % {SEEN_EVERY} = 0 THEN (SELECT id FROM plan) END,
            ARRAY['IN_PROGRESS'], 1, 1, (SELECT hash FROM policy_pack), {received}
        FROM generate_series({first}, {first + many - 1}) AS n"""


def order_parts(first: int, many: int, tasks: int) -> tuple[str, ...]:
    """What the seen orders are made of: tasks, their commands, and two calls with their outcomes."""
    seen = f"generate_series({first}, {first + many - 1}) AS n, generate_series(0, {tasks - 1}) AS task WHERE n % {SEEN_EVERY} = 0"
    return (
        f"""INSERT INTO task (order_id, no, target, state, attempt)
            SELECT {uuid(1, "n")}, task, 'provisioning', CASE WHEN task < 2 THEN 'COMPLETED' WHEN task = 2 THEN 'FAILED' ELSE 'PENDING' END,
                CASE WHEN task < 3 THEN 1 ELSE 0 END FROM {seen}""",
        f"""INSERT INTO command SELECT {uuid(1, "n")}, task, 0, n || '.' || task, convert_to('{{"customer":"C-1"}}', 'UTF8') FROM {seen}""",
        f"""INSERT INTO attempt SELECT {uuid(1, "n")}, task, 1, current_date, 'send', 0, 'bench', {BEGAN} FROM {seen} AND task < 3""",
        f"""INSERT INTO outcome SELECT {uuid(1, "n")}, task, 1, current_date, {BEGAN}, 'DONE', 200, '', 'R-' || n, sha256('x'),
                convert_to(repeat('reply ', 40), 'UTF8') FROM {seen} AND task < 3""",
    )


def cases(first: int, many: int, *, closed: bool) -> str:
    """Cases; a third of them from sources, about orders of their own."""
    code = f"floor({CODES} * power({fraction(4)}, 3))::int"
    of_source = f"{fraction(5)} < 0.33"
    source = f"CASE WHEN {of_source} THEN {one_of(SOURCES, f'power({fraction(6)}, 8)')} ELSE '' END"
    state = one_of(CLOSED if closed else OPEN, fraction(7))
    owned = f"({state}) <> 'QUEUED'"
    detected = f"{BEGAN} + n * interval '2.8 seconds'"
    return f"""
        INSERT INTO fallout_case (id, state, version, seq, order_id, item, step, task, attempt, reason, system, operation,
            raw_code, raw_message, raw_sha256, raw, dedup_key, detected_at, touched_at, pack, code, domain, recoverability,
            queue, owner, resolution, resolved_at, source, order_ref, customer)
        SELECT {uuid(2, "n")}, {state}, 5, 5, CASE WHEN NOT {of_source} THEN {uuid(1, f"(n / {ORDER_EVERY})")} END,
            '1', '1.activate', CASE WHEN NOT {of_source} AND (n / {ORDER_EVERY}) % {SEEN_EVERY} = 0 THEN 2 END, 1,
            {one_of(("refused", "exhausted", "unknown", "overdue"), fraction(8))}, {one_of(SYSTEMS, f"power({fraction(9)}, 2)")},
            'activate', 'E-' || {code}, 'The port ' || n || ' on the rack could not be taken: it is held by another order since '
                || to_hex(hashint8(n)) || '; ask the field force or free it', to_hex(hashint8(n)),
            convert_to('{{"error":{{"code":"E-' || {code} || '","node":"' || to_hex(hashint8(n * 3)) || '","text":"'
                || repeat(to_hex(hashint8(n * 5)), 12) || '"}}}}', 'UTF8'),
            to_hex(n) || '.' || {int(closed)}, {detected}, {detected} + {fraction(10)} * interval '9 days',
            (SELECT hash FROM policy_pack), 'CODE_' || {code}, ({one_of(DOMAINS, f"({code}) % {len(DOMAINS)} / {len(DOMAINS)}.0")}),
            'repairable', {one_of(QUEUES, f"power({fraction(11)}, 2.5)")},
            CASE WHEN {owned} THEN 'agent-' || floor({OWNERS} * {fraction(12)})::int ELSE '' END,
            {"'resumed'" if closed else "''"}, {detected if closed else "NULL"}, {source},
            CASE WHEN {of_source} THEN 'EXT-' || n ELSE '' END,
            CASE WHEN {of_source} THEN 'C-' || floor({CUSTOMERS} * {fraction(13)})::int ELSE '' END
        FROM generate_series({first}, {first + many - 1}) AS n"""


def reports(first: int, many: int) -> str:
    """The report of each case that a source has made."""
    return f"""
        INSERT INTO failure_event SELECT source, 'evt-' || id, detected_at, id, 'new', raw_sha256, '{{}}'
        FROM fallout_case WHERE source <> '' AND id BETWEEN {uuid(2, str(first))} AND {uuid(2, str(first + many - 1))}"""


def case_parts(first: int, many: int) -> tuple[str, ...]:
    """What the seen cases are made of: five events, a piece of evidence, a correction."""
    seen = f"generate_series({first}, {first + many - 1}) AS n"
    few = f"{seen} WHERE (n / {ORDER_EVERY}) % {SEEN_EVERY} = 0"
    types = (
        "fallout-case.detected",
        "fallout-case.classified",
        "fallout-case.queued",
        "fallout-case.assigned",
        "fallout-case.noted",
    )
    return (
        f"""INSERT INTO event (stream, seq, at, recorded_at, type, v, by, data)
            SELECT {uuid(2, "n")}, seq, {BEGAN}, {BEGAN}, ({one_of(types, "(seq - 1) / 5.0")}), 1, 'agent-1',
                convert_to('{{"text":"' || repeat('a note ', 20) || '"}}', 'UTF8')
            FROM generate_series(1, 5) AS seq, {few}""",
        f"""INSERT INTO evidence SELECT {uuid(3, "n")}, {uuid(2, "n")}, 'document', to_hex(n), 100, 'text/plain', 'agent', 'agent-1',
                {BEGAN}, false, true, NULL, '' FROM {few}""",
        f"""INSERT INTO correction (id, case_id, action, state, reason_code, reason, given, preview, proposed_by, proposed_at)
            SELECT {uuid(4, "n")}, {uuid(2, "n")}, 'retry', 'APPLIED', 'cause_fixed', 'freed', '{{}}', '{{}}', 'agent-1', {BEGAN} FROM {few}""",
    )
