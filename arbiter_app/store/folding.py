"""What a batch of decisions adds to the sums that reports read: roll-ups, latency histogram, counters. Pure functions.

Sums enter as OPEN slots of five minutes per key, cheaply, and count from then on. `upkeep.fold` moves them, now and then
and in one transaction, to the slots of every RESOLUTION, once for their key and once for EVERYBODY; so no read has to add
up more rows than it shows slots, times the models in use, and no request pays for that.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from arbiter_app.pipeline.types import PICO_PER_USD
from arbiter_app.store.tables import Rollup, table

FIVE_MINUTES, HOUR, DAY, MONTH = 300, 3_600, 86_400, 30 * 86_400
RESOLUTIONS = (FIVE_MINUTES, HOUR, DAY, MONTH)
OPEN = 0
EVERYBODY = "*"
LATENCY_BASE = 1.15

ROLLUP_KEY = ("resolution", "key_id", "start", "model", "mode", "bucket")
ROLLUP_SUMS = tuple(column.name for column in table(Rollup).columns if column.name not in ROLLUP_KEY)
BIN_KEY = ("resolution", "start", "model", "bin")

_AT = {name: at for at, name in enumerate(ROLLUP_SUMS)}
_LOG_BASE = math.log(LATENCY_BASE)

Slot = tuple[int, str, int, str, str, str]


def slot_of(row: Mapping[str, Any]) -> Slot:
    """The open slot that a decision counts in, in the order of ROLLUP_KEY."""
    start = int(row["ts"]) // FIVE_MINUTES * FIVE_MINUTES
    return OPEN, row["key_id"], start, row["model"], row["mode"], row["bucket"]


def rollups(rows: Iterable[Mapping[str, Any]]) -> list[Sequence[Any]]:
    """The roll-up rows of some decisions: ROLLUP_KEY, then ROLLUP_SUMS."""
    folded: dict[Slot, list[Any]] = {}
    for row in rows:
        slot, sums = slot_of(row), sums_of(row)
        known = folded.get(slot)
        folded[slot] = sums if known is None else [a + b for a, b in zip(known, sums, strict=True)]
    return [(*slot, *sums) for slot, sums in folded.items()]


def latencies(rows: Iterable[Mapping[str, Any]]) -> list[Sequence[Any]]:
    """Histogram rows of answered, uncached decisions: BIN_KEY, then how many."""
    folded: dict[tuple[int, int, str, int], int] = defaultdict(int)
    for row in rows:
        latency = row["latency_ms"]
        if latency is not None and row["cache"] != "hit" and row["status"] == "ok":
            at = int(math.log(max(1.0, latency)) / _LOG_BASE)
            folded[OPEN, int(row["ts"]) // FIVE_MINUTES * FIVE_MINUTES, row["model"], at] += 1
    return [(*key, n) for key, n in folded.items()]


def counts(rows: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """The counters that some decisions move."""
    folded: dict[str, int] = defaultdict(int)
    for row in rows:
        folded["decisions"] += 1
        folded[f"status.{row['status']}"] += 1
        if row["classified_by"]:
            folded[f"classified.{row['classified_by']}"] += 1
        if row["cache"] == "hit":
            folded["cache.hit"] += 1
    return folded


def sums_of(row: Mapping[str, Any]) -> list[Any]:
    """The values that one decision adds, in the order of ROLLUP_SUMS.

    Only answered calls with a measured baseline are compared with it; what a failed call cost is compared with nothing.
    `asked` are the answered calls of known cost, `sized` those whose prompt was estimated (`asked_tokens`), `priced` those
    whose charges beyond the prompt's list price measure a model (`beyond_pico`, and their squares in USD).
    """
    sums: list[Any] = [0] * len(ROLLUP_SUMS)
    cost, quality, latency = row["cost_pico"], row["quality"], row["latency_ms"]
    sums[_AT["calls"]] = 1
    sums[_AT[row["cost_state"]]] = 1
    sums[_AT["cost_pico"]] = cost or 0
    sums[_AT["classifier_pico"]] = row["classifier_cost_pico"] or 0
    sums[_AT["prompt_tokens"]] = row["prompt_tokens"] or 0
    sums[_AT["completion_tokens"]] = row["completion_tokens"] or 0
    sums[_AT["overhead_sum"]] = row["overhead_ms"]
    if row["status"] != "ok":
        sums[_AT[row["status"]]] = 1
        sums[_AT["compared_pico"]] = cost or 0
    elif cost is not None:
        _compare(row, cost, sums)
    if quality is not None:
        sums[_AT["graded"]] = 1
        sums[_AT["quality_sum"]] = quality
        sums[_AT["quality_sq"]] = quality * quality
    if latency is not None and row["cache"] != "hit":
        sums[_AT["latency_sum"]] = latency
        sums[_AT["latency_n"]] = 1
    return sums


def _compare(row: Mapping[str, Any], cost: int, sums: list[Any]) -> None:
    """What an answered call of known cost adds for the comparison with other models."""
    baseline, tokens, beyond = row["baseline_pico"], row["asked_tokens"], row["beyond_pico"]
    sums[_AT["asked"]] = 1
    if baseline is not None:
        sums[_AT["baseline_pico"]] = baseline
        sums[_AT["compared_pico"]] = cost
        sums[_AT["compared"]] = 1
    if tokens is not None:
        sums[_AT["sized"]] = 1
        sums[_AT["asked_tokens"]] = tokens
    if beyond is not None:
        sums[_AT["priced"]] = 1
        sums[_AT["beyond_pico"]] = beyond
        sums[_AT["beyond_sq"]] = (beyond / PICO_PER_USD) ** 2
