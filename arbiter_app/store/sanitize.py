"""Making a record storable that carries what no database takes: half characters, zeros, integers beyond 64 bits, NaN."""

from __future__ import annotations

import math
from typing import Any

from arbiter_app.pipeline.ports import DecisionRecord
from arbiter_app.policy.statistics import ModelStats

_INT64 = 2**63


def sanitized(record: DecisionRecord) -> DecisionRecord:
    """The same record with half and zero characters replaced and impossible numbers unknown; its trace becomes plain text."""
    row = {name: _storable(value) for name, value in record.row.items()}
    alerts = [{name: _storable(value) for name, value in alert.items()} for alert in record.alerts]
    deltas = [(bucket, model, _finite(delta)) for bucket, model, delta in record.deltas]
    return DecisionRecord(
        row, {"unreadable": _storable(repr(record.trace))}, deltas, alerts, record.state, record.settlement
    )


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode().replace("\0", "?")
    if isinstance(value, int) and not -_INT64 <= value < _INT64:
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _finite(delta: ModelStats) -> ModelStats:
    return ModelStats(**{name: value for name, value in delta.as_dict().items() if math.isfinite(value)})
