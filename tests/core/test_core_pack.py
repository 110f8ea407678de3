"""The policy pack's checks (C3 of style: a rule that nothing can trigger is no rule): one bad pack for each rule."""

import random
from copy import deepcopy

import pytest
import yaml
from core_lab import MINIMAL, PACK, law
from hypothesis import given
from hypothesis import strategies as st

from unstuck.policy import check as rules
from unstuck.policy.check import load
from unstuck.policy.hurry import hurried
from unstuck.policy.pack import BadPack, Pack, decode

PRODUCTS, RECOVERY, FALLOUT, DESK = "products.yaml", "recovery.yaml", "fallout.yaml", "pack.yaml"


def broken(file, old, new, mark):
    """The shipped pack with one text changed, and the line on which `mark` then stands first."""
    assert old in MINIMAL[file]
    text = MINIMAL[file].replace(old, new, 1)
    return {**MINIMAL, file: text}, text[: text.index(mark)].count("\n") + 1


def findings(files):
    try:
        load(files)
    except BadPack as bad:
        return bad.findings
    return ()


ROUTER = "send: {customer: order.customer, service: =router, item: item.id, model: char.model}"
# rule, file, what is replaced by what, the text on whose line the finding must stand
BAD = [
    ("yaml", PRODUCTS, "offers:", "offers: [", "title: Fiber"),
    ("known-state", "dialects.yaml", "INITIAL: acknowledged", "INITIAL: nowhere", "INITIAL: nowhere"),
    ("known-event", "dialects.yaml", ": serviceOrderCreateEvent", ": somethingEvent", ": somethingEvent"),
    ("sections", DESK, MINIMAL[DESK], "- a\n- list\n", "- a"),
    ("known-section", DESK, "version:", "versions: 1\nversion:", "versions:"),
    ("once", RECOVERY, "targets:", "roles: {}\ntargets:", "roles: {}"),
    ("once", PRODUCTS, "  static-ip:", "  wifi-router: {title: X, tasks: {a: {type: assign_port}}}\n  static-ip:", "  wifi-router:\n"),
    ("type", DESK, "version:", "VERSION_IS_GONE:", "VERSION"),
    ("type", PRODUCTS, "operation: createSubscription", "operashun: createSubscription", "operashun"),
    ("type", PRODUCTS, "operation: assignPort", "operation: 5", "operation: 5"),
    ("type", PRODUCTS, "breach: 7200", "breach: soon", "breach: soon"),
    ("type", RECOVERY, "kind: C", "kind: D", "kind: D"),
    ("type", RECOVERY, "risk: high", "risk: HIGH", "risk: HIGH"),
    ("type", RECOVERY, "max_length: 40", "max_len: 40", "max_len: 40"),
    ("type", RECOVERY, "{case_at_once: true}", "{case_at_once: 1}", "case_at_once: 1"),
    ("type", FALLOUT, "domain: billing, recov", "domain: bills, recov", "domain: bills"),
    ("type", FALLOUT, "[order, reason]", "[order, colour]", "colour"),
    ("offer-has-tasks", PRODUCTS, "tasks:\n      reserve: {type: reserve_router}", "tasks: {}", "  wifi-router:"),
    ("known-task-type", PRODUCTS, "{type: reserve_router}", "{type: reserve_rooter}", "reserve_rooter"),
    ("known-task-type", RECOVERY, "retry:", "retry:\n  dig_hole: {}", "dig_hole"),
    ("known-task-type", RECOVERY, "on_unknown:", "on_unknown:\n  dig_hole: {case_at_once: true}", "dig_hole"),
    ("known-dependency", PRODUCTS, "after: [port]", "after: [porch]", "porch"),
    ("known-dependency", PRODUCTS, "[fiber-internet/activate]", "[fibre/activate]", "fibre/"),
    ("no-cycle", PRODUCTS, "port: {type: assign_port}", "port: {type: assign_port, after: [activate]}", "port: {type"),
    ("no-cycle", PRODUCTS, "account: {type: create_billing_account}", "account: {type: create_billing_account, after: [static-ip/activate]}", "account: {"),
    ("known-target", PRODUCTS, "target: warehouse", "target: attic", "attic"),
    ("known-target", FALLOUT, "downstream: warehouse, raw", "downstream: attic, raw", "attic"),
    ("known-source", PRODUCTS, ROUTER, ROUTER.replace("char.model", "model"), "item.id, model: model"),
    ("known-source", PRODUCTS, ROUTER, ROUTER.replace("item.id", "item.colour"), "item.colour"),
    ("known-source", PRODUCTS, ROUTER, ROUTER.replace("char.model", "char"), "model: char}"),
    ("known-field", PRODUCTS, ROUTER, ROUTER.replace("item: item.id, ", ""), "business_key: [customer, service, item]\n    timeouts: {reply: 10, expected: 60, warning: 3600"),
    ("known-field", RECOVERY, "    model: {", "    colour: {title: Colour}\n    model: {", "    colour"),
    ("pattern", RECOVERY, '"[0-9]{1,5} Mbit/s"', '"[0-9"', '"[0-9"'),
    ("timeouts-in-order", PRODUCTS, "warning: 3600, breach: 7200", "warning: 7201, breach: 7200", "7201"),
    ("one-way", RECOVERY, "default: {settle", "default: {case_at_once: true, settle", "{case_at_once: true, settle"),
    ("one-way", RECOVERY, "activate_fiber: {case_at_once: true}", "activate_fiber: {}", "activate_fiber: {}"),
    ("askable", RECOVERY, "schedule_installation: {case_at_once: true}", "schedule_installation: {settle_by_asking: {tries: 1, within_s: 1}}", "schedule_installation: {settle"),
    ("has-default", RECOVERY, "  default: {codes", "  activate_voice: {codes", "retry:"),
    ("has-default", RECOVERY, "  default: {settle", "  activate_voice: {settle", "on_unknown:"),
    ("has-default", FALLOUT, "  default: {key", "  refused: {key", "dedup:"),
    ("known-reason", FALLOUT, "dedup:", "dedup:\n  boredom: {key: [order]}", "boredom"),
    ("known-reason", FALLOUT, "{reason: exhausted,", "{reason: exhaustion,", "exhaustion"),
    ("known-action", RECOVERY, "actions:", "actions:\n  pray: {title: P, roles: [], risk: low, mode: manual, reasons: []}", "pray"),
    ("known-role", RECOVERY, "roles: [fallout-manager, engineer]", "roles: [wizard, engineer]", "wizard"),
    ("known-permission", DESK, "may: [order.read, case.read, case.approve]", "may: [order.read, case.aprove]", "case.aprove"),
    ("known-evidence", RECOVERY, "needs: [document, vendor_request]", "needs: [hearsay]", "hearsay"),
    ("has-triage", FALLOUT, "  TRIAGE: {", "  ELSEWHERE: {", "queues:"),
    ("known-queue", FALLOUT, "queue: SUPPLY_CHAIN, title: The", "queue: LIMBO, title: The", "LIMBO"),
    ("condition", FALLOUT, "when: 'reason ==", "when: 'raisin ==", "raisin"),
    ("condition", FALLOUT, "when: 'reason == \"refused\"", "when: 'reason == 5", "reason == 5"),
    ("condition", FALLOUT, "when: 'reason == \"refused\" && message.contains(\"address\")'", "when: 'message'", "when: 'message'"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "file", "old", "new", "mark"), BAD, ids=[f"{b[0]}-{n}" for n, b in enumerate(BAD)])
def test_a_bad_pack_is_refused_by_exactly_its_rule_at_its_line(rule, file, old, new, mark):
    files, line = broken(file, old, new, mark)
    found = findings(files)
    if mark == "VERSION":  # what is missing has no line, and what is there instead is another finding
        assert [f.rule for f in found] == ["known-section"]
        return
    if rule == "sections":  # without that file its sections are gone too, but nothing is typed before all are read
        found = found[:1]
    assert [(f.rule, f.file, f.line) for f in found] == [(rule, file, line)], [str(f) for f in found]


def test_the_shipped_pack_has_nothing_to_find():
    document, lines = decode(MINIMAL)
    assert tuple(rules.check(document, lines)) == ()


def test_every_rule_in_the_code_has_a_bad_pack():
    import re
    from inspect import getsource

    from unstuck.policy import pack as reading

    known = set(re.findall(r'\),?\s+"([a-z]+(?:-[a-z]+)*)",\s', getsource(rules)))
    known |= set(re.findall(r'Finding\([^"]*"([a-z-]+)"', getsource(reading)))
    assert known, "the pattern above no longer fits the source"
    assert known - {b[0] for b in BAD} == set()
    assert len({b[0] for b in BAD}) >= 23


def test_all_findings_come_at_once_and_read_as_file_line_rule():
    files, _ = broken(PRODUCTS, "target: warehouse", "target: attic", "attic")
    files[RECOVERY] = files[RECOVERY].replace("[fallout-manager, engineer]", "[wizard]")
    found = findings(files)
    assert [f.rule for f in found] == ["known-target", "known-role", "known-role"]
    assert str(found[0]).startswith(f"{PRODUCTS}:{found[0].line}: known-target: reserve_router goes to attic")


def test_of_two_wrong_types_in_two_sections_the_line_is_of_the_one_that_is_told():
    files, _ = broken(RECOVERY, "kind: C", "kind: D", "kind: D")
    files[FALLOUT] = files[FALLOUT].replace("[order, reason]", "[order, colour]", 1)
    (found,) = findings(files)
    line = files[found.file].splitlines()[found.line - 1]
    assert found.because.split("'")[1] in line and ("kind: D" in line or "colour" in line)


def nodes(tree, path=()):
    """Every place in a document."""
    yield path
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in inner:
        yield from nodes(value, (*path, key))


TREES = {name: yaml.safe_load(text) for name, text in MINIMAL.items()}
PLACES = [(name, path) for name, tree in TREES.items() for path in nodes(tree) if path]
NONSENSE = st.sampled_from([None, True, -1, 1.5, "", "x", [], {}, [1], {"x": 1}, {1: 2}, [[]], {"when": "1 +"}])


@law
@given(st.sampled_from(PLACES), NONSENSE, st.booleans())
def test_any_nonsense_anywhere_is_found_and_never_a_crash(place, nonsense, add):
    name, path = place
    tree = deepcopy(TREES[name])
    parent = tree
    for key in path[:-1]:
        parent = parent[key]
    if add and isinstance(parent, dict):
        parent[f"{path[-1]}_"] = nonsense
    else:
        parent[path[-1]] = nonsense
    files = {**MINIMAL, name: yaml.safe_dump(tree)}
    try:
        assert isinstance(load(files), Pack)
    except BadPack as bad:
        assert bad.findings
        for finding in bad.findings:
            assert finding.file in MINIMAL and 1 <= finding.line <= files[finding.file].count("\n") + 1


@pytest.mark.parametrize(
    "text",
    [
        "a: 2026-13-45",
        "? [a]\n: b",
        "a: &x [*x]",
        "!!python/object:os.system {}",
        "\x00",
        "on: 1\nx: 2",
        "1: a\n2026-01-01: b\nz: c",
    ],
)
def test_hostile_yaml_is_a_finding(text):
    assert findings({**MINIMAL, "extra.yaml": text})


@pytest.mark.parametrize("text", ["", "# nothing yet\n"])
def test_a_file_without_sections_is_no_finding(text):
    assert load({**MINIMAL, "extra.yaml": text}).document == PACK.document


def test_a_pack_is_named_by_its_texts():
    changed = {**MINIMAL, DESK: MINIMAL[DESK] + "\n"}
    assert load(changed).hash != PACK.hash == load(dict(reversed(MINIMAL.items()))).hash


def test_a_task_type_without_a_row_of_its_own_takes_the_default():
    doc = PACK.document
    assert PACK.rules["activate_voice"].retry is doc.retry["default"]
    assert PACK.rules["activate_fiber"].retry is doc.retry["activate_fiber"]
    assert PACK.rules["reserve_router"].target is doc.targets["warehouse"]
    assert (PACK.rules["reserve_router"].warning_s, PACK.rules["reserve_router"].breach_s) == (3600, 7200)


def test_a_hurried_pack_is_the_same_but_for_its_clocks():
    assert hurried(MINIMAL, 1.0) == MINIMAL
    fast = load(hurried(MINIMAL, 60)).document
    slow = PACK.document
    assert fast.task_types["reserve_router"].timeouts.breach == 120
    assert fast.targets["warehouse"].max_in_flight_s == 20 / 60
    assert fast.targets["warehouse"].recheck_s == (0.5, 2)
    assert fast.retry["default"].attempts == slow.retry["default"].attempts
    assert fast.on_unknown["default"].settle_by_asking.tries == 6
    assert (fast.offers, fast.mappings, fast.actions, fast.roles) == (
        slow.offers,
        slow.mappings,
        slow.actions,
        slow.roles,
    )


def test_the_order_of_sections_and_files_means_nothing():
    chance = random.Random(1)
    shuffled = {}
    for name, tree in TREES.items():
        keys = list(tree)
        chance.shuffle(keys)
        shuffled[f"{chance.random()}-{name}"] = yaml.safe_dump({k: tree[k] for k in keys}, sort_keys=False)
    assert load(shuffled).document == PACK.document
