"""What is expected to be saved once more is known, from what is believed now, and how many grades away that is.

The qualities are drawn from what is believed of them; each draw says which model would serve if they were known: the cheapest within the
tolerance of the best. What that saves, on average over the draws, is expected to be saved.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from arbiter_app.policy.expected_loss import unit_normal_loss
from arbiter_app.policy.posterior import Array
from arbiter_app.policy.scores import ScoredDecision

DRAWS = 400
"""Draws of all qualities: the mean saving is known to within 0.02 then, which is less than anybody reads from it."""
LIKELY = 10.0, 90.0
"""Percentiles of the saving between which it is told to lie."""
GRADES = np.array([0.0, *np.round(2.0 ** (np.arange(2, 23) / 2))])
"""Numbers of grades that are looked at, in steps of the root of two: up to 2,000, which nobody waits for."""


class BucketOutlook(NamedTuple):
    """Of one bucket: requests so far, what the baseline costs for one (USD), the share of that which is expected to be saved with the ends
    of a likely range, and the grades of a model until it is expected to serve (0: one does; None: none is expected to)."""

    requests: float
    base_usd: float
    saved: float
    low: float
    high: float
    grades_to_go: float | None


def bucket_outlook(decision: ScoredDecision, base: int, tolerance: float, baseline_first: float) -> BucketOutlook:
    """What is expected of the models that may serve, once the baseline has its first grades."""
    view, price, may = decision.view, decision.at.price, list(decision.may.places)
    values, vectors = np.linalg.eigh(view.belief.cov[np.ix_(may, may)])
    normals = np.random.default_rng(0).standard_normal((DRAWS, len(may)))
    drawn = view.belief.mean[may] + normals @ (vectors * np.sqrt(np.maximum(values, 0.0))).T
    good = drawn >= drawn.max(axis=1, keepdims=True) - tolerance
    saved = 1 - np.where(good, price[may], np.inf).min(axis=1) / max(float(price[base]), 1e-12)
    low, high = np.percentile(saved, LIKELY).tolist()
    usd, grades = float(view.money.usd[base]), _grades_to_go(decision, base, tolerance)
    if grades is not None:
        grades = max(grades, baseline_first - view.here.base_graded)
    return BucketOutlook(float(view.sums.requests), usd, float(saved.mean()), low, high, grades)


def _grades_to_go(decision: ScoredDecision, base: int, tolerance: float) -> float | None:
    """Grades after which the most promising model is expected to serve, if it is as good as it is believed to be, and no worse than the
    reference: what is not will not be waited for."""
    if decision.best != base:
        return 0.0
    at, noise = decision.at, decision.view.sums.evidence.noise
    now = at.price + unit_normal_loss(at.excess_mean / at.sd) * at.sd / tolerance + decision.may.barred
    now[base] = np.inf
    model = int(now.argmin())
    mean, doubt, graded = float(at.excess_mean[model]), float(at.sd[model]) ** 2, float(noise[model])
    learnable = doubt * float(at.gap.learnable[model])
    learned = GRADES * learnable / (graded + GRADES * learnable)
    left: Array = np.sqrt(doubt - learnable * learned)
    then = mean + learned * min(-tolerance - mean, 0.0)
    excess = unit_normal_loss(then / left + decision.scores.caution) * left / tolerance
    enough = np.flatnonzero(float(at.price[model]) + excess < float(at.price[base]))
    if not len(enough):
        return None
    return float(GRADES[enough[0]] / decision.scores.chance_graded[model])
