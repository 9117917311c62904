"""The stopping problem behind trials: the table that ships is its solution, and it means what the rule takes it to mean."""

from __future__ import annotations

import numpy as np

from arbiter_app.policy.gittins import COLUMNS, TABLE, Z, gittins_index, solve_index_table, unit_normal_loss

ANY_Z = np.linspace(-3.0, 3.5, 40)


def test_the_shipped_table_is_the_solution() -> None:
    assert np.allclose(np.loadtxt(TABLE), solve_index_table(), rtol=1e-3, atol=1e-3)


def test_where_nothing_is_left_to_learn_the_expected_shortfall_counts() -> None:
    assert np.allclose(gittins_index(ANY_Z, np.full(40, 100.0)), unit_normal_loss(ANY_Z), atol=0.02)


def test_hope_never_exceeds_the_expectation_and_grows_with_what_is_left_to_learn() -> None:
    by_tau = np.array([gittins_index(ANY_Z, np.full(40, tau)) for tau in (1e-4, 1e-2, 1.0, 100.0)])
    assert (by_tau <= unit_normal_loss(ANY_Z) + 0.02).all()
    assert (np.diff(by_tau, axis=0) >= -0.02).all()
    assert (np.diff(by_tau, axis=1) >= -1e-9).all()


def test_a_model_that_surely_falls_short_has_no_hope() -> None:
    assert np.allclose(gittins_index(np.array([9.0, 40.0]), np.array([1e-4, 1e-4])), [9.0, 40.0], rtol=0.1)


def test_trying_pays_exactly_up_to_the_boundary() -> None:
    """Twenty thousand seeded careers of a model: worth trying against a rival just dearer than its index, and not against
    one just cheaper. The one who decides follows the table itself."""
    z, known, ahead = 0.5, 10, 200
    boundary = float(gittins_index(np.array([z]), np.array([known / ahead]))[0])
    assert _gain(boundary * 1.4, z, known, ahead) > 0
    assert _gain(boundary * 0.6, z, known, ahead) < 0


def _gain(rival: float, z: float, known: int, ahead: int, careers: int = 20_000) -> float:
    """Mean gain of serving the model at least once, and then as long as the table says, over serving the rival: in standard
    deviations of the shortfall at the start, grades of unit noise scaled to them."""
    rng = np.random.default_rng(5)
    short = z + rng.standard_normal(careers)
    mean, precision = np.full(careers, z), 1.0
    going, gain, grade = np.ones(careers, bool), np.zeros(careers), 1.0 / known
    for served in range(1, ahead + 1):
        gain += going * (rival - np.maximum(short, 0.0))
        seen = short + rng.standard_normal(careers) / np.sqrt(grade)
        mean = np.where(going, (mean * precision + seen * grade) / (precision + grade), mean)
        precision += grade
        sd = 1 / np.sqrt(precision)
        left = max(ahead - served, 1e-9)
        going &= gittins_index(mean / sd, np.full(careers, precision / grade / left)) * sd < rival
    return float(gain.mean())


def test_the_table_covers_what_it_says() -> None:
    assert np.loadtxt(TABLE).shape[1] == COLUMNS
    assert Z[0] < 0 < Z[1]
