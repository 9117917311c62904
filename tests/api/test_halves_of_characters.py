"""Half of a character in an answer, in whatever place: it is told in every dialect, and costs nobody the answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conftest import Running
from tests.stranger import Stranger, chunk, stream

ASKED: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "Say a face."}]},
    "/v1/completions": {"prompt": "Say a face."},
    "/v1/messages": {"messages": [{"role": "user", "content": "Say a face."}], "max_tokens": 50},
    "/v1/responses": {"input": "Say a face."},
}
HALF = "\ud83d"
USAGE = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7, "prompt_tokens_details": {"x": HALF}}


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("path", ASKED)
def test_an_answer_with_halves_arrives(over: Running, runtime: Stranger, path: str, streamed: bool) -> None:
    runtime.say = lambda body: stream(
        chunk({"role": "assistant", "content": "A" + HALF}),
        chunk({"content": "\ude00 B"}),
        chunk({}, "stop"),
        {**chunk({}), "choices": [], "usage": USAGE},
    )
    answer = over.http.post(path, json={**ASKED[path], "stream": streamed, "arbiter_no_cache": True})
    assert answer.status_code == 200 and '"error"' not in answer.text.replace('"error":null', "")
    if not streamed:
        assert "\U0001f600 B" in json.dumps(answer.json(), ensure_ascii=False)
