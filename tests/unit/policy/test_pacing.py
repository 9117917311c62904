"""A dollar weighs as much as ever before the soft limit, and ever more towards the hard one."""

from __future__ import annotations

import pytest

from arbiter_app.policy.pacing import LARGEST, dollar_weight


@pytest.mark.parametrize("spent", [0.0, 0.5, 0.799])
@pytest.mark.parametrize("elapsed", [None, 0.0, 0.5, 1.0])
def test_before_the_soft_limit_nothing_changes(spent: float, elapsed: float | None) -> None:
    assert dollar_weight(spent, elapsed, 0.8) == 1.0


@pytest.mark.parametrize("elapsed", [None, 0.0, 0.3, 0.75])
def test_the_nearer_the_limit_the_more_a_dollar_weighs(elapsed: float | None) -> None:
    weights = [dollar_weight(spent / 100, elapsed, 0.8) for spent in range(80, 101)]
    assert weights == sorted(weights) and weights[0] >= 1.0 and weights[-1] == LARGEST


def test_money_that_is_behind_its_time_is_not_saved() -> None:
    assert dollar_weight(0.85, 0.9, 0.8) == 1.0
    assert dollar_weight(0.9, 1.0, 0.0) == 1.0


def test_what_is_overrun_weighs_as_what_is_used_up() -> None:
    assert dollar_weight(1.5, 0.2, 0.8) == dollar_weight(1.0, 0.2, 0.8) == LARGEST
