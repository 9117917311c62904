"""Off-policy estimates against a world that is small enough to be counted out: every prompt, every model, every chance."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from arbiter_app.policy.ope import ArmSums, Target, WeightedSums, evaluate, logged_data, mixture, only, random_mixture

MODELS = ("small", "middle", "big")
INPUT_USD = {"small": 1e-7, "middle": 1e-6, "big": 5e-6}
CALLS = 1_000
# (bucket, share of the calls, tokens of the prompt, chance with which each model is asked, its mean grade, its answer's USD)
PROMPTS = (
    ("code", 0.2, 100, (0.6, 0.2, 0.2), (0.9, 0.95, 1.0), (1e-4, 4e-4, 2e-3)),
    ("code", 0.3, 900, (0.2, 0.2, 0.6), (0.2, 0.6, 0.9), (2e-4, 6e-4, 3e-3)),
    ("open", 0.1, 50, (0.5, 0.25, 0.25), (0.8, 0.9, 0.9), (1e-4, 3e-4, 1e-3)),
    ("open", 0.4, 400, (0.25, 0.5, 0.25), (0.4, 0.7, 0.8), (3e-4, 5e-4, 4e-3)),
)


def counted(n: float, weight: float, x: float) -> WeightedSums:
    return WeightedSums(n, n * weight, n * weight**2, n * weight * x, n * weight**2 * x, n * weight**2 * x * x)


def evidence():
    """Every call that happens, in proportion: no luck."""
    rows = []
    for bucket, share, tokens, chances, grades, usd in PROMPTS:
        for at, model in enumerate(MODELS):
            n, weight = CALLS * share * chances[at], 1 / chances[at]
            arm = ArmSums(counted(n, weight, usd[at]), counted(n, weight, grades[at]))
            rows.append((bucket, model, frozenset[str](), n, n * tokens, n, arm))
    return logged_data(rows)


def truth(shares: Mapping[str, float]) -> tuple[float, float]:
    """Mean USD and grade of a call when models are asked with these chances, whatever the prompt."""
    cost = quality = 0.0
    for _, share, tokens, _, grades, usd in PROMPTS:
        for at, model in enumerate(MODELS):
            chance = share * shares.get(model, 0.0)
            cost += chance * (tokens * INPUT_USD[model] + usd[at])
            quality += chance * grades[at]
    return cost, quality


TARGETS: dict[str, tuple[Target, dict[str, float]]] = {
    "small": (only("small"), {"small": 1.0}),
    "big": (only("big"), {"big": 1.0}),
    "mixture": (mixture(only("big"), only("middle"), 0.3), {"big": 0.7, "middle": 0.3}),
    "random": (
        random_mixture({"small": 2.0, "middle": 1.0, "big": 1.0}, evidence()),
        {"small": 0.5, "middle": 0.25, "big": 0.25},
    ),
}


@pytest.mark.parametrize("name", TARGETS)
def test_the_estimate_is_the_truth_where_everything_happens_as_often_as_it_should(name: str) -> None:
    target, shares = TARGETS[name]
    found = evaluate(evidence(), target, MODELS, INPUT_USD)
    cost, quality = truth(shares)
    assert found.cost is not None and found.quality is not None
    assert found.covered == pytest.approx(1.0)
    assert found.cost.value == pytest.approx(cost)
    assert found.quality.value == pytest.approx(quality)
    assert found.quality.low < quality < found.quality.high


def test_plain_means_would_be_wrong_here() -> None:
    """What the inverse propensities are for: the small model was asked for the easy prompts."""
    asked = [(share * chances[0], grades[0]) for _, share, _, chances, grades, _ in PROMPTS]
    plain = sum(n * grade for n, grade in asked) / sum(n for n, _ in asked)
    assert plain > truth({"small": 1.0})[1] + 0.1
