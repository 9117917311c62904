"""How sure is the saving? Calls that the baseline did not serve are re-priced at its measured mean; that mean has an error.

Per bucket: `n` measured baseline calls with variance s^2 stand for `calls` others. Their total baseline cost is known up
to a variance of s^2 * (calls^2 / n + calls): the error of the mean, and the spread of the calls themselves. Buckets add.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from arbiter_app.policy.statistics import Z95

FEW = 5
"""Calls under which a bucket's variance alone is not believed: fewer can look alike by chance."""


@dataclass(frozen=True, slots=True)
class Repriced:
    """A bucket's re-priced calls: how many, over how many measured baseline calls, with which mean (USD) and variance."""

    calls: float
    n: float
    mean: float
    variance: float


@dataclass(frozen=True, slots=True)
class Measured:
    """A model's measured calls in one bucket: how many, mean prompt in tokens, and their charges beyond the prompt's list
    price: mean (USD) and variance."""

    n: float
    tokens: float
    beyond: float
    variance: float

    def usd(self, calls: float, tokens: float, input_usd: float) -> float:
        """What this model would have charged for `calls` with `tokens` of prompt in all, at a list price a token."""
        return tokens * input_usd + calls * self.beyond

    def repriced(self, calls: float, input_usd: float) -> Repriced:
        """The uncertainty of that."""
        return Repriced(calls, self.n, self.tokens * input_usd + self.beyond, self.variance)


def measured(n: float, tokens: float, beyond_usd: float, squares: float) -> Measured | None:
    """From the sums over `n` calls; None without any."""
    return None if n < 1 else Measured(n, tokens / n, beyond_usd / n, variance_of(n, beyond_usd, squares))


def variance_of(n: float, total: float, squares: float) -> float:
    """Sample variance from sums; 0 below two samples."""
    return max(0.0, (squares - total * total / n) / (n - 1)) if n >= 2 else 0.0


def half_width(buckets: Iterable[Repriced]) -> float | None:
    """Half of the 95 % interval of the baseline's total, in USD; None where it cannot be told.

    A few calls can look alike by chance, so a bucket with fewer than FEW is taken to vary at least as the calls of all
    buckets do together, relative to their means; one with a single call rests on that alone, with one degree of freedom.
    Without any call, or without others, there is no interval. Degrees of freedom after Welch and Satterthwaite.
    """
    priced = [bucket for bucket in buckets if bucket.calls > 0]
    known = [bucket for bucket in priced if bucket.n >= 2 and bucket.mean > 0]
    free = sum(bucket.n - 1 for bucket in known)
    relative = sum((bucket.n - 1) * bucket.variance / bucket.mean**2 for bucket in known) / free if free else 0.0
    variance, weighted = 0.0, 0.0
    for bucket in priced:
        if bucket.n < 1 or (bucket.n < 2 and not free):
            return None
        spread = bucket.variance if bucket.n >= FEW else max(bucket.variance, relative * bucket.mean**2)
        part = spread * (bucket.calls * bucket.calls / bucket.n + bucket.calls)
        variance += part
        weighted += part * part / max(1.0, bucket.n - 1)
    freedom = variance * variance / weighted if weighted > 0 else math.inf
    return t95(freedom) * math.sqrt(variance)


def t95(freedom: float) -> float:
    """Two-sided 95 % quantile of Student's t (Hill's expansion in 1/freedom, exact enough from 3 degrees on)."""
    if math.isinf(freedom):
        return Z95
    v = max(1.0, freedom)
    first = (Z95**3 + Z95) / (4 * v)
    second = (5 * Z95**5 + 16 * Z95**3 + 3 * Z95) / (96 * v * v)
    third = (3 * Z95**7 + 19 * Z95**5 + 17 * Z95**3 - 15 * Z95) / (384 * v**3)
    return Z95 + first + second + third
