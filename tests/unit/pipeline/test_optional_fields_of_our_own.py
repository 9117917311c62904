"""Marks of what is to be cached go from members that were written already, too: those of a request that is asked again unsigned."""

from __future__ import annotations

import json

import orjson

from arbiter_app.pipeline.optional import MARK, without
from arbiter_app.pipeline.types import Caller, ChatRequest, Role


def test_marks_go_from_messages_of_our_own() -> None:
    messages = [{"role": "user", "content": [{"type": "text", "text": "Hi", MARK: {"type": "ephemeral"}}]}]
    request = ChatRequest("r", Caller("k", Role.CALLER), {"messages": messages}, messages, "Hi", "")
    own = {"messages": orjson.Fragment(json.dumps(messages).encode())}
    assert json.loads(orjson.dumps(without(request, [MARK], own)["messages"])) == [
        {"role": "user", "content": [{"type": "text", "text": "Hi"}]}
    ]
