"""A switch of model in a conversation is charged with the cache it loses: it is part of the ask, of the candidates' costs, and their words."""

from __future__ import annotations

import random

import pytest

from arbiter_app.policy import ModelFacts, Observation, Policy, PolicySettings, RoutingAsk, build

MODELS = ("big", "cheaper", "plain")
FACTS = {
    "big": ModelFacts(10e-6, 0.0, cached_usd_per_token=1e-6),
    "cheaper": ModelFacts(6e-6, 0.0, cached_usd_per_token=0.6e-6),
    "plain": ModelFacts(12e-6, 0.0),
}


@pytest.fixture(scope="module")
def policy() -> Policy:
    """One that has learned that all three are as good, and what they cost for 1,000 tokens."""
    settings = PolicySettings(explore_share=0.0, sticky_margin=0.05)
    made, rng = build("arbiter", catalog=FACTS, baseline="big", settings=settings), random.Random(1)
    for at in range(900):
        model = MODELS[at % 3]
        usd, good = FACTS[model].list_usd(1_000, 0), float(rng.random() < 0.95)
        made.record(Observation("open", model, "", usd, 1_000, 100, good, asked_tokens=1_000))
    return made


def asked(cached_by: str | None = None, tokens: int = 0) -> RoutingAsk:
    return RoutingAsk("open", "", MODELS, 1_000, 100, "big", cached_by, tokens)


def test_a_conversation_leaves_its_model_for_a_cheaper_one_unless_that_loses_its_cache(policy: Policy) -> None:
    assert policy.choose(asked(), 0.0, 1).model == "cheaper"
    kept = policy.choose(asked("big", 1_000), 0.0, 1)
    assert kept.model == "big" and "keeps its model" in kept.reason


def test_the_cost_of_each_candidate_has_what_its_own_cache_would_have_saved(policy: Policy) -> None:
    without = {one.model: one.cost_usd or 0.0 for one in policy.choose(asked(), 0.0, 1).candidates}
    candidates = {one.model: one for one in policy.choose(asked("big", 500), 0.0, 1).candidates}
    more = {model: (one.cost_usd or 0.0) - without[model] for model, one in candidates.items()}
    assert more == pytest.approx({"big": 0.0, "cheaper": 500 * 5.4e-6, "plain": 0.0})


def test_the_candidates_say_what_is_lost(policy: Policy) -> None:
    words = {one.model: one.why_not for one in policy.choose(asked("big", 1_000), 0.0, 1).candidates}
    assert words["cheaper"].endswith("; $0.0054 of it for the lost cache")
    assert "cache" not in words["plain"] and words["big"] == ""


def test_a_switch_that_pays_all_the_same_says_what_it_loses(policy: Policy) -> None:
    switched = policy.choose(asked("big", 10), 0.0, 1)
    assert switched.model == "cheaper" and switched.reason.endswith("; a cache worth $5.4e-05 here is lost")


def test_the_same_ask_gives_the_same(policy: Policy) -> None:
    assert policy.choose(asked("big", 700), 0.0, 5) == policy.choose(asked("big", 700), 9.0, 5)
