"""The official `openai` package for Python, unchanged, against a running Arbiter."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import openai
import pytest
from pydantic import BaseModel

PAUSED = "key_paused"
ASK = [{"role": "user", "content": "What is 17 * 23?"}]
EXPRESSION = "17 * 23"
# Where the test is about the form of an answer, one model gives it: its answers depend on the sandbox's seed alone.
PINNED = {"arbiter_pin": "gpt-4o"}
FORECAST = {
    "type": "function",
    "function": {
        "name": "forecast",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city"],
        },
    },
}


class Person(BaseModel):
    """What a structured answer must be."""

    name: str
    age: int


@pytest.fixture(scope="module")
def client(base_url: str, key: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=base_url, api_key=key, max_retries=0) as one:
        yield one


@pytest.fixture
def caller(client: openai.OpenAI, minted: str) -> openai.OpenAI:
    """A client with a freshly minted key."""
    return client.with_options(api_key=minted)


def test_a_plain_answer_carries_usage_and_arbiter(client):
    answer = client.chat.completions.create(model="auto", messages=ASK)
    assert answer.choices[0].message.role == "assistant" and answer.choices[0].finish_reason == "stop"
    assert EXPRESSION in answer.choices[0].message.content
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0
    told = answer.model_extra["arbiter"]
    assert (told["task"], told["model"]) == ("math", answer.model)


def test_the_model_field_is_ignored_and_unknown_fields_pass(client):
    answer = client.chat.completions.create(model="no-such-model", messages=ASK, seed=7, extra_body={"anything": [1]})
    assert answer.model != "no-such-model"


def test_headers_name_request_and_decision(client):
    raw = client.chat.completions.with_raw_response.create(
        model="auto", messages=ASK, extra_headers={"x-request-id": "mine-1"}
    )
    told = raw.parse().model_extra["arbiter"]
    assert raw.headers["x-request-id"] == "mine-1" and raw.headers["x-arbiter-decision"] == told["decision_id"]


def test_a_stream_yields_text_and_ends_with_arbiter(client):
    stream = client.chat.completions.create(model="auto", messages=ASK, stream=True)
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert EXPRESSION in text
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"} and len({chunk.id for chunk in chunks}) == 1
    assert chunks[-1].choices[0].finish_reason == "stop" and chunks[-1].model_extra["arbiter"]["task"] == "math"
    assert [chunk.usage for chunk in chunks if chunk.usage] == []


def test_a_stream_has_usage_when_asked_for(client):
    options = {"include_usage": True}
    *_, last = client.chat.completions.create(model="auto", messages=ASK, stream=True, stream_options=options)
    assert last.usage.completion_tokens > 0 and last.model_extra["arbiter"]["cost"] is not None


def test_the_stream_helper_assembles_the_same_answer(client):
    with client.chat.completions.stream(model="auto", messages=ASK) as stream:
        for _ in stream:
            pass
        assert EXPRESSION in stream.get_final_completion().choices[0].message.content


def test_a_stream_that_is_left_early_closes_cleanly(client):
    with client.chat.completions.create(model="auto", messages=ASK, stream=True) as stream:
        assert next(iter(stream)).object == "chat.completion.chunk"
    assert client.chat.completions.create(model="auto", messages=ASK).choices


def test_the_async_client_answers_in_parallel(base_url, key):
    async def ask() -> list[str]:
        async with openai.AsyncOpenAI(base_url=base_url, api_key=key, max_retries=0) as client:
            calls = [
                client.chat.completions.create(
                    model="auto", messages=[{"role": "user", "content": f"What is {n} + 1?"}]
                )
                for n in range(1000, 1020)
            ]
            return [answer.choices[0].message.content for answer in await asyncio.gather(*calls)]

    async def streamed() -> str:
        async with openai.AsyncOpenAI(base_url=base_url, api_key=key, max_retries=0) as client:
            stream = await client.chat.completions.create(model="auto", messages=ASK, stream=True)
            return "".join([c.choices[0].delta.content or "" async for c in stream if c.choices])

    answers = asyncio.run(ask())
    assert [f"{n} + 1" in text for n, text in zip(range(1000, 1020), answers, strict=True)] == [True] * 20
    assert EXPRESSION in asyncio.run(streamed())


def test_a_tool_call_has_arguments_of_its_schema(client):
    messages = [{"role": "user", "content": "What will the weather be in Lisbon for 3 days?"}]
    answer = client.chat.completions.create(model="auto", messages=messages, tools=[FORECAST], extra_body=PINNED)
    (call,) = answer.choices[0].message.tool_calls
    assert answer.choices[0].finish_reason == "tool_calls" and call.function.name == "forecast"
    assert isinstance(json.loads(call.function.arguments)["city"], str)
    messages += [
        answer.choices[0].message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": call.id, "content": '{"sky": "clear"}'},
    ]
    assert client.chat.completions.create(model="auto", messages=messages, tools=[FORECAST]).choices[0].message.content


def test_a_streamed_tool_call_assembles(client):
    messages = [{"role": "user", "content": "What will the weather be in Porto for 4 days?"}]
    with client.chat.completions.stream(model="auto", messages=messages, tools=[FORECAST], extra_body=PINNED) as stream:
        for _ in stream:
            pass
        (call,) = stream.get_final_completion().choices[0].message.tool_calls
    assert json.loads(call.function.arguments)["city"]


def test_structured_output_parses_into_a_model(client):
    messages = [{"role": "user", "content": "Describe a person."}]
    answer = client.chat.completions.parse(model="auto", messages=messages, response_format=Person, extra_body=PINNED)
    assert isinstance(answer.choices[0].message.parsed, Person)
    assert answer.model_extra["arbiter"]["quality"] == 1.0


def test_json_mode_gives_json(client):
    messages = [{"role": "user", "content": "Return a JSON object for a person."}]
    answer = client.chat.completions.create(
        model="auto", messages=messages, response_format={"type": "json_object"}, extra_body=PINNED
    )
    assert isinstance(json.loads(answer.choices[0].message.content), dict)


def test_the_model_list_begins_with_auto(client):
    models = client.models.list().data
    assert models[0].id == "auto" and len(models) == 18
    assert client.models.retrieve(models[1].id).id == models[1].id


@pytest.mark.parametrize(
    ("fields", "kind", "status"),
    [
        ({"messages": "hello"}, openai.UnprocessableEntityError, 422),
        ({"extra_body": {"arbiter_max_cost": "cheap"}}, openai.UnprocessableEntityError, 422),
        ({"extra_body": {"arbiter_pin": "no-such-model"}}, openai.UnprocessableEntityError, 422),
        ({"messages": [{"role": "user", "content": "word " * 1_500_000}]}, openai.BadRequestError, 400),
        ({"messages": [{"role": "user", "content": "x" * 10_500_000}]}, openai.APIStatusError, 413),
    ],
)
def test_a_wrong_request_is_the_right_exception(client, fields, kind, status):
    with pytest.raises(kind) as caught:
        client.chat.completions.create(**{"model": "auto", "messages": ASK, **fields})
    assert caught.value.status_code == status and caught.value.code and caught.value.type
    assert caught.value.request_id


def test_a_wrong_key_is_an_authentication_error(client):
    with pytest.raises(openai.AuthenticationError) as caught:
        client.with_options(api_key="arb_wrong").chat.completions.create(model="auto", messages=ASK)
    assert caught.value.status_code == 401 and "arb_wrong" not in str(caught.value)


def test_a_wrong_role_is_permission_denied_and_an_unknown_thing_not_found(caller):
    with pytest.raises(openai.PermissionDeniedError):
        caller.post("/reset", cast_to=object)
    with pytest.raises(openai.NotFoundError):
        caller.models.retrieve("no-such-model")
    with pytest.raises(openai.NotFoundError):
        caller.get("/no-such-route", cast_to=object)


def test_a_paused_key_is_permission_denied_until_resumed(caller):
    caller.post("/key/pause", cast_to=object)
    with pytest.raises(openai.PermissionDeniedError) as caught:
        caller.chat.completions.create(model="auto", messages=ASK)
    assert caught.value.code == PAUSED
    caller.post("/key/resume", cast_to=object)
    assert caller.chat.completions.create(model="auto", messages=ASK).choices


def test_a_used_up_key_is_a_rate_limit_error_with_a_time_to_wait(caller):
    for n in range(50):
        caller.chat.completions.create(model="auto", messages=[{"role": "user", "content": f"What is {n} + 2?"}])
    with pytest.raises(openai.RateLimitError) as caught:
        caller.chat.completions.create(model="auto", messages=ASK)
    assert int(caught.value.response.headers["retry-after"]) > 0
