"""Models that were asked beside an answer: what came of each is written once, with what it adds to its decision and to the sums."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Dialect, bindparam, func, insert, select, update

from arbiter_app.pipeline.types import Grade, Mode
from arbiter_app.store.rollup_math import FIVE_MINUTES
from arbiter_app.store.statements import Query, Statement
from arbiter_app.store.tables import LateGrade, StoredDecision, StoredShadow, table

log = logging.getLogger("arbiter.store")

_SHADOWS, _D = table(StoredShadow), table(StoredDecision).c
_S = _SHADOWS.c
_TOLD = [column for column in _S if column.name != "decision_id"]


class ShadowWriter:
    """Writes inside the caller's transaction, which must be the only one that writes."""

    def __init__(self, dialect: Dialect) -> None:
        asked = select(_D.ts, _D.key_id, _D.bucket, _D.project_id, _D.end_user, _D.tags)
        self._decision = Query(dialect, asked.where(_D.id == bindparam("of")))
        self._known = Query(
            dialect, select(_S.model).where(_S.decision_id == bindparam("of"), _S.model == bindparam("who"))
        )
        self._insert = Query(dialect, insert(_SHADOWS).values({one.name: bindparam(one.name) for one in _S}))
        self._charge = Query(dialect, _CHARGE)
        self._late = Statement(dialect, LateGrade, skip="id")
        self._grade = Query(dialect, _GRADE)

    def add(self, connection: Connection, decision_id: str, row: Mapping[str, Any]) -> bool:
        """Write what came of a model, as `StoredShadow` without its `decision_id`; False where that is on record already, or the
        decision is not."""
        found = self._decision.run(connection, of=decision_id)
        if not found:
            log.warning("a model was asked beside a decision that is not on record", extra={"decision": decision_id})
            return False
        if self._known.run(connection, of=decision_id, who=row["model"]):
            return False
        self._insert.run(connection, decision_id=decision_id, **row)
        pico = row["cost_pico"]
        if pico is not None:
            ts, key_id, bucket, project_id, *labels = found[0]
            start = int(ts) // FIVE_MINUTES * FIVE_MINUTES
            self._charge.run(connection, of=decision_id, more=pico)
            charged = (key_id, start, bucket, row["model"], Mode.SHADOW.value, 0, 0, 0.0, 0.0, pico)
            self._late.run(connection, [(*charged, project_id, "", *labels)])
        return True

    def grade(self, connection: Connection, decision_id: str, grades: Mapping[str, Grade]) -> None:
        """How good the answers of models were, by their names, once that is known."""
        for model, one in grades.items():
            told = {"quality": one.quality, "quality_source": one.source, "quality_reason": one.reason}
            self._grade.run(
                connection, of=decision_id, who=model, **{f"to_{name}": value for name, value in told.items()}
            )


def of(connection: Connection, decision_id: str) -> list[dict[str, Any]]:
    """The models that were asked beside a decision, in the order in which their answers came."""
    query = select(*_TOLD).where(_S.decision_id == decision_id).order_by(_S.ts, _S.model)
    return [dict(row._mapping) for row in connection.execute(query)]


_CHARGE = (
    update(table(StoredDecision))
    .where(_D.id == bindparam("of"))
    .values(learning_cost_pico=func.coalesce(_D.learning_cost_pico, 0) + bindparam("more"))
)
_GRADE = (
    update(_SHADOWS)
    .where(_S.decision_id == bindparam("of"), _S.model == bindparam("who"))
    .values(
        quality=bindparam("to_quality"),
        quality_source=bindparam("to_quality_source"),
        quality_reason=bindparam("to_quality_reason"),
    )
)
