"""Models that were asked beside an answer: what came of each is written once, with what it adds to its decision and to the sums."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import BindParameter, Connection, Dialect, bindparam, func, select, update

from arbiter_app.pipeline.types import Grade, Mode
from arbiter_app.store.rollup_math import FIVE_MINUTES
from arbiter_app.store.statements import Statement
from arbiter_app.store.tables import LateGrade, StoredDecision, StoredShadow, table

log = logging.getLogger("arbiter.store")

_SHADOWS, _D = table(StoredShadow), table(StoredDecision).c
_S = _SHADOWS.c
Came = tuple[str, Mapping[str, Any]]
"""A decision's id, and a row of `StoredShadow` without it."""
Asked = tuple[str, str]
"""A decision's id, and the name of a model that was asked beside it."""
_TOLD = [column for column in _S if column.name != "decision_id"]


class ShadowWriter:
    """Writes inside the caller's transaction, which must be the only one that writes."""

    def __init__(self, dialect: Dialect) -> None:
        self._insert = Statement(dialect, StoredShadow)
        self._late = Statement(dialect, LateGrade, skip="id")
        self._names = [name for name in self._insert.columns if name != "decision_id"]

    def add(self, connection: Connection, given: Sequence[Came]) -> set[Asked]:
        """Write what came of models; those that are new. One that is on record already is passed over, or whose decision is not."""
        ids = {"ids": list({decision_id for decision_id, _ in given})}
        beside = {row.id: row for row in connection.execute(_BESIDE, ids)}
        known = {(row.decision_id, row.model) for row in connection.execute(_KNOWN, ids)}
        new: dict[Asked, Mapping[str, Any]] = {}
        for decision_id, row in given:
            if decision_id not in beside:
                log.warning(
                    "a model was asked beside a decision that is not on record", extra={"decision": decision_id}
                )
            elif (asked := (decision_id, str(row["model"]))) not in known:
                new.setdefault(asked, row)
        self._insert.run(connection, [(of_it, *[row[name] for name in self._names]) for (of_it, _), row in new.items()])
        charges, lates = [], []
        for (of_it, model), row in new.items():
            if (pico := row["cost_pico"]) is not None:
                one = beside[of_it]
                start = int(one.ts) // FIVE_MINUTES * FIVE_MINUTES
                charges.append({"of": of_it, "more": pico})
                charged = (one.key_id, start, one.bucket, model, Mode.SHADOW.value, 0, 0, 0.0, 0.0, pico)
                lates.append((*charged, one.project_id, "", one.end_user, one.tags))
        if charges:
            connection.execute(_CHARGE, charges)
        self._late.run(connection, lates)
        return set(new)

    def grade(self, connection: Connection, given: Sequence[tuple[str, Mapping[str, Grade]]]) -> None:
        """How good the answers of models were, each by its decision's id and the models' names, once that is known."""
        changes = [
            {"of": of_it, "who": model, "to": one.quality, "by": one.source, "why": one.reason}
            for of_it, grades in given
            for model, one in grades.items()
        ]
        if changes:
            connection.execute(_GRADE, changes)


def of(connection: Connection, decision_id: str) -> list[dict[str, Any]]:
    """The models that were asked beside a decision, in the order in which their answers came."""
    query = select(*_TOLD).where(_S.decision_id == decision_id).order_by(_S.ts, _S.model)
    return [dict(row._mapping) for row in connection.execute(query)]


_IDS: BindParameter[Any] = bindparam("ids", expanding=True)
_BESIDE = select(
    *(_D.id, _D.ts, _D.key_id, _D.bucket, _D.project_id, _D.end_user, _D.tags),
).where(_D.id.in_(_IDS))
_KNOWN = select(_S.decision_id, _S.model).where(_S.decision_id.in_(_IDS))
_CHARGE = (
    update(table(StoredDecision))
    .where(_D.id == bindparam("of"))
    .values(learning_cost_pico=func.coalesce(_D.learning_cost_pico, 0) + bindparam("more"))
)
_GRADE = (
    update(_SHADOWS)
    .where(_S.decision_id == bindparam("of"), _S.model == bindparam("who"))
    .values(quality=bindparam("to"), quality_source=bindparam("by"), quality_reason=bindparam("why"))
)
