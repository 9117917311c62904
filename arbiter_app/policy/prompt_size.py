"""How much dearer a long prompt is than a short one: what calls cost against the length of their prompts.

Money grows with the length of a prompt, quality that falls short does not: so a cheaper model pays most on long prompts, a
better one on short prompts. The slope is that of the relative cost against the relative length, one for all models of a
bucket, from sums that add up; it counts only as far as it is beyond doubt: a positive-part James-Stein estimate (Baranchik,
1964) that stays zero until the slope is two standard errors from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log2

from arbiter_app.policy.posterior import Array

MIN_DEGREES = 5.0
"""Degrees of freedom, calls beyond the first of each model, under which there is no slope: its error would not be known."""
MIN_Z_SQUARED = 4.0
"""Squared standard errors within which a slope counts as zero: two of them, about 95 %."""
MIN_FACTOR = 0.1
"""Least cost of a prompt against one of mean length: every answer costs something."""
STEPS = 2.0
"""Sizes are told apart in steps of the root of two, so that what follows from one serves many prompts."""
MIN_SCATTER = 1e-12
"""What lengths must scatter at least, relative to their mean, to tell anything."""


@dataclass(frozen=True, slots=True)
class PromptSize:
    """The mean length of a bucket's prompts, in estimated tokens, and the slope, 0 to 1."""

    mean: float = 0.0
    slope: float = 0.0

    def step(self, length: float) -> int:
        """What a prompt of this length costs against one of mean length, as a number of steps; 0 where it is not known."""
        if self.slope <= 0 or length <= 0:
            return 0
        return round(STEPS * log2(max(1 + self.slope * (length / self.mean - 1), MIN_FACTOR)))


def factor(step: int) -> float:
    """A step as a factor."""
    return float(2.0 ** (step / STEPS))


def fit_prompt_size(sums: Array) -> PromptSize:
    """From the sums of each model [6, K]: calls, cost, cost squared, length, length squared, length times cost.

    Every model's cost counts relative to its mean. Models without two calls, or without cost, say nothing.
    """
    models = [column for column in sums.T.tolist() if column[0] > 1 and column[1] > 0]
    degrees = sum([column[0] - 1 for column in models])
    if degrees < MIN_DEGREES:
        return PromptSize()
    mean = float(sums[3].sum()) / float(sums[0].sum())
    both = lengths = costs = 0.0
    for n, usd, usd_sq, length, length_sq, product in models:
        cost = usd / n
        both += product / cost - length
        lengths += length_sq - length * length / n
        costs += usd_sq / (cost * cost) - n
    both, lengths = both / mean, lengths / (mean * mean)
    if both <= 0 or lengths <= MIN_SCATTER:
        return PromptSize(mean)
    slope = both / lengths
    doubt = max(costs - both * slope, 0.0) / (degrees - 1) / lengths
    return PromptSize(mean, min(slope * max(0.0, 1 - MIN_Z_SQUARED * doubt / (slope * slope)), 1.0))
