"""Reading the statistics inside the writer's transaction, when another process has changed them."""

from __future__ import annotations

from sqlalchemy import Connection, Dialect, select

from arbiter_app.policy import FIELDS, ModelStats
from arbiter_app.policy.statistics import plausible
from arbiter_app.store.statements import Query
from arbiter_app.store.tables import Statistic, table

State = tuple[int, int] | None
"""What tells whether anybody else has written: the connection, and its count of others' commits. None: not known."""


class StatisticsSync:
    """Statistics for processes that teach the same store."""

    def __init__(self, dialect: Dialect) -> None:
        columns = table(Statistic).c
        self._all = Query(dialect, select(columns.bucket, columns.model, *[columns[name] for name in FIELDS]))
        self._sqlite = dialect.name == "sqlite"

    def since(self, connection: Connection, before: State) -> tuple[State, list[tuple[str, str, ModelStats]] | None]:
        """All statistics as this transaction sees them, or None when nobody else has written since `before`."""
        state = self._state(connection)
        if state is not None and state == before:
            return state, None
        return state, [
            (bucket, model, plausible(ModelStats(*sums))) for bucket, model, *sums in self._all.run(connection)
        ]

    def _state(self, connection: Connection) -> State:
        """SQLite counts the commits of other connections; on another database everything is read every time."""
        if not self._sqlite:
            return None
        driver = connection.connection.dbapi_connection
        found = connection.exec_driver_sql("PRAGMA data_version").scalar()
        return id(driver), int(found or 0)
