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
SPREAD, SPREAD_N = 0.8, 5.0
SPREAD_OWN_N = 10.0
SPREAD_CAP_N = 8.0
SPREAD_MAX = 1.2
MEAN_N, POOL_N, POOL_CAP_N = 5.0, 4.0, 20.0
BINOMIAL_FLOOR, NOISE_FLOOR = 0.01, 0.0025
CHEAPNESS_CAP = 6.0


@dataclass(frozen=True, slots=True)
class GapPrior:
    """Prior of the quality gap to the baseline: mean [K], and covariance [K, K] of its shared and its own part."""

    mean: Array
    shared: Array
    own: Array


@dataclass(frozen=True, slots=True)
class Evidence:
    """Grades of one bucket: total weight [K], weighted mean [K] (0 where there is none), noise variance [K]."""

    weight: Array
    mean: Array
    noise: Array


@dataclass(frozen=True, slots=True)
class Message:
    """What one bucket says about the shared part: precision [K, K], and precision times mean [K]."""

    precision: Array
    pull: Array


@dataclass(frozen=True, slots=True)
class Belief:
    """Posterior of the models' quality in one bucket: mean [K], covariance [K, K]."""

    mean: Array
    cov: Array

    def gap(self, reference: int) -> tuple[Array, Array]:
        """Mean [K] and standard deviation [K] of the quality gap to a reference model."""
        spread = self.cov.diagonal() + self.cov[reference, reference] - 2 * self.cov[reference]
        return self.mean[reference] - self.mean, np.sqrt(np.maximum(spread, 0.0))


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
    return GapPrior(expected * other, shared * cov, (1 - shared) * cov + LEVEL_SD**2)


def evidence(weight: Array, total: Array, square: Array) -> Evidence:
    """Means, with the variance of one grade for each model: `spread x q(1 - q)`, quasi-binomial (Wedderburn, 1974).

    q is the model's mean, shrunk towards the bucket's, so that a first lucky or unlucky grade does not pass for
    certainty; the spread is 1 for grades of 0 or 1 and less for others. It is the bucket's, each model counted with at
    most `SPREAD_CAP_N` degrees of freedom, so that the one with most grades does not speak for all, and then the model's.
    """
    mean = total / np.maximum(weight, 1e-9)
    degrees = np.maximum(weight - 1, 0.0)
    scatter = np.maximum(square - total * mean, 0.0) * (degrees > 0)
    share = np.minimum(weight, POOL_CAP_N) / np.maximum(weight, 1e-9)
    pool = (POOL_N * LEVEL + share @ total) / (POOL_N + share @ weight)
    shrunk = (MEAN_N * pool + total) / (MEAN_N + weight)
    binomial = np.maximum(shrunk * (1 - shrunk), BINOMIAL_FLOOR)
    share = SPREAD_CAP_N / np.maximum(degrees, SPREAD_CAP_N)
    prior = SPREAD_N * LEVEL * (1 - LEVEL)
    spread = (prior * SPREAD + scatter @ share) / (prior + (degrees * binomial) @ share)
    noise = min(float(spread), SPREAD_MAX) * binomial
    return Evidence(weight, mean, np.maximum((SPREAD_OWN_N * noise + scatter) / (SPREAD_OWN_N + degrees), NOISE_FLOOR))


def message(seen: Evidence, prior: GapPrior) -> Message:
    """What a bucket's grades say about the shared part."""
    known = seen.weight / seen.noise
    spread = prior.own * known
    spread.flat[:: len(known) + 1] += 1.0
    precision: Array = known[:, None] * np.linalg.inv(spread)
    return Message(precision, precision @ (seen.mean - LEVEL))


def posterior(prior: GapPrior, heard: Message | None, seen: Evidence) -> Belief:
    """Belief about one bucket, from what all other buckets say together and from its own evidence."""
    mean, cov = -prior.mean, prior.shared
    if heard is not None:
        spread = cov @ heard.precision
        spread.flat[:: len(mean) + 1] += 1.0
        cov = np.linalg.inv(spread) @ cov
        mean = mean + cov @ (heard.pull - heard.precision @ mean)
    return _condition(mean + LEVEL, cov + prior.own, seen)


def _condition(mean: Array, cov: Array, seen: Evidence) -> Belief:
    """Condition on the grades, through the models that have any (Cholesky-free: the matrices are small)."""
    at = np.flatnonzero(seen.weight)
    if not len(at):
        return Belief(mean, cov)
    across = cov[at]
    spread = across[:, at]
    spread.flat[:: len(at) + 1] += seen.noise[at] / seen.weight[at]
    gain = across.T @ np.linalg.inv(spread)
    return Belief(mean + gain @ (seen.mean[at] - mean[at]), cov - gain @ across)
