"""SQLAlchemy statements compiled once and run with plain tuples: a quarter of the cost of `execute`."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from itertools import chain
from typing import Any

from sqlalchemy import Connection, Dialect
from sqlalchemy.sql import ClauseElement

Row = Sequence[Any]
Given = dict[str, Any]

# Shapes come from the code, and list lengths are rounded up; far more than there are.
MAX_STATEMENTS = 500


class Prepared:
    """A statement as text for one database; its parameters are tuples in the order of ``names``."""

    __slots__ = ("_arrange", "_text")

    def __init__(self, statement: ClauseElement, dialect: Dialect, names: Sequence[str]) -> None:
        compiled = statement.compile(dialect=dialect)
        self._text = str(compiled)
        # Some databases need more than was asked for, such as the OFFSET 0 behind a LIMIT.
        fixed = {name: value for name, value in compiled.params.items() if name not in names}
        self._arrange = _arrangement((*names, *fixed), tuple(fixed.values()), compiled)

    def read(self, connection: Connection, row: Row) -> list[Any]:
        """Run a query; gives the driver's rows."""
        result = connection.exec_driver_sql(self._text, self._arranged(row))
        cursor: Any = result.cursor
        rows: list[Any] = cursor.fetchall()
        result.close()
        return rows

    def write(self, connection: Connection, rows: Iterable[Row]) -> int:
        """Run a change once for each row, in order; gives how many rows of the table it touched."""
        arranged = [self._arranged(row) for row in rows]
        result = connection.exec_driver_sql(self._text, arranged if len(arranged) > 1 else arranged[0])
        return result.rowcount

    def _arranged(self, row: Row) -> Any:
        return self._arrange(row) if self._arrange else row


def _arrangement(names: Row, fixed: Row, compiled: Any) -> Callable[[Row], Any] | None:
    """Give the function that makes a driver's parameters of a row, or None when they are the row."""
    if not compiled.positional:
        return lambda row: dict(zip(names, (*row, *fixed), strict=True))
    places = [names.index(name) for name in compiled.positiontup]
    if not fixed and places == list(range(len(names))):
        return None

    def arrange(row: Row) -> Row:
        values = (*row, *fixed)
        return tuple([values[place] for place in places])

    return arrange


class Statements:
    """The prepared statements of one database, made when they are first asked for."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self._made: dict[Hashable, Prepared] = {}

    def get(self, make: Callable[..., ClauseElement], names: Sequence[str], *shape: Hashable) -> Prepared:
        """Give the statement that ``make(*shape)`` builds, with the parameters ``names``."""
        found = self._made.get((make, shape))
        if found is None:
            if len(self._made) >= MAX_STATEMENTS:
                self._made.clear()
            found = self._made[make, shape] = Prepared(make(*shape), self.dialect, names)
        return found

    def bind(
        self, make: Callable[..., ClauseElement], given: Given, *shape: Hashable
    ) -> Callable[[Connection], list[Any]]:
        """Give a function that runs the query ``make(*shape)`` with parameters by name."""
        statement, row = self.get(make, tuple(given), *shape), tuple(given.values())
        return lambda connection: statement.read(connection, row)


def padded(values: Sequence[Any]) -> list[Any]:
    """Repeat the last value until the length is a power of two, so that few statements serve all lengths."""
    size = 1 << (len(values) - 1).bit_length()
    return list(chain(values, [values[-1]] * (size - len(values))))
