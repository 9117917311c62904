"""A choice is a function of what is stored (statistics and state), the ask and the seed: nothing hidden decides."""

from __future__ import annotations

import pytest

from tests.policy_life import MODELS, Life


@pytest.mark.parametrize("name", ["arbiter", "classic"])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_fresh_policy_with_the_same_rows_and_state_chooses_the_same(name: str, seed: int) -> None:
    life, compared = Life(name, seed), 0
    for _ in range(2_500):
        life.step()
        if life.calls % 10 == 0:
            assert not list(life.differences(2)), f"after {life.calls} calls"
            compared += 2
    assert compared == 500
    assert min(life.votes, life.late) > 20
    assert life.alarms > 0
    assert life.beside > 100 or name == "classic"
    assert any(one.segment[0] == "project" for one in life.policy.segments(MODELS)) or name == "classic"
