"""What a caller's wish changes: the tolerance, and whether money or time is saved inside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from arbiter_app.policy.posterior import Array
from arbiter_app.policy.types import Objective, PolicySettings, Wish

THRIFTY = 3.0
"""Times the operator's tolerance that whoever wants the least money gives, where no tolerance is named: 0.15 of 0.05."""
LEAST_TOLERANCE = 0.001
"""Tolerance of whoever wants the best answer: one price of the baseline weighs as much as a thousandth of quality. It is also what a
tolerance of 0 means, which cannot be divided by."""


def wished(settings: PolicySettings, wish: Wish) -> PolicySettings:
    """The settings for one request: with the tolerance that is named, else the objective's."""
    usual = settings.quality_tolerance
    named = {Objective.COST: THRIFTY * usual, Objective.QUALITY: 0.0}.get(wish.objective, usual)
    tolerance = named if wish.tolerance is None else wish.tolerance
    return replace(settings, quality_tolerance=min(max(tolerance, LEAST_TOLERANCE), 1.0))


def relative_latency(latency_ms: Sequence[float | None], baseline: int) -> Array:
    """Mean latencies [K] over the baseline's (over their mean, where that was never timed); 1 for models that were never timed."""
    timed = [one for one in latency_ms if one is not None]
    unit = latency_ms[baseline] or (sum(timed) / len(timed) if timed else 1.0) or 1.0
    return np.array([1.0 if one is None else one / unit for one in latency_ms])
