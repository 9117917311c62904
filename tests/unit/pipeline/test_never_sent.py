"""What would choose another model behind Arbiter goes to no runtime, however the request goes there."""

from __future__ import annotations

from collections.abc import Callable

import orjson
import pytest

from arbiter_app.dialects import anthropic_messages, openai_embeddings, openai_responses
from arbiter_app.pipeline.errors import BadRequest
from arbiter_app.pipeline.types import Caller, ChatRequest, Role

CALLER = Caller("key", Role.CALLER)
OTHERS = {"models": ["another"], "fallbacks": ["another"], "api_base": "http://127.0.0.1:9"}


@pytest.mark.parametrize(
    ("parse", "asked"),
    [
        (anthropic_messages.parse, {"max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}),
        (openai_responses.parse, {"input": "Hi"}),
    ],
)
def test_nor_where_it_goes_as_it_came(parse: Callable[..., ChatRequest], asked: dict[str, object]) -> None:
    request = parse(orjson.dumps({"model": "auto", **asked, **OTHERS}), CALLER, "r")
    assert request.native is not None
    sent = orjson.loads(request.native.sent("gpt-4o"))
    assert sent == {"model": "gpt-4o", **asked}
    assert OTHERS.keys().isdisjoint(orjson.loads(request.body()))


def test_embeddings_which_go_byte_for_byte_refuse_it() -> None:
    body = orjson.dumps({"model": "small", "input": "Hi", "fallbacks": ["large"]})
    with pytest.raises(BadRequest, match="fallbacks would have another model"):
        openai_embeddings.parse(body, CALLER, "r")
