"""A caller's wish: who serves when the least money, the best answer or the quickest is wanted, whatever the operator's rule."""

from __future__ import annotations

import random

import pytest

from arbiter_app.policy import ModelFacts, Objective, Observation, Policy, PolicySettings, RoutingAsk, Wish, build

MODELS = {
    "big": (10.0, 0.92, 900.0),
    "brisk": (6.0, 0.90, 100.0),
    "cheap": (2.0, 0.89, 500.0),
    "free": (0.01, 0.80, 400.0),
}
"""USD per million tokens, chance of a good answer, milliseconds."""


@pytest.fixture(scope="module", params=["arbiter", "classic"])
def policy(request: pytest.FixtureRequest) -> Policy:
    """One that has learned all of it well."""
    facts = {model: ModelFacts(usd / 1e6, 0.0) for model, (usd, _, _) in MODELS.items()}
    made, rng = build(request.param, catalog=facts, baseline="big", settings=PolicySettings()), random.Random(3)
    for _ in range(3_000):
        for model, (usd, chance, ms) in MODELS.items():
            good = float(rng.random() < chance)
            made.record(Observation("open", model, "", usd / 1e3, 1_000, 100, good, latency_ms=ms, asked_tokens=1_000))
    return made


def served(policy: Policy, wish: Wish | None, **ask: object) -> set[str]:
    """Who answers a hundred such requests."""
    asked = RoutingAsk("open", "", tuple(MODELS), 1_000, 100, wish=wish)
    return {policy.choose(asked, 0.0, seed).model for seed in range(100)}


@pytest.mark.parametrize(
    ("wish", "model"),
    [
        (Wish(Objective.COST), "free"),
        (Wish(Objective.BALANCED, 0.05), "cheap"),
        (Wish(Objective.QUALITY), "big"),
        (Wish(Objective.LATENCY), "brisk"),
        (Wish(tolerance=0.0), "big"),
        (Wish(tolerance=1.0), "free"),
        (Wish(Objective.LATENCY, 1.0), "brisk"),
    ],
)
def test_who_serves_follows_the_wish_and_nothing_is_tried_upon_it(policy: Policy, wish: Wish, model: str) -> None:
    assert served(policy, wish) == {model}


def test_a_wish_says_so_and_is_certain(policy: Policy) -> None:
    choice = policy.choose(RoutingAsk("open", "", tuple(MODELS), wish=Wish(Objective.COST)), 0.0, 1)
    assert (choice.mode, choice.propensity) == ("exploit", 1.0)
    assert "as the caller wishes (cost" in choice.reason
    assert choice.ranking[0] == "free" and set(choice.ranking) == set(MODELS)


def test_others_are_served_as_before_after_a_wish(policy: Policy) -> None:
    plain = RoutingAsk("open", "", tuple(MODELS), 1_000, 100)
    before = [policy.choose(plain, 0.0, seed) for seed in range(50)]
    served(policy, Wish(Objective.QUALITY))
    assert [policy.choose(plain, 0.0, seed) for seed in range(50)] == before


def test_models_that_were_never_timed_are_no_quicker_than_the_baseline() -> None:
    facts = {model: ModelFacts(1e-6, 0.0) for model in ("big", "new", "quick")}
    made = build("arbiter", catalog=facts, baseline="big", settings=PolicySettings())
    for model, ms in (("big", 500.0), ("quick", 50.0), ("new", None)):
        for _ in range(200):
            made.record(Observation("open", model, "", 1e-3, 1_000, 100, 1.0, latency_ms=ms))
    assert made.choose(RoutingAsk("open", "", ("big", "new"), wish=Wish(Objective.LATENCY)), 0.0, 1).ranking[0] == "big"
    assert (
        made.choose(RoutingAsk("open", "", ("big", "new", "quick"), wish=Wish(Objective.LATENCY)), 0.0, 1).model
        == "quick"
    )
