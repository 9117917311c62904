"""Where trials are asked beside answers, the caller gets what is believed best, and others are asked within the budgets."""

from __future__ import annotations

import random

import pytest

from arbiter_app.policy import (
    Beside,
    ModelFacts,
    ModelStats,
    Observation,
    Policy,
    PolicySettings,
    RoutingAsk,
    Trials,
    build,
)
from arbiter_app.policy.expected_loss import shortfall_weight

PRICES = {"tiny": 0.01, "small": 0.03, "middle": 0.2, "large": 0.5, "big": 1.0}
QUALITY = {"tiny": 0.4, "small": 0.9, "middle": 0.9, "large": 0.9, "big": 0.92}
MODELS = tuple(PRICES)


def made(**settings: float) -> Policy:
    facts = {model: ModelFacts(coarse_request_usd=usd) for model, usd in PRICES.items()}
    return build("arbiter", catalog=facts, baseline="big", settings=PolicySettings(**settings))


def live(policy: Policy, requests: int, trials: Trials) -> list[tuple[str, ...]]:
    """Requests with fixed grades; the models asked for each, the one that served first."""
    asked = []
    for at in range(requests):
        choice = policy.choose(RoutingAsk("open", "", MODELS, trials=trials), 0.0, at)
        beside: Beside | None = None
        for model in (choice.model, *choice.shadows):
            mode = choice.mode if model == choice.model else "shadow"
            quality = float((at * 37 + len(model)) % 100 < 100 * QUALITY[model])
            seen = Observation(
                "open", model, cost_usd=PRICES[model], tokens_in=1, quality=quality, mode=mode, beside=beside
            )
            policy.record(seen)
            beside = Beside(model, quality) if beside is None or model == "big" else beside
        asked.append((choice.model, *choice.shadows))
    return asked


def known(policy: Policy) -> dict[str, ModelStats]:
    return {model: stats for _, model, stats in policy.rows()}


def test_no_trial_serves_a_caller_and_a_good_cheap_model_is_found_all_the_same() -> None:
    asked = live(made(), 400, Trials.SHADOW)
    assert [served for served, *_ in asked].count("tiny") == 0
    assert asked[0][0] == "big" and asked[-1][0] == "small"
    assert max(len(one) for one in asked) <= 4
    assert all(len(set(one)) == len(one) for one in asked)


def test_nothing_is_asked_beside_where_there_are_to_be_no_trials() -> None:
    policy = made()
    assert {one for one in live(policy, 100, Trials.NONE)} == {("big",)}
    assert policy.learning()["explore_usd"] == 0


def test_what_is_asked_beside_stays_within_its_budget_and_is_no_request() -> None:
    policy = made(explore_usd_share=0.01, shadow_start=10.0)
    for _ in range(20):
        live(policy, 10, Trials.SHADOW)
        told = policy.learning()
        assert told["explore_usd"] <= 0.01 * (told["calls"] + 10) + 1e-9
    assert told["calls"] == 200 and told["explore_calls"] == 0 and told["shadow_calls"] > 0


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_others_are_asked_beside_a_share_of_the_requests(share: float) -> None:
    asked = live(made(shadow_share=share), 200, Trials.SHADOW)
    assert sum(len(one) > 1 for one in asked) / 200 <= share + 0.1


def test_once_others_serve_the_baseline_is_asked_beside_them() -> None:
    policy = made()
    asked = live(policy, 600, Trials.SHADOW)
    moved = next(at for at, one in enumerate(asked) if one[0] != "big")
    assert any("big" in shadows for _, *shadows in asked[moved:])
    assert known(policy)["small"].paired > known(policy)["small"].shadow_n


def test_a_pair_is_learned_once_whichever_of_the_two_served() -> None:
    policy = made()
    policy.record(Observation("open", "small", quality=0.5, quality_weight=0.8))
    policy.record(
        Observation("open", "big", quality=1.0, quality_weight=0.5, mode="shadow", beside=Beside("small", 0.5, 0.8))
    )
    late = Observation("open", "tiny", mode="shadow", beside=Beside("big", 1.0, 0.5))
    policy.record(late)
    assert known(policy)["tiny"].paired == 0
    policy.grade(Observation("open", "tiny", quality=0.0, mode="shadow", beside=Beside("big", 1.0, 0.5)))
    stats = known(policy)
    assert (stats["small"].paired, stats["small"].paired_sum, stats["small"].beside_sum) == (0.5, 0.25, 0.5)
    assert (stats["tiny"].paired, stats["tiny"].paired_product, stats["tiny"].beside_sq) == (0.5, 0.0, 0.5)
    assert stats["big"].paired == 0


def test_after_a_quality_alarm_of_the_baseline_no_pair_is_left() -> None:
    policy = made()
    for at in range(60):
        good = float(at < 30)
        policy.record(Observation("open", "big", quality=good))
        policy.record(Observation("open", "small", quality=1.0, mode="shadow", beside=Beside("big", good)))
    assert known(policy)["small"].paired < 31


def test_a_model_that_was_left_for_its_price_is_looked_at_again_soon() -> None:
    """Three models that are always right; the cheapest becomes eight times as dear after 80 of 120 requests."""
    prices = {"cheap": 0.03, "middle": 0.1, "big": 1.0}
    facts = {model: ModelFacts(usd, usd) for model, usd in prices.items()}
    for life in range(30):
        policy = build("arbiter", catalog=facts, baseline="big", settings=PolicySettings())
        draw, looked = random.Random(life), list[str]()
        for at in range(120):
            ask = RoutingAsk("math", "", tuple(prices), trials=Trials.SHADOW)
            choice, beside = policy.choose(ask, 0.0, draw.getrandbits(40)), None
            looked += choice.shadows if at >= 80 else ()
            for model in (choice.model, *choice.shadows):
                usd = prices[model] * (8 if model == "cheap" and at >= 80 else 1)
                mode = "exploit" if model == choice.model else "shadow"
                seen = Observation("math", model, cost_usd=usd, tokens_in=1, quality=1.0, mode=mode, beside=beside)
                policy.record(seen)
                beside = Beside(model, 1.0) if beside is None or model == "big" else beside
        assert choice.model == "middle"
        assert "cheap" in looked


def test_where_trials_serve_others_are_tried_as_soon_as_the_bar_is_set() -> None:
    policy = made(explore_chance=1.0, gap_mean=0.03)
    for at in range(8):
        policy.record(Observation("code", "small", cost_usd=PRICES["small"], tokens_in=1, quality=float(at != 1)))
    for at in range(5):
        assert policy.choose(RoutingAsk("open", "", MODELS), 0.0, at).model == "big"
        policy.record(Observation("open", "big", cost_usd=1.0, tokens_in=1, quality=1.0))
    tried = policy.choose(RoutingAsk("open", "", MODELS), 0.0, 1)
    assert (tried.mode, tried.model) == ("explore", "small"), tried.reason


def served_after(requests: int, trials: Trials, **settings: float) -> str:
    """Who serves a bucket where the baseline had so many grades, and a cheap model, asked beside the last few, is about as good."""
    policy = made(**settings)
    for at in range(requests):
        policy.record(Observation("open", "big", cost_usd=1.0, tokens_in=1, quality=float(at % 10 > 0)))
    for at in range(30):
        policy.record(
            Observation("open", "small", cost_usd=0.03, tokens_in=1, quality=float(at % 10 > 0), mode="shadow")
        )
    return policy.choose(RoutingAsk("open", "", MODELS, trials=trials), 0.0, 0).model


def test_quality_that_falls_short_counts_more_while_a_bucket_is_new() -> None:
    beside = [served_after(requests, Trials.SHADOW, early_shortfall=4.0) for requests in (30, 2000)]
    assert beside == ["big", "small"]
    assert served_after(30, Trials.SHADOW, early_shortfall=0.0) == "small"
    assert served_after(30, Trials.SERVED, early_shortfall=4.0, explore_share=0.0) == "small", (
        "where trials serve, it does not"
    )
    assert shortfall_weight(50.0, 1.0, 50.0) == 1.5 and shortfall_weight(0.0, 1.0, 0.0) == 1.0


def test_what_is_asked_beside_has_a_budget_in_advance_of_its_own() -> None:
    policy = made(explore_usd_share=0.1, explore_start=20.0, shadow_start=50.0)
    policy.record(Observation("open", "big", cost_usd=1.0, tokens_in=1, quality=1.0))
    left = {}
    for trials in (Trials.SHADOW, Trials.SERVED):
        policy.choose(RoutingAsk("open", "", MODELS, trials=trials), 0.0, 0)
        left[trials] = policy.learning_left_usd("open")
    assert left == pytest.approx({Trials.SHADOW: 5.1, Trials.SERVED: 2.1})


@pytest.mark.parametrize("trials", [Trials.SHADOW, Trials.SERVED])
def test_a_budget_that_is_spent_keeps_nobody_from_trying_what_is_free(trials: Trials) -> None:
    facts = {model: ModelFacts(coarse_request_usd=usd) for model, usd in {**PRICES, "tiny": 0.0}.items()}
    settings = PolicySettings(explore_usd_share=0.01, explore_chance=1.0, gap_mean=0.0, lead=0.3, horizon_min=10_000.0)
    policy = build("arbiter", catalog=facts, baseline="big", settings=settings)
    for _ in range(5):
        policy.record(Observation("open", "big", cost_usd=1.0, tokens_in=1, quality=0.9))
    policy.record(Observation("open", "large", cost_usd=9.0, tokens_in=1, quality=0.9, mode="explore"))
    tried = policy.choose(RoutingAsk("open", "", MODELS, trials=trials), 0.0, 1)
    assert {tried.model, *tried.shadows} == ({"big", "tiny"} if trials is Trials.SHADOW else {"tiny"}), tried.reason
