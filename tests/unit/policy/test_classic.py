"""The classic policy as described, and what must hold for any policy: order, scale, merging, replay."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arbiter_app.policy import FIELDS, ModelFacts, ModelStats, Observation, PolicySettings, RoutingAsk, build

MODELS = ("cheap", "good", "dear")
CALM = PolicySettings(epsilon=0.0)


def policy(settings: PolicySettings = CALM, facts: dict[str, ModelFacts] | None = None) -> Any:
    return build("classic", catalog=facts or {m: ModelFacts() for m in MODELS}, baseline="dear", settings=settings)


def see(model: str, quality: float | None = 1.0, cost: float | None = 1.0, **fields: Any) -> Observation:
    return Observation("math", model, cost_usd=cost, tokens_in=50, tokens_out=50, quality=quality, **fields)


def ask(eligible: tuple[str, ...] = MODELS) -> RoutingAsk:
    return RoutingAsk("math", "", eligible)


def taught(one: Any) -> Any:
    for model, quality, cost in (("cheap", 0.5, 1.0), ("good", 0.97, 2.0), ("dear", 1.0, 9.0)):
        for _ in range(2):
            one.record(see(model, quality, cost))
    return one


def test_every_model_is_tried_twice_least_tried_first() -> None:
    one, seen = policy(), []
    for seed in range(6):
        choice = one.choose(ask(), 0.0, seed)
        assert choice.mode == "explore"
        seen.append(choice.model)
        one.record(see(choice.model))
    assert seen == [*MODELS, *MODELS]
    assert one.choose(ask(), 0.0, 7).mode == "exploit"


def test_a_benchmark_prior_saves_one_try() -> None:
    one = policy(facts={m: ModelFacts(prior={"math": 0.9}) for m in MODELS})
    for model in MODELS:
        one.record(see(model))
    assert one.choose(ask(), 0.0, 1).mode == "exploit"


def test_the_cheapest_within_tolerance_of_the_best_serves() -> None:
    choice = taught(policy()).choose(ask(), 0.0, 1)
    assert (choice.model, choice.mode) == ("good", "exploit")
    assert choice.ranking == ("good", "dear", "cheap")
    why = {one.model: one.why_not for one in choice.candidates}
    assert why == {"good": "", "dear": "dearer", "cheap": "quality 0.50 under the bar of 0.95"}


def test_with_epsilon_any_model_may_be_drawn_and_propensities_add_up() -> None:
    one = taught(policy(PolicySettings(epsilon=0.3)))
    choices = [one.choose(ask(), 0.0, seed) for seed in range(3_000)]
    for model in MODELS:
        mine = [choice for choice in choices if choice.model == model]
        share = len(mine) / len(choices)
        assert share == pytest.approx(max(choice.propensity for choice in mine), abs=0.03)


def test_votes_weigh_three_grades_and_can_be_withdrawn() -> None:
    one = taught(policy())
    before = one.table("math", MODELS)[1]["quality"]
    one.vote("math", "good", False)
    assert one.table("math", MODELS)[1]["quality"] == pytest.approx((2 * 0.97) / 5)
    one.vote("math", "good", False, withdrawn=True)
    assert one.table("math", MODELS)[1]["quality"] == pytest.approx(before)


def test_a_relative_move_over_the_threshold_is_a_shift_and_quality_stays() -> None:
    one = policy()
    for _ in range(3):
        assert one.record(see("good", cost=1.0)).shifts == ()
    (shift,) = one.record(see("good", cost=1.8)).shifts
    assert (shift.kind, shift.direction, shift.model) == ("price", "up", "good")
    row = next(row for row in one.table("math", MODELS) if row["model"] == "good")
    assert (row["n"], row["avg_cost"]) == (4, 1.8)
    assert one.choose(ask(("good",)), 0.0, 1).mode == "explore", "its cost is learned anew"


def test_a_small_move_is_a_shift_once_it_is_many_deviations_off() -> None:
    rng, one = random.Random(1), policy()
    for _ in range(20):
        assert one.record(see("good", cost=1.0 + rng.uniform(-0.01, 0.01))).shifts == ()
    assert one.record(see("good", cost=1.04)).shifts == (), "under the floor of 10 %"
    assert len(one.record(see("good", cost=1.2)).shifts) == 1


def test_another_mix_of_long_prompts_and_long_answers_is_no_price_move() -> None:
    facts = {"good": ModelFacts(1e-6, 10e-6)}
    one = policy(facts=facts)
    rng = random.Random(2)
    for _ in range(200):
        tokens_in, tokens_out = rng.randrange(10, 5_000), rng.randrange(10, 5_000)
        cost = tokens_in * 1e-6 + tokens_out * 10e-6
        seen = Observation("math", "good", cost_usd=cost, tokens_in=tokens_in, tokens_out=tokens_out, quality=1.0)
        assert one.record(seen).shifts == ()


def test_no_move_is_believed_before_forty_tokens() -> None:
    one = policy()
    for cost in (1.0, 1.0, 9.0):
        seen = Observation("math", "good", cost_usd=cost, tokens_in=5, tokens_out=5, quality=1.0)
        assert one.record(seen).shifts == ()


def test_a_free_model_that_costs_something_is_a_shift() -> None:
    one = policy()
    for _ in range(3):
        one.record(see("good", cost=0.0))
    assert len(one.record(see("good", cost=0.1)).shifts) == 1


def test_unknown_grades_and_costs_move_nothing_they_are_not_about() -> None:
    one = taught(policy())
    before = one.table("math", MODELS)
    one.record(see("good", quality=None, cost=None))
    after = one.table("math", MODELS)
    for was, now in zip(before, after, strict=True):
        assert {k: v for k, v in was.items() if k != "calls"} == {k: v for k, v in now.items() if k != "calls"}


OUTCOMES = st.lists(
    st.tuples(st.sampled_from(MODELS), st.one_of(st.none(), st.floats(0, 1)), st.floats(0.5, 1.5)), max_size=40
)


@settings(max_examples=60)
@given(OUTCOMES, st.permutations(MODELS), st.integers(0, 99))
def test_the_order_in_which_models_are_listed_does_not_matter_when_exploiting(
    outcomes: list[Any], order: list[str], seed: int
) -> None:
    one = policy(replace(CALM, min_samples=0))
    for outcome in outcomes:
        one.record(see(*outcome))
    assert one.choose(ask(tuple(order)), 0.0, seed).model == one.choose(ask(), 0.0, seed).model


@settings(max_examples=60)
@given(OUTCOMES, st.sampled_from([1e-6, 0.125, 8.0, 1e6]), st.integers(0, 99))
def test_scaling_every_cost_changes_no_choice(outcomes: list[Any], scale: float, seed: int) -> None:
    plain, scaled = policy(), policy()
    for model, quality, cost in outcomes:
        plain.record(see(model, quality, cost))
        scaled.record(see(model, quality, cost * scale))
    assert plain.choose(ask(), 0.0, seed).model == scaled.choose(ask(), 0.0, seed).model


@settings(max_examples=60)
@given(OUTCOMES, st.randoms(use_true_random=False))
def test_deltas_of_several_processes_merge_in_any_order(outcomes: list[Any], rng: random.Random) -> None:
    whole, deltas = policy(replace(CALM, price_shift=1e6, price_shift_calls=10**6)), []
    for outcome in outcomes:
        deltas += whole.record(see(*outcome)).deltas
    rng.shuffle(deltas)
    merged = policy()
    merged.merge(deltas)
    for (_, _, a), (_, _, b) in zip(sorted(whole.rows(), key=str), sorted(merged.rows(), key=str), strict=True):
        for name in FIELDS:
            assert getattr(a, name) == pytest.approx(getattr(b, name))


@settings(max_examples=40)
@given(OUTCOMES, st.integers(0, 2**48 - 1))
def test_a_stored_decision_replays_to_the_same_model(outcomes: list[Any], seed: int) -> None:
    one = policy(PolicySettings(epsilon=0.5))
    for outcome in outcomes:
        one.record(see(*outcome))
    first = one.choose(ask(), 0.0, seed)
    again = policy(PolicySettings(epsilon=0.5))
    again.load(one.rows(), {})
    assert again.choose(ask(), 99.0, first.seed) == first


def test_statistics_add_up_field_by_field() -> None:
    a, b = ModelStats(calls=1, cost_usd=2.0), ModelStats(calls=2, votes=1)
    a.add(b)
    assert a.as_dict() == {"calls": 3, "cost_usd": 2.0, "votes": 1}
