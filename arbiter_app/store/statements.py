"""SQL compiled once for a dialect and run straight on the driver's cursor: many rows in few steps, queries fetched whole.

Every step of a statement gives up and takes back the interpreter lock, which a busy event loop holds; so rows travel in
multi-row inserts of a few fixed sizes, whose texts the driver keeps prepared.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

from sqlalchemy import ClauseElement, Connection, Dialect, bindparam
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import SQLModel

from arbiter_app.store.tables import table

Row = Sequence[Any]

CHUNKS = (64, 48, 32, 24, *range(16, 0, -1))


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
        build = postgresql.insert if dialect.name == "postgresql" else sqlite.insert
        insert: Any = build(target).values({name: bindparam(name) for name in self.columns})
        changes = {name: target.c[name] + insert.excluded[name] for name in add}
        changes |= {name: insert.excluded[name] for name in put}
        if changes:
            insert = insert.on_conflict_do_update(index_elements=list(target.primary_key.columns), set_=changes)
        compiled = insert.compile(dialect=dialect)
        self._sql = str(compiled)
        self._by_size = _multi_row(self._sql, len(self.columns)) if compiled.positional else {}

    def run(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Execute for many rows, inside the connection's transaction."""
        if not rows:
            return
        if self._by_size:
            self._in_chunks(connection.connection.driver_connection, rows)
            return
        cursor = connection.connection.cursor()
        try:
            cursor.executemany(self._sql, [dict(zip(self.columns, row, strict=True)) for row in rows])
        finally:
            cursor.close()

    def _in_chunks(self, driver: Any, rows: Sequence[Row]) -> None:
        at, left = 0, len(rows)
        for size in CHUNKS:
            while left >= size:
                driver.execute(self._by_size[size], list(chain.from_iterable(rows[at : at + size])))
                at, left = at + size, left - size
            if not left:
                return


class Query:
    """Any other statement with named parameters, run as the plain text it compiles to."""

    def __init__(self, dialect: Dialect, statement: ClauseElement) -> None:
        compiled: Any = statement.compile(dialect=dialect)
        self._sql = str(compiled)
        self._constants = compiled.params
        self._order = compiled.positiontup if compiled.positional else None

    def run(self, connection: Connection, **parameters: Any) -> list[Row]:
        """Its rows, if it has any, inside the connection's transaction."""
        cursor = connection.connection.cursor()
        try:
            given = self._constants | parameters
            cursor.execute(self._sql, given if self._order is None else [given[name] for name in self._order])
            return list(cursor.fetchall()) if cursor.description else []
        finally:
            cursor.close()


def _multi_row(sql: str, columns: int) -> dict[int, str]:
    """The statement for each chunk size, from the one for a single row."""
    values = f"({', '.join('?' * columns)})"
    head, _, tail = sql.partition(f"VALUES {values}")
    if not tail and not sql.endswith(values):
        raise RuntimeError(f"cannot make a multi-row insert of: {sql}")
    return {size: f"{head}VALUES {', '.join([values] * size)}{tail}" for size in CHUNKS}
