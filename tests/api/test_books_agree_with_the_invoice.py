"""What Arbiter puts on record is what the runtime bills: to the pico-dollar where a call ended, within 0.5 % in all."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.api.books import run

CALLS = 1_000
"""Of each kind. Ten thousand: `python -m tests.api.books`."""


@pytest.mark.parametrize("states", [True, False], ids=["charges stated", "tokens alone"])
def test_the_books_agree_with_the_invoice(tmp_path: Path, states: bool) -> None:
    books = run(tmp_path, CALLS, states=states)
    assert books.retried > 0 and books.left > 0
    assert books.states == {"settled" if states else "computed": books.calls - books.left}
    assert books.recorded == books.billed
    assert books.off <= 0.005, books
