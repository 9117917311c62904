"""What the baseline would have charged, and how sure that is: the report's saving, from sums of the roll-ups.

The baseline is measured by its own calls that were chosen without regard to the single prompt (explored, exploited, held
out); all others are re-priced at that. Where it was not measured, both sides count the same: nothing is claimed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from arbiter_app.pipeline.types import PICO_PER_USD, Mode
from arbiter_app.policy import BucketOutlook
from arbiter_app.policy.savings import Measured, Repriced, half_width, measured, t95, variance_of
from arbiter_app.services.rows.policy import Outlook
from arbiter_app.services.rows.reports import Certainty, HoldoutReport, QualityDifference

Row = Mapping[str, Any]

BY = ("bucket", "model", "mode")
OWN = (Mode.EXPLORE, Mode.EXPLOIT, Mode.HOLDOUT)
ROUTED = (Mode.EXPLORE, Mode.EXPLOIT, Mode.ESCALATE)
ENOUGH = 8
"""Calls of the baseline in a period and bucket from which older ones are not asked."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """The baseline as it was measured: its name, list price of a prompt token in USD, and its calls by bucket."""

    model: str
    input_usd: float
    known: Mapping[str, Measured]

    def own(self, row: Row) -> bool:
        """Whether these calls are the measurement itself: what they cost is known."""
        return row["model"] == self.model and row["mode"] in OWN

    def pico(self, row: Row) -> int:
        """What the baseline would have charged for the calls of one row; their own cost where nothing measures it."""
        known = self.known.get(row["bucket"])
        if row["mode"] == Mode.CALIBRATE:
            return 0  # nobody else would have made these calls: all they cost counts against us
        if self.own(row):
            return int(row["baseline_pico"])
        if known is None:
            return int(row["cost_pico"])
        return round(known.usd(row["asked"], tokens_of(row, known), self.input_usd) * PICO_PER_USD)

    def unsure(self, rows: Iterable[Row]) -> list[Repriced]:
        """The re-priced calls by bucket, for the interval."""
        calls: dict[str, int] = {}
        for row in rows:
            if row["bucket"] in self.known and not self.own(row) and row["mode"] != Mode.CALIBRATE:
                calls[row["bucket"]] = calls.get(row["bucket"], 0) + row["asked"]
        return [self.known[bucket].repriced(n, self.input_usd) for bucket, n in calls.items()]

    def compared(self, rows: Iterable[Row]) -> int:
        """How many calls are compared with it."""
        asked = [row for row in rows if row["mode"] != Mode.CALIBRATE]
        return sum(row["asked"] for row in asked if row["bucket"] in self.known or self.own(row))


def tokens_of(row: Row, known: Measured) -> float:
    """Tokens of the prompts of a row; calls without an estimate (cached answers) count as the others, or as the baseline's."""
    mean = row["asked_tokens"] / row["sized"] if row["sized"] else known.tokens
    return float(row["asked"] * mean)


def baseline_of(
    model: str, input_usd: float, period: Iterable[Row], ever: Iterable[Row], modes: Collection[str] = OWN
) -> Baseline:
    """The baseline measured in a period; by all its calls in buckets where the period has fewer than ENOUGH."""
    known, now = _measured(model, ever, modes), _measured(model, period, modes)
    known |= {bucket: found for bucket, found in now.items() if found.n >= ENOUGH or bucket not in known}
    return Baseline(model, input_usd, known)


def certainty(saved: float, baseline_spend: float, unsure: Sequence[Repriced]) -> Certainty:
    """The 95 % interval of a saving, in percent of the baseline and in USD, and whether it leaves zero."""
    width = half_width(unsure) if any(one.calls for one in unsure) else None
    if width is None or baseline_spend <= 0:
        return {"interval": None, "interval_usd": None, "proven": False}
    low, high = saved - width, saved + width
    return {
        "interval": [100 * low / baseline_spend, 100 * high / baseline_spend],
        "interval_usd": [low, high],
        "proven": low > 0,
    }


def outlook(
    ahead: Sequence[BucketOutlook], certain: Certainty, saved: float, unsure: Sequence[Repriced]
) -> Outlook | None:
    """What is expected to be saved, of traffic as it was, and when that is expected to be proven: after the grades that move most of it, once
    what is saved then (USD) has outgrown what was spent to learn it and the doubt about the baseline's price."""
    known = [one for one in ahead if one.requests > 0 and one.base_usd > 0]
    requests, worth = sum(one.requests for one in known), sum(one.requests * one.base_usd for one in known)
    if not known or worth <= 0:
        return None

    def mean(shares: Iterable[float]) -> float:
        return sum(share * one.requests * one.base_usd for share, one in zip(shares, known, strict=True)) / worth

    expected = mean(one.saved for one in known)
    found: Outlook = {
        "saved_pct": 100 * expected,
        "likely": [100 * mean(one.low for one in known), 100 * mean(one.high for one in known)],
        "requests_to_go": None,
    }
    soon = [one for one in known if one.grades_to_go is not None]
    if certain["proven"] or not soon:
        return found
    moving = [one for one in soon if one.grades_to_go]
    first = (
        min((one.grades_to_go or 0.0) * requests / one.requests for one in moving) if len(moving) == len(soon) else 0.0
    )
    doubt = _doubt(unsure)
    gained = sum(one.saved * one.requests * one.base_usd for one in soon) / worth - doubt
    if gained <= 0:
        return found
    width = 0.0 if certain["interval_usd"] is None else saved - certain["interval_usd"][0]
    found["requests_to_go"] = max(first + max(width - saved, 0.0) / (gained * worth / requests), 1.0)
    return found


def _doubt(unsure: Sequence[Repriced]) -> float:
    """Half of the 95 % interval of the baseline's mean charge over that mean, over all buckets where it was measured."""
    calls = sum(one.calls * one.mean for one in unsure)
    wide = half_width([Repriced(1e6 * one.calls, one.n, one.mean, one.variance) for one in unsure])
    return 0.0 if wide is None or calls <= 0 else wide / (1e6 * calls)


def holdout(rows: Sequence[Row], model: str, input_usd: float) -> HoldoutReport:
    """What the randomised holdout alone says about the routed calls of the same period."""
    held = [row for row in rows if row["mode"] == Mode.HOLDOUT]
    only = Baseline(model, input_usd, _measured(model, held, (Mode.HOLDOUT,)))
    routed = [row for row in rows if row["mode"] in ROUTED]
    covered = [row for row in routed if row["bucket"] in only.known]
    calls = sum(row["asked"] for row in covered)
    spent = sum(row["cost_pico"] for row in covered) / PICO_PER_USD
    parts = [(known, row) for row in covered if (known := only.known[row["bucket"]])]
    baseline = sum(known.usd(row["asked"], tokens_of(row, known), input_usd) for known, row in parts)
    unsure = [known.repriced(row["asked"], input_usd) for known, row in parts]
    saved = baseline - spent if calls else None
    return {
        "calls": sum(row["calls"] for row in held),
        "spend": sum(row["cost_pico"] for row in held) / PICO_PER_USD,
        "routed_calls": sum(row["asked"] for row in routed),
        "compared_calls": calls,
        "saved": saved,
        "saved_pct": 100 * saved / baseline if saved is not None and baseline > 0 else None,
        **certainty(saved or 0.0, baseline, _by_bucket(unsure)),
        **_quality(routed, held),
    }


def _by_bucket(parts: Iterable[Repriced]) -> list[Repriced]:
    """Rows of one bucket share their measurement: their calls add up before they are squared."""
    calls: dict[tuple[float, float, float], float] = {}
    for one in parts:
        key = (one.n, one.mean, one.variance)
        calls[key] = calls.get(key, 0.0) + one.calls
    return [Repriced(n, *key) for key, n in calls.items()]


def _measured(model: str, rows: Iterable[Row], modes: Collection[str]) -> dict[str, Measured]:
    sums: dict[str, list[float]] = {}
    for row in rows:
        if row["model"] == model and row["mode"] in modes and row["priced"]:
            at = sums.setdefault(row["bucket"], [0.0, 0.0, 0.0, 0.0])
            tokens = row["asked_tokens"] * row["priced"] / row["sized"]
            new = (row["priced"], tokens, row["beyond_pico"] / PICO_PER_USD, row["beyond_sq"])
            at[:] = [a + b for a, b in zip(at, new, strict=True)]
    return {bucket: found for bucket, one in sums.items() if (found := measured(*one)) is not None}


def _quality(routed: Iterable[Row], held: Iterable[Row]) -> QualityDifference:
    """Mean quality of the routed calls less that of the held out ones, weighed by the routed calls of each bucket."""
    ours, theirs = _graded(routed), _graded(held)
    both = [(ours[bucket], theirs[bucket]) for bucket in ours if bucket in theirs]
    calls = sum(one.calls for one, _ in both)
    if not calls:
        return {"quality_difference": None, "quality_interval": None}
    difference = sum(one.calls * (one.mean - other.mean) for one, other in both) / calls
    parts = [(one.calls / calls) ** 2 * side.variance / side.n for one, other in both for side in (one, other)]
    freedom = [side.n - 1 for pair in both for side in pair]
    weighed = sum(part * part / free for part, free in zip(parts, freedom, strict=True))
    width = t95(sum(parts) ** 2 / weighed) * sum(parts) ** 0.5 if weighed else 0.0
    return {"quality_difference": difference, "quality_interval": [difference - width, difference + width]}


@dataclass(frozen=True, slots=True)
class _Graded:
    calls: float
    n: float
    mean: float
    variance: float


def _graded(rows: Iterable[Row]) -> dict[str, _Graded]:
    """Grades by bucket, where there are two or more."""
    sums: dict[str, list[float]] = {}
    for row in rows:
        at = sums.setdefault(row["bucket"], [0.0, 0.0, 0.0, 0.0])
        new = (row["asked"], row["graded"], row["quality_sum"], row["quality_sq"])
        at[:] = [a + b for a, b in zip(at, new, strict=True)]
    return {
        bucket: _Graded(calls, n, total / n, variance_of(n, total, square))
        for bucket, (calls, n, total, square) in sums.items()
        if n >= 2
    }
