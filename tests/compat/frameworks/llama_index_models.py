"""LlamaIndex's chat, Responses and Messages models: python llama_index_models.py URL KEY."""

from __future__ import annotations

import asyncio
import sys

from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.llms import ChatMessage
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.llms.anthropic import Anthropic
from llama_index.llms.openai import OpenAI, OpenAIResponses
from llama_index.llms.openai_like import OpenAILike, OpenAILikeResponses
from pydantic import BaseModel

URL, KEY = sys.argv[1:]
AUTO = {"model": "auto", "api_base": f"{URL}/v1", "api_key": KEY, "is_chat_model": True}


class Person(BaseModel):
    """A person."""

    name: str
    age: int


def forecast(city: str) -> str:
    """The weather ahead in a city."""
    asked.append(city)
    return "clear"


async def tried(model: FunctionCallingLLM) -> None:
    """Plain, streamed, with a tool, and a typed answer."""
    ask = [ChatMessage(role="user", content="What is 17 * 23?")]
    assert "391" in str(model.chat(ask)), model
    assert "391" in "".join(piece.delta or "" for piece in model.stream_chat(ask)), model
    assert str(await FunctionAgent(tools=[forecast], llm=model).run("What will the weather be in Lisbon?")) and asked, (
        model
    )
    assert isinstance(model.as_structured_llm(Person).complete("Describe a person.").raw, Person), model


for one in (
    OpenAILike(**AUTO, is_function_calling_model=True),
    OpenAILikeResponses(**AUTO, is_function_calling_model=True),
    OpenAI(model="gpt-4o", api_base=f"{URL}/v1", api_key=KEY),
    OpenAIResponses(model="gpt-4o", api_base=f"{URL}/v1", api_key=KEY),
    Anthropic(model="claude-sonnet-4-5", base_url=URL, api_key=KEY),
):
    asked: list[str] = []
    asyncio.run(tried(one))
