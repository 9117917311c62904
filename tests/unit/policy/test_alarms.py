"""Alarms: a true move of price or quality is noticed within a few calls, and nothing else raises one."""

from __future__ import annotations

import random
from collections.abc import Callable
from struct import Struct

import pytest

from arbiter_app.policy import ModelFacts, Observation, PolicySettings, RoutingAsk, Shift, build
from arbiter_app.policy.bandit import ArbiterPolicy
from arbiter_app.policy.changepoint import ChangeDetector, update_quality

FACTS = {"big": ModelFacts(2.5e-6, 10e-6), "small": ModelFacts(0.15e-6, 0.6e-6), "free": ModelFacts()}


def policy() -> ArbiterPolicy:
    made = build("arbiter", catalog=FACTS, baseline="big", settings=PolicySettings())
    assert isinstance(made, ArbiterPolicy)
    return made


def call(
    made: ArbiterPolicy, rng: random.Random, price: Callable[[int, int], float], model: str = "small"
) -> list[Shift]:
    tokens_in, tokens_out = rng.randrange(50, 4000), rng.randrange(20, 1200)
    seen = Observation(
        bucket="code", model=model, cost_usd=price(tokens_in, tokens_out), tokens_in=tokens_in, tokens_out=tokens_out
    )
    return list(made.record(seen).shifts)


def listed(tokens_in: int, tokens_out: int) -> float:
    return FACTS["small"].list_usd(tokens_in, tokens_out)


def calls_until_alarm(change: Callable[[int, int], float], history: int, seed: int) -> int:
    made, rng = policy(), random.Random(seed)
    assert [shift for _ in range(history) for shift in call(made, rng, listed)] == []
    return next(k for k in range(1, 200) if call(made, rng, change))


@pytest.mark.parametrize("seed", range(5))
def test_thirty_percent_dearer_is_noticed_within_a_few_calls(seed: int) -> None:
    assert calls_until_alarm(lambda i, o: 1.3 * listed(i, o), history=40, seed=seed) <= 6


@pytest.mark.parametrize("seed", range(5))
def test_a_dearer_output_rate_alone_is_noticed(seed: int) -> None:
    assert calls_until_alarm(lambda i, o: FACTS["small"].list_usd(i, 1.5 * o), history=40, seed=seed) <= 10


def test_no_alarm_on_a_changing_mix_of_long_prompts_and_long_answers() -> None:
    made, rng = policy(), random.Random(1)
    assert [shift for _ in range(2000) for shift in call(made, rng, listed)] == []


def test_no_alarm_on_caching_discounts() -> None:
    made, rng = policy(), random.Random(2)

    def discounted(tokens_in: int, tokens_out: int) -> float:
        return listed(tokens_in // 2 if rng.random() < 0.3 else tokens_in, tokens_out)

    assert [shift for _ in range(2000) for shift in call(made, rng, discounted)] == []


def test_no_alarm_on_rounding_of_tiny_charges() -> None:
    made, rng = policy(), random.Random(3)
    assert [s for _ in range(2000) for s in call(made, rng, lambda i, o: round(listed(i, o), 4))] == []


def test_a_free_model_that_starts_to_charge_is_an_alarm_and_free_calls_are_none() -> None:
    made, rng = policy(), random.Random(4)
    assert [s for _ in range(20) for s in call(made, rng, lambda i, o: 0.0, "free")] == []
    seen = [s for _ in range(6) for s in call(made, rng, lambda i, o: 1e-4, "free")]
    assert [(s.kind, s.direction, s.model) for s in seen] == [("price", "up", "free")]


def test_a_price_alarm_learns_the_cost_anew_and_keeps_the_quality() -> None:
    made, rng = policy(), random.Random(5)
    for _ in range(30):
        made.record(Observation(bucket="code", model="small", cost_usd=1e-4, tokens_in=500, tokens_out=50, quality=1.0))
    while not call(made, rng, lambda i, o: 8 * listed(i, o)):
        pass
    known = {model: stats for bucket, model, stats in made.rows()}["small"]
    assert known.cost_n == pytest.approx(1.0)
    assert known.graded == 30.0


@pytest.mark.parametrize("seed", range(3))
def test_a_model_whose_price_fell_again_serves_at_once(seed: int) -> None:
    made, rng = policy(), random.Random(seed)
    for _ in range(60):
        for model, usd in (("small", listed(500, 50)), ("big", FACTS["big"].list_usd(500, 50))):
            seen = Observation(bucket="code", model=model, cost_usd=usd, tokens_in=500, tokens_out=50, quality=1.0)
            made.record(seen)

    def share() -> float:
        choices = [made.choose(RoutingAsk("code", "", ("big", "small")), 0.0, draw) for draw in range(100)]
        return sum(choice.model == "small" for choice in choices) / 100

    assert share() == 1.0
    while not call(made, rng, lambda i, o: 90 * listed(i, o)):
        pass
    assert share() < 0.2
    while not call(made, rng, listed):
        pass
    assert share() == 1.0


def test_whatever_is_drawn_after_a_price_alarm_is_told_in_plain_numbers() -> None:
    made, rng = policy(), random.Random(6)
    for _ in range(60):
        made.record(Observation(bucket="code", model="small", cost_usd=1e-4, tokens_in=500, tokens_out=50, quality=1.0))
        made.record(Observation(bucket="code", model="big", cost_usd=2e-3, tokens_in=500, tokens_out=50, quality=0.9))
    while not call(made, rng, lambda i, o: 8 * listed(i, o)):
        pass
    for _ in range(30):
        call(made, rng, lambda i, o: 90 * listed(i, o))
    choices = [made.choose(RoutingAsk("code", "", ("big", "small")), 0.0, seed) for seed in range(200)]
    assert {choice.model for choice in choices} == {"big", "small"}
    assert {type(choice.propensity) for choice in choices} == {float}


def graded(made: ArbiterPolicy, quality: float, model: str = "small") -> list[Shift]:
    return list(made.record(Observation(bucket="code", model=model, cost_usd=1e-4, quality=quality)).shifts)


@pytest.mark.parametrize("seed", range(5))
def test_a_model_that_silently_got_worse_is_noticed_and_only_its_new_grades_count(seed: int) -> None:
    made, rng = policy(), random.Random(seed)
    while_good = [s for _ in range(200) for s in graded(made, float(rng.random() < 0.85))]
    assert while_good == []
    took = next(k for k in range(1, 100) if graded(made, 0.3 * (rng.random() < 0.85)))
    assert took <= 25
    known = {model: stats for bucket, model, stats in made.rows()}["small"]
    assert known.graded <= took + 5
    assert known.quality_sum / known.graded < 0.5


def test_quality_alarms_are_rare_on_a_model_that_does_not_change() -> None:
    rng, alarms, grades = random.Random(7), 0, 40_000
    for quality in (0.6, 0.9):
        watch = ChangeDetector()
        for _ in range(grades // 2):
            alarms += update_quality(watch, float(rng.random() < quality), 1.0, threshold=10.0) is not None
    assert alarms <= grades / 10_000


def test_an_alarm_of_the_baseline_does_not_turn_bad_luck_into_the_bar() -> None:
    made = policy()
    for quality in [1.0] * 40 + [0.0] * 30:
        if graded(made, quality, "big"):
            break
    known = {model: stats for bucket, model, stats in made.rows()}["big"]
    assert known.graded == pytest.approx(0.0)
    assert made.choose(RoutingAsk("code", "", ("big", "small")), 0.0, 1).model == "big"


def test_the_tests_go_on_after_a_restart() -> None:
    made, state = policy(), {}
    for _ in range(48):
        state.update(made.record(Observation(bucket="code", model="small", cost_usd=1e-4, quality=1.0)).state)
    again = policy()
    again.load(made.rows(), state)
    noticed = next(k for k in range(1, 100) if graded(again, 0.0))
    assert noticed <= 15


def test_a_watch_survives_its_bytes_and_refuses_others() -> None:
    watch = ChangeDetector(cusum_up=1.5)
    watch.grade.add(0.5)
    assert ChangeDetector.unpacked(watch.packed()) == watch
    again = policy()
    again.load([], {"watch/code/small": b"not a watch", "other": b""})
    assert again.choose(RoutingAsk("code", "", ("big",)), 0.0, 1).model == "big"


FREE_CHANGES = {
    "free, then charging": ((0.0, 20), (1e-5, 12)),
    "free once, then charging": ((0.0, 1), (1e-5, 40)),
    "free five times, then charging": ((0.0, 5), (1e-5, 12)),
    "charging, then free": ((1e-5, 20), (0.0, 40)),
    "free, charging, free again": ((0.0, 20), (1e-5, 20), (0.0, 60)),
    "a thousand times dearer": ((1e-5, 20), (1e-2, 12)),
    "a thousand times dearer and back": ((1e-5, 20), (1e-2, 20), (1e-5, 60)),
    "a free call among charged ones, then dearer": ((1e-5, 20), (0.0, 1), (1e-5, 5), (8e-5, 20)),
}


@pytest.mark.parametrize("name", ["arbiter", "classic"])
@pytest.mark.parametrize("model", ["free", "small"])
@pytest.mark.parametrize("phases", FREE_CHANGES.values(), ids=FREE_CHANGES.keys())
def test_after_a_change_the_cost_is_that_of_the_calls_since(
    phases: tuple[tuple[float, int], ...], model: str, name: str
) -> None:
    made, rng = build(name, catalog=FACTS, baseline="big", settings=PolicySettings()), random.Random(7)
    for usd, calls in phases:
        for _ in range(calls):
            made.record(
                Observation(
                    bucket="code",
                    model=model,
                    cost_usd=usd,
                    tokens_in=rng.randrange(90, 110),
                    tokens_out=rng.randrange(9, 11),
                )
            )
    known = made.expected_cost_usd("code", model, 0, 0)
    assert known == pytest.approx(phases[-1][0], rel=0.05, abs=1e-12)


@pytest.mark.parametrize(("before", "after"), [(0.0, 1e-5), (1e-5, 0.0), (1e-5, 1e-2)])
def test_a_price_alarm_teaches_the_other_buckets_the_price_of_their_own_lengths(before: float, after: float) -> None:
    made = policy()
    for _ in range(30):
        for bucket, size in (("code", 1), ("open", 3)):
            made.record(
                Observation(
                    bucket=bucket, model="free", cost_usd=size * before, tokens_in=size * 100, tokens_out=size * 10
                )
            )
    for _ in range(30):
        made.record(Observation(bucket="code", model="free", cost_usd=after, tokens_in=100, tokens_out=10))
    assert made.expected_cost_usd("open", "free", 0, 0) == pytest.approx(3 * after)


def test_a_new_list_price_is_no_alarm_and_what_was_charged_by_the_old_one_follows_it() -> None:
    made, prices = policy(), {"small": FACTS["small"], "free": FACTS["free"]}
    for _ in range(20):
        for model, facts in prices.items():
            usd = facts.list_usd(100, 10)
            made.record(Observation(bucket="code", model=model, cost_usd=usd, tokens_in=100, tokens_out=10))
    listed = {"big": FACTS["big"], "small": ModelFacts(3e-6, 12e-6), "free": ModelFacts(1e-7, 1e-7)}
    later = build("arbiter", catalog=listed, baseline="big", settings=PolicySettings())
    later.load(
        made.rows(), {f"watch/{bucket}/{model}": one.packed() for (bucket, model), one in made._detectors.items()}
    )
    for model, facts in listed.items():
        usd = facts.list_usd(100, 10)
        for _ in range(30):
            seen = Observation(bucket="code", model=model, cost_usd=usd, tokens_in=100, tokens_out=10)
            assert later.record(seen).shifts == ()
        assert later.expected_cost_usd("code", model, 0, 0) == pytest.approx(usd)


def test_a_watch_of_an_older_version_is_read() -> None:
    before = Struct("<15d").pack(*range(15))
    assert ChangeDetector.unpacked(before).grade.n == 9.0
    made = ChangeDetector(free=3.0, listed=(1e-6, 2e-6))
    made.spent.add(0.5)
    assert ChangeDetector.unpacked(made.packed()) == made
    assert ChangeDetector.unpacked(ChangeDetector().packed()) == ChangeDetector()
