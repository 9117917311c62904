"""What is believed is what conditioning one joint Gaussian on all grades at once gives, by brute force."""

from __future__ import annotations

import numpy as np
import pytest

from arbiter_app.policy.posterior import (
    LEVEL,
    LEVEL_SD,
    Array,
    GapPrior,
    GradeEvidence,
    PairEvidence,
    QualityPosterior,
    bucket_likelihood,
    cheapness,
    gap_prior,
    grade_evidence,
    pair_evidence,
    shared_posterior,
)

BUCKETS, MODELS = 3, 4
PRICE = np.array([0.0, 0.1, 0.5, 1.0])


def prior() -> GapPrior:
    return gap_prior(cheapness(PRICE, 3), 3, mean=0.12, slope=0.008, sd=(0.03, 0.03, 0.11), shared=0.7)


def drawn(seed: int) -> tuple[list[GradeEvidence], list[float]]:
    """Grades of every bucket, some models without any, and how large its gaps are expected to be."""
    rng = np.random.default_rng(seed)
    weights = rng.integers(0, 12, (BUCKETS, MODELS)).astype(float)
    means = np.where(weights > 0, rng.random((BUCKETS, MODELS)), 0.0)
    noise = rng.uniform(0.02, 0.2, (BUCKETS, MODELS))
    return [GradeEvidence(*row) for row in zip(weights, means, noise, strict=True)], rng.uniform(
        0.3, 1.8, BUCKETS
    ).tolist()


def brute_force(seen: list[GradeEvidence], sizes: list[float], known: GapPrior) -> tuple[Array, Array]:
    """Mean and covariance of all qualities [BUCKETS x MODELS] given all grades: one big matrix, no shortcut.

    q_tm = LEVEL + l_t - s_t (h_m + o_tm), grades of it with variance noise / weight.
    """
    scale = np.repeat(sizes, MODELS)
    gaps = np.kron(np.ones((BUCKETS, BUCKETS)), known.shared) + np.kron(np.eye(BUCKETS), known.own)
    cov = scale[:, None] * gaps * scale + LEVEL_SD**2 * np.kron(np.eye(BUCKETS), np.ones((MODELS, MODELS)))
    mean = LEVEL - scale * np.tile(known.mean, BUCKETS)
    weight, graded, noise = (
        np.concatenate([getattr(one, name) for one in seen]) for name in ("weight", "mean", "noise")
    )
    at = np.flatnonzero(weight)
    gain = cov[:, at] @ np.linalg.inv(cov[np.ix_(at, at)] + np.diag(noise[at] / weight[at]))
    return mean + gain @ (graded[at] - mean[at]), cov - gain @ cov[at]


def believed(seen: list[GradeEvidence], sizes: list[float], known: GapPrior) -> list[QualityPosterior]:
    says = [bucket_likelihood(one, known, size) for one, size in zip(seen, sizes, strict=True)]
    mean, cov = shared_posterior(known, sum(one.precision for one in says), sum(one.info_vector for one in says))
    return [one.given(mean, cov) for one in says]


@pytest.mark.parametrize("seed", range(8))
def test_belief_is_brute_force_conditioning(seed: int) -> None:
    seen, sizes = drawn(seed)
    mean, cov = brute_force(seen, sizes, prior())
    for at, one in enumerate(believed(seen, sizes, prior())):
        here = slice(at * MODELS, (at + 1) * MODELS)
        np.testing.assert_allclose(one.mean, mean[here], atol=1e-12)
        np.testing.assert_allclose(one.cov, cov[here, here], atol=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_the_gap_and_what_can_be_learned_of_it_are_those_of_the_joint_gaussian(seed: int) -> None:
    """Learnable is the share of the variance that knowing one model's own quality takes away."""
    seen, sizes = drawn(seed)
    one = believed(seen, sizes, prior())[0]
    gap, reference = one.gap(3), 3
    for model in range(MODELS - 1):
        pair = one.cov[np.ix_([reference, model], [reference, model])]
        contrast = np.array([1.0, -1.0])
        variance = contrast @ pair @ contrast
        left = variance - (contrast @ pair[:, 1]) ** 2 / pair[1, 1]
        assert gap.mean[model] == pytest.approx(one.mean[reference] - one.mean[model])
        assert gap.sd[model] ** 2 == pytest.approx(variance)
        assert gap.learnable[model] == pytest.approx(1 - left / variance)


def test_the_prior_gap_grows_with_how_much_cheaper_a_model_is_and_the_baseline_has_none() -> None:
    cheap = cheapness(PRICE, 3)
    np.testing.assert_allclose(cheap, [6.0, np.log(10), np.log(2), 0.0])
    np.testing.assert_allclose(prior().mean, [*(0.12 + 0.008 * cheap[:3]), 0.0])
    assert not prior().shared[3].any() and not prior().own[3].any()
    np.testing.assert_allclose(np.diag(prior().shared + prior().own)[:3], 0.03**2 + (0.03 * cheap[:3]) ** 2 + 0.11**2)


def paired(seed: int) -> list[PairEvidence]:
    """Pairs with the last model's grades in every bucket, some models without any."""
    rng = np.random.default_rng(100 + seed)
    weight = rng.integers(0, 9, (BUCKETS, MODELS)) * (np.arange(MODELS) < MODELS - 1)
    mean = np.where(weight > 0, rng.uniform(-0.2, 0.8, weight.shape), 0.0)
    noise, slope = rng.uniform(0.02, 0.2, (2, BUCKETS, MODELS))
    return [PairEvidence(*row, MODELS - 1) for row in zip(weight.astype(float), mean, noise, 5 * slope, strict=True)]


@pytest.mark.parametrize("seed", range(8))
def test_pairs_are_conditioned_on_as_measurements_of_a_difference(seed: int) -> None:
    seen, sizes = drawn(seed)
    pairs, known, size = paired(seed), prior(), BUCKETS * MODELS
    scale = np.repeat(sizes, MODELS)
    gaps = np.kron(np.ones((BUCKETS, BUCKETS)), known.shared) + np.kron(np.eye(BUCKETS), known.own)
    cov = scale[:, None] * gaps * scale + LEVEL_SD**2 * np.kron(np.eye(BUCKETS), np.ones((MODELS, MODELS)))
    mean = LEVEL - scale * np.tile(known.mean, BUCKETS)
    rows, told, noise = [], [], []
    for bucket, (alone, pair) in enumerate(zip(seen, pairs, strict=True)):
        for model in range(MODELS):
            for one, slope in ((alone, 0.0), (pair, float(pair.slope[model]))):
                if one.weight[model] > 0:
                    row = np.zeros(size)
                    row[bucket * MODELS + model] += 1
                    row[bucket * MODELS + MODELS - 1] -= slope
                    rows.append(row)
                    told.append(one.mean[model])
                    noise.append(one.noise[model] / one.weight[model])
    design = np.array(rows)
    gain = cov @ design.T @ np.linalg.inv(design @ cov @ design.T + np.diag(noise))
    expected, left = mean + gain @ (np.array(told) - design @ mean), cov - gain @ design @ cov
    says = [bucket_likelihood(one, known, at, pair) for one, at, pair in zip(seen, sizes, pairs, strict=True)]
    shared = shared_posterior(known, sum(one.precision for one in says), sum(one.info_vector for one in says))
    for at, one in enumerate(says):
        here, found = slice(at * MODELS, (at + 1) * MODELS), one.given(*shared)
        np.testing.assert_allclose(found.mean, expected[here], atol=1e-12)
        np.testing.assert_allclose(found.cov, left[here, here], atol=1e-12)


def test_grades_of_the_same_prompts_tell_a_gap_better_and_as_well_as_they_say() -> None:
    """Thirty prompts that four models answered, and two hundred that the baseline did: with and without knowing which were the same."""
    wide = gap_prior(cheapness(PRICE, 3), 3, mean=0.1, slope=0.0, sd=(0.3, 0.0, 0.3), shared=0.5)
    strength, base = np.array([0.7, 0.8, 0.9, 1.0]), 3
    truth = strength - 0.2  # less the mean of the noise
    rng, off, sd = np.random.default_rng(5), np.zeros((2, 300, base)), np.zeros((2, 300, base))
    for life in range(300):
        hard, noise = rng.random(230)[:, None], 0.4 * rng.random((230, MODELS))
        grades = (noise + hard < strength).astype(float)
        same = grades[:30]
        weight, total = np.array([30.0, 30, 30, 230]), np.array([*same[:, :base].sum(0), grades[:, base].sum()])
        evidence = grade_evidence(np.array([weight, total, total]))
        alone = GradeEvidence(weight * (np.arange(MODELS) == base), evidence.mean, evidence.noise)
        beside = np.full(MODELS, same[:, base].sum())
        sums = np.array(
            [np.full(MODELS, 30.0), *same.sum(0)[None].repeat(2, 0), beside, beside, same.T @ same[:, base]]
        )
        sums[:, base] = 0.0
        pairs = pair_evidence(sums, evidence.noise, base)
        for way, says in enumerate(
            (bucket_likelihood(evidence, wide, 1.0), bucket_likelihood(alone, wide, 1.0, pairs))
        ):
            gap = says.given(*shared_posterior(wide, says.precision, says.info_vector)).gap(base)
            off[way, life], sd[way, life] = gap.mean[:base] - (truth[base] - truth[:base]), gap.sd[:base]
    error = np.sqrt((off**2).mean((1, 2)))
    assert error[1] < 0.93 * error[0]
    assert np.sqrt((sd[1] ** 2).mean()) == pytest.approx(error[1], rel=0.1)
