"""Pydantic AI's chat, Responses and Messages models: python pydantic_models.py URL KEY."""

from __future__ import annotations

import sys

from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider

URL, KEY = sys.argv[1:]
OPENAI, ANTHROPIC = OpenAIProvider(base_url=f"{URL}/v1", api_key=KEY), AnthropicProvider(base_url=URL, api_key=KEY)


class Person(BaseModel):
    """A person."""

    name: str
    age: int


def forecast(city: str) -> str:
    """The weather ahead in a city."""
    asked.append(city)
    return "clear"


for model in (
    OpenAIChatModel("auto", provider=OPENAI),
    OpenAIResponsesModel("auto", provider=OPENAI),
    AnthropicModel("auto", provider=ANTHROPIC),
):
    asked: list[str] = []
    assert "17 * 23" in Agent(model).run_sync("What is 17 * 23?").output, model
    assert Agent(model, tools=[forecast]).run_sync("What will the weather be in Lisbon?").output and asked, model
    assert isinstance(Agent(model, output_type=Person).run_sync("Describe a person.").output, Person), model
