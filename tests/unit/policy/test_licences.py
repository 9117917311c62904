"""A licence says that a model is worse than the baseline by no more than the tolerance; it is wrong in one of twenty lives at most."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from arbiter_app.policy import (
    Beside,
    ModelFacts,
    ModelStats,
    Observation,
    PolicySettings,
    RoutingAsk,
    Serve,
    Trials,
    build,
)
from arbiter_app.policy.licence import BETS, LEVEL, MARGINS, NO_LICENCE, licence_of, wealth
from tests.bench.licences import life

ASK = RoutingAsk("open", "", ("big", "small"), trials=Trials.SHADOW)


def pairs(*differences: float, weight: float = 1.0) -> ModelStats:
    """Statistics of a model whose grade differed so from a baseline's of 0.5."""
    found = ModelStats()
    for one in differences:
        own = 0.5 + one
        found.add(
            ModelStats(
                graded=weight,
                quality_sum=weight * own,
                quality_sq=weight * own * own,
                paired=weight,
                paired_sum=weight * own,
                paired_sq=weight * own * own,
                beside_sum=weight * 0.5,
                beside_sq=weight * 0.25,
                paired_product=weight * own * 0.5,
            )
        )
    return found


def test_the_wealth_is_never_more_than_that_of_somebody_who_stakes_these_shares() -> None:
    rng = random.Random(1)
    for _ in range(200):
        seen = [rng.uniform(-0.5, 0.5) for _ in range(rng.randint(1, 60))]
        margin = rng.choice([0.0, 0.02, 0.05, 0.2])
        staked = [math.prod(1 + bet * (one + margin) for one in seen) for bet in BETS.tolist()]
        stats = pairs(*seen)
        names = ("paired", "paired_sum", "paired_sq", "beside_sum", "beside_sq", "paired_product")
        sums = np.array([[getattr(stats, name)] for name in names])
        assert wealth(sums, np.array([margin]))[0, 0] <= math.log(sum(staked) / len(staked)) + 1e-9


def test_a_licence_is_wrong_in_one_of_twenty_runs_at_most_however_often_one_looks() -> None:
    """At the very edge of the tolerance, where it is wrong by a hair: looked at after every one of 400 pairs."""
    rng, wrong = np.random.default_rng(3), 0
    for _ in range(400):
        better, worse = rng.random(400) < 0.10, rng.random(400) < 0.15
        seen = np.cumsum(better.astype(float) - worse)
        squares = np.cumsum((better.astype(float) - worse) ** 2)
        at = np.arange(1, 401)
        sums = np.array([at, seen, squares, 0 * at, 0 * at, 0 * at])
        wrong += bool((wealth(sums, np.array([0.05]))[:, 0] >= -math.log(LEVEL)).any())
    assert wrong <= 0.05 * 400


def test_more_pairs_prove_more_and_judged_ones_less() -> None:
    few, many, judged = (pairs(*[0.0] * n, weight=weight) for n, weight in ((20, 1.0), (200, 1.0), (200, 0.2)))
    assert licence_of(ModelStats(), 0.05) == NO_LICENCE
    assert not licence_of(few, 0.05).granted and licence_of(many, 0.05).granted
    assert licence_of(many, 0.05).at_most_worse < licence_of(judged, 0.05).at_most_worse < 1
    assert licence_of(many, 0.05).at_most_worse in MARGINS
    assert licence_of(few, 0.5).granted, "any tolerance can be asked about"
    assert not licence_of(pairs(*[-0.2] * 200), 0.05).granted


def test_in_simulated_lives_few_licences_are_wrong_and_halved_models_lose_them_soon() -> None:
    """The short version of `python -m tests.bench.licences`: choices adapt to what was seen, and models change."""
    lives = [life(seed, 300, tuple(Serve)[seed % 2], tolerance=0.15) for seed in range(60)]
    assert sum(one.granted for one in lives) >= 15
    assert sum(one.wrong > 0 for one in lives) <= 3
    halved = [life(seed, 400, Serve.LICENSED, halve=True) for seed in (11, 23, 29, 49)]
    assert [len(one.revoked_after) for one in halved] == [1] * 4
    assert all(seen is not None and seen <= 100 for one in halved for seen in one.revoked_after)


@pytest.mark.parametrize("serve", list(Serve))
def test_only_licensed_models_serve_where_that_is_asked_for(serve: Serve) -> None:
    facts = {"big": ModelFacts(coarse_request_usd=1.0), "small": ModelFacts(coarse_request_usd=0.05)}
    policy = build("arbiter", catalog=facts, baseline="big", settings=PolicySettings(serve=serve))
    base = ModelStats(
        calls=900, tries=900, graded=900, quality_sum=450, quality_sq=225, cost_n=900, cost_usd=900, cost_sq=900
    )
    own = ModelStats(
        calls=900, tries=900, graded=840, quality_sum=462, quality_sq=254.1, cost_n=900, cost_usd=45, cost_sq=2.25
    )
    own.add(pairs(*[0.05] * 60))
    policy.load([("open", "big", base), ("open", "small", own)], {})
    choice = policy.choose(ASK, 0.0, 1)
    unlicensed = serve is Serve.LICENSED
    assert policy.licensed("open") == {"big"}
    assert (choice.model, choice.shadows) == (("big", ("small",)) if unlicensed else ("small", choice.shadows))
    assert (dict((one.model, one.why_not) for one in choice.candidates)["small"] == "no licence yet") is unlicensed
    rows = {row["model"]: row for row in policy.table("open", ["big", "small"])}
    assert rows["big"]["licensed"] and not rows["small"]["licensed"] and rows["small"]["pairs_to_go"] > 5
    more = pairs(*[0.05] * 200)
    policy.merge([("open", "small", more)])
    assert policy.licensed("open") == {"big", "small"}
    assert policy.choose(ASK, 0.0, 2).model == "small"
    assert policy.choose(RoutingAsk("open", "", ("small",)), 0.0, 3).model == "small", "nobody else may be asked"


def test_a_licence_that_is_got_or_lost_counts_with_the_next_request() -> None:
    """What is believed may rest on somewhat older sums; who may serve does not."""
    facts = {name: ModelFacts(coarse_request_usd=usd) for name, usd in (("big", 1.0), ("small", 0.05))}
    policy = build("arbiter", catalog=facts, baseline="big", settings=PolicySettings(serve=Serve.LICENSED))
    seen, has = 0, {"big"}
    for at in range(600):
        asked, grade = policy.choose(ASK, 0.0, at), float(at % 5 > 0)
        assert asked.model in policy.licensed("open")
        seen += policy.licensed("open") != has
        has = set(policy.licensed("open"))
        other = grade if at < 300 else float(at % 2)
        policy.record(Observation("open", "big", cost_usd=1.0, tokens_in=1, quality=grade))
        beside = Beside("big", grade)
        policy.record(
            Observation("open", "small", cost_usd=0.05, tokens_in=1, quality=other, mode="shadow", beside=beside)
        )
    assert seen >= 2, "got, and lost"


def test_a_trial_serves_no_caller_where_only_licensed_models_serve() -> None:
    facts = {name: ModelFacts(coarse_request_usd=usd) for name, usd in (("big", 1.0), ("small", 0.05))}
    policy = build("arbiter", catalog=facts, baseline="big", settings=PolicySettings(serve=Serve.LICENSED))
    base = ModelStats(calls=20, tries=20, graded=20, quality_sum=18, quality_sq=18, cost_n=20, cost_usd=20, cost_sq=20)
    policy.load([("open", "big", base)], {})
    served = [policy.choose(RoutingAsk("open", "", ("big", "small")), 0.0, seed) for seed in range(50)]
    assert {(one.model, one.mode) for one in served} == {("big", "exploit")}
