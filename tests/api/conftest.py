"""A runtime that says what a test wants, and an Arbiter over it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import Running, running
from tests.stranger import Stranger, plain, stranger


@pytest.fixture(scope="module")
def runtime() -> Iterator[Stranger]:
    """One for all tests of a file."""
    with stranger() as one:
        yield one


@pytest.fixture(scope="module")
def over_all(runtime: Stranger, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """An Arbiter over it that judges no answer, for all tests of a file."""
    settings = {**runtime.settings, "ARBITER_JUDGE_SAMPLE": "0"}
    with running(tmp_path_factory.mktemp("over"), **settings) as one:
        yield one


@pytest.fixture
def over(over_all: Running, runtime: Stranger) -> Running:
    """The same for one test: it has learned nothing yet, and its runtime answers and has heard nothing."""
    runtime.say, runtime.heard = lambda body: plain(), []
    over_all.http.post("/v1/reset")
    return over_all
