"""A licence to serve: the statement that a model is not worse than the baseline by more than the tolerance, which is wrong with a
chance of 5 % at most, however often one looks and whatever made it be asked.

It rests on pairs alone, the grades of a model and of the baseline on the same prompt: with their difference D in -1..1 and a margin m
(the tolerance), X = D + m is at least -1, and its mean is under zero where the model is worse by more than m. For 0 <= bet < 1

    E(bet) = exp(bet sum X - psi(bet) sum X^2)  <=  product of (1 + bet X),     psi(bet) = -log(1 - bet) - bet

(Fan, Grama and Liu, Electronic Journal of Probability 20, 2015): the wealth of somebody who stakes a share `bet` on each pair, so that
it exceeds 20 with a chance of 1 in 20 at most while the mean of the differences so far is under -m (Ville's inequality). The mean of
several bets is such a wealth, too: a mixture (Howard, Ramdas, McAuliffe and Sekhon, Annals of Statistics 49, 2021; Waudby-Smith and
Ramdas, JRSS B 86, 2024). Nothing is assumed of how grades are spread, of how models are chosen by what was seen, or that they
stay as they are: the statement is about the mean over the pairs that count.

Only sums of pairs are needed, which processes add up, and any tolerance can be asked about. The pairs are those of the requests among which no
difference is made: of a segment, where those of a bucket differ, else of the bucket. What a quality alarm drops no longer counts: the
licence is revoked, and has to be earned anew.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from arbiter_app.policy.posterior import Array
from arbiter_app.policy.statistics import PAIR_FIELDS, ModelStats

LEVEL = 0.05
"""Chance at most that a licence is wrong."""
BETS = np.array([0.03, 0.06, 0.12, 0.25, 0.5, 0.8])
"""Shares of the wealth that are staked, in steps of two: the best one is the mean of X over its mean square, 0.05 to 0.8 for what pools show."""
_PSI = -np.log1p(-BETS) - BETS
MARGINS = np.round(np.arange(101) / 100, 2)
"""By how much worse a model may be, in the steps in which bounds are told."""


class Licence(NamedTuple):
    """What pairs with the baseline prove of a model: how many there are, whether it may serve, and the most by which it is worse, in steps of
    0.01 (1 while nothing is proven)."""

    pairs: float
    granted: bool
    at_most_worse: float


NO_LICENCE = Licence(0.0, False, 1.0)
"""What pairs prove of a model that was never compared: nothing."""


def wealth(pairs: Array, margins: Array) -> Array:
    """The logarithm of what the bets are worth [K, M] against 'worse by more than a margin' [M], from sums of pairs [6, K] in the order of
    `PAIR_FIELDS`. A weight under 1 is a smaller stake."""
    weight, own, own_sq, base, base_sq, product = pairs
    total, square = own - base, np.maximum(own_sq - 2 * product + base_sq, 0.0)
    shifted = total[:, None] + weight[:, None] * margins
    squares = square[:, None] + 2 * total[:, None] * margins + weight[:, None] * margins * margins
    bets = shifted[..., None] * BETS - np.maximum(squares, 0.0)[..., None] * _PSI
    most = bets.max(-1)
    mean: Array = most + np.log(np.exp(bets - most[..., None]).mean(-1))
    return mean


def licensed(pairs: Array, tolerance: float) -> Array:
    """Which models [K] (as booleans) may serve, from sums of pairs [6, K]."""
    if tolerance >= 1:
        return np.ones(pairs.shape[1], dtype=bool)
    enough: Array = wealth(pairs, np.array([tolerance]))[:, 0] >= -np.log(LEVEL)
    return enough


def licence_of(known: ModelStats, tolerance: float) -> Licence:
    """What one model's pairs prove."""
    if known.paired <= 0:
        return NO_LICENCE
    pairs = np.array([[getattr(known, name)] for name in PAIR_FIELDS])
    proven = wealth(pairs, MARGINS)[0] >= -np.log(LEVEL)
    # The bound holds at the least margin from which on all larger ones are proven, too.
    unproven = np.flatnonzero(~proven)
    first = int(unproven[-1]) + 1 if len(unproven) else 0
    bound = float(MARGINS[first]) if first < len(MARGINS) else 1.0
    return Licence(known.paired, bool(licensed(pairs, tolerance)[0]), bound)
