"""`ChatAnthropic` of LangChain: python langchain_messages.py URL KEY."""

from __future__ import annotations

import sys

from langchain_anthropic import ChatAnthropic
from langchain_core.tools import tool

URL, KEY = sys.argv[1:]
ASK = "What is 17 * 23?"


@tool
def forecast(city: str) -> str:
    """The weather ahead in a city."""
    return f"clear in {city}"


chat = ChatAnthropic(model="auto", base_url=URL, api_key=KEY, max_retries=0)
answer = chat.invoke(ASK)
assert "17 * 23" in str(answer.content) and answer.usage_metadata["total_tokens"] > 0
whole = None
for chunk in chat.stream(ASK):
    whole = chunk if whole is None else whole + chunk
assert "17 * 23" in str(whole.content) and whole.response_metadata["stop_reason"] == "end_turn"
called = chat.bind_tools([forecast]).invoke("What will the weather be in Lisbon?").tool_calls
assert [(one["name"], sorted(one["args"])) for one in called] == [("forecast", ["city"])], called
