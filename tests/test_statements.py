from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from safelight.db.postgres import DIALECT
from safelight.db.statements import Statement
from safelight.db.tables import JsonText, Usd, UtcDateTime

WHEN = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)

things = sa.table(
    "things",
    sa.column("n", sa.Integer),
    sa.column("made_at", UtcDateTime),
    sa.column("shape", JsonText),
    sa.column("price", Usd),
)
on_both = pytest.mark.parametrize("dialect", [sqlite.dialect(), DIALECT], ids=["sqlite", "postgres"])


@on_both
def test_arguments_come_in_the_order_of_the_sql(dialect):
    statement = Statement(
        sa.update(things)
        .values(shape=sa.bindparam("shown", type_=JsonText), n=things.c.n + 5)
        .where(things.c.n == sa.bindparam("which"))
    )
    compiled = statement.on(dialect)
    assert compiled.arguments({"which": 7, "shown": {"a": [1]}}) == [5, '{"a":[1]}', 7]


@on_both
def test_a_statement_is_compiled_once(dialect):
    statement = Statement(sa.select(things))
    assert statement.on(dialect) is statement.on(dialect)


@on_both
def test_a_value_that_is_not_a_columns_or_a_parameters_is_left_out(dialect):
    statement = Statement(sa.select(things.c.n).where(things.c.n == sa.bindparam("which")))
    assert statement.on(dialect).arguments({"which": 1, "another": 2}) == [1]


def test_rows_carry_python_values():
    compiled = Statement(sa.select(things)).on(sqlite.dialect())
    [row] = compiled.rows([(1, "2026-01-02 03:04:05.000006", '{"a":[1]}', 2500)])
    assert (row.n, row.made_at, row.shape, row.price) == (1, WHEN, {"a": [1]}, Decimal("0.0025"))


def test_times_are_kept_in_utc():
    insert = Statement(sa.insert(things), columns=["made_at"])
    east = datetime.fromisoformat("2026-01-02T12:04:05.000006+09:00")
    assert insert.on(sqlite.dialect()).arguments({"made_at": east}) == ["2026-01-02 03:04:05.000006"]
    assert insert.on(DIALECT).arguments({"made_at": east}) == [WHEN]
    with pytest.raises(ValueError, match="time zone"):
        insert.on(sqlite.dialect()).arguments({"made_at": WHEN.replace(tzinfo=None)})


@on_both
@pytest.mark.parametrize(("dollars", "kept"), [("0.0025", 2500), ("12", 12_000_000), ("0.0000004", 0)])
def test_money_is_kept_in_millionths(dialect, dollars, kept):
    insert = Statement(sa.insert(things), columns=["price"])
    assert insert.on(dialect).arguments({"price": Decimal(dollars)}) == [kept]
