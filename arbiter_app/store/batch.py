"""Writing a batch of decisions: each table once. What reports and feeds read is derived later, see `projections`."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Dialect, update

from arbiter_app.pipeline.ports import DecisionRecord, Delta, Lesson, Settlement
from arbiter_app.policy import FIELDS, agreement
from arbiter_app.policy.statistics import COST_FIELDS, PAIR_FIELDS, ModelStats
from arbiter_app.store.backends import of_dialect
from arbiter_app.store.backends.backend import TAUGHT
from arbiter_app.store.budgets import BudgetMeter
from arbiter_app.store.entries import trace_json
from arbiter_app.store.statements import Row, Statement
from arbiter_app.store.tables import (
    Agreement,
    Alert,
    Counter,
    DecisionTrace,
    PolicyState,
    Statistic,
    StoredDecision,
    table,
)

_STATISTICS = table(Statistic).c
_SUMS = operator.attrgetter(*FIELDS)
RELEARNED = {
    "cost_n": COST_FIELDS,
    "tries": ("tries",),
    "graded": ("graded", "quality_sum", "quality_sq"),
    "paired": PAIR_FIELDS,
}
"""What a shift makes be learned anew, by the count of it."""


class BatchWriter:
    """Writes decision records: rows, traces, statistics, alerts, policy state."""

    def __init__(self, dialect: Dialect) -> None:
        backend = of_dialect(dialect)
        self._in_one_go, self._counts_teaching = backend.in_one_go, backend.counts_teaching
        self._decision = Statement(dialect, StoredDecision, skip="seq")
        self._trace = Statement(dialect, DecisionTrace)
        self._statistic = Statement(dialect, Statistic, add=FIELDS)
        self._agreement = Statement(dialect, Agreement, add=agreement.FIELDS)
        self._counter = Statement(dialect, Counter, add=("value",))
        self._alert = Statement(dialect, Alert, skip="id")
        self._state = Statement(dialect, PolicyState, put=("value",))
        self.budgets = BudgetMeter(dialect)
        self._decision_row = operator.itemgetter(*self._decision.columns)
        self._alert_row = operator.itemgetter(*self._alert.columns)

    def write(self, connection: Connection, records: Sequence[DecisionRecord]) -> None:
        """Everything the records leave behind, inside the caller's transaction."""
        if not records:
            return
        rows = [record.row for record in records]
        lesson = Lesson(
            [delta for record in records for delta in record.deltas],
            [alert for record in records for alert in record.alerts],
            {key: blob for record in records for key, blob in record.state.items()},
        )
        with self._in_one_go(connection):
            self._decision.run(connection, [self._decision_row(row) for row in rows])
            self._trace.run(connection, [(one.row["id"], one.row["ts"], trace_json(one.trace)) for one in records])
            self.budgets.settle(connection, [one.settlement for one in records if one.settlement is not None])
            self._insert_learned(connection, lesson)
        _put_right(connection, lesson)

    def is_plain(self, records: Sequence[DecisionRecord]) -> bool:
        """Whether writing these is inserting rows, and nothing else."""
        return not any([_takes_away(record.deltas) for record in records])

    def settle(self, connection: Connection, settlements: Sequence[Settlement]) -> None:
        """What budgets are charged without a record."""
        if settlements:
            with self._in_one_go(connection):
                self.budgets.settle(connection, settlements)

    def write_learned(self, connection: Connection, lesson: Lesson) -> None:
        """Statistics, alerts, policy state, and pairs of a judge's score with the truth."""
        with self._in_one_go(connection):
            self._insert_learned(connection, lesson)
        _put_right(connection, lesson)

    def _insert_learned(self, connection: Connection, lesson: Lesson) -> None:
        self._statistic.run(connection, _summed(lesson.deltas))
        if lesson.deltas and self._counts_teaching:
            self.count(connection, {TAUGHT: 1})
        self._alert.run(connection, [self._alert_row({**_OPEN, **alert}) for alert in lesson.alerts])
        self._state.run(connection, list(lesson.state.items()))
        for key, sums in lesson.pairs:
            self._agreement.run(connection, [(*key, *sums.as_dict().values())])

    def count(self, connection: Connection, counts: Mapping[str, int]) -> None:
        """Move counters."""
        self._counter.run(connection, list(counts.items()))


_OPEN: Mapping[str, Any] = {"known": None, "outcome": None, "settled": None}


def _takes_away(deltas: Iterable[Delta]) -> bool:
    return any([delta.cost_n < 0 or delta.graded < 0 for _, _, delta in deltas])


def _put_right(connection: Connection, lesson: Lesson) -> None:
    """Two processes that noticed the same shift in one moment have both taken away what was known: then nothing is."""
    if not _takes_away(lesson.deltas):
        return
    for counted, sums in RELEARNED.items():
        nothing = {_STATISTICS[name]: 0.0 for name in sums}
        connection.execute(update(table(Statistic)).where(_STATISTICS[counted] < 0).values(nothing))


def _summed(deltas: Iterable[Delta]) -> list[Row]:
    """One statistics row per bucket and model, in the order of the table's columns."""
    folded: dict[tuple[str, str], ModelStats] = {}
    for bucket, model, delta in deltas:
        known = folded.get((bucket, model))
        if known is None:
            known = folded[bucket, model] = ModelStats()
        known.add(delta)
    return [(*key, *_SUMS(stats)) for key, stats in folded.items()]
