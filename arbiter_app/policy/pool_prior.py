"""What is expected of the models of a pool before anything was called: from their list prices, and from which are settings of one model."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from arbiter_app.policy.candidates import ModelIndex
from arbiter_app.policy.posterior import Array, GapPrior, Variants, cheapness, gap_prior
from arbiter_app.policy.types import UNLISTED, ModelFacts, PolicySettings

TYPICAL_TOKENS = (1000.0, 300.0)
"""Tokens of prompt and answer at which list prices are compared before anything was called (what chats were recorded with)."""


def pool_prior(price: Array, pool: ModelIndex, facts: Mapping[str, ModelFacts], settings: PolicySettings) -> GapPrior:
    """What is expected of the gaps to the baseline, where a typical request costs so much, `price` [K], USD."""
    return gap_prior(
        cheapness(price[pool.of], pool.base),
        pool.base,
        mean=settings.gap_mean,
        slope=settings.gap_slope,
        sd=(settings.gap_common_sd, settings.gap_slope_sd, settings.gap_own_sd),
        shared=settings.gap_shared,
        variants=variants_of(pool, facts) if len(set(pool.of)) < len(pool.of) else None,
    )


def variants_of(pool: ModelIndex, facts: Mapping[str, ModelFacts]) -> Variants:
    """Which candidates are settings of one model, and how much more each thinks."""
    of = np.array(pool.of)
    tokens = np.log([facts.get(model, UNLISTED).output_scale for model in pool.models])
    thought = tokens - tokens[of]
    return Variants((of[:, None] == of).astype(np.float64), thought)


def typical_usd(facts: ModelFacts) -> float:
    """Price of a typical request, for comparing models before they were called."""
    if facts.coarse_request_usd is not None:
        return facts.coarse_request_usd
    tokens_in, tokens_out = TYPICAL_TOKENS
    return facts.list_usd(tokens_in, tokens_out * facts.output_scale)
