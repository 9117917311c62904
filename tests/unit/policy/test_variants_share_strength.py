"""Settings of one model: believed to be alike, better with more thought; they share a price, and a conversation changes the setting first."""

from __future__ import annotations

import numpy as np
import pytest

from arbiter_app.policy import ModelFacts, Observation, Policy, PolicySettings, RoutingAsk, Trials, build
from arbiter_app.policy.posterior import Variants, gap_prior

BIG, SMALL = ModelFacts(5e-6, 25e-6, cached_usd_per_token=0.5e-6), ModelFacts(1e-6, 5e-6, cached_usd_per_token=0.1e-6)


def variant(of: str, facts: ModelFacts, scale: float) -> ModelFacts:
    return ModelFacts(
        facts.input_usd_per_token,
        facts.output_usd_per_token,
        cached_usd_per_token=facts.cached_usd_per_token,
        variant_of=of,
        output_scale=scale,
    )


FACTS = {
    "big": BIG,
    "big:high": variant("big", BIG, 8.0),
    "small": SMALL,
    "small:low": variant("small", SMALL, 2.0),
    "small:high": variant("small", SMALL, 8.0),
    "other": SMALL,
}
POOL = tuple(FACTS)


def policy(**settings: float) -> Policy:
    return build("arbiter", catalog=FACTS, baseline="big", settings=PolicySettings(**settings))  # type: ignore[arg-type]


def taught(made: Policy, model: str, good: int, bad: int, bucket: str = "math", tokens: int = 100) -> None:
    for at in range(good + bad):
        usd = FACTS[model].list_usd(50, tokens)
        quality = float(at < good)
        made.record(Observation(bucket, model, "", usd, 50, tokens, quality))


def believed(made: Policy, bucket: str = "math") -> dict[str, float]:
    return {row["model"]: row["quality"] for row in made.table(bucket, POOL)}


def test_without_variants_the_prior_is_what_it_was() -> None:
    cheap, alone = np.array([0.0, 1.0, 2.0]), Variants(np.eye(3), np.zeros(3))
    one = gap_prior(cheap, 0, mean=0.12, slope=0.01, sd=(0.03, 0.03, 0.1), shared=0.7)
    other = gap_prior(cheap, 0, mean=0.12, slope=0.01, sd=(0.03, 0.03, 0.1), shared=0.7, variants=alone)
    assert np.array_equal(one.mean, other.mean)
    assert one.shared == pytest.approx(other.shared) and one.own == pytest.approx(other.own)


def test_the_prior_is_one_that_can_be() -> None:
    of = np.array([0, 0, 0, 3, 3, 5])
    thought = np.log([1.0, 0.5, 2.0, 1.0, 8.0, 1.0])
    found = gap_prior(
        np.array([0, 0, 0, 1.0, 1.0, 2.0]),
        0,
        mean=0.12,
        slope=0.01,
        sd=(0.03, 0.03, 0.1),
        shared=0.7,
        variants=Variants((of[:, None] == of).astype(float), thought),
    )
    whole = found.shared + found.own
    assert np.allclose(whole, whole.T) and np.linalg.eigvalsh(whole).min() > -1e-12
    assert not whole[0].any() and found.mean[0] == 0.0, "the baseline has no gap to itself"
    assert found.mean[1] > 0 > found.mean[2], "less thought is worse, more is better"
    assert whole[1, 1] < whole[3, 3], "a setting of the baseline is nearer to it than another model"


def test_a_grade_of_one_setting_says_more_of_the_same_model_than_of_others() -> None:
    made = policy()
    taught(made, "big", 30, 1)
    before = believed(made)
    taught(made, "small", 4, 12)
    after = believed(made)
    fell = {model: before[model] - after[model] for model in POOL}
    assert fell["small"] > fell["small:low"] > 2 * fell["other"] > 0
    assert fell["small:high"] > 1.5 * fell["other"]


def test_what_thinking_does_to_one_model_is_expected_of_the_other() -> None:
    made, other = policy(), policy()
    for one in (made, other):
        taught(one, "big", 18, 12)
        taught(one, "small", 12, 18)
    before = believed(made)["big:high"]
    taught(made, "small:high", 38, 2)
    assert believed(made)["big:high"] > before + 0.02


def test_a_price_that_rises_at_one_setting_has_risen_at_all() -> None:
    made = policy()
    for model in ("big", "small", "small:low"):
        for bucket in ("math", "code"):
            taught(made, model, 18, 2, bucket)
    shifts = []
    for _ in range(10):
        usd = 8 * FACTS["small"].list_usd(50, 100)
        shifts += made.record(Observation("math", "small", "", usd, 50, 100, 1.0)).shifts
    assert [shift.kind for shift in shifts] == ["price"]
    assert (made.expected_cost_usd("code", "small:low", 0, 0) or 0) == pytest.approx(
        8 * FACTS["small"].list_usd(50, 100), rel=0.25
    )
    assert (made.expected_cost_usd("code", "big", 0, 0) or 0) == pytest.approx(FACTS["big"].list_usd(50, 100))


@pytest.fixture(scope="module")
def learned() -> Policy:
    """All are as good; the setting that thinks most is dear, the model `other` is a little cheaper than `small` at its own."""
    made = policy(sticky_margin=0.05)
    for model in POOL:
        taught(made, model, 58, 2, tokens=600 if model.endswith("high") else 100)
    for _ in range(60):
        made.record(Observation("math", "other", "", FACTS["other"].list_usd(50, 95), 50, 95, 1.0))
    return made


def chosen(made: Policy, conversation: str | None, eligible: tuple[str, ...] = POOL, **fields: int) -> str:
    ask = RoutingAsk("math", "", eligible, 50, 100, conversation, conversation, trials=Trials.NONE, **fields)
    return made.choose(ask, 0.0, 1).model


def test_a_conversation_changes_its_setting_before_its_model(learned: Policy) -> None:
    assert chosen(learned, None) == "other"
    assert chosen(learned, "small:high") in ("small", "small:low"), "the model stays, at a setting that is cheaper"
    assert chosen(learned, "gone:low") == "other"


def test_what_the_provider_has_cached_is_of_use_at_every_setting(learned: Policy) -> None:
    ask = RoutingAsk("math", "", POOL, 50, 100, None, "small:high", 1_000, trials=Trials.NONE)
    plain = {
        one.model: one.cost_usd or 0.0
        for one in learned.choose(RoutingAsk("math", "", POOL, 50, 100), 0.0, 1).candidates
    }
    costs = {one.model: one.cost_usd or 0.0 for one in learned.choose(ask, 0.0, 1).candidates}
    lost = {model for model in POOL if costs[model] > plain[model] * 1.001}
    assert lost == {"big", "big:high", "other"}
