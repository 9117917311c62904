"""The true saving lies inside the stated 95 % interval in 93 to 97 % of simulated runs."""

from __future__ import annotations

import math
import random

import pytest

from arbiter_app.policy.savings import Repriced, half_width, t95, variance_of


def covered(rng: random.Random, calls: int, n: int, spread: float) -> bool:
    """One run: two buckets whose baseline cost is drawn; does the interval hold the true total of the re-priced calls?"""
    estimate, true, parts = 0.0, 0.0, []
    for mean in (1.0, 3.0):
        measured = [rng.gauss(mean, spread * mean) for _ in range(n)]
        unseen = rng.gauss(calls * mean, math.sqrt(calls) * spread * mean)
        variance = variance_of(n, sum(measured), sum(x * x for x in measured))
        estimate += calls * sum(measured) / n
        true += unseen
        parts.append(Repriced(calls, n, sum(measured) / n, variance))
    width = half_width(parts)
    assert width is not None
    return abs(estimate - true) <= width


@pytest.mark.parametrize(("calls", "n", "spread"), [(500, 10, 0.2), (500, 60, 0.3), (50, 20, 0.2), (2000, 5, 0.1)])
def test_coverage(calls: int, n: int, spread: float) -> None:
    rng = random.Random(calls + n)
    runs = 1_500
    share = sum(covered(rng, calls, n, spread) for _ in range(runs)) / runs
    slack = 2.5 * math.sqrt(0.95 * 0.05 / runs)
    assert 0.95 - slack <= share <= 0.97 + slack


def test_an_unmeasured_baseline_gives_no_interval() -> None:
    assert half_width([Repriced(10, 1, 1.0, 0.0)]) is None
    assert half_width([Repriced(10, 0, 0.0, 0.0), Repriced(10, 9, 1.0, 1.0)]) is None
    assert half_width([Repriced(0, 0, 0.0, 0.0)]) == 0.0
    assert variance_of(1, 5.0, 25.0) == 0.0


def test_a_single_baseline_call_borrows_the_spread_of_the_others_and_widens_the_interval() -> None:
    known = Repriced(100, 20, 1.0, 0.04)
    alone, both = half_width([known]), half_width([known, Repriced(10, 1, 1.0, 0.0)])
    assert alone is not None and both is not None
    assert both > 1.05 * alone


@pytest.mark.parametrize(("freedom", "quantile"), [(3, 3.182), (5, 2.571), (10, 2.228), (30, 2.042), (math.inf, 1.960)])
def test_t_quantiles(freedom: float, quantile: float) -> None:
    assert t95(freedom) == pytest.approx(quantile, rel=0.01)
