"""The prompt decides where it has shown that it predicts, and nowhere else."""

from __future__ import annotations

import random

import numpy as np
import pytest

from arbiter_app.policy import ModelFacts, Observation, PolicySettings, RoutingAsk, build
from arbiter_app.policy.bandit import ArbiterPolicy
from arbiter_app.policy.prompt_regression import SIGNIFICANT, SIZE, PromptRegression, features, head

FACTS = {"big": ModelFacts(2.5e-6, 10e-6), "small": ModelFacts(0.15e-6, 0.6e-6)}
WORDS = "river stone cloud paper window garden music table winter letter".split()


def prompt(rng: random.Random, hard: bool) -> str:
    return " ".join([*rng.sample(WORDS, 5), "prove the lemma" if hard else "name the colour"])


def taught(seed: int, *, told: bool, state: dict[str, bytes] | None = None) -> ArbiterPolicy:
    """A policy that has seen both models: `small` fails what is hard, which the prompt tells or does not."""
    policy = build("arbiter", catalog=FACTS, baseline="big", settings=PolicySettings())
    assert isinstance(policy, ArbiterPolicy)
    rng = random.Random(seed)
    for at in range(512):
        hard = rng.random() < 0.5
        model = ("big", "small")[at % 2]
        fails = 0.9 if hard and model == "small" else 0.1
        text = prompt(rng, hard if told else rng.random() < 0.5)
        learned = policy.record(Observation("open", model, text, 1e-4, 500, 100, float(rng.random() > fails)))
        if state is not None:
            state.update(learned.state)
    return policy


def served(policy: ArbiterPolicy, text: str) -> str:
    return policy.choose(RoutingAsk("open", text, ("big", "small")), 0.0, 1).ranking[0]


@pytest.mark.parametrize("seed", range(3))
def test_where_prompts_predict_each_goes_to_the_model_that_can_serve_it(seed: int) -> None:
    policy, rng = taught(seed, told=True), random.Random(99)
    assert [served(policy, prompt(rng, hard=True)) for _ in range(20)] == ["big"] * 20
    easy = [served(policy, prompt(rng, hard=False)) for _ in range(20)]
    assert easy.count("small") >= 14


@pytest.mark.parametrize("seed", range(3))
def test_where_prompts_do_not_predict_they_change_nothing(seed: int) -> None:
    policy, rng = taught(seed, told=False), random.Random(99)
    without = policy.choose(RoutingAsk("open", "", ("big", "small")), 0.0, 1)
    for _ in range(20):
        assert policy.choose(RoutingAsk("open", prompt(rng, True), ("big", "small")), 0.0, 1) == without


def test_chance_hardly_ever_passes_for_proof() -> None:
    rng, proven = random.Random(3), 0
    texts = [prompt(rng, rng.random() < 0.5) for _ in range(200)]
    for _ in range(300):
        regression, ever = PromptRegression(), False
        for seen in texts:
            regression.update(seen, float(rng.random() < 0.7) - 0.7, 1.0)
            ever = ever or regression.significant
        proven += ever
    assert proven == 0, f"nothing that chance does should ever be over {SIGNIFICANT} standard deviations"


def test_what_was_read_survives_a_restart_and_damage_begins_anew() -> None:
    state: dict[str, bytes] = {}
    policy, rng = taught(0, told=True, state=state), random.Random(99)
    again = build("arbiter", catalog=FACTS, baseline="big", settings=PolicySettings())
    assert isinstance(again, ArbiterPolicy)
    again.load(policy.rows(), state)
    assert (served(again, prompt(rng, hard=True)), served(again, prompt(rng, hard=False))) == ("big", "small")
    again.load(policy.rows(), {name: b"damaged" for name in state})
    assert served(again, prompt(rng, hard=True)) == served(again, prompt(rng, hard=False))


def test_sums_of_two_processes_add_up() -> None:
    rng = random.Random(4)
    one, other, whole = PromptRegression(), PromptRegression(), PromptRegression()
    for at in range(40):
        seen, grade = features([head(prompt(rng, at % 3 == 0))]), (np.array([0.1]), np.array([1.0]))
        (one, other)[at % 2].update_batch(seen, *grade)
        whole.update_batch(seen, *grade)
    one.add(other)
    assert np.allclose(one.sum_xy, whole.sum_xy)
    assert np.allclose(one.sum_xx, whole.sum_xx)


@pytest.mark.parametrize("text", ["", " ", "\x00", "日本語", "\ud800", "a" * 100_000, "🙂" * 5000])
def test_any_text_gives_finite_features(text: str) -> None:
    assert features([head(text)]).shape == (1, SIZE)
    assert np.isfinite(features([head(text)])).all()
