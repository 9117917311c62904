"""`ChatAnthropic` of `langchain-anthropic`, unchanged, against a running Arbiter."""

from __future__ import annotations

import asyncio

import anthropic
import pytest
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from pydantic import BaseModel

from tests.served import Served

ASK = "What is 17 * 23?"
EXPRESSION = "17 * 23"
WEATHER = "What will the weather be in Lisbon?"
PINNED = {"arbiter_pin": "gpt-4o"}


class Person(BaseModel):
    """A person."""

    name: str
    age: int


@tool
def forecast(city: str) -> str:
    """The weather ahead in a city."""
    return f"clear in {city}"


@pytest.fixture(scope="module")
def chat(arbiter: Served, key: str) -> ChatAnthropic:
    """One model gives the answers: their form depends on the sandbox's seed alone."""
    return told(arbiter, key)


def told(arbiter: Served, key: str, **fields) -> ChatAnthropic:
    extra = {"extra_body": PINNED}
    return ChatAnthropic(model="auto", base_url=arbiter.url, api_key=key, max_retries=0, model_kwargs=extra, **fields)


def test_a_plain_answer_has_its_usage(chat):
    answer = chat.invoke(ASK)
    assert EXPRESSION in answer.text and answer.usage_metadata["total_tokens"] > 0
    assert (answer.response_metadata["stop_reason"], answer.response_metadata["model"]) == ("end_turn", "gpt-4o")


def test_a_stream_adds_up_to_the_same(chat):
    whole = None
    for chunk in chat.stream(ASK):
        whole = chunk if whole is None else whole + chunk
    assert whole.text == chat.invoke(ASK).text and whole.response_metadata["stop_reason"] == "end_turn"
    assert whole.usage_metadata["output_tokens"] > 0


def test_asynchronous_calls_run_side_by_side(chat):
    async def ask() -> list[str]:
        return [answer.text for answer in await asyncio.gather(*(chat.ainvoke(f"What is {n} + 1?") for n in range(8)))]

    assert [f"{n} + 1" in text for n, text in enumerate(asyncio.run(ask()))] == [True] * 8


def test_a_tool_loop_with_thinking_keeps_its_signature(arbiter, key):
    thinks = told(arbiter, key, max_tokens=4_000, thinking={"type": "enabled", "budget_tokens": 2_000})
    bound = thinks.bind_tools([forecast])
    called = bound.invoke(WEATHER)
    (call,) = called.tool_calls
    assert (call["name"], sorted(call["args"])) == ("forecast", ["city"])
    assert [block["type"] for block in called.content] == ["thinking", "tool_use"] and called.content[0]["signature"]
    result = ToolMessage(forecast.invoke(call["args"]), tool_call_id=call["id"])
    assert bound.invoke([HumanMessage(WEATHER), called, result]).text


def test_structured_output_is_an_object(chat):
    assert isinstance(chat.with_structured_output(Person).invoke("Describe a person."), Person)
    by_schema = chat.with_structured_output(Person, method="json_schema")
    assert isinstance(by_schema.invoke("Describe a person."), Person)


def test_a_wrong_key_is_an_authentication_error(arbiter):
    with pytest.raises(anthropic.AuthenticationError):
        told(arbiter, "arb_wrong").invoke(ASK)
