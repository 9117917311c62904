"""Sessions of 200 turns with tool loops, plain and streamed, for callers of each dialect: the model is switched by force every 10 turns, to
a runtime of another dialect, and one fails every 25. What each runtime gets is held against its provider's own types and rules.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.test_every_dialect_over_every_runtime import (
    CHAT,
    FRONTS,
    MESSAGES,
    MODELS,
    PATHS,
    RESPONSES,
    THINKING,
    TOOLS,
    Runtimes,
    chat_stream,
    framed,
    jsoned,
    over,
    plain,
    runtimes,
    whole_of,
)
from tests.conftest import Running
from tests.sdk_types import assert_messages, assert_responses
from tests.stranger import Said, chunk
from tests.unit.dialects import test_messages_answers_become_chats as messages
from tests.unit.dialects import test_responses_answers_become_chats as responses

__all__ = ["over", "runtimes"]
TURNS, SWITCH, FAIL = 200, 10, 25
LOOKED_AT = 8
"""So many of the last messages are held against the SDK's types each time: those before were before."""
NO_TOOL_EVERY = 4
"""Every so many steps a model answers in words, which ends a loop."""


class Provider:
    """A runtime that signs what it thinks, calls a tool or answers, and is as strict as those of its dialect; `wrong` says where a
    request broke a rule.
    """

    def __init__(self, wire: str) -> None:
        self.wire = wire
        self.front = ""
        self.steps = 0
        self.failing = False
        self.wrong: list[str] = []
        self.signed = 0
        """Signatures of its own that came back."""

    def say(self, body: bytes) -> Said:
        if self.failing:
            self.failing = False
            return jsoned({"type": "error", "error": {"type": "api_error", "message": "Boom"}}, 500)
        asked = json.loads(body)
        try:
            {MESSAGES: self._messages, RESPONSES: self._responses, CHAT: self._chat}[self.wire](asked)
        except Exception as error:  # noqa: BLE001 - told by the test
            self.wrong.append(f"{type(error).__name__}: {error}"[:500])
        self.steps += 1
        return self._answer(asked.get("stream") is True)

    def _own(self, signature: str) -> None:
        assert signature.startswith(self.wire), signature
        self.signed += 1

    def _messages(self, asked: dict[str, Any]) -> None:
        assert_messages({**asked, "messages": asked["messages"][-LOOKED_AT:]})
        for at, one in enumerate(asked["messages"]):
            content = one["content"] if isinstance(one["content"], list) else []
            uses = [block["id"] for block in content if block["type"] == "tool_use"]
            if uses:
                results = asked["messages"][at + 1]["content"][: len(uses)]
                assert [block["tool_use_id"] for block in results] == uses
            for block in content:
                if block["type"] == "thinking":
                    self._own(block["signature"])

    def _responses(self, asked: dict[str, Any]) -> None:
        assert_responses({**asked, "input": asked["input"][-LOOKED_AT:]})
        called = [one["call_id"] for one in asked["input"] if one.get("type") == "function_call"]
        assert [one["call_id"] for one in asked["input"] if one.get("type") == "function_call_output"] == called
        for one in asked["input"]:
            if one.get("type") == "reasoning":
                self._own(one["encrypted_content"])

    def _chat(self, asked: dict[str, Any]) -> None:
        open_calls: list[str] = []
        for one in asked["messages"]:
            assert one.keys() <= {"role", "content", "tool_calls", "tool_call_id", "reasoning_content"}, one.keys()
            if one["role"] == "tool":
                open_calls.remove(one["tool_call_id"])
            else:
                assert not open_calls
                open_calls += [call["id"] for call in one.get("tool_calls") or []]
            if self.front != CHAT:  # whose callers keep thoughts as they like
                self._thought(one)
        assert not open_calls

    def _thought(self, message: dict[str, Any]) -> None:
        """Its own calls come back with the thought before them, as DeepSeek's must; others bring none."""
        names = {call["id"].rpartition("-")[0].removeprefix("call_") for call in message.get("tool_calls") or []}
        own = {f"Thought {name}." for name in names if name.startswith(CHAT)}
        said = message.get("reasoning_content", "")
        assert said in own or not (own or said), message
        self.signed += bool(said)

    def _answer(self, streamed: bool) -> Said:
        name, calls = f"{self.wire}-{self.steps}", 0 if self.steps % NO_TOOL_EVERY == 0 else 1 + self.steps % 2
        ids, given = [f"call_{name}-{at}" for at in range(calls)], {"city": "Oslo"}
        if self.wire == MESSAGES:
            blocks = [
                {"type": "thinking", "thinking": "So.", "signature": name},
                {"type": "text", "text": f"Step {name}."},
            ]
            blocks += [{"type": "tool_use", "id": one, "name": "weather", "input": given} for one in ids]  # type: ignore[dict-item]
            whole = messages.message(blocks, stop_reason="tool_use" if calls else "end_turn")
            return framed(messages.events_of(whole)) if streamed else jsoned(whole)
        if self.wire == RESPONSES:
            items = [{**responses.reasoning(0, "So."), "encrypted_content": name}, responses.said(f"Step {name}.")]
            items += [
                {**responses.FUNCTIONS[0], "id": f"fc_{one}", "call_id": one, "arguments": json.dumps(given)}
                for one in ids
            ]
            done = responses.response(items)
            return framed(responses.events_of(done)) if streamed else jsoned(done)
        called = [
            {"id": one, "type": "function", "function": {"name": "weather", "arguments": json.dumps(given)}}
            for one in ids
        ]
        finish = "tool_calls" if calls else "stop"
        message: dict[str, Any] = {
            "role": "assistant",
            "content": f"Step {name}.",
            **({"tool_calls": called, "reasoning_content": f"Thought {name}."} if calls else {}),
        }
        if not streamed:
            return plain(message, finish)
        pieces = [chunk({"tool_calls": [{"index": at, **one}]}) for at, one in enumerate(called)]
        usage = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
        thought = [chunk({"reasoning_content": f"Thought {name}."})] if calls else []
        return chat_stream(
            *thought,
            chunk({"content": message["content"]}),
            *pieces,
            chunk({}, finish),
            {**chunk({}), "choices": [], "usage": usage},
        )


def goes_on(front: str, body: dict[str, Any], turn: int) -> tuple[list[dict[str, Any]], int]:
    """What a caller adds to its history: the answer as it came, the results of its calls, or else a new ask; and how many results."""
    ask = {"role": "user", "content": f"And now? ({turn})"}
    if front == MESSAGES:
        uses = [block["id"] for block in body["content"] if block["type"] == "tool_use"]
        told = [{"type": "tool_result", "tool_use_id": one, "content": "Rain"} for one in uses]
        content = [{name: value for name, value in block.items() if value is not None} for block in body["content"]]
        return [{"role": "assistant", "content": content}, {"role": "user", "content": told} if uses else ask], len(
            uses
        )
    if front == RESPONSES:
        called = [item["call_id"] for item in body["output"] if item["type"] == "function_call"]
        outputs = [{"type": "function_call_output", "call_id": one, "output": "Rain"} for one in called]
        return [*body["output"], *(outputs or [ask])], len(called)
    message = body["choices"][0]["message"]
    kept = {name: value for name, value in message.items() if value or name == "content"}
    calls = [call["id"] for call in kept.get("tool_calls", [])]
    results = [{"role": "tool", "tool_call_id": one, "content": "Rain"} for one in calls]
    return [kept, *(results or [ask])], len(calls)


@pytest.fixture
def providers(runtimes: Runtimes) -> Iterator[dict[str, Provider]]:
    made = {wire: Provider(wire) for wire in MODELS}
    for wire, one in made.items():
        runtimes[wire].say = one.say
    yield made


@pytest.mark.parametrize("front", FRONTS)
def test_a_session(over: Running, providers: dict[str, Provider], front: str) -> None:
    for one in providers.values():
        one.front = front
    wires, history, results = list(MODELS), [{"role": "user", "content": "Look around."}], 0
    served: list[str] = []
    for turn in range(TURNS):
        wire = wires[turn // SWITCH % len(wires)]
        asked: dict[str, Any] = {"model": "auto", "arbiter_no_cache": True, **TOOLS[front], **THINKING[front]}
        asked["input" if front == RESPONSES else "messages"] = history
        asked["stream"] = turn % 2 == 1
        if turn % FAIL == FAIL - 1:
            providers[wire].failing = True
            asked["arbiter_models"] = [MODELS[wire], MODELS[wires[(wires.index(wire) + 1) % len(wires)]]]
        else:
            asked["arbiter_pin"] = MODELS[wire]
        asked |= {"stream_options": {"include_usage": True}} if front == CHAT and asked["stream"] else {}
        answer = over.http.post(PATHS[front], json=asked)
        assert answer.status_code == 200, answer.text
        body = whole_of(front, answer.text) if asked["stream"] else answer.json()
        served.append(body["arbiter"]["model"])
        more, brought = goes_on(front, body, turn)
        history, results = [*history, *more], results + brought
        if turn % FAIL == FAIL - 1:
            providers[wire].failing = False  # where it was not asked first
            over.run(lambda: _forget(over))
    assert [one.wrong for one in providers.values()] == [[], [], []]
    assert set(served) == set(MODELS.values()) and results > TURNS / 2
    assert all(providers[wire].signed > 0 for wire in MODELS if wire != CHAT or front != CHAT)


async def _forget(over: Running) -> None:
    over.arbiter.health.forget()
