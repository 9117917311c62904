"""Reading what was learned: statistics, the policy's state, and how far judges agree with the truth."""

from __future__ import annotations

from sqlalchemy import Connection, select

from arbiter_app.policy import ModelStats, from_row
from arbiter_app.policy.agreement import FIELDS, PairKey, Pairs
from arbiter_app.store.tables import Agreement, PolicyState, Statistic, table

_STATISTICS, _STATE, _AGREEMENT = table(Statistic), table(PolicyState), table(Agreement)


def agreement(connection: Connection) -> dict[PairKey, Pairs]:
    """How each judge's scores compare with the truth."""
    rows = connection.execute(select(_AGREEMENT))
    return {(row.judge, row.task, row.against): Pairs(*(getattr(row, name) for name in FIELDS)) for row in rows}


def policy(connection: Connection) -> tuple[list[tuple[str, str, ModelStats]], dict[str, bytes]]:
    """The learned statistics as absolute rows, and the policy's other state."""
    rows = [(row.bucket, row.model, from_row(dict(row._mapping))) for row in connection.execute(select(_STATISTICS))]
    return rows, {row.key: row.value for row in connection.execute(select(_STATE))}
