"""The index table against plain value iteration over single grades, on a case small enough for it."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest

from arbiter_app.policy.gittins import gittins_index, unit_normal_loss

STATES = np.linspace(-7.0, 9.0, 801)
NODES = np.array([NormalDist().inv_cdf((at + 0.5) / 60) for at in range(60)])


def boundary(z: float, known: int, ahead: int) -> float:
    """The rival's loss at which trying a model once more gains nothing, by bisection over full value iterations."""
    low, high = 0.0, float(unit_normal_loss(np.array([z]))[0])
    for _ in range(14):
        rival = (low + high) / 2
        low, high = (low, rival) if gain(rival, z, known, ahead) > 0 else (rival, high)
    return (low + high) / 2


def gain(rival: float, z: float, known: int, ahead: int) -> float:
    """Serving at least once, then best, over serving the rival throughout: a grade adds 1/known to the precision 1, and who
    serves may leave for the rival after any of them. States are posterior means of the shortfall X ~ N(z, 1)."""
    value = np.zeros_like(STATES)
    for served in range(ahead - 1, -1, -1):
        now, then = 1 + served / known, 1 + (served + 1) / known
        spread = math.sqrt(1 / now - 1 / then)
        later = np.interp(STATES[:, None] + spread * NODES, STATES, value).mean(axis=1)
        going_on = rival - unit_normal_loss(STATES * math.sqrt(now)) / math.sqrt(now) + later
        value = np.maximum(going_on, 0.0)
    return float(np.interp(z, STATES, going_on))


@pytest.mark.parametrize(("z", "known", "ahead"), [(-0.5, 20, 40), (0.5, 20, 40), (1.5, 20, 40), (0.5, 40, 20)])
def test_the_index_is_where_value_iteration_is_indifferent(z: float, known: int, ahead: int) -> None:
    found = float(gittins_index(np.array([z]), np.array([known / ahead]))[0])
    assert found == pytest.approx(boundary(z, known, ahead), rel=0.05, abs=0.01)
