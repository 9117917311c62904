"""What is believed of every model's quality in one bucket: a joint Gaussian over the pool, learned by exact conditioning.

Quality of model m in bucket t is  level_t - size_t (gap_m + own_tm).  The baseline has no gap; every other model's gap has a
mean that grows with how much cheaper it is, and gaps of different models are correlated (a common part and a slope over the
logarithm of the price), so that one model's failure speaks against the others, most of all against the cheaper ones.
Gap and own part share one covariance; `shared` says how much of it a bucket has in common with the other buckets.
Grades are averages with Gaussian noise, so all of it is linear algebra on K x K matrices, K = models of the pool.
(Gaussian conditioning: Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, appendix A.2.)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

import numpy as np
from numpy.typing import NDArray

from arbiter_app.policy.values import value

Array = NDArray[np.float64]
Interval = tuple[list[float], list[float], list[float]]
"""Means, lower and upper ends, each [K]."""

LEVEL, LEVEL_SD = 0.75, 0.3
SPREAD, SPREAD_N = 0.8, 5.0
SPREAD_OWN_N = 10.0
SPREAD_CAP_N = 8.0
SPREAD_MAX = 1.2
MEAN_N, POOL_N, POOL_CAP_N = 5.0, 4.0, 20.0
BINOMIAL_FLOOR, NOISE_FLOOR = 0.01, 0.0025
CHEAPNESS_CAP = 6.0
LEAST = 1e-12
Z95 = 1.96
SCALE_LEVEL, SCALE_N, SCALE_POWER, SCALE_RANGE = 0.85, 14.0, 0.65, (0.2, 2.0)


@dataclass(frozen=True, slots=True)
class GapPrior:
    """Prior of the quality gap to the baseline: mean [K], and covariance [K, K] of its shared and its own part."""

    mean: Array
    shared: Array
    own: Array


@value
class Evidence:
    """Grades of one bucket: total weight [K], weighted mean [K] (0 where there is none), noise variance [K]."""

    weight: Array
    mean: Array
    noise: Array


@value
class Reading:
    """What the grades of one bucket say, in units of the size of its gaps. Of the shared part: precision [K, K], and
    precision times mean [K]. Of its own models, were the shared part h known: mean `off` + `kept` h, covariance `rest` ([K],
    [K, K] and [K, K])."""

    size: float
    precision: Array
    pull: Array
    off: Array
    kept: Array
    rest: Array

    def given(self, mean: Array, cov: Array) -> Belief:
        """The belief about the models of this bucket, from mean [K] and covariance [K, K] of the shared part."""
        size, kept = self.size, self.kept
        return Belief(LEVEL + size * (self.off + kept.dot(mean)), size * size * (self.rest + kept @ cov @ kept.T))


@value
class Gap:
    """Gaps of the models to one of them, each [K]: mean, standard deviation, and the share of the variance that grades of that
    model alone can take away; the rest is doubt about the reference."""

    mean: Array
    sd: Array
    learnable: Array


@value
class Belief:
    """Posterior of the models' quality in one bucket: mean [K], covariance [K, K]. It holds until the next grade, so what
    decisions ask of it is worked out once."""

    mean: Array
    cov: Array
    _gaps: dict[int, Gap] = field(default_factory=dict, compare=False)
    _interval: list[Interval] = field(default_factory=list, compare=False)

    def gap(self, reference: int) -> Gap:
        """The quality gap to a reference model."""
        found = self._gaps.get(reference)
        if found is None:
            own, row = self.cov.diagonal(), self.cov[reference]
            link = own - row
            variance = np.maximum(link - row + row[reference], 0.0)
            share = np.minimum(np.maximum(link * link / np.maximum(own * variance, LEAST), LEAST), 1.0)
            found = self._gaps[reference] = Gap(self.mean[reference] - self.mean, np.sqrt(variance), share)
        return found

    def interval(self) -> Interval:
        """The mean and the 95 % interval of each model, within 0..1, to be told: six digits."""
        if not self._interval:
            half = Z95 * np.sqrt(np.maximum(self.cov.diagonal(), 0.0))
            ends = np.maximum(self.mean - half, 0.0), np.minimum(self.mean + half, 1.0)
            mean, lows, highs = np.array((self.mean, *ends)).round(6).tolist()
            self._interval.append((mean, lows, highs))
        return self._interval[0]


def cheapness(price: Array, baseline: int) -> Array:
    """How much cheaper than the baseline, as a natural logarithm, 0 for dearer models; free ones count as e^6 cheaper."""
    reference = price[baseline] if price[baseline] > 0 else float(price.max()) or 1.0
    ratio = np.maximum(price / reference, np.exp(-CHEAPNESS_CAP))
    return np.maximum(-np.log(ratio), 0.0)


def gap_prior(
    cheap: Array, baseline: int, *, mean: float, slope: float, sd: tuple[float, float, float], shared: float
) -> GapPrior:
    """Prior gaps: `mean + slope x cheapness`, half the mean for dearer models; `sd` are those of the common part, the slope, and a model's own part."""
    other = np.ones(len(cheap))
    other[baseline] = 0.0
    common, slope_sd, own = sd
    cov = common**2 * np.outer(other, other) + slope_sd**2 * np.outer(cheap, cheap) + own**2 * np.diag(other)
    expected = np.where(cheap > 0, mean + slope * cheap, mean / 2)
    return GapPrior(expected * other, shared * cov, (1 - shared) * cov)


def evidence(grades: Array) -> Evidence:
    """Means, with the variance of one grade for each model: `spread x q(1 - q)`, quasi-binomial (Wedderburn, 1974), from weight,
    total and sum of squares [3, K].

    q is the model's mean, shrunk towards the bucket's, so that a first lucky or unlucky grade does not pass for
    certainty; the spread is 1 for grades of 0 or 1 and less for others. It is the bucket's, each model counted with at
    most `SPREAD_CAP_N` degrees of freedom, so that the one with most grades does not speak for all, and then the model's.
    """
    weight, total, square = grades
    mean = total / np.maximum(weight, LEAST)
    degrees = np.maximum(weight - 1, 0.0)
    scatter = np.where(degrees > 0, np.maximum(square - total * mean, 0.0), 0.0)
    counted = POOL_CAP_N / np.maximum(weight, POOL_CAP_N)
    pool = (POOL_N * LEVEL + float(counted.dot(total))) / (POOL_N + float(counted.dot(weight)))
    shrunk = (total + MEAN_N * pool) / (MEAN_N + weight)
    binomial = np.maximum(shrunk - shrunk * shrunk, BINOMIAL_FLOOR)
    counted = SPREAD_CAP_N / np.maximum(degrees, SPREAD_CAP_N)
    prior = SPREAD_N * LEVEL * (1 - LEVEL)
    spread = (prior * SPREAD + float(counted.dot(scatter))) / (prior + float((counted * degrees).dot(binomial)))
    noise = (binomial * (SPREAD_OWN_N * min(spread, SPREAD_MAX)) + scatter) / (SPREAD_OWN_N + degrees)
    return Evidence(weight, mean, np.maximum(noise, NOISE_FLOOR))


def scale(weight: float, total: float) -> float:
    """How large gaps are expected to be in a bucket, against one where the baseline succeeds with chance `SCALE_LEVEL`: from the
    weight of the baseline's grades, and their sum.

    Models of different strength come close to each other where a task is easy, because none can be better than right: on
    the logistic scale gaps are alike, and in quality they are as q(1 - q) (Rasch, 1960). Recorded pools show less of that: its
    power `SCALE_POWER`.
    """
    level = (SCALE_N * SCALE_LEVEL + total) / (SCALE_N + weight)
    likeness = max(level * (1 - level), 0.0) / (SCALE_LEVEL * (1 - SCALE_LEVEL))
    return min(max(float(likeness**SCALE_POWER), SCALE_RANGE[0]), SCALE_RANGE[1])


def reading(seen: Evidence, prior: GapPrior, size: float) -> Reading:
    """What the grades of a bucket whose gaps are of this size (see `scale`) say; models without any have no weight."""
    known, off = seen.weight / seen.noise * size**2, (seen.mean - LEVEL) / size
    cov = prior.own + (LEVEL_SD / size) ** 2
    kept = _one_plus_inverse(cov * known)
    rest, precision = kept @ cov, known[:, None] * kept
    return Reading(size, precision, precision.dot(off), rest.dot(known * off), kept, rest)


def shared(prior: GapPrior, precision: Array, pull: Array) -> tuple[Array, Array]:
    """Mean [K] and covariance [K, K] of the shared part (of the gaps with the sign of quality), from what all buckets say
    together."""
    cov = _one_plus_inverse(prior.shared @ precision) @ prior.shared
    return cov.dot(pull + precision.dot(prior.mean)) - prior.mean, cov


def _one_plus_inverse(matrix: Array) -> Array:
    """The inverse of the identity plus a matrix, which is used up."""
    matrix += _one(len(matrix))
    return np.asarray(np.linalg.inv(matrix), dtype=np.float64)


@cache
def _one(size: int) -> Array:
    return np.eye(size)
