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
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from arbiter_app.policy.belief import Belief

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

STEPS = np.array([1.0, 3.0, 8.0, 20.0, 50.0, 100.0])
LEAST_CHANCE = 0.03
_NODES = np.array([NormalDist().inv_cdf((at + 0.5) / 16) for at in range(16)])
_REACH, _FINE = 8.0, 512.0
_GRID = np.arange(-_REACH * _FINE, _REACH * _FINE + 1) / _FINE
_CHANCE = np.array([0.5 * erfc(-z / sqrt(2)) for z in _GRID.tolist()])
_EXCESS = np.array([exp(-0.5 * z * z) / sqrt(2 * pi) for z in _GRID.tolist()]) + _GRID * _CHANCE


@dataclass(frozen=True, slots=True)
class Taste:
    """How gaps are judged: `tolerance` is free, `caution` standard deviations of doubt count against a model, and no
    model is taken to be better than the reference by more than `lead`."""

    tolerance: float
    caution: float
    lead: float

    def shortfall(self, gap: Array, sd: Array) -> tuple[Array, Array]:
        """Expected shortfall over the tolerance, for gaps normal with this mean and sd and never under `-lead`; and the
        chance of that condition (both of the arguments' shape)."""
        z = gap / sd
        chance = _CHANCE[_cell(z + self.lead / sd)]
        beyond = z + (self.caution - self.tolerance / sd)
        excess = sd * np.where(beyond > _REACH, beyond, _EXCESS[_cell(beyond)])
        return excess / (self.tolerance * np.maximum(chance, LEAST_CHANCE)), chance


@dataclass(frozen=True, slots=True)
class Stakes:
    """Price [K], gap to the reference with its sd [K], expected loss [K]; reference and best choice as indices."""

    price: Array
    gap: Array
    gap_sd: Array
    loss: Array
    reference: int
    best: int


def stakes(belief: Belief, price: Array, allowed: Mask, reference: int, taste: Taste) -> Stakes:
    """The expected loss of every model, and the allowed one where it is least (the first by index among equals)."""
    gap, sd = belief.gap(reference)
    sd = np.maximum(sd, 1e-6)
    short, _ = taste.shortfall(gap, sd)
    short[reference] = 0.0
    loss = np.round(price + short, 12)
    return Stakes(price, gap, sd, loss, reference, int(np.argmin(np.where(allowed, loss, np.inf))))


def value_of_trying(
    belief: Belief, at: Stakes, models: NDArray[np.intp], noise: Array, graded: Array, ahead: float, taste: Taste
) -> Array:
    """Value per trial of trying each of `models`, in baseline prices: positive where trying pays. Same shape as `models`.

    `noise` [K] is the variance of one grade, `graded` [K] the chance that a trial is graded at all, `ahead` the number of
    requests still expected. Trying the reference shows how good the best choice really is, trying another model shows
    that one's own gap: `subject` is whose gap a trial moves.
    """
    reference, best = at.reference, at.best
    is_bar = models == reference
    subject = np.where(is_bar, best, models)
    own = belief.cov.diagonal()[models]
    link = np.abs(belief.cov[reference, models] - np.where(is_bar, belief.cov[reference, best], own))
    spread = own[:, None] + (noise[models] / np.maximum(graded[models], 1e-3))[:, None] / STEPS
    sd = at.gap_sd[subject][:, None]
    learned = np.minimum(link[:, None] / np.sqrt(spread), sd)
    left = np.sqrt(np.maximum(sd**2 - learned**2, 1e-12))[:, :, None]
    gap = at.gap[subject][:, None, None] + learned[:, :, None] * _NODES
    short, chance = taste.shortfall(gap, left)
    loss = at.price[subject][:, None, None] + short
    gain = np.where(is_bar[:, None, None], loss - at.loss[reference], at.loss[best] - loss)
    better = (np.maximum(gain, 0.0) * chance).sum(axis=2) / np.maximum(chance.sum(axis=2), 1e-9)
    regret = (at.loss[models] - at.loss[best])[:, None]
    value: Array = np.where(ahead > STEPS, (ahead - STEPS) * better / STEPS - regret, -np.inf).max(axis=1)
    return value


def _cell(z: Array) -> NDArray[np.intp]:
    """Where z lies on the grid; what lies outside counts as its end."""
    cells: NDArray[np.intp] = ((np.minimum(np.maximum(z, -_REACH), _REACH) + _REACH) * _FINE + 0.5).astype(np.intp)
    return cells
