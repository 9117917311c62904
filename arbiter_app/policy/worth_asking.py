"""What it is worth to ask a model beside an answer: what serving it instead may save, as far as one more grade can tell.

Nobody gets that answer, so a call costs its price alone. It is worth what perfect information about the model's quality would
(Raiffa and Schlaifer, Applied Statistical Decision Theory, 1961, 4.5), times the share of its doubt that one grade takes away, times the
requests ahead. Where only licensed models serve, it is also worth what a licence would be, shared among the pairs that it takes.
Everything is in prices of the baseline.
"""

from __future__ import annotations

from math import log, sqrt

import numpy as np

from arbiter_app.policy.expected_loss import LEAST_SD, ExpectedLoss, unit_normal_loss
from arbiter_app.policy.licence import BETS, LEVEL
from arbiter_app.policy.posterior import Array, QualityPosterior

LEAST_PRICE = 0.001
"""Price, over the baseline's, that a call counts at least: free models are asked for their worth, too."""
BAR_WORTH = 5.0
"""Times that looking at the baseline again counts: a bar that was set by bad luck is the dearest mistake (measured: `brain.md`)."""
PAIR_SHARED = 0.8
"""Twice the correlation of grades of the same prompt that is reckoned with: recorded pools show 0.3 to 0.65."""


def worth_asking(at: ExpectedLoss, noise: Array, graded: Array, ahead: float, served: float, tolerance: float) -> Array:
    """What one call of each model [K] is worth, over its price, where the model that serves has this expected loss.

    `noise` [K] is the variance of one grade, `graded` [K] the chance that a call is graded, `ahead` the requests that count.
    """
    room, mean, sd = (served - at.price) * tolerance, at.excess_mean, at.sd
    saved = sd * (unit_normal_loss((room - mean) / sd) - unit_normal_loss(-mean / sd)) / tolerance
    doubt = sd * sd * at.gap.learnable
    worth: Array = np.where(room > 0, saved * graded * doubt / (doubt + noise) * ahead, 0.0)
    return worth / np.maximum(at.price, LEAST_PRICE)


def worth_of_the_bar(
    belief: QualityPosterior, price: Array, noise: Array, ahead: float, served: int, base: int, tolerance: float
) -> float:
    """The same for the baseline, where another serves: going back to it may save what falls short."""
    cov = belief.cov
    variance = max(float(cov[base, base] + cov[served, served] - 2 * cov[base, served]), LEAST_SD**2)
    gap, sd = float(belief.mean[base] - belief.mean[served]), sqrt(variance)
    room = (1 + float(price[base] - price[served])) * tolerance
    saved = float(unit_normal_loss(np.array([(gap - room) / sd]))[0]) * sd / tolerance
    one, other = float(noise[base]), float(noise[served])
    both = one + other - PAIR_SHARED * sqrt(one * other)
    return BAR_WORTH * saved * variance / (variance + both) * ahead / max(float(price[base]), LEAST_PRICE)


def pairs_to_a_licence(belief: QualityPosterior, noise: Array, wealth: Array, base: int, tolerance: float) -> Array:
    """How many more pairs with the baseline each model [K] is expected to need for a licence, as many as it likes where it is not expected
    to get one: `wealth` [K] is the logarithm of what its bets are worth by now. The best bet gains margin^2 / (2 x variance) a pair (Kelly,
    Bell System Technical Journal 35, 1956), and a share of the wealth is in it."""
    margin = tolerance - belief.gap(base).mean
    variance = noise + noise[base] - PAIR_SHARED * np.sqrt(noise * noise[base]) + margin * margin
    missing = np.maximum(log(len(BETS) / LEVEL) - np.maximum(wealth, 0.0), 0.0)
    needed: Array = 2 * variance * missing / np.maximum(margin, LEAST_SD) ** 2
    return np.where(margin > 0, np.maximum(needed, 1.0), np.inf)


def worth_of_a_licence(needed: Array, graded: Array, price: Array, gain: Array, ahead: float) -> Array:
    """What one call of each model [K] is worth, over its price, for the licence that it leads to: what serving the model would `gain` [K]
    over the requests ahead, in so many (`needed`) pairs."""
    worth: Array = np.maximum(gain, 0.0) * graded * ahead / needed
    return worth / np.maximum(price, LEAST_PRICE)
