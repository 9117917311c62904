"""One Arbiter for all clients, as a process of its own, and a caller's key for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.served import OPERATOR, Served, served


@pytest.fixture(scope="session")
def arbiter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A running sandbox Arbiter."""
    with served(tmp_path_factory.mktemp("compat")) as one:
        yield one


@pytest.fixture(scope="session")
def base_url(arbiter: Served) -> str:
    """What goes into a client's `base_url`."""
    return f"{arbiter.url}/v1"


@pytest.fixture(scope="session")
def key() -> str:
    """An operator's key, which has no limit."""
    return OPERATOR
