"""SQLAlchemy statements on the bare driver.

A `Statement` is written once as a SQLAlchemy expression and compiled once per database. Running it then costs
what the driver costs: going through SQLAlchemy's connections would take longer than the commit to the disk.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import TypeEngine

Processor = Callable[[Any], Any]
Expression = sa.Select[Any] | sa.Insert | sa.Update | sa.Delete
Values = Mapping[str, Any]


class Statement:
    """One statement with named values, for either database. columns: what an INSERT is given."""

    def __init__(self, expression: Expression, columns: Sequence[str] | None = None) -> None:
        self._expression = expression
        self._columns = columns
        self._compiled: dict[str, Compiled] = {}

    def on(self, dialect: Dialect) -> Compiled:
        """Return its form for this database."""
        if dialect.name not in self._compiled:
            self._compiled[dialect.name] = Compiled(self._expression, self._columns, dialect)
        return self._compiled[dialect.name]


class Call(NamedTuple):
    """A statement and the values for it.

    refusal: what to raise when it finds no row; that undoes the whole transaction.
    """

    statement: Statement
    values: Values
    refusal: Callable[[], Exception] | None = None

    def judge(self, found: Sequence[Any]) -> None:
        """Raise the refusal when nothing was found."""
        if self.refusal and not found:
            raise self.refusal()


class Compiled:
    """SQL for a driver, what to do with the values on their way in, and with the columns on their way out."""

    def __init__(self, expression: Expression, columns: Sequence[str] | None, dialect: Dialect) -> None:
        compiled = expression.compile(dialect=dialect, column_keys=columns)
        assert isinstance(compiled, SQLCompiler)  # noqa: S101 - what SQLAlchemy's types cannot say
        self.sql = str(compiled)
        self._fixed = compiled.params
        self._binders = [
            (name, compiled.binds[name].type.dialect_impl(dialect).bind_processor(dialect))
            for name in compiled.positiontup or ()
        ]
        found = list(expression.exported_columns)
        self._readers = [_reader(column.type, dialect) for column in found]
        self._row: Any = namedtuple("Row", [column.name for column in found])  # type: ignore[misc]

    def arguments(self, values: Values) -> list[Any]:
        """Return the values in the order of the SQL."""
        known = {**self._fixed, **values}
        return [process(known[name]) if process else known[name] for name, process in self._binders]

    def rows(self, found: Iterable[Sequence[Any]]) -> list[Any]:
        """Return what the driver found as named tuples of Python values."""
        if not any(self._readers):
            return [self._row._make(row) for row in found]
        return [
            self._row(
                *(read(value) if read else value for read, value in zip(self._readers, row, strict=True))
            )
            for row in found
        ]


def _reader(kind: TypeEngine[Any], dialect: Dialect) -> Processor | None:
    return kind.dialect_impl(dialect).result_processor(dialect, None)
