"""How long the tests for change run before an alarm, simulated and seeded, beside what theory says of such tests."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from statistics import fmean

import pytest

from arbiter_app.policy.changepoint import QUALITY_FALL, ChangeDetector, RunningSums, update_price, update_quality

SD = 0.1
KNOWN = 1e6


def run_length(made: Callable[[], ChangeDetector], step: Callable[[ChangeDetector], object], most: int = 20_000) -> int:
    """Calls until an alarm."""
    watch = made()
    return next((at for at in range(1, most + 1) if step(watch) is not None), most)


def priced() -> ChangeDetector:
    """A test whose history is known exactly: unit prices of geometric mean 1, whose logarithms have the deviation SD."""
    return ChangeDetector(price=RunningSums(KNOWN, 0.0, KNOWN * SD * SD))


def graded(mean: float) -> ChangeDetector:
    return ChangeDetector(grade=RunningSums(KNOWN, KNOWN * mean, KNOWN * mean))


def mean_price_run(shift: float, threshold: float, runs: int, seed: int) -> float:
    draw = random.Random(seed)

    def step(watch: ChangeDetector) -> object:
        unit = math.exp(draw.gauss(shift * SD, SD))
        return update_price(watch, unit, 1.0, floor=0.0, threshold=threshold, prior_sd=SD)

    return fmean(run_length(priced, step) for _ in range(runs))


def siegmund(drift: float, threshold: float) -> float:
    """Average run length of a CUSUM of normal steps of this mean and variance 1 (Siegmund, Sequential Analysis, 1985)."""
    b = threshold + 1.166
    return (math.exp(-2 * drift * b) + 2 * drift * b - 1) / (2 * drift * drift)


def test_price_alarms_without_a_change_are_as_rare_as_theory_says() -> None:
    assert mean_price_run(0.0, 2.0, 250, seed=1) == pytest.approx(siegmund(-1.0, 2.0), rel=0.25)


def test_a_price_that_rose_by_two_deviations_is_noticed_as_soon_as_theory_says() -> None:
    assert mean_price_run(2.0, 9.0, 400, seed=2) == pytest.approx(siegmund(1.0, 9.0), rel=0.15)


def test_no_single_call_is_a_price_alarm_and_five_much_dearer_ones_are() -> None:
    def dear(watch: ChangeDetector) -> object:
        return update_price(watch, 100.0, 1.0, floor=0.1, threshold=9.0, prior_sd=SD)

    assert run_length(priced, dear) == 5


def mean_quality_run(before: float, now: float, threshold: float, runs: int, seed: int) -> float:
    draw = random.Random(seed)

    def step(watch: ChangeDetector) -> object:
        return update_quality(watch, float(draw.random() < now), 1.0, threshold=threshold)

    return fmean(run_length(lambda: graded(before), step) for _ in range(runs))


@pytest.mark.parametrize("mean", [0.6, 0.9])
def test_quality_alarms_without_a_change_are_rarer_than_the_bound(mean: float) -> None:
    """A CUSUM of log-likelihood ratios runs for e^threshold at least (Lorden, 1971)."""
    assert mean_quality_run(mean, mean, 4.0, 200, seed=3) >= math.exp(4.0)


@pytest.mark.parametrize("mean", [0.6, 0.9])
def test_a_model_half_as_good_is_noticed_as_soon_as_the_likelihoods_allow(mean: float) -> None:
    """The delay is the threshold and its overshoot over the divergence of the two (Lorden, 1971)."""
    after = mean * QUALITY_FALL
    good, bad = math.log(after / mean), math.log((1 - after) / (1 - mean))
    divergence = after * good + (1 - after) * bad
    delay = mean_quality_run(mean, after, 10.0, 400, seed=4)
    assert 10.0 / divergence * 0.85 <= delay <= (10.0 + bad) / divergence * 1.15
