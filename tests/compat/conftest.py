"""One Arbiter for all clients, as a process of its own, and a caller's key for it."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator

import pytest

from tests.served import OPERATOR, Served, served
from tests.waiting import PATIENCE_S


@pytest.fixture(scope="session")
def arbiter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A running sandbox Arbiter."""
    with served(tmp_path_factory.mktemp("compat"), command=True) as one:
        yield one


@pytest.fixture(scope="session")
def base_url(arbiter: Served) -> str:
    """What goes into a client's `base_url`."""
    return f"{arbiter.url}/v1"


@pytest.fixture
def minted(base_url: str) -> str:
    """A freshly minted caller's key."""
    body = json.dumps({"email": "dev@example.com"}).encode()
    request = urllib.request.Request(f"{base_url}/register", body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
        return str(json.load(answer)["api_key"])


@pytest.fixture(scope="session")
def key() -> str:
    """An operator's key, which has no limit."""
    return OPERATOR
