"""What serving a model is expected to cost, and what it may cost while it can still be tried. All money is relative to the
baseline's.

The loss of a model is its price plus its shortfall below the tolerance band over the tolerance: one whole price of the
baseline weighs as much as quality that falls short by one tolerance.
"""

from __future__ import annotations

from math import erfc, pi, sqrt

import numpy as np
from numpy.typing import NDArray

from arbiter_app.policy.belief import Array, Gap
from arbiter_app.policy.stopping import hope
from arbiter_app.policy.values import value

LEAST_SD = 1e-6
_REACH, _FINE = 8.0, 512.0
_GRID = np.arange(-_REACH * _FINE, _REACH * _FINE + 1) / _FINE
_DENSITY = np.exp(-0.5 * _GRID * _GRID) / sqrt(2 * pi)
_OVER = np.array([0.5 * erfc(z / sqrt(2)) for z in _GRID.tolist()])
_EXCESS = _DENSITY + _GRID * _OVER[::-1]
_LIFT = _DENSITY / _OVER
_NARROWED = np.sqrt(np.clip(1 + _GRID * _LIFT - _LIFT * _LIFT, 0.05, 1.0))


@value
class Taste:
    """How gaps are judged: `tolerance` is free, `caution` standard deviations of doubt count against a model that is to
    serve (`caution_trial` where it is to be tried), and no model is taken to be better than the reference by more than
    `lead`."""

    tolerance: float
    caution: float
    caution_trial: float
    lead: float


@value
class Stakes:
    """The gaps to the reference; price [K], what quality is expected to cost, `short` [K], and beyond the tolerance the gap with
    its sd [K]; the reference's place."""

    gap: Gap
    price: Array
    short: Array
    beyond: Array
    sd: Array
    reference: int


def stakes(gap: Gap, price: Array, reference: int, taste: Taste) -> Stakes:
    """What every model's quality is expected to cost, from its gap to the reference.

    Gaps are normal and no smaller than `-lead`: mean and sd of that truncated distribution count from here on.
    """
    sd = np.maximum(gap.sd, LEAST_SD)
    least = _cell((gap.mean + taste.lead) / -sd)
    beyond = gap.mean + sd * _LIFT.take(least, mode="clip") - taste.tolerance
    sd = sd * _NARROWED.take(least, mode="clip")
    short = _excess(beyond / sd + taste.caution) * sd * (1 / taste.tolerance)
    short[reference] = 0.0
    return Stakes(gap, price, short, beyond, sd, reference)


def hopeful(at: Stakes, noise: Array, graded: Array, ahead: float, taste: Taste) -> Array:
    """What a model's quality costs to reckon with [K] while it can be tried and left again: with its price, what a rival's
    loss must be under, so that trying no longer pays.

    `noise` [K] is the variance of one grade, `graded` [K] the chance that a call is graded at all, and `ahead` the number of
    requests for which a trial has to pay."""
    learnable = at.gap.learnable
    z = at.beyond / at.sd + taste.caution_trial
    tau = noise / (graded * (at.sd * at.sd) * learnable * ahead)
    expected = _excess(z)
    left = expected - learnable * np.maximum(expected - hope(z, tau), 0.0)
    short: Array = left * at.sd * (1 / taste.tolerance)
    short[at.reference] = 0.0
    return short


def _excess(z: Array) -> Array:
    """Mean of what a normal variable of mean z and sd 1 is over zero (never under z)."""
    mean: Array = np.maximum(_EXCESS.take(_cell(z), mode="clip"), z)
    return mean


def _cell(z: Array) -> NDArray[np.intp]:
    """Where z lies on the grid; to be clipped, so that what lies outside counts as its end."""
    cells: NDArray[np.intp] = (z * _FINE + (_REACH * _FINE + 0.5)).astype(np.intp)
    return cells
