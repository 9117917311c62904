"""What decisions add to the sums that reports and charts read. Pure functions over plain values.

Roll-ups hold every sum by bucket, model and mode; slots hold the few that charts show, all of one time together. Both
exist for every RESOLUTION, for each key and for EVERYBODY, so that no read has to add up more than it shows. Roll-ups begin
as OPEN ones, of five minutes and for their key only, and move into all the others together, before they are many.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from arbiter_app.store.tables import Rollup, table

FIVE_MINUTES, HOUR, DAY, MONTH = 300, 3_600, 86_400, 30 * 86_400
RESOLUTIONS = (FIVE_MINUTES, HOUR, DAY, MONTH)
OPEN = 0
EVERYBODY = "*"
"""What the scope of everybody is called where that of a key is its id; that of a project is this and its id."""
LATENCY_BASE = 1.15
LOG_BASE = math.log(LATENCY_BASE)

ROLLUP_KEY = ("resolution", "key_id", "start", "model", "mode", "bucket")
ROLLUP_SUMS = tuple(column.name for column in table(Rollup).columns if column.name not in ROLLUP_KEY)
SERIES_SUMS = ("calls", "cost_pico", "judge_pico", "baseline_pico", "compared_pico", "compared", "learning_pico")

Slot = dict[str, Any]
"""{sums: SERIES_SUMS as a list, models: {model: cost_pico}, modes: {mode: calls}, latency: {bin: calls}}; bin b counts
latencies in [1.15^b, 1.15^(b+1)) milliseconds."""
Address = tuple[int, str, int]
"""Resolution, key, start."""
Cell = Sequence[Any]
"""Key, project, start of five minutes, model, mode, and then the SERIES_SUMS of the decisions that share them."""
Bin = Sequence[Any]
"""Key, project, start of five minutes, bin, and how many latencies fall into it."""
Grade = tuple[float | None, int | None]
"""Quality, and what its judge cost."""

_CALLS, _COST = SERIES_SUMS.index("calls"), SERIES_SUMS.index("cost_pico")


def project_scope(project_id: str) -> str:
    """Under what the sums of a project are kept, where those of a key are under its id."""
    return EVERYBODY + project_id


def empty() -> Slot:
    """A slot in which nothing happened."""
    return {"sums": [0] * len(SERIES_SUMS), "models": {}, "modes": {}, "latency": {}}


def merge(into: Slot, other: Slot) -> None:
    """Add another slot to one. One that was stored before a sum was kept has none of it."""
    into["sums"] = [a + b for a, b in itertools.zip_longest(into["sums"], other["sums"], fillvalue=0)]
    for name in ("models", "modes", "latency"):
        _count(into[name], other[name])


def finest(cells: Iterable[Cell], bins: Iterable[Bin] = ()) -> dict[Address, Slot]:
    """What some cells and bins add, as slots of five minutes for each of their keys."""
    found: dict[Address, Slot] = {}
    for key_id, _, start, model, mode, *sums in cells:
        slot = found.setdefault((FIVE_MINUTES, key_id, start), empty())
        models, modes = ({model: sums[_COST]}, {mode: sums[_CALLS]}) if sums[_CALLS] else ({}, {})
        merge(slot, {"sums": sums, "models": models, "modes": modes, "latency": {}})
    for key_id, _, start, at, n in bins:
        _count(found.setdefault((FIVE_MINUTES, key_id, start), empty())["latency"], {str(at): n})
    return found


def slots(cells: Sequence[Cell], bins: Sequence[Bin] = ()) -> dict[Address, Slot]:
    """What some cells and bins add: the slots of every resolution, for each of their keys and projects, and for everybody."""
    found = finest(cells, bins)
    for (_, _, start), slot in list(found.items()):
        merge(found.setdefault((FIVE_MINUTES, EVERYBODY, start), empty()), slot)
    found |= finest(map(_of_project, cells), map(_of_project, bins))
    fine = list(found.items())
    for resolution in RESOLUTIONS[1:]:
        for (_, key_id, start), slot in fine:
            merge(found.setdefault((resolution, key_id, start - start % resolution), empty()), slot)
    return found


def regraded(before: Grade, after: Grade) -> tuple[int, int, float, float]:
    """What a late grade changes: judge_pico, graded, quality_sum and quality_sq."""
    old, new = _graded(*before), _graded(*after)
    return new[0] - old[0], new[1] - old[1], new[2] - old[2], new[3] - old[3]


def _of_project(one: Sequence[Any]) -> Sequence[Any]:
    return (project_scope(one[1]), *one[1:])


def _graded(quality: float | None, judge_pico: int | None) -> tuple[int, int, float, float]:
    return (judge_pico or 0, 0, 0.0, 0.0) if quality is None else (judge_pico or 0, 1, quality, quality * quality)


def packed(slot: Slot) -> bytes:
    """A slot as it is stored; a sum past 64 bits as a float."""
    try:
        return orjson.dumps(slot)
    except TypeError:
        return json.dumps(slot, default=float).encode()


def unpacked(body: bytes) -> Slot:
    """A stored slot."""
    slot: Slot = orjson.loads(body)
    return slot


def quantile(histogram: Mapping[str, int], share: float) -> float | None:
    """The middle of the bin that holds the quantile, right within the bin's 15 %; None when nothing is in it."""
    bins = sorted((int(at), n) for at, n in histogram.items())
    wanted, reached = share * sum(n for _, n in bins), 0
    for at, n in bins:
        reached += n
        if reached >= wanted:
            return float(round(LATENCY_BASE ** (at + 0.5), 3))
    return None


def _count(into: dict[str, int], other: Mapping[str, int]) -> None:
    for name, n in other.items():
        into[name] = into.get(name, 0) + n
