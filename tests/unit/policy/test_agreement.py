"""A judged grade weighs what its judge's agreement with the truth is worth: from a stated prior, moved by evidence alone."""

from __future__ import annotations

import random
from functools import reduce

import pytest

from arbiter_app.policy import REACTION, ModelFacts, Observation, PolicySettings, agreement, build
from arbiter_app.policy.agreement import (
    OBJECTIVE,
    PEOPLE,
    PRIOR_WEIGHT,
    PairKey,
    Pairs,
    Trust,
    overall,
    pair,
    report,
    trust,
)

TASK = "math"


def judge(n: int, *, noise: float = 0.05, bias: float = 0.0, arbitrary: float = 0.0, good: float = 0.7) -> Pairs:
    """Pairs of a judge of that taste with answers of which a share is right."""
    rng = random.Random(7)
    total = Pairs()
    for _ in range(n):
        truth = float(rng.random() < good)
        score = truth + bias + rng.gauss(0.0, noise)
        if rng.random() < arbitrary:
            score = rng.random()
        total = total + pair(min(1.0, max(0.0, score)), truth)
    return total


def of(pairs: Pairs, task: str = TASK, against: str = OBJECTIVE) -> Trust:
    return trust({("j", task, against): pairs}, "j", TASK)


def test_it_starts_from_the_prior_and_reads_scores_as_they_are() -> None:
    known = trust({}, "j", TASK)
    assert known.weight == pytest.approx(PRIOR_WEIGHT)
    assert [known.read(score) for score in (0.0, 0.3, 1.0)] == pytest.approx([0.0, 0.3, 1.0])


def test_a_good_judge_weighs_nearly_as_much_as_a_check_and_more_with_more_pairs() -> None:
    weights = [of(judge(n)).weight for n in (10, 40, 200)]
    assert PRIOR_WEIGHT < weights[0] < weights[1] < weights[2]
    assert weights[2] > 0.9


def test_a_judge_that_agrees_no_better_than_chance_weighs_next_to_nothing() -> None:
    assert of(judge(200, arbitrary=1.0)).weight < 0.02
    reversed_judge = reduce(Pairs.__add__, [pair(float(at % 2), 1.0 - at % 2) for at in range(100)])
    assert of(reversed_judge).weight == 0.0


def test_a_noisy_judge_weighs_its_squared_correlation() -> None:
    pairs = judge(4_000, arbitrary=0.5)
    n = pairs.n
    covariance = pairs.product / n - pairs.score * pairs.truth / n**2
    spread = (pairs.score_sq / n - (pairs.score / n) ** 2) * (pairs.truth_sq / n - (pairs.truth / n) ** 2)
    assert of(pairs).weight == pytest.approx(covariance**2 / spread, rel=0.02)


@pytest.mark.parametrize("taste", [{"bias": 0.2}, {"bias": -0.3}, {"arbitrary": 0.5}])
def test_a_biased_or_blunt_judge_is_read_without_its_bias(taste: dict[str, float]) -> None:
    """The same judge on models of other quality: means of what is read are near the truth, means of scores are not."""
    known = of(judge(400, **taste))
    rng = random.Random(11)
    scores = []
    for _ in range(2_000):
        truth = float(rng.random() < 0.4)
        score = truth + taste.get("bias", 0.0) + rng.gauss(0.0, 0.05)
        scores.append(min(1.0, max(0.0, rng.random() if rng.random() < taste.get("arbitrary", 0.0) else score)))
    off = abs(sum(scores) / len(scores) - 0.4)
    assert abs(sum(map(known.read, scores)) / len(scores) - 0.4) < min(0.06, off)


def test_sums_add_up_in_any_order_and_a_withdrawn_thumb_leaves_nothing() -> None:
    parts = [pair(random.Random(at).random(), float(at % 3 > 0)) for at in range(50)]
    forwards, backwards = reduce(Pairs.__add__, parts), reduce(Pairs.__add__, reversed(parts))
    assert forwards.as_dict() == pytest.approx(backwards.as_dict())
    assert (forwards + pair(0.3, 1.0) + pair(0.3, 1.0, -1.0)).as_dict() == pytest.approx(forwards.as_dict())


def test_other_tasks_speak_for_a_task_until_it_has_pairs_of_its_own() -> None:
    good = judge(500)
    elsewhere = trust({("j", "code", OBJECTIVE): good}, "j", TASK).weight
    assert PRIOR_WEIGHT < elsewhere < of(good).weight
    both: dict[PairKey, Pairs] = {("j", "code", OBJECTIVE): good, ("j", TASK, PEOPLE): judge(500, arbitrary=1.0)}
    assert trust(both, "j", TASK).weight < 0.1
    assert trust(both, "another", TASK).weight == pytest.approx(PRIOR_WEIGHT)


def test_what_is_told_is_the_share_on_one_side_of_one_half() -> None:
    pairs = reduce(Pairs.__add__, [pair(0.9, 1.0)] * 87 + [pair(0.9, 0.0)] * 13)
    line = overall({("j", TASK, OBJECTIVE): pairs}, "j", OBJECTIVE)
    assert line is not None
    assert (line["n"], line["agreement"]) == (100, 0.87)
    assert line["bias"] == pytest.approx(0.03)
    assert 0.78 < float(str(line["low"])) < 0.87 < float(str(line["high"])) < 0.93
    assert [one["task"] for one in report({("j", TASK, OBJECTIVE): pairs}, "j")] == [TASK]
    assert overall({}, "j", PEOPLE) is None


def test_a_judge_that_is_known_well_is_checked_less() -> None:
    def share(n: float, task: str = "math") -> float:
        return agreement.still_checked({("judge", "math", OBJECTIVE): Pairs(n=n)}, "judge", task)

    assert [share(n) for n in (0, 1, 400, 800, 4_000, 1e9)] == [1.0, 1.0, 1.0, 0.5, 0.1, 0.1]
    assert share(1e9, "code") == agreement.still_checked({}, "judge", "math") == 1.0


def test_no_alarm_rests_on_what_callers_say() -> None:
    facts = {"big": ModelFacts(1e-5, 1e-5), "small": ModelFacts(1e-6, 1e-6)}
    policy = build("arbiter", catalog=facts, baseline="big", settings=PolicySettings())
    for _ in range(60):
        policy.record(Observation("open", "small", quality=1.0, cost_usd=1e-5, tokens_in=5, tokens_out=5))
    shifts = []
    for _ in range(60):
        said = Observation("open", "small", quality=0.0, quality_weight=0.3, mode=REACTION)
        shifts += policy.grade(said).shifts
    known = next(stats for _, model, stats in policy.rows() if model == "small")
    assert shifts == [] and known.graded == pytest.approx(60 + 18) and known.quality_sum == pytest.approx(60)
    again = build("arbiter", catalog=facts, baseline="big", settings=PolicySettings())
    for _ in range(60):
        again.record(Observation("open", "small", quality=1.0, cost_usd=1e-5, tokens_in=5, tokens_out=5))
    judged = [again.grade(Observation("open", "small", quality=0.0, quality_weight=0.3)).shifts for _ in range(60)]
    assert any(judged), "the same grades of a judge would raise one"
