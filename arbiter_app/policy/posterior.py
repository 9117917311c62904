"""What is believed of every model's quality in one bucket: a joint Gaussian over the pool, learned by exact conditioning.

The model. Quality of model m in bucket t, and the mean y of its w grades, each of noise variance v:

    q_tm = LEVEL + l_t - s_t (g_m + o_tm)        y_tm = q_tm + e,   e ~ N(0, v_tm / w_tm)
    g ~ N(mu, C_shared)    o_t ~ N(0, C_own)    l_t ~ N(0, LEVEL_SD^2), the same for all models of the bucket

The baseline has no gap (g = o = 0); every other model's has a mean that grows with how much cheaper it is, and gaps of
different models are correlated, C = common + slope + own parts, so that one model's failure speaks against the others, most of
all against the cheaper ones. C_shared = rho C and C_own = (1 - rho) C: rho is what a bucket has in common with the others.
s_t is how large gaps are in this bucket (`gap_scale`).

The algebra, for a bucket in units of s_t and with the sign of quality: x_t = (q_t - LEVEL) / s_t = h + u_t, where h = -g and
u_t ~ N(0, C_u), C_u = C_own + (LEVEL_SD / s_t)^2 11'. With D = diag(s_t^2 w / v) and r = (y - LEVEL) / s_t, and since
x_t | h ~ N(h, C_u):

Pairs of grades on the same prompt are observations of  q_tm - b q_t,baseline  (`pair_evidence`); with them D is no longer diagonal.

    p(y_t | h)      is that of precision  P = D (I + C_u D)^-1  and information vector  P r      (push-through identity)
    x_t | h, y_t    ~ N(C_u P r + A h, A C_u),     A = (I + C_u D)^-1                           (Woodbury)
    h | all y       ~ N(m, V),   V = (I + C_shared sum_t P_t)^-1 C_shared,   m = V (sum_t P_t r_t + sum_t P_t mu) - mu
    q_t | all y     ~ N(LEVEL + s_t (C_u P r + A m),  s_t^2 (A C_u + A V A'))

Every matrix is K x K, K = models of the pool; models without grades have w = 0 and need no special case.
(Gaussian conditioning: Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, appendix A.2 and A.3.)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

import numpy as np
from numpy.typing import NDArray

from arbiter_app.policy.statistics import Z95

Array = NDArray[np.float64]
Interval = tuple[list[float], list[float], list[float]]
"""Means, lower and upper ends, each [K]."""

LEVEL = 0.75
"""Prior mean of the baseline's quality in a bucket, 0 to 1: about what premium models reach on recorded streams."""
LEVEL_SD = 0.3
"""Prior standard deviation of that quality: wide enough for any value (two of them reach beyond 0 and 1)."""
SPREAD = 0.8
"""Prior of the spread, the variance of a grade over that of a 0/1 grade of the same mean: 1 for checks, less for shares ..."""
SPREAD_N = 5.0
"""... and the grades that it counts for where a bucket's spread is estimated (by hand on recorded streams: `brain.md`, What we tried)."""
SPREAD_OWN_N = 10.0
"""Grades that the bucket's spread counts for where a model's own noise is estimated (by hand on recorded streams: `brain.md`, What we tried)."""
SPREAD_CAP_N = 8.0
"""Degrees of freedom with which one model counts at most in the bucket's spread, so that no model speaks for all."""
SPREAD_MAX = 1.2
"""Largest spread that is believed: grades in 0..1 cannot vary more than 0/1 grades; the rest is chance."""
MEAN_N = 5.0
"""Grades that the bucket's mean counts for in a model's mean, for its noise only (by hand on recorded streams: `brain.md`, What we tried)."""
POOL_N = 4.0
"""Grades that `LEVEL` counts for in the bucket's mean (by hand on recorded streams: `brain.md`, What we tried)."""
POOL_CAP_N = 20.0
"""Grades with which one model counts at most in the bucket's mean."""
BINOMIAL_FLOOR = 0.01
"""Least variance q(1 - q) of a 0/1 grade that is believed: that of q = 0.99, since no run of good grades proves more."""
NOISE_FLOOR = 0.0025
"""Least variance of one grade: a standard deviation of 0.05, the tolerance, so that equal grades are no certainty."""
CHEAPNESS_CAP = 6.0
"""Natural logarithm of how many times cheaper than the baseline a model counts at most: a free one has no logarithm."""
PAIR_SLOPE = 0.4
"""How much of a baseline's surprise another model is expected to share on the same prompt: about what recorded pools show."""
PAIR_OWN_N = 40.0
"""Pairs that the bucket's slope counts for in a model's own."""
PAIR_LEFT = 0.7
"""Least share of a grade's variance that is believed to be left then: what a correlation of 0.55 leaves (recorded: 0.3 to 0.65)."""
LEAST = 1e-12
"""What is divided by at least, where both sides vanish: far under any variance that occurs."""
THOUGHT_MEAN = 0.02
"""How much better a model is expected to be for each factor of e in the tokens that it takes to think ..."""
THOUGHT_SD, THOUGHT_OWN_SD = 0.1, 0.05
"""... and the standard deviations of that: of what models have in common, and of a model's own ..."""
THOUGHT_SHARED = 0.4
"""... with the share of that variance that buckets have in common: what thinking does, is a matter of the task above all."""
VARIANTS_ALIKE = 0.93
"""Correlation of what is a candidate's own beyond that, between settings of one model."""
SCALE_LEVEL = 0.85
"""The baseline's quality at which gaps have the size that the settings state: the middle of recorded streams."""
SCALE_N = 14.0
"""Grades that `SCALE_LEVEL` counts for in that quality (by hand on recorded streams: `brain.md`, What we tried)."""
SCALE_POWER = 0.65
"""Power of q(1 - q) with which gaps grow; 1 would be Rasch's model, 0 none. Measured best of 0, 0.5, 0.65 and 1 (`brain.md`)."""
SCALE_RANGE = 0.2, 2.0
"""Bounds of that scale, so that no bucket's gaps are thought to vanish, or to be larger than recorded ones were."""


@dataclass(frozen=True, slots=True)
class GapPrior:
    """Prior of the quality gap to the baseline: mean [K], and covariance [K, K] of its shared and its own part."""

    mean: Array
    shared: Array
    own: Array


@dataclass(frozen=True, slots=True)
class Variants:
    """Which candidates are one model at several settings (`same` [K, K], 1 where they are), and how much more each thinks than its model
    does by itself (`thought` [K], natural logarithm of the tokens that it takes over the model's own)."""

    same: Array
    thought: Array

    def own_parts(self, baseline: int) -> Array:
        """What a candidate's own gap has in common with others' [K, K], as a share of its variance; those of the baseline's settings are
        differences to it."""
        alike = VARIANTS_ALIKE * self.same + (1 - VARIANTS_ALIKE) * np.eye(len(self.thought))
        link = alike[baseline] * self.same[baseline]
        there = self.same[baseline]
        of_baseline = np.outer(there, there)
        parts: Array = alike * (1 - of_baseline) + of_baseline * (alike - link - link[:, None] + 1.0)
        return parts

    def thought_parts(self) -> Array:
        """The covariance of what thinking does [K, K]."""
        return np.outer(self.thought, self.thought) * (THOUGHT_SD**2 + THOUGHT_OWN_SD**2 * self.same)


@dataclass(frozen=True, slots=True)
class GradeEvidence:
    """Grades of one bucket: total weight [K], weighted mean [K] (0 where there is none), noise variance [K]."""

    weight: Array
    mean: Array
    noise: Array


@dataclass(frozen=True, slots=True)
class PairEvidence:
    """What pairs of a model's grade and the baseline's on the same prompt say of  q_m - slope q_baseline, each [K]: their weight, the
    mean of  y_m - slope y_baseline  (0 where there is none), its variance for one pair, and the slope."""

    weight: Array
    mean: Array
    noise: Array
    slope: Array
    baseline: int


@dataclass(frozen=True, slots=True)
class BucketLikelihood:
    """What the grades of one bucket say, in units of the size of its gaps. Of the shared part: precision [K, K], and
    precision times mean [K]. Of its own models, were the shared part h known: mean `residual` + `gain` h, covariance `cov_given_shared` ([K],
    [K, K] and [K, K])."""

    size: float
    precision: Array
    info_vector: Array
    residual: Array
    gain: Array
    cov_given_shared: Array

    def given(self, mean: Array, cov: Array) -> QualityPosterior:
        """The belief about the models of this bucket, from mean [K] and covariance [K, K] of the shared part."""
        size, gain = self.size, self.gain
        return QualityPosterior(
            LEVEL + size * (self.residual + gain.dot(mean)), size * size * (self.cov_given_shared + gain @ cov @ gain.T)
        )


@dataclass(frozen=True, slots=True)
class QualityGap:
    """Gaps of the models to one of them, each [K]: mean, standard deviation, and the share of the variance that grades of that
    model alone can take away; the rest is doubt about the reference."""

    mean: Array
    sd: Array
    learnable: Array


@dataclass(frozen=True, slots=True)
class QualityPosterior:
    """Posterior of the models' quality in one bucket: mean [K], covariance [K, K]. It holds until the next grade, so what
    decisions ask of it is worked out once."""

    mean: Array
    cov: Array
    _gaps: dict[int, QualityGap] = field(default_factory=dict, compare=False)
    _interval: list[Interval] = field(default_factory=list, compare=False)

    def gap(self, reference: int) -> QualityGap:
        """The quality gap to a reference model."""
        found = self._gaps.get(reference)
        if found is None:
            own, row = self.cov.diagonal(), self.cov[reference]
            link = own - row
            variance = np.maximum(link - row + row[reference], 0.0)
            share = np.minimum(np.maximum(link * link / np.maximum(own * variance, LEAST), LEAST), 1.0)
            found = self._gaps[reference] = QualityGap(self.mean[reference] - self.mean, np.sqrt(variance), share)
        return found

    def interval(self) -> Interval:
        """The mean and the 95 % interval of each model, within 0..1, to be told: six digits."""
        if not self._interval:
            half = Z95 * np.sqrt(np.maximum(self.cov.diagonal(), 0.0))
            told = np.array((self.mean, self.mean - half, self.mean + half)).clip(0.0, 1.0)
            mean, lows, highs = told.round(6).tolist()
            self._interval.append((mean, lows, highs))
        return self._interval[0]


def cheapness(price: Array, baseline: int) -> Array:
    """How much cheaper than the baseline, as a natural logarithm, 0 for dearer models; free ones count as e^6 cheaper."""
    reference = price[baseline] if price[baseline] > 0 else float(price.max()) or 1.0
    ratio = np.maximum(price / reference, np.exp(-CHEAPNESS_CAP))
    return np.maximum(-np.log(ratio), 0.0)


def gap_prior(
    cheap: Array,
    baseline: int,
    *,
    mean: float,
    slope: float,
    sd: tuple[float, float, float],
    shared: float,
    variants: Variants | None = None,
) -> GapPrior:
    """Prior gaps: `mean + slope x cheapness`, half the mean for dearer models; `sd` are those of the common part, the slope, and a model's own part.

    Settings of one model (`variants`) differ by how much more one of them thinks, which is expected to help, by an amount that models
    have in common and one that is the model's; and little else. Those of the baseline have their gap by that alone.
    """
    other = np.ones(len(cheap))
    other[baseline] = 0.0
    own = np.diag(other)
    foreign = other
    if variants is not None:
        foreign, own = other * (1.0 - variants.same[baseline]), variants.own_parts(baseline)
    common, slope_sd, own_sd = sd
    cov = common**2 * np.outer(foreign, foreign) + slope_sd**2 * np.outer(cheap, cheap) + own_sd**2 * own
    expected = np.where(cheap > 0, mean + slope * cheap, mean / 2) * foreign
    if variants is None:
        return GapPrior(expected, shared * cov, (1 - shared) * cov)
    thought = variants.thought_parts()
    return GapPrior(
        expected - THOUGHT_MEAN * variants.thought,
        shared * cov + THOUGHT_SHARED * thought,
        (1 - shared) * cov + (1 - THOUGHT_SHARED) * thought,
    )


def grade_evidence(grades: Array) -> GradeEvidence:
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
    return GradeEvidence(weight, mean, np.maximum(noise, NOISE_FLOOR))


def gap_scale(weight: float, total: float) -> float:
    """How large gaps are expected to be in a bucket, against one where the baseline succeeds with chance `SCALE_LEVEL`: from the
    weight of the baseline's grades, and their sum.

    Models of different strength come close to each other where a task is easy, because none can be better than right: on
    the logistic scale gaps are alike, and in quality they are as q(1 - q) (Rasch, 1960). Recorded pools show less of that: its
    power `SCALE_POWER`.
    """
    level = (SCALE_N * SCALE_LEVEL + total) / (SCALE_N + weight)
    likeness = max(level * (1 - level), 0.0) / (SCALE_LEVEL * (1 - SCALE_LEVEL))
    return min(max(float(likeness**SCALE_POWER), SCALE_RANGE[0]), SCALE_RANGE[1])


def pair_evidence(pairs: Array, noise: Array, baseline: int) -> PairEvidence:
    """What pairs say, from weight, own grades, their squares, the baseline's, their squares, and the products [6, K]; `noise` [K] is the
    variance of one grade.

    A prompt that is hard for one model is hard for another. What the baseline's grade predicts of a model's is taken out of it, by
    regression (control variates: Lavenberg and Welch, Management Science 27, 1981), so that prompts that happened to be hard
    do not count against a model. What is left is independent of the baseline's own grades. The slope is the bucket's, and then the
    model's; what it leaves of the variance follows from it, since that of few pairs is small where all of them went well.
    """
    weight, own, _, base, base_sq, product = pairs
    count = np.maximum(weight, LEAST)
    both, base_scatter = product - own * base / count, np.maximum(base_sq - base * base / count, 0.0)
    counted = SPREAD_CAP_N / np.maximum(weight - 1, SPREAD_CAP_N)
    base_noise = float(noise[baseline])
    prior = SPREAD_N * base_noise
    pooled = (prior * PAIR_SLOPE + float(counted.dot(both))) / (prior + float(counted.dot(base_scatter)))
    prior = PAIR_OWN_N * base_noise
    slope = np.clip((prior * pooled + both) / (prior + base_scatter), 0.0, 1.0)
    left = np.maximum(noise - slope * slope * base_noise, PAIR_LEFT * noise)
    return PairEvidence(weight, (own - slope * base) / count, np.maximum(left, NOISE_FLOOR), slope, baseline)


def grade_information(evidence: GradeEvidence, size: float, pairs: PairEvidence | None) -> tuple[Array, Array]:
    """What grades say of  x = (q - LEVEL) / size,  as a precision [K, K] and an information vector [K]; `pairs` are grades that `evidence`
    does not hold, and models without any have no weight."""
    known = evidence.weight / evidence.noise * size**2
    precision, info = np.diag(known), known * (evidence.mean - LEVEL) / size
    if pairs is not None:
        base, slope, known = pairs.baseline, pairs.slope, pairs.weight / pairs.noise * size**2
        told = known * (pairs.mean - LEVEL * (1 - slope)) / size
        precision += np.diag(known)
        precision[base] -= slope * known
        precision[:, base] -= slope * known
        precision[base, base] += float((slope * slope).dot(known))
        info += told
        info[base] -= float(slope.dot(told))
    return precision, info


def bucket_likelihood(
    evidence: GradeEvidence, prior: GapPrior, size: float, pairs: PairEvidence | None = None
) -> BucketLikelihood:
    """What the grades of a bucket whose gaps are of this size (see `gap_scale`) say; models without any have no weight. `pairs`
    are grades that `evidence` does not hold."""
    precision_in, info = grade_information(evidence, size, pairs)
    cov = prior.own + (LEVEL_SD / size) ** 2
    gain = _one_plus_inverse(cov @ precision_in)
    cov_given_shared = gain @ cov
    return BucketLikelihood(
        size, precision_in @ gain, info.dot(gain), cov_given_shared.dot(info), gain, cov_given_shared
    )


def shared_posterior(prior: GapPrior, precision: Array, info_vector: Array) -> tuple[Array, Array]:
    """Mean [K] and covariance [K, K] of the shared part (of the gaps with the sign of quality), from what all buckets say
    together."""
    cov = _one_plus_inverse(prior.shared @ precision) @ prior.shared
    return cov.dot(info_vector + precision.dot(prior.mean)) - prior.mean, cov


def _one_plus_inverse(matrix: Array) -> Array:
    """The inverse of the identity plus a matrix, which is used up."""
    matrix += _one(len(matrix))
    return np.asarray(np.linalg.inv(matrix), dtype=np.float64)


@cache
def _one(size: int) -> Array:
    return np.eye(size)
