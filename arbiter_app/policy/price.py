"""The price alarm: does this call's unit price differ from what the model used to charge?

The unit price is the charge over what the same tokens cost at list prices, so that a different mix of long prompts
and long answers is no price move; where no list price is known it is the charge per token.
"""

from __future__ import annotations

import math

from arbiter_app.policy.statistics import ModelStats
from arbiter_app.policy.types import ModelFacts, Observation, PolicySettings


def unit_price(facts: ModelFacts, observation: Observation) -> float | None:
    """The unit price of one call; None when its cost or its tokens are unknown, or the model is free."""
    tokens = (observation.tokens_in or 0) + (observation.tokens_out or 0)
    if observation.cost_usd is None or tokens <= 0:
        return None
    return observation.cost_usd / _measure(facts, observation.tokens_in or 0, observation.tokens_out or 0)


def usd_at(unit: float, known: ModelStats, facts: ModelFacts) -> float | None:
    """What a call of mean length costs at a unit price; None where no lengths are known."""
    if known.cost_n <= 0 or known.tokens_in + known.tokens_out <= 0:
        return None
    return unit * _measure(facts, known.tokens_in / known.cost_n, known.tokens_out / known.cost_n)


def _measure(facts: ModelFacts, tokens_in: float, tokens_out: float) -> float:
    """What a unit price is a price of: these tokens at list prices, or their number where none is known."""
    listed = facts.input_usd_per_token * tokens_in + facts.output_usd_per_token * tokens_out
    return listed if listed > 0 else tokens_in + tokens_out


def price_moved(known: ModelStats, unit: float, settings: PolicySettings) -> str | None:
    """Why this unit price is a shift, in words; None when it is not.

    Two forms: a relative move over `price_shift`, or one of at least `price_shift_floor` that is also
    `price_shift_sigma` standard deviations off after `price_shift_calls` priced calls.
    """
    mean = known.mean_unit
    if mean is None or known.unit_n < settings.min_samples:
        return None
    if known.tokens_in + known.tokens_out < settings.price_shift_tokens:
        return None
    if mean <= 0:
        return "it used to be free" if unit > 0 else None
    move = abs(unit - mean) / mean
    if move >= settings.price_shift:
        return f"unit price moved by {move:.0%}, over the threshold of {settings.price_shift:.0%}"
    if known.unit_n < settings.price_shift_calls or move < settings.price_shift_floor:
        return None
    sd = math.sqrt(max(known.unit_sq / known.unit_n - mean * mean, 0.0))
    if sd <= mean * 1e-6 or abs(unit - mean) / sd >= settings.price_shift_sigma:
        return f"unit price moved by {move:.0%}, {'far' if sd <= mean * 1e-6 else f'{abs(unit - mean) / sd:.1f} sigma'} off"
    return None
