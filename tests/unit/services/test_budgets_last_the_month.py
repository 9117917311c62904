"""A month that would cost more than its budget spends it nearly whole, and loses little against who knew the traffic to come."""

from __future__ import annotations

from pathlib import Path

from tests.bench.months import run


def test_thrifty_routing_uses_the_budget_up_and_is_nearly_as_good_as_foresight(tmp_path: Path) -> None:
    months = run(tmp_path, 4, mean=800)
    for month in months:
        assert month.wanted > 1.0
        assert 0.97 <= month.spent <= 1.0, months
        assert month.lost <= 0.02, months
