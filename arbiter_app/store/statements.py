"""SQL compiled once for a dialect and run straight on the driver's cursor: many rows in few steps, queries fetched whole.

Every step of a statement gives up and takes back the interpreter lock, which a busy event loop holds; so rows travel many at a
time, by texts that the driver keeps prepared.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import ClauseElement, Connection, Dialect
from sqlmodel import SQLModel

from arbiter_app.store.backends import of_dialect
from arbiter_app.store.tables import table

Row = Sequence[Any]


class Statement:
    """An insert of rows in the order of `columns`; on conflict `add` columns are summed and `put` columns replaced."""

    def __init__(
        self,
        dialect: Dialect,
        model: type[SQLModel],
        *,
        skip: str = "",
        add: Iterable[str] = (),
        put: Iterable[str] = (),
    ) -> None:
        target = table(model)
        self.columns = tuple(column.name for column in target.columns if column.name != skip)
        self._insert = of_dialect(dialect).inserting(dialect, target, self.columns, add, put)

    def run(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Insert many rows, inside the connection's transaction."""
        if rows:
            self._insert(connection, rows)


class Query:
    """Any other statement with named parameters, run as the plain text it compiles to."""

    def __init__(self, dialect: Dialect, statement: ClauseElement) -> None:
        compiled: Any = statement.compile(dialect=dialect)
        self._in_one_go = of_dialect(dialect).in_one_go
        self._sql = str(compiled)
        self._constants = compiled.params
        self._order = compiled.positiontup if compiled.positional else None

    def run(self, connection: Connection, **parameters: Any) -> list[Row]:
        """Its rows, if it has any, inside the connection's transaction."""
        cursor = self._executed(connection, parameters)
        rows = list(cursor.fetchall()) if cursor.description else []
        cursor.close()
        return rows

    def run_each(self, connection: Connection, several: Iterable[Mapping[str, Any]]) -> list[list[Row]]:
        """The rows of a query for each of these parameters; none waits for the one before."""
        with self._in_one_go(connection):
            cursors = [self._executed(connection, one) for one in several]
            found = [list(cursor.fetchall()) for cursor in cursors]
        for cursor in cursors:
            cursor.close()
        return found

    def _executed(self, connection: Connection, parameters: Mapping[str, Any]) -> Any:
        cursor: Any = connection.connection.cursor()
        given = {**self._constants, **parameters}
        cursor.execute(self._sql, given if self._order is None else [given[name] for name in self._order])
        return cursor
