"""The shortfall to reckon with while a model can still be tried and left again: an optimal stopping problem, solved once.

A model's shortfall below the tolerance band is X, normal with mean z and standard deviation 1; below zero it costs nothing.
Who serves the model knows more of X after every grade, and may go back to an alternative of known loss b whenever that
looks better; `ahead` requests are left. Trying pays as long as b is over a boundary, and this boundary is the shortfall that
counts: its expectation where nothing is left to learn, and less the more a few trials can tell. (Chernoff and Ray, A one
sided sequential sampling problem, 1965; the index of Gittins, 1979, for a finite number of requests.)

By the scaling of Brownian motion two numbers decide: z, and the share `tau` of what is known in what will be known, n / ahead,
where n is the number of grades that would tell as much as is known. `python -m arbiter_app.policy.gittins` solves it and
writes `gittins.txt`: rows log tau, columns z.
"""

from __future__ import annotations

from math import erfc, log, pi, sqrt
from pathlib import Path
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

TABLE = Path(__file__).with_suffix(".txt")
TAU = (1e-4, 1e2)
"""Range of tau in the table: at the first a model has all to be learned, from the last on there is nothing to learn."""
Z = (-4.0, 8.0)
"""Range of z in the table, standard deviations: under it the shortfall is under 1e-5, over it it is z to 1e-15."""
ROWS, COLUMNS = 29, 49
"""Entries of the stored table: steps of a factor of 1.64 in tau and of a quarter in z."""
FINER = 4, 32
"""Entries that linear interpolation puts in the place of each when it is loaded, so that the nearest is within 0.03 standard deviations."""

_STATES = np.linspace(-6.0, 10.0, 641)
"""States z of the backward induction: steps of 1/40 standard deviation; beyond them nothing changes any more."""
_ALTERNATIVES = np.exp(np.linspace(log(0.02), log(800.0), 96))
"""Losses of the rival, in standard deviations at the end of the horizon: steps of 12 %, interpolated."""
_NODES = np.array([NormalDist().inv_cdf((at + 0.5) / 40) for at in range(40)])
"""Where a standard normal step is taken to lead: 40 equally likely places, scaled to variance 1."""
_NODES /= _NODES.std()
_STEPS_A_ROW = 8
"""Steps of the induction for each row of the table. Twice as many lower entries by 2 to 12 %, since a model can then be left at more
moments; a grade is such a step, too, and the settings were chosen with this table."""


def unit_normal_loss(z: Array) -> Array:
    """Mean of what a normal variable of mean z and standard deviation 1 is over zero."""
    chance = np.array([0.5 * erfc(-one / sqrt(2)) for one in z.ravel().tolist()]).reshape(z.shape)
    mean: Array = np.exp(-0.5 * z * z) / sqrt(2 * pi) + z * chance
    return mean


def solve_index_table() -> Array:
    """The table [ROWS, COLUMNS], by backward induction over the precision t of what is known, from 1 (the end) down."""
    tau = np.exp(np.linspace(log(TAU[0]), log(TAU[1]), (ROWS - 1) * _STEPS_A_ROW + 1))
    known = tau / (1 + tau)
    short, columns = unit_normal_loss(_STATES), np.linspace(*Z, COLUMNS)
    value = np.zeros((len(_ALTERNATIVES), len(_STATES)))
    table = np.empty((ROWS, COLUMNS))
    then = 1.0
    for at in range(len(tau) - 1, -1, -1):
        now = float(known[at])
        served = (_ALTERNATIVES[:, None] - short / sqrt(now)) * (then - now)
        going_on = served + value @ _transition_matrix(now, then).T
        value, then = np.maximum(going_on, 0.0), now
        if at % _STEPS_A_ROW == 0:
            table[at // _STEPS_A_ROW] = _boundary(going_on, _ALTERNATIVES * sqrt(now), columns)
    return table


def _transition_matrix(now: float, then: float) -> Array:
    """How the state moves while the precision grows: the weights [from, to] of a linear interpolation between states.

    Beyond the last state nothing is worth going on."""
    spread = sqrt(max(1 / now - 1 / then, 0.0))
    state = (_STATES[:, None] / sqrt(now) + spread * _NODES) * sqrt(then)
    place = np.clip((state - _STATES[0]) / (_STATES[1] - _STATES[0]), 0, len(_STATES) - 1.000001)
    left = place.astype(np.intp)
    share = np.stack([1 - (place - left), place - left]) * (state <= _STATES[-1]) / len(_NODES)
    cell = np.arange(len(_STATES))[:, None] * len(_STATES) + np.stack([left, left + 1])
    moved = np.bincount(cell.ravel(), share.ravel(), len(_STATES) ** 2).reshape(len(_STATES), -1)
    return np.asarray(moved, dtype=np.float64)


def _boundary(going_on: Array, alternatives: Array, columns: Array) -> Array:
    """Where going on is worth nothing, as the rival's loss in standard deviations for each of the columns."""
    last = (going_on > 0).sum(axis=1) - 1
    inside = (last >= 0) & (last < len(_STATES) - 1)
    row, at = np.flatnonzero(inside), last[inside]
    here, beyond = going_on[row, at], going_on[row, at + 1]
    state = _STATES[at] + (_STATES[1] - _STATES[0]) * here / (here - beyond)
    order = state.argsort()
    found = np.exp(np.interp(columns, state[order], np.log(alternatives[inside][order])))
    bounded: Array = np.minimum(found, unit_normal_loss(columns))
    return bounded


def _finer(table: Array) -> Array:
    """The table with more rows and columns, linearly interpolated, so that the nearest entry is near enough."""
    for axis, times in enumerate(FINER):
        size = table.shape[axis]
        at = np.linspace(0, size - 1, (size - 1) * times + 1)
        left = np.minimum(at.astype(np.intp), size - 2)
        share: Array = np.expand_dims(at - left, 1 - axis)
        table = (1 - share) * table.take(left, axis) + share * table.take(left + 1, axis)
    return table


_INDEX = _finer(np.loadtxt(TABLE)) if TABLE.exists() else np.zeros((1, 1))
"""The table as it is looked up: shortfalls in standard deviations."""
_PER_LOG_TAU = (_INDEX.shape[0] - 1) / log(TAU[1] / TAU[0])
"""Its rows for each unit of log tau."""
_PER_Z = (_INDEX.shape[1] - 1) / (Z[1] - Z[0])
"""Its columns for each standard deviation of z."""
_FIRST = 0.5 - log(TAU[0]) * _PER_LOG_TAU
"""What rounds to the nearest row when it is added to log tau in rows."""


def gittins_index(z: Array, tau: Array) -> Array:
    """The shortfall to reckon with, in standard deviations: same shape as z and tau. What lies outside the table counts as
    its edge, and a model certain to fall short (z over 8) as what it falls short."""
    row = (np.log(tau) * _PER_LOG_TAU + _FIRST).astype(np.intp)
    column = (z * _PER_Z + (0.5 - Z[0] * _PER_Z)).astype(np.intp)
    cell = np.ravel_multi_index((row, column), _INDEX.shape, mode="clip")
    found: Array = _INDEX.take(cell) + np.maximum(z - Z[1], 0.0)
    return found


if __name__ == "__main__":
    np.savetxt(TABLE, solve_index_table(), fmt="%.4g")
