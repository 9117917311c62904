"""A long prompt saves more on a cheaper model than a short one, once calls have shown what length costs."""

from __future__ import annotations

import random

import numpy as np
import pytest

from arbiter_app.policy import ModelFacts, Observation, PolicySettings, RoutingAsk, build
from arbiter_app.policy.prompt_size import PromptSize, factor, fit_prompt_size

PRICES = (1.0, 0.2, 0.05)
FACTS = {"big": ModelFacts(2.5e-6, 10e-6), "small": ModelFacts(0.75e-6, 3e-6)}


def sums(calls: list[tuple[int, float, float]]) -> np.ndarray:
    """The six sums of each model from (model, length, cost)."""
    found = np.zeros((6, len(PRICES)))
    for model, length, cost in calls:
        found[:, model] += (1, cost, cost * cost, length, length * length, length * cost)
    return found


def calls(seed: int, share: float, n: int = 60) -> list[tuple[int, float, float]]:
    """Calls of three models whose costs grow with length by a share of proportional growth, and are noisy."""
    rng = random.Random(seed)
    drawn = []
    for at in range(n):
        length = rng.lognormvariate(6, 0.8)
        relative = (1 - share + share * length / 555) * rng.lognormvariate(0, 0.3)
        drawn.append((at % 3, length, PRICES[at % 3] * relative))
    return drawn


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_the_slope_is_found_whatever_the_models_cost(share: float) -> None:
    found = [fit_prompt_size(sums(calls(seed, share, 300))).slope for seed in range(20)]
    assert float(np.mean(found)) == pytest.approx(share, abs=0.1)


def test_without_a_slope_length_tells_nothing() -> None:
    found = [fit_prompt_size(sums(calls(seed, 0.0))).slope for seed in range(200)]
    assert sum(slope == 0 for slope in found) >= 190
    assert max(found) < 0.5


def test_calls_of_unknown_length_and_few_calls_tell_nothing() -> None:
    assert fit_prompt_size(np.zeros((6, 3))) == PromptSize()
    assert fit_prompt_size(sums(calls(1, 1.0, 6))).slope == 0


def test_a_size_is_told_in_steps_that_are_near_enough() -> None:
    size = PromptSize(500.0, 0.8)
    for length in (1, 50, 250, 500, 2_000, 50_000):
        exact = 1 + 0.8 * (length / 500 - 1)
        assert factor(size.step(length)) == pytest.approx(exact, rel=0.2)
    assert size.step(0) == 0


@pytest.mark.parametrize("seed", range(3))
def test_money_decides_on_long_prompts_and_quality_on_short_ones(seed: int) -> None:
    policy = build("arbiter", catalog=FACTS, baseline="big", settings=PolicySettings(explore_share=0.0))
    rng = random.Random(seed)
    for at in range(1_600):
        model, good = (("big", 0.95), ("small", 0.83))[at % 2]
        length = rng.choice((100, 200, 400, 2_000))
        usd = FACTS[model].list_usd(length, 0) * rng.uniform(0.9, 1.1)
        policy.record(Observation("open", model, "", usd, length, 100, float(rng.random() < good), asked_tokens=length))

    def served(length: int) -> str:
        return policy.choose(RoutingAsk("open", "", ("big", "small"), length), 0.0, 1).model

    assert (served(100), served(0), served(4_000)) == ("big", "big", "small")
    long = policy.choose(RoutingAsk("open", "", ("big", "small"), 4_000), 0.0, 1)
    usual = policy.choose(RoutingAsk("open", "", ("big", "small")), 0.0, 1)
    assert "times as dear" in long.reason
    assert long.candidates[0].cost_usd > 3 * usual.candidates[0].cost_usd
