"""`langchain-openai`, unchanged, against a running Arbiter."""

from __future__ import annotations

import asyncio

import pytest
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

ASK = "What is 17 * 23?"
EXPRESSION = "17 * 23"


class Person(BaseModel):
    """A person."""

    name: str
    age: int


@tool
def forecast(city: str) -> str:
    """The weather ahead in a city."""
    return f"clear in {city}"


@pytest.fixture(scope="module")
def chat(base_url: str, key: str) -> ChatOpenAI:
    return ChatOpenAI(model="auto", base_url=base_url, api_key=key, max_retries=0)


@pytest.fixture(scope="module")
def pinned(base_url: str, key: str) -> ChatOpenAI:
    """One model gives the answers whose form matters: they depend on the sandbox's seed alone."""
    extra = {"arbiter_pin": "gpt-4o"}
    return ChatOpenAI(model="auto", base_url=base_url, api_key=key, max_retries=0, extra_body=extra)


def test_an_answer_has_text_and_usage(chat):
    answer = chat.invoke(ASK)
    assert EXPRESSION in answer.content and answer.usage_metadata["total_tokens"] > 0


def test_a_stream_adds_up_to_the_answer(chat):
    whole = None
    for chunk in chat.stream(ASK):
        whole = chunk if whole is None else whole + chunk
    assert EXPRESSION in whole.content and whole.response_metadata["finish_reason"] == "stop"


def test_batches_and_coroutines_work(chat):
    asks = [f"What is {n} + 1?" for n in range(100, 105)]
    answers = chat.batch(asks)
    assert [f"{n} + 1" in answer.content for n, answer in zip(range(100, 105), answers, strict=True)] == [True] * 5
    assert EXPRESSION in asyncio.run(chat.ainvoke(ASK)).content


def test_a_tool_is_called_and_its_result_taken(pinned):
    asked = HumanMessage("What will the weather be in Lisbon?")
    called = pinned.bind_tools([forecast]).invoke([asked])
    (call,) = called.tool_calls
    assert call["name"] == "forecast" and isinstance(call["args"]["city"], str)
    result = ToolMessage(forecast.invoke(call["args"]), tool_call_id=call["id"])
    assert pinned.bind_tools([forecast]).invoke([asked, called, result]).content


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_structured_output_is_an_object(pinned, method):
    assert isinstance(pinned.with_structured_output(Person, method=method).invoke("Describe a person."), Person)


def test_the_same_over_responses(base_url, key):
    extra = {"arbiter_pin": "gpt-4o"}
    chat = ChatOpenAI(model="auto", base_url=base_url, api_key=key, extra_body=extra, use_responses_api=True)
    assert EXPRESSION in chat.invoke(ASK).text
    whole = None
    for chunk in chat.stream(ASK):
        whole = chunk if whole is None else whole + chunk
    assert EXPRESSION in whole.text
    asked = HumanMessage("What will the weather be in Lisbon?")
    first = chat.bind_tools([forecast]).invoke([asked])
    (call,) = first.tool_calls
    result = ToolMessage(forecast.invoke(call["args"]), tool_call_id=call["id"])
    assert chat.bind_tools([forecast]).invoke([asked, first, result]).text
    assert isinstance(chat.with_structured_output(Person).invoke("Describe a person."), Person)
