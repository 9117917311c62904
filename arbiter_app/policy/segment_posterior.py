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

and c has the prior N(m_c, S_c) that all other buckets leave it. Where k = 0, S_p is of rank one and G has a closed form (Sherman and Morrison,
Annals of Mathematical Statistics 21, 1950): with d = D 1, f = (1 - a) L^2 / (1 + (1 - a) L^2 1'd),

    G = I - f 1 d',     D G = D - f d d',     b G = b - f (b'1) d,     G S_p = f 1 1',     |G| = 1 / (1 + (1 - a) L^2 1'd)

Where k > 0, D and b are zero but for the models T that a grade of some part tells of, mostly few of a large pool, so that everything is
worked out over these (Woodbury): with N = (I + D S_p)^-1 D over T,

    G = I - S_p[:, T] N,     D G = N,     b G = b - b S_p N,     G S_p = S_p - S_p[:, T] N S_p[T, :],     |G| = 1 / |I + D S_p|
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp, log

import numpy as np
from numpy.typing import NDArray

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
Columns = NDArray[np.intp]
"""Places of models."""
Said = tuple[Array, Array]
"""A precision [K, K] and an information vector [K]."""
LEVEL_SHARED = 0.5
"""Share of the variance of a part's level that is its bucket's."""


@dataclass(frozen=True, slots=True)
class Common:
    """What other buckets leave to believe of the part of quality that a bucket has in common: mean [K], covariance [K, K]."""

    mean: Array
    cov: Array


@dataclass(frozen=True, slots=True)
class SegmentInformation:
    """What the grades of P parts say, in units of the size of gaps: precision [P, K, K], information vector [P, K]."""

    precision: Array
    info: Array
    size: float


@dataclass(frozen=True, slots=True)
class SegmentLikelihood:
    """The same for one k, of the T models that any grade tells of (`columns`) as far as it is about c: of all parts together `precision`
    [T, T] and `info` [T]. Of a part, were c known: mean `residual` + G c, covariance `cov_given_common` ([P, K] and [P, K, K]), where
    G = I - `left` `right` with `left` [K, R] and `right` [P, R, T]. `log_gain` is the logarithm of the product of all |G|."""

    columns: Columns
    precision: Array
    info: Array
    residual: Array
    left: Array
    right: Array
    cov_given_common: Array
    log_gain: float

    def given(self, mean: Array, cov: Array) -> tuple[Array, Array]:
        """Mean [P, K] and covariance [P, K, K] of x in each part, from those of c."""
        there, left, right = self.columns, self.left, self.right
        across = right @ cov[there]
        less = left @ across
        more = left @ (across[..., there] @ right.transpose(0, 2, 1)) @ left.T
        mean_of_each = self.residual + mean - (right @ mean[there]) @ left.T
        return mean_of_each, self.cov_given_common + cov - less - less.transpose(0, 2, 1) + more


class SegmentGrades:
    """What the grades of a bucket's parts say, where they differ and where they do not: worked out once, since it does not depend on what
    other buckets say."""

    def __init__(self, told: SegmentInformation, prior: GapPrior) -> None:
        level = (LEVEL_SD / told.size) ** 2
        self.told, self._more = told, prior.own + LEVEL_SHARED * level
        own = DIFFER * (prior.shared + prior.own) + (1 - LEVEL_SHARED) * level
        columns = np.flatnonzero(told.info.any(axis=0) | told.precision.any(axis=(0, 1)))
        self._either = _differing(told, own, columns), _alike(told, (1 - LEVEL_SHARED) * level, columns)

    def evidence_of_difference(self, common: Common) -> float:
        """The logarithm of how many times likelier the grades are where the parts differ than where they do not."""
        there = self._either[0].columns
        square, mean = np.ix_(there, there), common.mean[there]
        prior = (common.cov + self._more)[square]
        info = self.told.info[:, there] - self.told.precision[:, there[:, None], there] @ mean
        found = []
        for one in self._either:
            whole, told = np.eye(len(prior)) + prior @ one.precision, one.info - one.precision @ mean
            alone = one.cov_given_common[:, there[:, None], there]
            fit = np.einsum("pi,pij,pj->", info, alone, info) + told @ np.linalg.solve(whole, prior @ told)
            found.append(float(fit + one.log_gain - np.linalg.slogdet(whole)[1]) / 2)
        return found[0] - found[1]

    def beliefs(self, common: Common, chance: float) -> list[QualityPosterior]:
        """What is believed of the models in each part, where the parts differ with this chance: the mixture's mean and covariance."""
        prior, there = common.cov + self._more, self._either[0].columns
        towards, given = prior[:, there], []
        for one in self._either:
            left = np.linalg.inv(np.eye(len(there)) + one.precision @ towards[there])
            mean = common.mean + towards @ (left @ (one.info - one.precision @ common.mean[there]))
            given.append(one.given(mean, prior - towards @ (left @ one.precision) @ towards.T))
        mean, cov = (np.array(several) for several in zip(*given, strict=True))
        weights, size = (chance, 1 - chance), self.told.size
        mixed = np.tensordot(weights, mean, 1)
        off = mean - mixed
        spread = np.tensordot(weights, cov + off[..., :, None] * off[..., None, :], 1)
        return [QualityPosterior(LEVEL + size * one, size * size * its) for one, its in zip(mixed, spread, strict=True)]


def said_by_each(sums: Array, baseline: int, known: Mapping[bytes, Said]) -> dict[bytes, Said]:
    """What the grades of each part say by themselves, were the size of gaps 1, by its sums [ROWS, K]; `known` is what was worked out before:
    most parts are as they were."""
    found = {}
    for one in sums:
        key = one.tobytes()
        found[key] = known[key] if key in known else _said(one, baseline)
    return found


def segment_information(sums: Array, baseline: int, said: Mapping[bytes, Said]) -> SegmentInformation:
    """From the sums of all parts [P, ROWS, K], and what each says by itself; gaps have the size that the baseline's grades in all of them
    call for."""
    weight, total = sums[:, :2, baseline].sum(axis=0).tolist()
    size = gap_scale(weight, total)
    each = [said[one.tobytes()] for one in sums]
    return SegmentInformation(
        size * size * np.array([one for one, _ in each]), size * np.array([one for _, one in each]), size
    )


def chance_of_difference(evidence: float) -> float:
    """How likely the parts are to differ."""
    odds = log(DIFFER_PRIOR / (1 - DIFFER_PRIOR)) + evidence
    return 1 / (1 + exp(-odds)) if odds > LEAST_ODDS else 0.0


def _said(sums: Array, baseline: int) -> Said:
    grades = sums[:GRADES]
    alone, pairs = said_by(grades, sums[GRADES:], baseline, grade_evidence(grades))
    return grade_information(alone, 1.0, pairs)


def _differing(told: SegmentInformation, own: Array, columns: Columns) -> SegmentLikelihood:
    """For parts whose own part of quality has this covariance [K, K]. What no grade tells of costs no inverse (Woodbury's identity)."""
    towards, known = own[:, columns], told.precision[:, columns[:, None], columns]
    here, info = towards[columns], told.info[:, columns]
    out = np.eye(len(columns)) + known @ here
    right = np.asarray(np.linalg.solve(out, known), dtype=np.float64)
    alone = info - (right @ (info @ here)[..., None])[..., 0]
    return SegmentLikelihood(
        columns,
        right.sum(axis=0),
        alone.sum(axis=0),
        alone @ towards.T,
        towards,
        right,
        own - towards @ right @ towards.T,
        -float(np.linalg.slogdet(out)[1].sum()),
    )


def _alike(told: SegmentInformation, level: float, columns: Columns) -> SegmentLikelihood:
    """For parts that have nothing of their own but a level of this variance."""
    models, precision = told.info.shape[1], told.precision[:, columns[:, None], columns]
    known, info = precision.sum(axis=2), told.info[:, columns]
    out = 1 + level * known.sum(axis=1)
    share, whole = level / out, info.sum(axis=1)
    scaled = share[:, None] * known
    return SegmentLikelihood(
        columns,
        precision.sum(axis=0) - scaled.T @ known,
        info.sum(axis=0) - whole @ scaled,
        np.repeat((share * whole)[:, None], models, axis=1),
        np.ones((models, 1)),
        scaled[:, None, :],
        np.broadcast_to(share[:, None, None], (len(share), models, models)),
        -float(np.log(out).sum()),
    )
