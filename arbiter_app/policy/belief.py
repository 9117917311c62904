"""What is believed of every model's quality in one bucket: a joint Gaussian over the pool, learned by exact conditioning.

Quality of model m in bucket t is  level_t - gap_m - own_tm.  The baseline has no gap; every other model's gap has a mean
that grows with how much cheaper it is, and gaps of different models are correlated (a common part and a slope over the
logarithm of the price), so that one model's failure speaks against the others, most of all against the cheaper ones.
Gap and own part share one covariance; `shared` says how much of it a bucket has in common with the other buckets.
Grades are averages with Gaussian noise, so all of it is linear algebra on K x K matrices, K = models of the pool.
(Gaussian conditioning: Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, appendix A.2.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

LEVEL, LEVEL_SD = 0.75, 0.3
NOISE, NOISE_N = 0.15, 5.0
NOISE_OWN_N = 10.0
NOISE_CAP_N = 8.0
NOISE_FLOOR = 0.0025
CHEAPNESS_CAP = 6.0


@dataclass(frozen=True, slots=True)
class GapPrior:
    """Prior of the quality gap to the baseline: mean [K], covariance [K, K], share of it common to all buckets."""

    mean: Array
    cov: Array
    shared: float

    def own_cov(self) -> Array:
        """Covariance of what differs from bucket to bucket, including the bucket's level."""
        return (1 - self.shared) * self.cov + LEVEL_SD**2


@dataclass(frozen=True, slots=True)
class Evidence:
    """Grades of one bucket: total weight [K], weighted mean [K] (0 where there is none), noise variance [K]."""

    weight: Array
    mean: Array
    noise: Array

    def precision(self) -> Array:
        """Precision of each mean: 0 where there is no grade."""
        return self.weight / self.noise


@dataclass(frozen=True, slots=True)
class Belief:
    """Posterior of the models' quality in one bucket: mean [K], covariance [K, K]."""

    mean: Array
    cov: Array

    def gap(self, reference: int) -> tuple[Array, Array]:
        """Mean [K] and variance [K] of the quality gap to a reference model."""
        spread = self.cov.diagonal() + self.cov[reference, reference] - 2 * self.cov[reference]
        return self.mean[reference] - self.mean, np.maximum(spread, 0.0)


def cheapness(price: Array, baseline: int) -> Array:
    """How much cheaper than the baseline, as a natural logarithm, 0 for dearer models; free ones count as e^6 cheaper."""
    reference = price[baseline] if price[baseline] > 0 else float(price.max()) or 1.0
    ratio = np.maximum(price / reference, np.exp(-CHEAPNESS_CAP))
    return np.maximum(-np.log(ratio), 0.0)


def gap_prior(
    cheap: Array, baseline: int, *, mean: float, slope: float, sd: tuple[float, float, float], shared: float
) -> GapPrior:
    """Prior gaps: `mean + slope x cheapness`; `sd` are those of the common part, of the slope, and of a model's own part."""
    other = np.ones(len(cheap))
    other[baseline] = 0.0
    expected = np.where(cheap > 0, mean + slope * cheap, mean) * other
    common, slope_sd, own = sd
    cov = common**2 * np.outer(other, other) + slope_sd**2 * np.outer(cheap * other, cheap * other)
    return GapPrior(expected, cov + own**2 * np.diag(other), shared)


def evidence(weight: Array, total: Array, square: Array) -> Evidence:
    """Means with a noise variance for each model, shrunk towards the bucket's pooled one (capped, so that no model rules)."""
    safe = np.maximum(weight, 1e-9)
    degrees = np.maximum(weight - 1, 0.0)
    scatter = np.where(degrees > 0, np.maximum(square - total**2 / safe, 0.0), 0.0)
    share = np.minimum(1.0, NOISE_CAP_N / np.maximum(degrees, 1e-9))
    pooled = (NOISE_N * NOISE + (scatter * share).sum()) / (NOISE_N + (degrees * share).sum())
    noise = np.maximum((NOISE_OWN_N * pooled + scatter) / (NOISE_OWN_N + degrees), NOISE_FLOOR)
    return Evidence(weight, np.where(weight > 0, total / safe, 0.0), noise)


def message(seen: Evidence, own_cov: Array) -> tuple[Array, Array]:
    """What one bucket says about the shared part: precision [K, K] and precision-weighted mean [K]."""
    known = seen.precision()
    says = _solve(np.eye(len(known)) + known[:, None] * own_cov, np.diag(known))
    return says, says @ np.where(known > 0, seen.mean - LEVEL, 0.0)


def posterior(prior: GapPrior, own_cov: Array, heard: tuple[Array, Array], seen: Evidence) -> Belief:
    """Belief about one bucket, from what the other buckets say (sum of their messages) and its own evidence."""
    says, pull = heard
    shared = prior.shared * prior.cov
    common = _solve(np.eye(len(shared)) + shared @ says, shared)
    mean: Array = LEVEL - prior.mean + common @ (pull + says @ prior.mean)
    known = seen.precision()
    before = common + own_cov
    cov = _solve(np.eye(len(before)) + before * known, before)
    learned: Array = mean + cov @ (known * (seen.mean - mean))
    return Belief(learned, np.asarray((cov + cov.T) / 2, dtype=np.float64))


def _solve(left: Array, right: Array) -> Array:
    solved: Array = np.linalg.solve(left, right)
    return solved
