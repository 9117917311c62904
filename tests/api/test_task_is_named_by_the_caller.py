"""The header `x-arbiter-task`: a caller that knows what it asks for says so, in every dialect."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from arbiter_app.pipeline.types import Task
from tests.conftest import Running

VAGUE = "Make it so."
MESSAGES: dict[str, Any] = {"messages": [{"role": "user", "content": VAGUE}]}
BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": MESSAGES,
    "/v1/messages": {**MESSAGES, "max_tokens": 50},
    "/v1/responses": {"input": VAGUE},
    "/v1/completions": {"prompt": VAGUE},
}


def ask(gateway: Running, hint: str, path: str = "/v1/chat/completions", **fields: Any) -> httpx.Response:
    return gateway.http.post(path, json={**BODIES[path], **fields}, headers={"x-arbiter-task": hint})


@pytest.mark.parametrize("path", BODIES)
def test_it_stands_in_for_the_classification(gateway: Running, path: str) -> None:
    told = ask(gateway, "math:hard", path)
    arbiter = told.json()["arbiter"]
    assert (arbiter["task"], arbiter["difficulty"], arbiter["classified_by"]) == ("math", "hard", "caller")
    assert told.headers["x-arbiter-task"] == "math"


@pytest.mark.parametrize("task", Task)
def test_every_task_may_be_named_and_its_difficulty_left_to_the_rules(gateway: Running, task: Task) -> None:
    classified = gateway.world.kinds["classifier"]
    arbiter = ask(gateway, str(task).upper()).json()["arbiter"]
    assert (arbiter["task"], arbiter["difficulty"], arbiter["classified_by"]) == (task, "easy", "caller")
    assert gateway.world.kinds["classifier"] == classified


def test_json_is_structured_whatever_is_named(gateway: Running) -> None:
    arbiter = ask(gateway, "open", response_format={"type": "json_object"}).json()["arbiter"]
    assert (arbiter["task"], arbiter["classified_by"]) == ("structured", "rules")


@pytest.mark.parametrize("hint", ["poem", ":hard", "code:harder", "code,math", "x" * 200, "\u00fc"])
def test_another_word_is_refused_and_says_which_are_known(gateway: Running, hint: str) -> None:
    told = gateway.http.post(
        "/v1/chat/completions", json=MESSAGES, headers=[(b"x-arbiter-task", hint.encode("latin-1"))]
    )
    error = told.json()["error"]
    assert (told.status_code, error["param"]) == (422, "x-arbiter-task")
    assert all(task in error["message"] for task in Task)


def test_it_is_on_record(gateway: Running) -> None:
    decision = ask(gateway, "code").json()["arbiter"]["decision_id"]
    row = gateway.http.get(f"/v1/decisions/{decision}").json()
    assert (row["bucket"], row["classified_by"], row["trace"]["classify"]["rule"]) == (
        "code",
        "caller",
        "named by the caller",
    )
