"""What serving a model is expected to cost, and what it may cost while it can still be tried. All money is relative to the
baseline's.

The loss of a model is its price plus its shortfall below the tolerance band over the tolerance: one whole price of the
baseline weighs as much as quality that falls short by one tolerance. Where a bucket is new, the shortfall counts more (`shortfall_weight`).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import erfc, pi, sqrt

import numpy as np
from numpy.typing import NDArray

from arbiter_app.policy.gittins import gittins_index
from arbiter_app.policy.posterior import Array, QualityGap

LEAST_SD = 1e-6
"""Least standard deviation of a gap that is divided by: a ten-thousandth of what tolerances are made of."""
_REACH = 8.0
"""End of the grid of z on both sides, standard deviations: beyond it the functions are their limits to 1e-15."""
_STEPS = 512.0
"""Points of the grid for one standard deviation. The nearest one is taken: the unit normal loss is off by 1/1024 of a standard
deviation at most, the inverse Mills ratio as much, and the truncated sd too."""
_GRID = np.arange(-_REACH * _STEPS, _REACH * _STEPS + 1) / _STEPS
"""The values of z for which the functions below are tabled."""
_DENSITY = np.exp(-0.5 * _GRID * _GRID) / sqrt(2 * pi)
"""phi(z), the standard normal density."""
_SURVIVAL = np.array([0.5 * erfc(z / sqrt(2)) for z in _GRID.tolist()])
"""1 - Phi(z), the chance of more than z."""
_UNIT_NORMAL_LOSS = _DENSITY + _GRID * _SURVIVAL[::-1]
"""E max(X, 0) of X ~ N(z, 1): phi(z) + z Phi(z) (Raiffa and Schlaifer, Applied Statistical Decision Theory, 1961, 5.4)."""
_INVERSE_MILLS_RATIO = _DENSITY / _SURVIVAL
"""lambda(z) = phi(z) / (1 - Phi(z)): by how many standard deviations the mean of a normal variable rises when what is under z is cut
off (Johnson, Kotz and Balakrishnan, Continuous Univariate Distributions 1, 1994, 13.10.1)."""
_TRUNCATED_SD = np.sqrt(np.clip(1 + _GRID * _INVERSE_MILLS_RATIO - _INVERSE_MILLS_RATIO**2, 0.05, 1.0))
"""The standard deviation that is left then: sqrt(1 + z lambda - lambda^2), same source; never under sqrt(0.05), since the
difference of large numbers is not exact (it is reached at z = 3.8)."""


@dataclass(frozen=True, slots=True)
class LossParams:
    """How gaps are judged: `tolerance` is free, `z_penalty` standard deviations of doubt count against a model that is to
    serve (`z_penalty_trial` where it is to be tried), and no model is taken to be better than the reference by more than
    `max_advantage`."""

    tolerance: float
    z_penalty: float
    z_penalty_trial: float
    max_advantage: float


@dataclass(frozen=True, slots=True)
class ExpectedLoss:
    """The gaps to the reference; price [K], what quality is expected to cost, `expected_excess` [K], and beyond the tolerance the gap with
    its sd [K]; the reference's place."""

    gap: QualityGap
    price: Array
    expected_excess: Array
    excess_mean: Array
    sd: Array
    reference: int


def expected_loss(gap: QualityGap, price: Array, reference: int, params: LossParams) -> ExpectedLoss:
    """What every model's quality is expected to cost, from its gap to the reference.

    Gaps are normal and no smaller than `-max_advantage`: mean and sd of that truncated distribution count from here on.
    """
    sd = np.maximum(gap.sd, LEAST_SD)
    least = _grid_point((gap.mean + params.max_advantage) / -sd)
    excess_mean = gap.mean + sd * _INVERSE_MILLS_RATIO.take(least, mode="clip") - params.tolerance
    sd = sd * _TRUNCATED_SD.take(least, mode="clip")
    expected_excess = unit_normal_loss(excess_mean / sd + params.z_penalty) * sd * (1 / params.tolerance)
    expected_excess[reference] = 0.0
    return ExpectedLoss(gap, price, expected_excess, excess_mean, sd, reference)


def shortfall_weight(requests: float, early_shortfall: float, early_requests: float) -> float:
    """How many times quality that falls short counts in a bucket that has had so many requests n:

        1 + early_shortfall x early_requests / (early_requests + n)

    With few grades little is known of whoever serves, and what turns out well serves all requests to come, so that waiting for some more
    grades beside the answers costs little and spares callers the worst choices."""
    return 1.0 + early_shortfall * early_requests / max(early_requests + requests, LEAST_SD)


def trial_index(at: ExpectedLoss, noise: Array, graded: Array, ahead: float, params: LossParams) -> Array:
    """What a model's quality costs to reckon with [K] while it can be tried and left again: with its price, what a rival's
    loss must be under, so that trying no longer pays.

    `noise` [K] is the variance of one grade, `graded` [K] the chance that a call is graded at all, and `ahead` the number of
    requests for which a trial has to pay."""
    learnable = at.gap.learnable
    z = at.excess_mean / at.sd + params.z_penalty_trial
    tau = noise / (graded * (at.sd * at.sd) * learnable * ahead)
    expected = unit_normal_loss(z)
    left = expected - learnable * np.maximum(expected - gittins_index(z, tau), 0.0)
    expected_excess: Array = left * at.sd * (1 / params.tolerance)
    expected_excess[at.reference] = 0.0
    return expected_excess


def unit_normal_loss(z: Array) -> Array:
    """Mean of what a normal variable of mean z and sd 1 is over zero (never under z)."""
    mean: Array = np.maximum(_UNIT_NORMAL_LOSS.take(_grid_point(z), mode="clip"), z)
    return mean


def _grid_point(z: Array) -> NDArray[np.intp]:
    """Where z lies on the grid; to be clipped, so that what lies outside counts as its end."""
    cells: NDArray[np.intp] = (z * _STEPS + (_REACH * _STEPS + 0.5)).astype(np.intp)
    return cells
