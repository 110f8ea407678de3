"""Classification (C2): the shipped mapping table, row by row. A row that nothing needs would show here."""

import msgspec
import pytest
from core_lab import PACK, case

from unstuck.fallout.case import Classify
from unstuck.fallout.classify import TRIAGE, classify, raw_facts
from unstuck.fallout.lifecycle import CaseState
from unstuck.fallout.policy import REASONS, Mapping
from unstuck.kernel.condition import holds
from unstuck.policy.check import CASE_FACTS

ROWS = PACK.fallout.mappings
HINTS = ("ACTIVATION", "RESOURCE", "DATA", "FIELD", "BILLING")
# What makes a condition true: the one thing about a row that cannot be read off its columns.
MAKES_TRUE = {
    'reason == "refused" && message.contains("address")': {"reason": "refused", "raw_message": "no such address here"},
    **{f'category_hint == "{hint}"': {"category_hint": hint} for hint in HINTS},
    'source == "person"': {"source": "person"},
}


def says(rows, of):
    return classify(of, rows, lambda when, facts: holds(when, CASE_FACTS, facts))


def stop_for(row):
    """The plainest stop that this row is about."""
    raw = {"system": row.downstream or "elsewhere", "raw_code": row.raw or "X-1", "reason": row.reason or "refused"}
    return case(CaseState.DETECTED, **{**raw, "raw_message": "", **MAKES_TRUE.get(row.when, {})})


def named(row):
    return f"{row.reason or '-'}-{row.downstream or '-'}-{row.raw or '-'}"


@pytest.mark.parametrize("number", range(len(ROWS)), ids=lambda n: named(ROWS[n]))
def test_each_row_decides_its_own_failure_and_is_missed_when_removed(number):
    row, stop = ROWS[number], stop_for(ROWS[number])
    command, matched = says(ROWS, stop)
    assert matched is row
    assert command == Classify(row.code, row.domain, row.recoverability, row.queue, f"mappings/{number}")
    without, other = says(ROWS[:number] + ROWS[number + 1 :], stop)
    assert other is not row
    assert msgspec.structs.replace(without, rule="") != msgspec.structs.replace(command, rule="")


@pytest.mark.parametrize("number", range(len(ROWS)), ids=lambda n: named(ROWS[n]))
def test_each_filled_cell_of_a_row_counts(number):
    row, stop = ROWS[number], stop_for(ROWS[number])
    if row.downstream:
        assert says((row,), _with(stop, system="elsewhere"))[1] is TRIAGE
    if row.raw:
        assert says((row,), _with(stop, raw_code=row.raw + "_X"))[1] is TRIAGE
    if row.reason:
        assert says((row,), _with(stop, reason="overdue"))[1] is TRIAGE
    if row.when:
        assert says((row,), _with(stop, raw_message="", category_hint="", source=""))[1] is TRIAGE


def _with(stop, **changes):
    names = ("system", "raw_code", "reason", "raw_message", "category_hint", "source")
    return case(stop.state, **{**{name: getattr(stop, name) for name in names}, **changes})


def test_what_no_row_knows_goes_to_triage():
    command, row = says(ROWS, case(system="elsewhere", raw_code="NEW", reason="refused"))
    assert row is TRIAGE
    assert command == Classify("UNMAPPED", "platform", "repairable", "TRIAGE", "unmapped")
    assert "TRIAGE" in PACK.fallout.queues


def test_the_first_row_that_matches_counts():
    wide = Mapping(code="WIDE", domain="platform", recoverability="repairable", queue="TRIAGE", title="")
    narrow = Mapping(code="NARROW", domain="platform", recoverability="repairable", queue="TRIAGE", title="", raw="X")
    stop = case(raw_code="X")
    assert says((narrow, wide), stop)[0].code == "NARROW"
    assert says((wide, narrow), stop)[0].code == "WIDE"


def test_an_empty_raw_code_does_not_match_a_row_that_names_one():
    row = next(r for r in ROWS if r.raw)
    assert says((row,), _with(stop_for(row), raw_code=""))[1] is TRIAGE


def row_when(when):
    return Mapping(code="X", domain="platform", recoverability="repairable", queue="TRIAGE", title="", when=when)


@pytest.mark.parametrize(
    ("when", "matches"),
    [
        ('reason == "unknown"', True),
        ('message.contains("reply") && attempt < 2', True),
        ('step.endsWith(".activate") && operation.startsWith("activate")', True),
        ('raw_code in ["TIMEOUT", "LOST"]', True),
        ('system == "billing" || attempt > 1', False),
        ('message.matches("^no [a-z]+$")', True),
        ("1 / (attempt - 1) == 1", False),  # an error is not true
    ],
)
def test_a_condition_speaks_of_the_raw_facts(when, matches):
    assert (says((row_when(when),), case())[1] is not TRIAGE) is matches


def test_what_a_condition_may_speak_of_is_what_it_is_given():
    given = raw_facts(case())
    assert {name for name, _ in CASE_FACTS} == set(given)
    python = {"string": str, "int": int}
    assert all(isinstance(given[name], python[kind]) for name, kind in CASE_FACTS)


def test_every_reason_is_one_that_a_row_may_name():
    assert {row.reason for row in ROWS} - {""} <= set(REASONS)
