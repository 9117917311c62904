"""The sandbox speaks Messages and Responses, too, as the official SDKs read them: thinking, signatures, tools, cache arithmetic, errors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest

from arbiter_app.catalog_file import load_catalog
from arbiter_app.runtime.sandbox import SandboxServer, start_sandbox
from arbiter_app.runtime.sandbox.world import Fault

SUM = "What is 17 * 23?"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER: Any = {"name": "weather", "input_schema": SCHEMA}
FUNCTION: Any = {"type": "function", "name": "weather", "parameters": SCHEMA, "strict": False}
LONG = "Rules of the house. " * 400
THINKS: Any = {"type": "enabled", "budget_tokens": 2_000}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxServer]:
    one = start_sandbox(load_catalog(None, baseline="gpt-4o"), latency=0)
    yield one
    one.stop()


@pytest.fixture
def claude(sandbox: SandboxServer) -> Iterator[anthropic.Anthropic]:
    sandbox.world.reset()
    with anthropic.Anthropic(base_url=sandbox.url.removesuffix("/v1"), api_key="any", max_retries=0) as one:
        yield one


@pytest.fixture
def gpt(sandbox: SandboxServer) -> Iterator[openai.OpenAI]:
    sandbox.world.reset()
    with openai.OpenAI(base_url=sandbox.url, api_key="any", max_retries=0) as one:
        yield one


def told(ask: Any = SUM, **more: Any) -> Any:
    messages = [{"role": "user", "content": ask}] if isinstance(ask, str) else ask
    return {"model": "gpt-4o", "max_tokens": 4_000, "messages": messages, **more}


def asked(given: Any = SUM, **more: Any) -> Any:
    return {"model": "gpt-4o", "input": given, **more}


def test_a_message_and_its_stream_are_the_same(claude: anthropic.Anthropic) -> None:
    whole = claude.messages.create(**told(thinking=THINKS))
    with claude.messages.stream(**told(thinking=THINKS)) as events:
        streamed = events.get_final_message()
    assert [one.type for one in whole.content] == ["thinking", "text"]
    bare = {"parsed_output", "citations"}
    assert [one.model_dump(exclude=bare) for one in streamed.content] == [
        one.model_dump(exclude=bare) for one in whole.content
    ]
    assert streamed.usage.output_tokens == whole.usage.output_tokens
    assert whole.content[0].signature and "17 * 23" in whole.content[1].text  # type: ignore[union-attr]
    assert (whole.stop_reason, streamed.stop_reason) == ("end_turn", "end_turn")
    assert [one.type for one in claude.messages.create(**told()).content] == ["text"]


def test_a_response_and_its_stream_are_the_same(gpt: openai.OpenAI) -> None:
    thinking: Any = {"reasoning": {"effort": "high"}, "include": ["reasoning.encrypted_content"]}
    whole = gpt.responses.create(**asked(**thinking))
    with gpt.responses.stream(**asked(**thinking)) as events:
        numbers = [event.sequence_number for event in events]
        streamed = events.get_final_response()
    assert numbers == list(range(len(numbers)))
    assert [one.type for one in whole.output] == ["reasoning", "message"]
    assert streamed.output[0].to_dict() == whole.output[0].to_dict()
    assert (streamed.output_text, streamed.output[1].id) == (whole.output_text, whole.output[1].id)
    assert whole.output[0].encrypted_content and "17 * 23" in whole.output_text  # type: ignore[union-attr]
    assert whole.usage is not None and whole.usage.output_tokens_details.reasoning_tokens > 0
    assert gpt.responses.create(**asked(reasoning={"effort": "high"})).output[0].encrypted_content is None  # type: ignore[union-attr]


def test_a_tool_loop_of_messages(claude: anthropic.Anthropic) -> None:
    ask = {"role": "user", "content": "What will the weather be in Lisbon?"}
    first = claude.messages.create(**told([ask], tools=[WEATHER], thinking=THINKS))
    assert (first.stop_reason, [one.type for one in first.content]) == ("tool_use", ["thinking", "tool_use"])
    result = {"type": "tool_result", "tool_use_id": first.content[1].id, "content": "clear"}  # type: ignore[union-attr]
    history = [ask, first.to_param(), {"role": "user", "content": [result]}]
    assert claude.messages.create(**told(history, tools=[WEATHER], thinking=THINKS)).stop_reason == "end_turn"
    for broken, said in (
        (told(history[:2], tools=[WEATHER]), "without `tool_result` blocks immediately after"),
        (told(history[2:], tools=[WEATHER]), "unexpected `tool_use_id`"),
        (told(history, tools=[WEATHER], thinking=THINKS, model="gpt-4o-mini"), "Invalid `signature`"),
    ):
        with pytest.raises(anthropic.BadRequestError, match=said):
            claude.messages.create(**broken)
    history[1] = {"role": "assistant", "content": history[1]["content"][1:]}
    with pytest.raises(anthropic.BadRequestError, match="Expected `thinking`"):
        claude.messages.create(**told(history, tools=[WEATHER], thinking=THINKS))
    assert claude.messages.create(**told(history, tools=[WEATHER])).content


def test_a_tool_loop_of_responses(gpt: openai.OpenAI) -> None:
    ask: Any = {"role": "user", "content": "What will the weather be in Lisbon?"}
    thinking: Any = {"reasoning": {"effort": "low"}, "include": ["reasoning.encrypted_content"], "tools": [FUNCTION]}
    first = gpt.responses.create(**asked([ask], **thinking))
    assert [one.type for one in first.output] == ["reasoning", "function_call"]
    result = {"type": "function_call_output", "call_id": first.output[1].call_id, "output": "clear"}  # type: ignore[union-attr]
    history = [ask, *(one.to_dict() for one in first.output), result]
    assert gpt.responses.create(**asked(history, **thinking)).output_text
    for broken, said in (
        (asked(history[:-1], **thinking), "No tool output found"),
        (asked([ask, result], **thinking), "No tool call found"),
        (asked(history, **thinking, model_="gpt-4o-mini"), "encrypted content could not be verified"),
        (asked("Go on", previous_response_id="resp_1"), "not found"),
    ):
        broken["model"] = broken.pop("model_", "gpt-4o")
        with pytest.raises(openai.BadRequestError, match=said):
            gpt.responses.create(**broken)


def test_messages_count_the_cache_apart(claude: anthropic.Anthropic) -> None:
    system = [{"type": "text", "text": LONG, "cache_control": {"type": "ephemeral"}}]
    first, second = (claude.messages.create(**told(system=system)).usage for _ in range(2))
    assert first.cache_creation_input_tokens and not first.cache_read_input_tokens
    assert second.cache_read_input_tokens == first.cache_creation_input_tokens >= 1_024
    assert (second.cache_creation_input_tokens, second.input_tokens) == (0, first.input_tokens)
    assert first.cache_creation is not None
    assert first.cache_creation.ephemeral_5m_input_tokens == first.cache_creation_input_tokens


def test_responses_count_the_cache_among_the_input(gpt: openai.OpenAI) -> None:
    first, second = (gpt.responses.create(**asked(instructions=LONG)).usage for _ in range(2))
    assert first is not None and second is not None
    assert first.input_tokens == second.input_tokens > second.input_tokens_details.cached_tokens >= 1_024
    assert first.input_tokens_details.cached_tokens == 0


def test_why_an_answer_ends(claude: anthropic.Anthropic, gpt: openai.OpenAI) -> None:
    assert claude.messages.create(**told(max_tokens=1)).stop_reason == "max_tokens"
    stopped = claude.messages.create(**told(stop_sequences=["23"]))
    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", "23")
    cut = gpt.responses.create(**asked("Write a long poem about the sea.", max_output_tokens=16))
    assert (cut.status, cut.incomplete_details.reason) == ("incomplete", "max_output_tokens")  # type: ignore[union-attr]


def test_structured_output(claude: anthropic.Anthropic, gpt: openai.OpenAI) -> None:
    form: Any = {"type": "json_schema", "schema": SCHEMA}
    message = claude.messages.create(**told("Describe a city.", output_config={"format": form}))
    assert "city" in json.loads(message.content[0].text)  # type: ignore[union-attr]
    answer = gpt.responses.create(**asked("Describe a city.", text={"format": {**form, "name": "city"}}))
    assert "city" in json.loads(answer.output_text)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"max_tokens": -1}, "max_tokens"),
        ({"thinking": {"type": "enabled", "budget_tokens": 4_000}}, "must be greater than"),
        ({"thinking": THINKS, "tools": [WEATHER], "tool_choice": {"type": "any"}}, "forces tool use"),
        ({"messages": [{"role": "user", "content": ""}]}, "non-empty"),
        ({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b "}]}, "whitespace"),
        ({"messages": [{"role": "user", "content": [{"type": "tool_result"}]}]}, "unexpected"),
        ({"tools": [7]}, "malformed"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_anthropic_refuses_is_refused(claude: anthropic.Anthropic, fields: Any, said: str) -> None:
    with pytest.raises(anthropic.BadRequestError, match=said):
        claude.messages.create(**{**told(), **fields})


def test_faults_are_of_the_dialect(sandbox: SandboxServer, claude: anthropic.Anthropic, gpt: openai.OpenAI) -> None:
    sandbox.world.faults["gpt-4o"] = Fault(status=529)
    with pytest.raises(anthropic.APIStatusError) as caught:
        claude.messages.create(**told())
    assert caught.value.body["error"]["type"] == "api_error"  # type: ignore[index]
    with pytest.raises(openai.InternalServerError):
        gpt.responses.create(**asked())
    sandbox.world.faults["gpt-4o"] = Fault(error_after=3)
    with pytest.raises(anthropic.APIStatusError, match="mid-stream"), claude.messages.stream(**told()) as events:
        list(events)
    last = list(gpt.responses.create(stream=True, **asked()))[-1]
    assert last.type == "error" and "mid-stream" in last.message
