"""Amounts of a budget are dollars and cents, and small ones as many digits as they need."""

from __future__ import annotations

import pytest

from arbiter_app.web.formats import amount


@pytest.mark.parametrize(
    ("usd", "text"),
    [
        (0, "$0"),
        (1e-15, "$0"),
        (0.000096, "$0.000096"),
        (0.002, "$0.002"),
        (0.0099, "$0.0099"),
        (0.01, "$0.01"),
        (0.049, "$0.05"),
        (200, "$200.00"),
        (1234567.891, "$1,234,567.89"),
    ],
)
def test_an_amount(usd: float, text: str) -> None:
    assert amount(usd) == text
