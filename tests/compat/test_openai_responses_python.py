"""The official `openai` package for Python, and the Agents SDK over it, against `/v1/responses` of a running Arbiter."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from tests.served import OPERATOR, served
from tests.stranger import Stranger, chunk, plain, stranger, stream

ASK = "What is 17 * 23?"
EXPRESSION = "17 * 23"
# Where the test is about the form of an answer, one model gives it: its answers depend on the sandbox's seed alone.
PINNED = {"arbiter_pin": "gpt-4o"}
PIXEL = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
FORECAST: dict[str, Any] = {
    "type": "function",
    "name": "forecast",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "strict": False,
}


class Person(BaseModel):
    """What a structured answer must be."""

    name: str
    age: int


@pytest.fixture(scope="module")
def client(base_url: str, key: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=base_url, api_key=key, max_retries=0) as one:
        yield one


def told(**fields: Any) -> dict[str, Any]:
    return {"model": "auto", "input": ASK, **fields}


def test_a_plain_answer_carries_usage_and_arbiter(client):
    answer = client.responses.create(**told(instructions="Be brief.", metadata={"a": "b"}))
    assert EXPRESSION in answer.output_text and answer.status == "completed"
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens > 0
    assert (answer.instructions, answer.metadata, answer.tools) == ("Be brief.", {"a": "b"}, [])
    arbiter = answer.model_extra["arbiter"]
    assert (arbiter["task"], arbiter["model"]) == ("math", answer.model)


def test_headers_name_request_and_decision(client):
    raw = client.responses.with_raw_response.create(**told(extra_headers={"x-request-id": "mine-1"}))
    answer = raw.parse()
    assert raw.headers["x-request-id"] == "mine-1" == answer._request_id
    assert raw.headers["x-arbiter-decision"] == answer.model_extra["arbiter"]["decision_id"]


def test_a_stream_is_numbered_and_ends_with_the_whole_answer(client):
    events = list(client.responses.create(**told(stream=True)))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert [event.type for event in events[:2]] == ["response.created", "response.in_progress"]
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    last = events[-1]
    assert last.type == "response.completed" and last.response.output_text == text and EXPRESSION in text
    assert last.response.usage.output_tokens > 0 and last.response.model_extra["arbiter"]["task"] == "math"


def test_the_stream_helper_assembles_the_same_answer(client):
    with client.responses.stream(**told()) as events:
        for _ in events:
            pass
        assert EXPRESSION in events.get_final_response().output_text


def test_a_stream_that_is_left_early_closes_cleanly(client):
    with client.responses.create(**told(stream=True)) as stream:
        assert next(iter(stream)).type == "response.created"
    assert client.responses.create(**told()).output_text


def test_the_async_client_streams_in_parallel(base_url, key):
    async def ask(client: openai.AsyncOpenAI, n: int) -> str:
        events = await client.responses.create(model="auto", input=f"What is {n} + 1?", stream=True)
        return "".join([event.delta async for event in events if event.type == "response.output_text.delta"])

    async def all_of_them() -> list[str]:
        async with openai.AsyncOpenAI(base_url=base_url, api_key=key, max_retries=0) as client:
            return await asyncio.gather(*[ask(client, n) for n in range(1000, 1012)])

    answers = asyncio.run(all_of_them())
    assert [f"{n} + 1" in text for n, text in zip(range(1000, 1012), answers, strict=True)] == [True] * 12


def test_a_tool_round_trip(client):
    asked = {"role": "user", "content": "What will the weather be in Lisbon for 3 days?"}
    first = client.responses.create(**told(input=[asked], tools=[FORECAST], extra_body=PINNED))
    (call,) = first.output
    assert (call.type, call.name, first.status) == ("function_call", "forecast", "completed")
    assert isinstance(json.loads(call.arguments)["city"], str)
    result = {"type": "function_call_output", "call_id": call.call_id, "output": '{"sky": "clear"}'}
    history = [asked, *first.output, result]
    assert client.responses.create(**told(input=history, tools=[FORECAST])).output_text


def test_a_streamed_tool_call_assembles(client):
    asked = "What will the weather be in Porto for 4 days?"
    with client.responses.stream(**told(input=asked, tools=[FORECAST], extra_body=PINNED)) as events:
        for _ in events:
            pass
        (call,) = events.get_final_response().output
    assert json.loads(call.arguments)["city"]


def test_structured_output_parses_into_a_model(client):
    answer = client.responses.parse(model="auto", input="Describe a person.", text_format=Person, extra_body=PINNED)
    assert isinstance(answer.output_parsed, Person)
    assert answer.model_extra["arbiter"]["quality"] == 1.0


def test_a_picture_is_seen_by_a_model_that_can(client):
    parts = [
        {"type": "input_text", "text": "What is this?"},
        {"type": "input_image", "image_url": PIXEL, "detail": "low"},
    ]
    assert client.responses.create(**told(input=[{"role": "user", "content": parts}])).output_text


def test_an_answer_at_its_limit_is_incomplete(client):
    asked = "Write a long poem about the sea, the wind and the harbour."
    answer = client.responses.create(**told(input=asked, max_output_tokens=16, extra_body=PINNED))
    assert (answer.status, answer.incomplete_details.reason) == ("incomplete", "max_output_tokens")


@pytest.mark.parametrize(
    ("fields", "kind", "status", "param"),
    [
        ({"input": []}, openai.BadRequestError, 400, "input"),
        ({"temperature": "hot"}, openai.BadRequestError, 400, "temperature"),
        ({"extra_body": {"arbiter_pin": "no-such-model"}}, openai.BadRequestError, 400, "arbiter_pin"),
        ({"previous_response_id": "resp_1"}, openai.BadRequestError, 400, "previous_response_id"),
        ({"tools": [{"type": "web_search"}]}, openai.BadRequestError, 400, "tools[0]"),
        ({"input": "word " * 1_500_000}, openai.BadRequestError, 400, "input"),
        ({"input": "x" * 10_500_000}, openai.APIStatusError, 413, None),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_wrong_request_is_the_right_exception(client, fields, kind, status, param):
    with pytest.raises(kind) as caught:
        client.responses.create(**told(**fields))
    assert (caught.value.status_code, caught.value.param) == (status, param)
    assert caught.value.code and caught.value.type and caught.value.request_id


def test_a_wrong_key_is_an_authentication_error(client):
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="arb_wrong").responses.create(**told())


def test_nothing_is_kept_to_be_fetched(client):
    for ask in (client.responses.retrieve, client.responses.delete, client.responses.input_items.list):
        with pytest.raises(openai.BadRequestError) as caught:
            ask("resp_1")
        assert "ARBITER_KEEP_CONTENT_HOURS is off" in caught.value.message
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(**told(previous_response_id="resp_1"))
    assert "ARBITER_KEEP_CONTENT_HOURS is off" in caught.value.message


CALLS = [
    {"id": f"c{n}", "type": "function", "function": {"name": "forecast", "arguments": json.dumps({"city": city})}}
    for n, city in enumerate(("Rome", "Oslo"))
]


@pytest.fixture(scope="module")
def over(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stranger, openai.OpenAI]]:
    """An Arbiter over a runtime that says what a test wants."""
    settings = {"ARBITER_JUDGE_SAMPLE": "0", "ARBITER_CASCADE": "0"}
    with (
        stranger() as runtime,
        served(tmp_path_factory.mktemp("over"), **runtime.settings, **settings) as one,
        openai.OpenAI(base_url=f"{one.url}/v1", api_key=OPERATOR, max_retries=0) as client,
    ):
        yield runtime, client


def test_parallel_calls_in_any_order(over):
    runtime, client = over
    pieces = [{"tool_calls": [{"index": n, **call}]} for n, call in enumerate(CALLS)]
    runtime.say = lambda body: stream(chunk({"reasoning": "Two cities."}), *map(chunk, pieces), chunk({}, "tool_calls"))
    with client.responses.stream(**told(tools=[FORECAST])) as events:
        for _ in events:
            pass
        final = events.get_final_response()
    assert [item.type for item in final.output] == ["reasoning", "function_call", "function_call"]
    assert final.output[0].summary[0].text == "Two cities."
    runtime.say = lambda body: plain()
    outputs = [{"type": "function_call_output", "call_id": f"c{n}", "output": str(n)} for n in (1, 0)]
    history = [{"role": "user", "content": ASK}, *final.output, *outputs]
    answer = client.responses.create(**told(input=history, tools=[FORECAST]))
    sent = json.loads(next(one for one in reversed(runtime.heard) if b"tool_call_id" in one))["messages"]
    assert sent[1]["tool_calls"] == CALLS
    assert [one.get("tool_call_id") for one in sent] == [None, None, "c1", "c0"]
    assert sent[1]["reasoning"] == "Two cities.", "it goes back to the model that thought so"
    assert answer.output_text == "Paris." and "dropped" not in answer.model_extra["arbiter"]


def test_a_custom_tool_round_trip(over):
    runtime, client = over
    patch = {"type": "custom", "name": "patch", "description": "Patches."}
    called = {"name": "patch", "arguments": '{"input":"*** Begin"}'}
    runtime.say = lambda body: plain(
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "type": "function", "function": called}]},
        "tool_calls",
    )
    (call,) = client.responses.create(**told(tools=[patch])).output
    assert (call.type, call.input, call.call_id) == ("custom_tool_call", "*** Begin", "c1")
    result = {"type": "custom_tool_call_output", "call_id": "c1", "output": "ok"}
    client.responses.create(**told(input=[{"role": "user", "content": ASK}, call, result], tools=[patch]))
    sent = json.loads(runtime.last)["messages"]
    assert sent[1]["tool_calls"][0]["function"] == called and sent[2]["content"] == "ok"


def test_usage_has_its_details(over):
    runtime, client = over
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 20,
        "total_tokens": 120,
        "prompt_tokens_details": {"cached_tokens": 80},
        "completion_tokens_details": {"reasoning_tokens": 15},
    }
    runtime.say = lambda body: plain(usage=usage)
    seen = client.responses.create(**told(input="What is the capital of Peru?")).usage
    assert (seen.input_tokens, seen.input_tokens_details.cached_tokens) == (100, 80)
    assert (seen.output_tokens, seen.output_tokens_details.reasoning_tokens) == (20, 15)


def test_usage_is_estimated_where_the_runtime_states_none(over):
    runtime, client = over
    runtime.say = lambda body: stream(*[chunk({"content": "word " * 20_000}) for _ in range(12)], chunk({}, "stop"))
    *_, last = client.responses.create(**told(input="Write what fills a book.", stream=True))
    assert len(last.response.output_text) == 1_200_000
    assert 100_000 < last.response.usage.output_tokens < 600_000 and last.response.usage.input_tokens > 0


def test_a_stream_that_breaks_raises_after_saying_so(over):
    runtime, client = over
    error = {"error": {"message": "the machine is on fire", "type": "server_error", "code": None}}
    runtime.say = lambda body: stream(chunk({"content": "Hel"}), error, done=False)
    seen = []
    with pytest.raises(openai.APIError, match="on fire"):
        for event in client.responses.create(**told(stream=True)):
            seen.append(event)
    assert seen[-1].type == "response.failed" and seen[-1].response.error.message
    assert [event.sequence_number for event in seen] == list(range(len(seen)))


def test_an_agent_calls_its_tool_and_answers(over):
    import agents  # here, since every process of a run imports this file, and that takes a second

    runtime, client = over
    asked: list[str] = []

    @agents.function_tool
    def forecast(city: str) -> str:
        """The weather in a city."""
        asked.append(city)
        return "clear"

    def say(body: bytes) -> Any:
        request = json.loads(body)
        if request["messages"][-1]["role"] == "tool":
            return stream(chunk({"content": "All clear."}), chunk({}, "stop")) if request.get("stream") else plain()
        if request.get("stream"):
            pieces = [{"tool_calls": [{"index": n, **call}]} for n, call in enumerate(CALLS)]
            return stream(*map(chunk, pieces), chunk({}, "tool_calls"))
        return plain({"role": "assistant", "content": None, "tool_calls": CALLS}, "tool_calls")

    runtime.say = say

    async def run() -> tuple[str, str]:
        async with openai.AsyncOpenAI(base_url=client.base_url, api_key=OPERATOR, max_retries=0) as own:
            model = agents.OpenAIResponsesModel("auto", own)
            agent = agents.Agent(name="Helper", model=model, tools=[forecast])
            agents.set_tracing_disabled(True)
            whole = await agents.Runner.run(agent, ASK)
            streamed = agents.Runner.run_streamed(agent, ASK)
            async for _ in streamed.stream_events():
                pass
            return str(whole.final_output), str(streamed.final_output)

    assert asyncio.run(run()) == ("Paris.", "All clear.")
    assert sorted(asked) == ["Oslo", "Oslo", "Rome", "Rome"]


def test_who_hangs_up_ends_the_work(tmp_path: Path):
    settings = {"ARBITER_SANDBOX_LATENCY": "1"}
    with served(tmp_path, **settings) as one, openai.OpenAI(base_url=f"{one.url}/v1", api_key=OPERATOR) as client:
        with client.responses.create(**told(input="Write a long poem about the sea.", stream=True)) as events:
            assert next(iter(events)).type == "response.created"
        row = client.get("/recent?limit=1", cast_to=object)
        for _ in range(200):
            if row["data"]:
                break
            row = client.get("/recent?limit=1", cast_to=object)
        assert row["data"][0]["status"] == "aborted"
