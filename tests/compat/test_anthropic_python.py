"""The official `anthropic` package for Python, unchanged, against a running Arbiter."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import anthropic
import httpx
import pytest

from tests.conftest import Running, running
from tests.stranger import Stranger, chunk, plain, stranger, stream

ASK = [{"role": "user", "content": "What is 17 * 23?"}]
EXPRESSION = "17 * 23"
PINNED = {"arbiter_pin": "gpt-4o"}
FORECAST = {
    "name": "forecast",
    "description": "The weather to come.",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city"],
    },
}
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PICTURE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}


def told(**more):
    return {"model": "auto", "max_tokens": 1000, "messages": ASK, **more}


@pytest.fixture(scope="module")
def client(arbiter, key: str) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=arbiter.url, api_key=key, max_retries=0) as one:
        yield one


@pytest.fixture
def caller(client: anthropic.Anthropic, minted: str) -> anthropic.Anthropic:
    """A client with a freshly minted key."""
    return client.with_options(api_key=minted)


def test_a_plain_answer_carries_usage_and_arbiter(client):
    message = client.messages.create(**told(extra_body=PINNED))
    assert (message.type, message.role, message.stop_reason) == ("message", "assistant", "end_turn")
    assert EXPRESSION in message.content[0].text and message.model == "gpt-4o"
    assert message.usage.input_tokens > 0 and message.usage.output_tokens > 0
    assert message.model_extra["arbiter"]["task"] == "math"
    assert "dropped" not in message.model_extra["arbiter"]
    assert message._request_id


def test_a_bearer_token_and_the_beta_are_taken(arbiter, key):
    with anthropic.Anthropic(base_url=arbiter.url, auth_token=key, api_key=None, max_retries=0) as one:
        message = one.beta.messages.create(**told(betas=["context-management-2025-06-27"], extra_body={"top_k": 5}))
    assert EXPRESSION in message.content[0].text
    assert message.model_extra["arbiter"]["dropped"] == ["top_k"]


def test_a_stream_ends_with_arbiter(client):
    with client.messages.stream(**told()) as events:
        seen = list(events)
        final = events.get_final_message()
    kinds = [one.type for one in seen if one.type not in ("text", "content_block_delta")]
    assert kinds == ["message_start", "content_block_start", "content_block_stop", "message_delta", "message_stop"]
    assert EXPRESSION in final.content[0].text and final.stop_reason == "end_turn"
    assert final.usage.output_tokens > 0 and final.usage.input_tokens > 0
    (end,) = [one for one in seen if one.type == "message_delta"]
    assert end.model_extra["arbiter"]["task"] == "math"


def test_the_async_client_streams_in_parallel(arbiter, key):
    async def ask(client: anthropic.AsyncAnthropic, n: int) -> str:
        messages = [{"role": "user", "content": f"What is {n} + 1?"}]
        async with client.messages.stream(**told(messages=messages)) as events:
            return await events.get_final_text()

    async def all_of_them() -> list[str]:
        async with anthropic.AsyncAnthropic(base_url=arbiter.url, api_key=key, max_retries=0) as client:
            return await asyncio.gather(*[ask(client, n) for n in range(1000, 1012)])

    answers = asyncio.run(all_of_them())
    assert [f"{n} + 1" in text for n, text in zip(range(1000, 1012), answers, strict=True)] == [True] * 12


def test_a_tool_round_trip(client):
    asked = {"role": "user", "content": "What will the weather be in Lisbon for 3 days?"}
    first = client.messages.create(**told(messages=[asked], tools=[FORECAST], extra_body=PINNED))
    (call,) = first.content
    assert (first.stop_reason, call.type, call.name) == ("tool_use", "tool_use", "forecast")
    assert isinstance(call.input["city"], str)
    result = {"type": "tool_result", "tool_use_id": call.id, "content": '{"sky": "clear"}'}
    history = [asked, first.to_param(), {"role": "user", "content": [result]}]
    assert client.messages.create(**told(messages=history, tools=[FORECAST])).content[0].text


def test_a_streamed_tool_call_assembles(client):
    messages = [{"role": "user", "content": "What will the weather be in Porto for 4 days?"}]
    with client.messages.stream(**told(messages=messages, tools=[FORECAST], extra_body=PINNED)) as events:
        final = events.get_final_message()
    assert final.stop_reason == "tool_use" and final.content[-1].input["city"]


def test_a_picture_in_a_result_and_thinking_in_the_history(client):
    calls = [
        {"type": "thinking", "thinking": "Two cities.", "signature": "c2lnbmVk"},
        {"type": "text", "text": "I ask for both."},
        *({"type": "tool_use", "id": f"toolu_{n}", "name": "forecast", "input": {"city": "Rome"}} for n in (1, 2)),
    ]
    results = [
        {"type": "tool_result", "tool_use_id": "toolu_2", "content": [PICTURE, {"type": "text", "text": "rain"}]},
        {"type": "tool_result", "tool_use_id": "toolu_1", "content": "no such city", "is_error": True},
        {"type": "text", "text": "Which is sunnier?", "cache_control": {"type": "ephemeral"}},
    ]
    history = [
        {"role": "user", "content": [PICTURE, {"type": "text", "text": "Compare Rome and Oslo."}]},
        {"role": "assistant", "content": calls},
        {"role": "user", "content": results},
    ]
    message = client.messages.create(**told(messages=history, tools=[FORECAST], tool_choice={"type": "none"}))
    assert message.content[0].text
    assert message.model_extra["arbiter"]["dropped"] == ["messages.content.thinking"]


def test_structured_output(client):
    schema = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    asked = {"output_config": {"format": {"type": "json_schema", "schema": schema}}}
    message = client.messages.create(**told(**asked, extra_body=PINNED))
    assert "name" in json.loads(message.content[0].text)


def test_tokens_are_counted(client):
    short = client.messages.count_tokens(model="auto", messages=ASK).input_tokens
    long = client.beta.messages.count_tokens(model="auto", messages=ASK, system="You add. " * 100, tools=[FORECAST])
    assert 0 < short < 40 and short + 200 < long.input_tokens < short + 600


def test_models_are_listed_in_pages(client):
    first = client.models.list(limit=4)
    assert (first.data[0].id, first.data[0].type, first.has_more) == ("auto", "model", True)
    every = [model.id for model in client.models.list(limit=4)]
    assert len(every) == len(set(every)) == 18
    assert client.models.list(limit=2, before_id=every[3]).data[0].id == every[1]
    assert client.models.retrieve(every[1]).display_name == every[1]


@pytest.mark.parametrize(
    ("fields", "kind", "status"),
    [
        ({"messages": []}, anthropic.BadRequestError, 400),
        ({"max_tokens": 0}, anthropic.BadRequestError, 400),
        ({"extra_body": {"arbiter_max_cost": "cheap"}}, anthropic.BadRequestError, 400),
        ({"extra_body": {"arbiter_pin": "no-such-model"}}, anthropic.BadRequestError, 400),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, anthropic.BadRequestError, 400),
        ({"messages": [{"role": "user", "content": "x" * 10_500_000}]}, anthropic.RequestTooLargeError, 413),
    ],
)
def test_a_wrong_request_is_the_right_exception(client, fields, kind, status):
    with pytest.raises(kind) as caught:
        client.messages.create(**told(**fields))
    assert caught.value.status_code == status and caught.value.request_id
    assert caught.value.body["type"] == "error" and len(caught.value.body["error"]["message"]) > 10


def test_a_prompt_that_is_too_long_is_said_in_the_words_that_agents_know(client):
    with pytest.raises(anthropic.BadRequestError, match=r"prompt is too long: \d+ tokens > 1048576 maximum"):
        client.messages.create(**told(messages=[{"role": "user", "content": "word " * 1_500_000}]))


def test_a_wrong_key_and_an_unknown_thing(client):
    with pytest.raises(anthropic.AuthenticationError) as caught:
        client.with_options(api_key="arb_wrong").messages.create(**told())
    assert caught.value.body["error"]["type"] == "authentication_error" and "arb_wrong" not in str(caught.value)
    with pytest.raises(anthropic.AuthenticationError):
        client.with_options(api_key="arb_wrong").messages.count_tokens(model="auto", messages=ASK)
    with pytest.raises(anthropic.NotFoundError) as missing:
        client.models.retrieve("no-such-model")
    assert missing.value.body["error"]["type"] == "not_found_error" and missing.value.request_id
    with pytest.raises(anthropic.NotFoundError):
        client.get("/v1/messages/batches", cast_to=object)


def test_a_used_up_key_is_a_rate_limit_error_with_a_time_to_wait(caller):
    for n in range(50):
        caller.messages.create(**told(messages=[{"role": "user", "content": f"What is {n} + 3?"}]))
    with pytest.raises(anthropic.RateLimitError) as caught:
        caller.messages.create(**told())
    assert int(caught.value.response.headers["retry-after"]) > 0
    assert caller.messages.count_tokens(model="auto", messages=ASK).input_tokens > 0


def test_a_paused_key_is_permission_denied(caller):
    caller.post("/v1/key/pause", cast_to=object)
    with pytest.raises(anthropic.PermissionDeniedError) as caught:
        caller.messages.create(**told())
    assert caught.value.body["error"]["code"] == "key_paused"


def test_who_looks_at_the_base_url_finds_it(arbiter, key):
    assert httpx.head(arbiter.url, headers={"authorization": f"Bearer {key}"}).status_code == 200


@pytest.fixture(scope="module")
def runtime() -> Iterator[Stranger]:
    with stranger() as one:
        yield one


@pytest.fixture(scope="module")
def over(runtime: Stranger, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("over"), **runtime.settings, ARBITER_JUDGE_SAMPLE="0") as one:
        yield one


@pytest.fixture
def to_stranger(over: Running, runtime: Stranger) -> Iterator[anthropic.Anthropic]:
    runtime.say, runtime.heard = lambda body: plain(), []
    over.http.post("/v1/reset")
    with anthropic.Anthropic(base_url=over.url, api_key="test-operator-key", max_retries=0) as one:
        yield one


def test_an_overloaded_runtime_is_503_and_its_status_error(to_stranger, runtime):
    error = b'{"error":{"message":"The engine is currently overloaded","type":"overloaded_error"}}'
    runtime.say = lambda body: (503, "application/json", error)
    with pytest.raises(anthropic.APIStatusError) as caught:
        to_stranger.messages.create(**told())
    assert caught.value.status_code == 503 and isinstance(caught.value, anthropic.InternalServerError)
    assert caught.value.body["error"]["type"] == "overloaded_error"


def test_cached_tokens_are_not_input_tokens(to_stranger, runtime):
    usage = {"prompt_tokens": 500, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 400}}
    runtime.say = lambda body: plain(usage=usage)
    said = to_stranger.messages.create(**told(messages=[{"role": "user", "content": "word " * 500}])).usage
    assert (said.input_tokens, said.cache_read_input_tokens, said.output_tokens) == (100, 400, 2)


def test_thinking_is_a_block_for_those_who_ask_for_it(to_stranger, runtime):
    said = {"role": "assistant", "reasoning_content": "Capital ...", "content": "Paris."}
    runtime.say = lambda body: plain(said)
    asked = {"thinking": {"type": "adaptive"}}
    assert [one.type for one in to_stranger.messages.create(**told(**asked)).content] == ["thinking", "text"]
    assert [one.type for one in to_stranger.messages.create(**told()).content] == ["text"]
    runtime.say = lambda body: stream(
        chunk({"role": "assistant", "reasoning_content": "Cap"}),
        chunk({"reasoning_content": "ital"}),
        chunk({"content": "Pa"}),
        chunk({"content": "ris."}),
        chunk({}, "stop"),
    )
    with to_stranger.messages.stream(**told(**asked)) as events:
        thinking, text = events.get_final_message().content
    assert (thinking.thinking, text.text) == ("Capital", "Paris.")


def test_a_stream_that_breaks_raises_with_the_error(to_stranger, runtime):
    runtime.say = lambda body: stream(
        chunk({"content": "Par"}), b'data: {"error":{"message":"the engine crashed","type":"server_error"}}', done=False
    )
    with (
        pytest.raises(anthropic.APIStatusError, match="the engine crashed"),
        to_stranger.messages.stream(**told()) as events,
    ):
        list(events)


def test_who_hangs_up_leaves_nothing_behind(client):
    with client.messages.create(**told(stream=True)) as events:
        assert next(iter(events)).type == "message_start"
    assert client.messages.create(**told()).content
