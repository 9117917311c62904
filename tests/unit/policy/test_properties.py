"""What must hold of every policy, whatever it has seen."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arbiter_app.policy import ModelFacts, ModelStats, Observation, Policy, PolicySettings, RoutingAsk, build
from arbiter_app.policy.statistics import FIELDS

MODELS = ("free", "tiny", "small", "middle", "big")
PRICES = (0.0, 0.02, 0.06, 0.4, 1.0)
BASELINE = "big"
SETTINGS = PolicySettings(baseline_first=2.0)

calls = st.lists(
    st.tuples(
        st.sampled_from(("code", "code:hard", "open")),
        st.sampled_from(MODELS),
        st.one_of(st.none(), st.sampled_from((0.0, 0.25, 0.5, 1.0))),
        st.sampled_from((0.5, 1.0)),
        st.integers(1, 4),
    ),
    max_size=40,
)
names = pytest.mark.parametrize("name", ["arbiter", "classic"])
few = settings(max_examples=40, deadline=None, derandomize=True)


def facts(scale: float = 1.0) -> dict[str, ModelFacts]:
    return {
        model: ModelFacts(usd * scale / 1e6, 4 * usd * scale / 1e6) for model, usd in zip(MODELS, PRICES, strict=True)
    }


def make(name: str, scale: float = 1.0) -> Policy:
    return build(name, catalog=facts(scale), baseline=BASELINE, settings=SETTINGS)


def seen(row: tuple[str, str, float | None, float, int], scale: float = 1.0, quality: bool = True) -> Observation:
    bucket, model, grade, weight, length = row
    usd = PRICES[MODELS.index(model)] * scale * (500 * length + 4 * 100 * length) / 1e6
    return Observation(
        bucket=bucket,
        model=model,
        cost_usd=usd,
        tokens_in=500 * length,
        tokens_out=100 * length,
        quality=grade if quality else None,
        quality_weight=weight,
    )


def taught(name: str, rows: list[tuple[str, str, float | None, float, int]], scale: float = 1.0) -> Policy:
    policy = make(name, scale)
    for row in rows:
        policy.record(seen(row, scale))
    return policy


def qualities(policy: Policy, bucket: str) -> Mapping[str, float | None]:
    return {row["model"]: row["quality"] for row in policy.table(bucket, MODELS)}


@few
@given(rows=calls, order=st.permutations(MODELS), seed=st.integers(0, 2**40))
def test_the_order_of_the_models_does_not_matter(rows, order, seed: int) -> None:
    policy = taught("arbiter", rows)
    one = policy.choose(RoutingAsk("code", "", MODELS), 0.0, seed)
    other = policy.choose(RoutingAsk("code", "", tuple(order)), 0.0, seed)
    assert (one.model, one.mode, one.ranking) == (other.model, other.mode, other.ranking)


@names
@few
@given(rows=calls, seed=st.integers(0, 2**40))
def test_scaling_all_costs_changes_no_choice(name: str, rows, seed: int) -> None:
    ask = RoutingAsk("code", "", MODELS)
    one = taught(name, rows).choose(ask, 0.0, seed)
    other = taught(name, rows, scale=1024.0).choose(ask, 0.0, seed)
    assert (one.model, one.mode, one.propensity) == (other.model, other.mode, other.propensity)


@names
@few
@given(rows=calls, seed=st.integers(0, 2**40))
def test_statistics_merge_in_any_order(name: str, rows, seed: int) -> None:
    writer = make(name)
    deltas = [delta for row in rows for delta in writer.record(seen(row)).deltas]
    shuffled = deltas.copy()
    random.Random(seed).shuffle(shuffled)
    one, other, whole = make(name), make(name), make(name)
    for delta in deltas:
        one.merge([delta])
    other.merge(shuffled)
    whole.load(writer.rows(), {})
    for bucket in writer.buckets():
        for policy in (one, other, whole):
            for model, quality in qualities(policy, bucket).items():
                expected = qualities(writer, bucket)[model]
                assert quality == expected or math.isclose(quality or 0.0, expected or 0.0, abs_tol=1e-6)


@names
@few
@given(rows=calls, seed=st.integers(0, 2**40))
def test_a_stored_decision_replays_to_the_same_model(name: str, rows, seed: int) -> None:
    policy = taught(name, rows)
    ask = RoutingAsk("code", "", MODELS)
    choice = policy.choose(ask, 0.0, seed)
    again, now = make(name), policy.snapshot()
    again.load(now.rows, now.state)
    assert again.choose(ask, 99.0, choice.seed) == choice


@names
@few
@given(rows=calls)
def test_unknown_grades_never_move_quality(name: str, rows) -> None:
    policy = taught(name, rows)
    before = {bucket: qualities(policy, bucket) for bucket in policy.buckets()}
    for row in rows:
        policy.record(seen(row, quality=False))
        policy.grade(seen(row, quality=False))
    assert {bucket: qualities(policy, bucket) for bucket in before} == before


@names
@few
@given(rows=calls, seed=st.integers(0, 2**40), count=st.integers(1, 5))
def test_a_choice_is_eligible_ranked_first_and_explained(name: str, rows, seed: int, count: int) -> None:
    choice = taught(name, rows).choose(RoutingAsk("code", "", MODELS[:count]), 0.0, seed)
    assert choice.ranking[0] == choice.model
    assert sorted(choice.ranking) == sorted(MODELS[:count])
    assert 0 < choice.propensity <= 1
    assert choice.reason
    assert [one.why_not == "" for one in choice.candidates if one.model == choice.model] == [True]


def test_a_look_is_never_older_than_a_share_of_the_evidence_and_an_alarm_ends_it() -> None:
    policy, draw = make("arbiter"), random.Random(3)
    ask, oldest, looked = RoutingAsk("code", "", MODELS), 0.0, 0
    for at in range(1, 1500):
        choice = policy.choose(ask, 0.0, at)
        known = {one.model: one.n for one in choice.candidates}
        now = {row["model"]: row["n"] for row in policy.table("code", MODELS)}
        oldest = max([oldest, *[1 - known[one] / now[one] for one in MODELS if now[one]]])
        looked += known == now
        policy.record(seen(("code", choice.model, float(draw.random() < 0.9), 1.0, 2)))
    assert 0 < oldest <= 1 / 16
    assert 32 < looked < 750
    before = policy.choose(ask, 0.0, 7)
    policy.vote("code", before.model, up=False)
    voted = next(one for one in policy.choose(ask, 0.0, 7).candidates if one.model == before.model)
    assert voted.quality < next(one for one in before.candidates if one.model == before.model).quality


def test_adding_statistics_adds_every_one_of_them() -> None:
    one = ModelStats(*[float(at) for at in range(len(FIELDS))])
    one.add(ModelStats(*[100.0 * at for at in range(len(FIELDS))]))
    assert [getattr(one, name) for name in FIELDS] == [101.0 * at for at in range(len(FIELDS))]


def test_every_statistic_is_a_sum() -> None:
    assert ModelStats(graded=2.0, cost_usd=1.0).as_dict() == {"graded": 2.0, "cost_usd": 1.0}


@names
@pytest.mark.parametrize("seed", range(8))
def test_calls_of_models_that_joined_and_left_meanwhile_are_learned(name: str, seed: int) -> None:
    draw, policy, other = random.Random(seed), make(name), make(name)
    priced = {**facts(), **{f"new-{at}": ModelFacts(1e-7, 4e-7) for at in range(4)}}
    for _ in range(60):
        pool = (BASELINE, *draw.sample(sorted(priced.keys() - {BASELINE}), draw.randint(0, 5)))
        act, model, bucket = draw.randrange(6), draw.choice(sorted(priced)), draw.choice(("code", "open"))
        if act == 0:
            policy.know({one: priced[one] for one in pool}, BASELINE)
        elif act == 1:
            policy.choose(RoutingAsk(bucket, "easy", pool), 0.0, draw.randrange(9))
        elif act == 2:
            policy.vote(bucket, model, up=True)
        elif act == 3:
            policy.merge(other.record(Observation(bucket, model, quality=1.0)).deltas)
        else:
            policy.record(Observation(bucket, model, cost_usd=0.1, tokens_in=9, tokens_out=9, quality=0.5))
        policy.outlook()
        policy.table(bucket, (BASELINE,))
        if draw.random() < 0.02:
            policy.forget()
    assert {model for _, model, _ in policy.rows()} <= priced.keys()
