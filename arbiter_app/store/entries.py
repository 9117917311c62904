"""What has to be written sooner or later, whatever becomes of the database: records, and what comes after them.

Either kind can be packed as JSON, for the journal; there it may be read by a later version, with columns that this one does not know.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from arbiter_app.pipeline.ports import DecisionRecord, Delta, Lesson, Settlement
from arbiter_app.pipeline.types import Grade, Json
from arbiter_app.policy import Candidates
from arbiter_app.policy.agreement import Pairs
from arbiter_app.policy.statistics import FIELDS, ModelStats
from arbiter_app.store.tables import StoredDecision

_COLUMNS = {
    name: None if field.is_required() else field.default
    for name, field in StoredDecision.model_fields.items()
    if name != "seq"
}
_NOTHING = Lesson()


@dataclass(frozen=True, slots=True)
class FollowUp:
    """What comes after a record, or without one: a settlement, a late grade, a model that was asked beside it, its grades, a lesson.

    `judge_pico` is what the `grade` cost; `shadow` a row of `StoredShadow` without its decision. The lesson is learned only where the
    grade finds its decision, or the shadow is new.
    """

    decision_id: str = ""
    grade: Grade | None = None
    judge_pico: int | None = None
    shadow: Mapping[str, Any] | None = None
    shadow_grades: Mapping[str, Grade] = field(default_factory=dict)
    lesson: Lesson = _NOTHING
    settlement: Settlement | None = None

    @property
    def once(self) -> str:
        """What it changes that has to be changed by one after the other; empty for nothing such."""
        if self.shadow is not None:
            return f"{self.decision_id} {self.shadow['model']}"
        return self.decision_id


Entry = DecisionRecord | FollowUp


def packed(entry: Entry) -> bytes:
    """An entry as JSON. Raises TypeError for what JSON does not know."""
    if isinstance(entry, DecisionRecord):
        told: Json = {"row": entry.row, "trace": orjson.Fragment(trace_json(entry.trace))}
        told |= _lesson(entry.deltas, entry.alerts, entry.state)
    else:
        told = {name: getattr(entry, name) for name in _FOLLOW_UP}
        told |= _lesson(entry.lesson.deltas, entry.lesson.alerts, entry.lesson.state)
        told["pairs"] = [(key, pairs.as_dict()) for key, pairs in entry.lesson.pairs]
    return orjson.dumps(told | {"settlement": entry.settlement})


def unpacked(body: bytes) -> Entry:
    """The entry again. Raises ValueError, TypeError or KeyError where it is none."""
    told = orjson.loads(body)
    deltas = [(bucket, model, _stats(sums)) for bucket, model, sums in told["deltas"]]
    alerts, state = told["alerts"], {key: base64.b64decode(blob) for key, blob in told["state"].items()}
    settled = told["settlement"]
    settlement = settled and Settlement(
        settled["reservation"], tuple((budget, start) for budget, start in settled["places"]), settled["pico"]
    )
    if "row" in told:
        return DecisionRecord(_COLUMNS | told["row"], told["trace"], deltas, alerts, state, settlement)
    pairs = [((judge, task, against), Pairs(**sums)) for (judge, task, against), sums in told["pairs"]]
    return FollowUp(
        **{name: told[name] for name in ("decision_id", "judge_pico", "shadow")},
        grade=told["grade"] and Grade(**told["grade"]),
        shadow_grades={model: Grade(**grade) for model, grade in told["shadow_grades"].items()},
        lesson=Lesson(tuple(deltas), tuple(alerts), state, tuple(pairs)),
        settlement=settlement,
    )


_FOLLOW_UP = ("decision_id", "grade", "judge_pico", "shadow", "shadow_grades")


def trace_json(trace: Any) -> bytes:
    """A trace as it is stored; a value that JSON does not know is kept as its text."""
    return orjson.dumps(trace, default=_in_json, option=orjson.OPT_NON_STR_KEYS)


def _in_json(value: Any) -> Any:
    return orjson.Fragment(value.stored) if isinstance(value, Candidates) else str(value)


def _lesson(deltas: Sequence[Delta], alerts: Sequence[Json], state: Mapping[str, bytes]) -> Json:
    return {
        "deltas": [(bucket, model, delta.as_dict()) for bucket, model, delta in deltas],
        "alerts": alerts,
        "state": {key: base64.b64encode(blob).decode() for key, blob in state.items()},
    }


def _stats(sums: Mapping[str, float]) -> ModelStats:
    return ModelStats(**{name: value for name, value in sums.items() if name in FIELDS})
