"""No column without a class: what is in the database is what is declared."""

import pytest
from proof.p7 import Lab

from unstuck.store.columns import COLUMNS, Kept, _compiled, recorded

THERE = """
    SELECT c.table_name, c.column_name FROM information_schema.columns c
    JOIN pg_class r ON r.oid = format('%I.%I', c.table_schema, c.table_name)::regclass
    WHERE c.table_schema = 'public' AND r.relkind IN ('r', 'p') AND NOT r.relispartition
"""


async def test_every_column_has_a_class_and_every_class_a_column(lab: Lab) -> None:
    there = {(row["table_name"], row["column_name"]) for row in await lab.superuser.fetch(THERE)}
    assert there - COLUMNS.keys() == set(), "declare these in unstuck.store.columns"
    assert COLUMNS.keys() - there == set(), "these are declared and are not there"


def test_a_column_has_one_class() -> None:
    table = "| t | c | c |\n|---|---|---|\n| orders | recorded | state |\n| orders | derived | state |"
    with pytest.raises(ValueError, match="declared twice"):
        _compiled(table)


def test_recorded_columns_come_in_the_order_of_the_declaration() -> None:
    assert recorded("resume_use") == ("token", "at")
    assert all(COLUMNS["orders", column] is Kept.RECORDED for column in recorded("orders"))
