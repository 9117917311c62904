"""A number in what describes a tool or an answer reaches a runtime digit by digit, from every dialect to every dialect."""

from __future__ import annotations

import pytest

from arbiter_app.dialects import Dialect, anthropic_messages, openai_chat, openai_completions, openai_responses
from arbiter_app.dialects.wires import WIRES
from arbiter_app.pipeline.types import Caller, Role

NUMBERS = ("123456789012345678901234567890", "1.10", "-1E2", "0.10000000000000000001")
LIMITS = ",".join(f'"limit{at}":{number}' for at, number in enumerate(NUMBERS))
SCHEMA = f'{{"type":"object","properties":{{"a":{{{LIMITS}}}}}}}'
TOOL = '"name":"f","parameters":' + SCHEMA
ASKED = '[{"role":"user","content":"hi"}]'
FRONTS: dict[str, tuple[Dialect, str]] = {
    "chat": (openai_chat, f'{{"messages":{ASKED},"tools":[{{"type":"function","function":{{{TOOL}}}}}]}}'),
    "answer of a chat": (
        openai_chat,
        f'{{"messages":{ASKED},"response_format":{{"type":"json_schema","json_schema":{{"name":"s","schema":{SCHEMA}}}}}}}',
    ),
    "messages": (
        anthropic_messages,
        f'{{"max_tokens":9,"messages":{ASKED},"tools":[{{"name":"f","input_schema":{SCHEMA}}}]}}',
    ),
    "responses": (openai_responses, f'{{"input":"hi","tools":[{{"type":"function",{TOOL}}}]}}'),
    "answer of a response": (
        openai_responses,
        f'{{"input":"hi","text":{{"format":{{"type":"json_schema","name":"s","schema":{SCHEMA}}}}}}}',
    ),
}
CALLER = Caller("k", Role.CALLER)


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("front", FRONTS)
def test_numbers_in_schemas(front: str, wire: str) -> None:
    dialect, body = FRONTS[front]
    chat = dialect.parse(body.encode(), CALLER, "r")
    sent = WIRES[wire].ask(chat.body(model="m")).body.decode()
    assert [number for number in NUMBERS if f":{number}" not in sent.replace(" ", "")] == []


def test_numbers_of_a_completion_and_of_a_response() -> None:
    asked = openai_completions.parse(b'{"prompt":"x","seed":18446744073709551616,"temperature":0.10}', CALLER, "r")
    assert (asked.written["seed"], asked.written["temperature"]) == ("18446744073709551616", "0.10")
    asked = openai_responses.parse(b'{"input":"x","top_p":0.90,"temperature":0.10}', CALLER, "r")
    assert (asked.written["top_p"], asked.written["temperature"]) == ("0.90", "0.10")


@pytest.mark.parametrize("member", ['"name":5', '"name":"f","parameters":5', '"name":"f","description":5'])
def test_a_number_is_still_no_text_and_no_schema(member: str) -> None:
    with pytest.raises(Exception, match="not a number"):
        openai_responses.parse(f'{{"input":"hi","tools":[{{"type":"function",{member}}}]}}'.encode(), CALLER, "r")
