"""Reading the statistics inside the writer's transaction, when another process has changed them."""

from __future__ import annotations

from sqlalchemy import Connection, Dialect, select

from arbiter_app.policy import FIELDS, ModelStats
from arbiter_app.policy.statistics import plausible
from arbiter_app.store.backends import Taught, of_dialect
from arbiter_app.store.statements import Query
from arbiter_app.store.tables import Statistic, table


class StatisticsSync:
    """Statistics for processes that teach the same store."""

    def __init__(self, dialect: Dialect) -> None:
        columns = table(Statistic).c
        self._all = Query(dialect, select(columns.bucket, columns.model, *[columns[name] for name in FIELDS]))
        self._taught = of_dialect(dialect).taught

    def since(
        self, connection: Connection, before: Taught | None
    ) -> tuple[Taught, list[tuple[str, str, ModelStats]] | None]:
        """All statistics as this transaction sees them, or None when nobody else has written since `before`."""
        state = self._taught(connection)
        if state == before:
            return state, None
        return state, [
            (bucket, model, plausible(ModelStats(*sums))) for bucket, model, *sums in self._all.run(connection)
        ]
