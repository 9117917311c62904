"""Expected losses against numerical integration of the densities that they are means of."""

from __future__ import annotations

import math

import numpy as np
import pytest

from arbiter_app.policy.expected_loss import LossParams, expected_loss
from arbiter_app.policy.posterior import Array, QualityGap

PARAMS = LossParams(0.05, 0.0, 0.05, 0.03)
CASES = [(-0.2, 0.1), (-0.03, 0.02), (0.0, 0.05), (0.04, 0.11), (0.1, 0.3), (0.3, 0.02), (0.6, 0.4), (0.02, 1e-4)]


def density(x: Array, mean: float, sd: float) -> Array:
    found: Array = np.exp(-0.5 * ((x - mean) / sd) ** 2) / (sd * math.sqrt(2 * math.pi))
    return found


def truncated(mean: float, sd: float, least: float) -> tuple[float, float]:
    """Mean and sd of a normal variable that is at least `least`, by the trapezoid rule."""
    x = np.linspace(max(least, mean - 12 * sd), max(least, mean) + 12 * sd, 400_001)
    weight = density(x, mean, sd)
    total = np.trapezoid(weight, x)
    first = np.trapezoid(x * weight, x) / total
    return float(first), float(np.sqrt(np.trapezoid((x - first) ** 2 * weight, x) / total))


@pytest.mark.parametrize(("mean", "sd"), CASES)
def test_the_expected_shortfall_is_the_integral_of_it(mean: float, sd: float) -> None:
    at = expected_loss(QualityGap(np.array([0.0, mean]), np.array([0.0, sd]), np.ones(2)), np.ones(2), 0, PARAMS)
    first, spread = truncated(mean, sd, -PARAMS.max_advantage)
    assert at.excess_mean[1] == pytest.approx(first - PARAMS.tolerance, abs=sd / 400)
    assert at.sd[1] == pytest.approx(spread, rel=0.01)
    x = np.linspace(0.0, max(first, 0.0) + 12 * spread, 400_001)
    expected_excess = np.trapezoid(x * density(x, first - PARAMS.tolerance, spread), x) / PARAMS.tolerance
    assert at.expected_excess[1] == pytest.approx(expected_excess, rel=0.01, abs=0.002 * sd / PARAMS.tolerance)


def test_what_sets_the_bar_never_falls_short_of_it() -> None:
    at = expected_loss(
        QualityGap(np.array([0.3, 0.0]), np.array([0.1, 0.0]), np.ones(2)), np.array([0.1, 1.0]), 1, PARAMS
    )
    assert at.expected_excess[1] == 0.0 < at.expected_excess[0]


def test_doubt_counts_against_a_model_by_as_many_standard_deviations() -> None:
    gap = QualityGap(np.array([0.0, 0.1]), np.array([0.0, 0.2]), np.ones(2))
    plain, careful = (expected_loss(gap, np.ones(2), 0, LossParams(0.05, z, 0.0, 0.5)) for z in (0.0, 0.5))
    moved = QualityGap(np.array([0.0, 0.1 + 0.5 * plain.sd[1]]), gap.sd, np.ones(2))
    assert careful.expected_excess[1] == pytest.approx(
        expected_loss(moved, np.ones(2), 0, LossParams(0.05, 0.0, 0.0, 5.0)).expected_excess[1], rel=0.02
    )
