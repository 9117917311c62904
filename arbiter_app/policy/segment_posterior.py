"""Whether the parts of a bucket differ, and what is believed of each: a third level under the pool and the bucket.

In the terms of `posterior.py`, the quality of model m in part p of bucket t, in units of the size of its gaps and less `LEVEL`, is

    x_p = c + w_p + l_p 1,      c = h + u_t + l_t 1,      w_p ~ N(0, k C),      l_p ~ N(0, (1 - a) L^2),      l_t ~ N(0, a L^2)

C = C_shared + C_own is the prior of a gap, L = LEVEL_SD over that size, a = `LEVEL_SHARED`. BucketSegments may always be harder or easier for all models
alike (l_p); they *differ* where k = `DIFFER`, and do not where k = 0. Which of the two it is, is decided by the marginal likelihoods of all
grades (Kass and Raftery, Bayes Factors, Journal of the American Statistical Association 90, 1995), which punish the freedom that is not needed.

With S_p = k C + (1 - a) L^2 11' and what a part's grades say (precision D, information vector b), G = (I + S_p D)^-1:

    p(y_p | c)     is that of precision  D G  and information vector  b G,   times  |G|^(1/2) exp(b G S_p b / 2)
    c | all y      ~ N(m, V),     V = (I + S_c sum_p D G)^-1 S_c,     m = V sum_p b G + (I + S_c sum_p D G)^-1 m_c
    x_p | all y    ~ N(G S_p b + G m,  G S_p + G V G')

and c has the prior N(m_c, S_c) that all other buckets leave it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log

import numpy as np

from arbiter_app.policy.buckets import said_by
from arbiter_app.policy.posterior import (
    LEVEL,
    LEVEL_SD,
    Array,
    GapPrior,
    QualityPosterior,
    gap_scale,
    grade_evidence,
    grade_information,
)
from arbiter_app.policy.statistics import PAIR_FIELDS

GRADES = 3
"""The first rows of a part's sums are its grades (weight, sum, sum of squares) ..."""
ROWS = GRADES + len(PAIR_FIELDS)
"""... and the others its pairs with the baseline, in the order of `PAIR_FIELDS`."""
DIFFER = 0.5
"""Share of a gap's prior variance that is a part's own, on top, where parts differ: about what recorded kinds of work show (`brain.md`)."""
DIFFER_PRIOR = 0.2
"""How likely parts are to differ before anything is known (0.5 cost short streams 0.04: `brain.md`, What we tried)."""
LEAST_ODDS = -700.0
"""The logarithm of odds under which a chance is none: its exponential is beyond what floats hold."""
LEVEL_SHARED = 0.5
"""Share of the variance of a part's level that is its bucket's."""


@dataclass(frozen=True, slots=True)
class Common:
    """What other buckets leave to believe of the part of quality that a bucket has in common: mean [K], covariance [K, K]; with the prior
    of gaps."""

    mean: Array
    cov: Array
    prior: GapPrior


@dataclass(frozen=True, slots=True)
class SegmentInformation:
    """What the grades of P parts say, in units of the size of gaps: precision [P, K, K], information vector [P, K]."""

    precision: Array
    info: Array
    size: float

    def prior(self, common: Common, differ: float) -> tuple[Array, Array]:
        """The covariances of what parts have in common, and of what is a part's own [K, K]."""
        gaps, level = common.prior.shared + common.prior.own, np.full_like(common.cov, (LEVEL_SD / self.size) ** 2)
        return common.cov + common.prior.own + LEVEL_SHARED * level, differ * gaps + (1 - LEVEL_SHARED) * level


def segment_information(sums: Array, baseline: int) -> SegmentInformation:
    """From the sums of all parts [P, ROWS, K]; gaps have the size that the baseline's grades in all of them call for."""
    weight, total = sums[:, :2, baseline].sum(axis=0).tolist()
    size = gap_scale(weight, total)
    said = [
        grade_information(alone, size, pairs)
        for alone, pairs in (
            said_by(one[:GRADES], one[GRADES:], baseline, grade_evidence(one[:GRADES])) for one in sums
        )
    ]
    return SegmentInformation(np.array([one for one, _ in said]), np.array([one for _, one in said]), size)


def evidence_of_difference(told: SegmentInformation, common: Common) -> float:
    """The logarithm of how many times likelier the grades are where the parts differ than where they do not."""
    graded = np.flatnonzero(told.precision.any(axis=(0, 1)))
    info = told.info - told.precision @ common.mean
    precision, info = told.precision[:, graded[:, None], graded], info[:, graded]
    found = []
    for differ in (DIFFER, 0.0):
        shared, own = (one[np.ix_(graded, graded)] for one in told.prior(common, differ))
        found.append(_log_marginal(precision, info, shared, own))
    return found[0] - found[1]


def chance_of_difference(evidence: float) -> float:
    """How likely the parts are to differ."""
    odds = log(DIFFER_PRIOR / (1 - DIFFER_PRIOR)) + evidence
    return 1 / (1 + exp(-odds)) if odds > LEAST_ODDS else 0.0


def segment_beliefs(told: SegmentInformation, common: Common, chance: float) -> list[QualityPosterior]:
    """What is believed of the models in each part, where the parts differ with this chance: the mixture's mean and covariance."""
    given = [_given(told, common, one) for one in (DIFFER, 0.0)]
    mean, cov = np.array([one for one, _ in given]), np.array([one for _, one in given])
    weights = chance, 1 - chance
    mixed = np.tensordot(weights, mean, 1)
    off = mean - mixed
    spread = np.tensordot(weights, cov + off[..., :, None] * off[..., None, :], 1)
    size = told.size
    return [QualityPosterior(LEVEL + size * one, size * size * its) for one, its in zip(mixed, spread, strict=True)]


def _given(told: SegmentInformation, common: Common, differ: float) -> tuple[Array, Array]:
    """Mean [P, K] and covariance [P, K, K] of x in each part."""
    shared, own = told.prior(common, differ)
    one = np.eye(len(shared))
    gain = np.linalg.inv(one + own @ told.precision)
    left = np.linalg.inv(one + shared @ (told.precision @ gain).sum(axis=0))
    cov = left @ shared
    mean = cov @ np.einsum("pi,pij->j", told.info, gain) + left @ common.mean
    alone = gain @ own
    return (
        (alone @ told.info[..., None])[..., 0] + gain @ mean,
        alone + gain @ cov @ gain.transpose(0, 2, 1),
    )


def _log_marginal(precision: Array, info: Array, shared: Array, own: Array) -> float:
    """The logarithm of how likely grades that say this of parts of mean 0 are, up to what does not depend on the prior."""
    one = np.eye(len(shared))
    out = one + own @ precision
    gain = np.linalg.inv(out)
    whole = one + shared @ (precision @ gain).sum(axis=0)
    told = np.einsum("pi,pij->j", info, gain)
    size = np.linalg.slogdet(out)[1].sum() + np.linalg.slogdet(whole)[1]
    fit = np.einsum("pi,pij,pj->", info, gain @ own, info) + told @ np.linalg.solve(whole, shared @ told)
    return float(fit - size) / 2
