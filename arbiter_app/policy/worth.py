"""What serving a model is expected to cost, and what trying it may be worth. All money is relative to the baseline's.

The loss of a model is its price plus its shortfall below the tolerance band over the tolerance: one whole price of the
baseline weighs as much as quality that falls short by one tolerance. A trial costs the difference in loss to the best
known choice; it is worth the chance that it turns out better, for as many requests as are still expected.
(Knowledge gradient with several steps: Frazier and Powell, Paradoxes in learning and the marginal value of information,
Decision Analysis 7(4), 2010.)
"""

from __future__ import annotations

from dataclasses import dataclass
from math import erfc, exp, pi, sqrt

import numpy as np
from numpy.typing import NDArray

from arbiter_app.policy.belief import Belief

Array = NDArray[np.float64]

STEPS = np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0])
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(7)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()
_GRID = np.linspace(-8.0, 8.0, 2049)


_UNIT_EXCESS = np.array(
    [z * 0.5 * erfc(-z / sqrt(2)) + exp(-0.5 * z * z) / sqrt(2 * pi) for z in _GRID.tolist()]
)  # E max(0, z + N(0, 1)) = z Phi(z) + phi(z)


def expected_excess(mean: Array, sd: Array) -> Array:
    """E max(0, x) for x normal with these means and standard deviations (any one shape)."""
    sd = np.maximum(sd, 1e-9)
    z = mean / sd
    inside = np.interp(np.clip(z, -8.0, 8.0), _GRID, _UNIT_EXCESS)
    excess: Array = np.where(z > 8.0, mean, sd * inside)
    return excess


@dataclass(frozen=True, slots=True)
class Stakes:
    """Losses [K] of serving each model, its gap's mean and sd [K], the reference model and the best choice (indices)."""

    price: Array
    gap: Array
    gap_sd: Array
    loss: Array
    reference: int
    best: int


def stakes(
    belief: Belief, price: Array, allowed: NDArray[np.bool_], reference: int, tolerance: float, caution: float
) -> Stakes:
    """Expected losses; `caution` moves each gap up by that many of its standard deviations."""
    gap, variance = belief.gap(reference)
    sd = np.sqrt(variance)
    short = expected_excess(gap + caution * sd - tolerance, sd) / tolerance
    short[reference] = 0.0
    loss = price + short
    best = int(np.argmin(np.where(allowed, loss, np.inf)))
    return Stakes(price, gap, sd, loss, reference, best)


def value_of_trying(
    belief: Belief, at: Stakes, noise: Array, graded: Array, ahead: float, tolerance: float, caution: float, care: float
) -> Array:
    """Value per trial [K] of trying each model, in baseline prices: positive where trying pays.

    `noise` [K] is the variance of one grade, `graded` [K] the chance that a trial is graded at all, `ahead` the
    requests still expected, `care` how much dearer than expected trials are counted.
    Trying the reference shows how good the best choice really is; trying another shows that one's own gap.
    """
    reference, best = at.reference, at.best
    of = np.arange(len(at.loss))
    of[reference] = best
    link = belief.cov[reference] - belief.cov.diagonal()
    link[reference] = belief.cov[reference, reference] - belief.cov[reference, best]
    spread = belief.cov.diagonal()[:, None] + (noise / np.maximum(graded, 1e-3))[:, None] / STEPS
    learned = np.minimum(np.abs(link)[:, None] / np.sqrt(spread), at.gap_sd[of][:, None])
    left = np.sqrt(np.maximum(at.gap_sd[of][:, None] ** 2 - learned**2, 0.0))
    gap = at.gap[of][:, None, None] + learned[:, :, None] * _NODES
    short = expected_excess(gap + caution * left[:, :, None] - tolerance, np.broadcast_to(left[:, :, None], gap.shape))
    gain = at.loss[best] - at.price[of][:, None, None] - short / tolerance
    gain[reference] = -at.loss[reference] + at.price[best] + short[reference] / tolerance
    better = (np.maximum(gain, 0.0) * _WEIGHTS).sum(axis=2)
    regret = (at.loss - at.loss[best])[:, None] * care
    value = ((ahead - STEPS) * better / STEPS - regret) * (ahead > STEPS)
    worth: Array = value.max(axis=1)
    worth[best] = 0.0
    return worth
