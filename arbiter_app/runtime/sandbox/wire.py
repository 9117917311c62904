"""A simulated answer in OpenAI's form: one JSON body, or chunks of a stream."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

import orjson

from arbiter_app.pipeline.types import Json
from arbiter_app.runtime.sandbox.answers import Said

WORDS_A_CHUNK = 3
ARGUMENT_CHARS = 16
_WORDS = re.compile(rf"(?:\S+\s*|\s+){{1,{WORDS_A_CHUNK}}}")


def tokens_of(text: str) -> int:
    """Tokens of a text: one for about four bytes of UTF-8."""
    return (len(text.encode("utf-8", "replace")) + 3) // 4


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer and everything its wire form needs. `usage` and `charges` are empty when nothing is said of them."""

    id: str
    model: str
    said: Said
    finish: str
    usage: Json
    charges: dict[str, str]

    def body(self) -> bytes:
        """The whole answer."""
        message: Json = {"role": "assistant", "content": self.said.text or None}
        if self.said.tool_calls:
            message["tool_calls"] = self.said.tool_calls
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self.finish}
        body = {**self._head("chat.completion"), "choices": [choice]}
        return orjson.dumps({**body, "usage": self.usage} if self.usage else body)

    def events(self, *, include_usage: bool) -> list[bytes]:
        """The answer as server-sent events, `[DONE]` last."""
        head = orjson.dumps(self._head("chat.completion.chunk"))[:-1]
        deltas: list[Json] = [{"role": "assistant", "content": ""}, *self._tool_deltas()]
        deltas += [{"content": words} for words in _WORDS.findall(self.said.text)]
        events = [_event(head, [{"index": 0, "delta": delta, "finish_reason": None}]) for delta in deltas]
        events.append(_event(head, [{"index": 0, "delta": {}, "finish_reason": self.finish}]))
        if include_usage and self.usage:
            stated = {"cost": float(charge)} if (charge := self.charges.get("x-btl-customer-charge")) else {}
            events.append(_event(head, [], {**self.usage, **stated}))
        return [*events, b"data: [DONE]\n\n"]

    def _head(self, kind: str) -> Json:
        return {
            "id": self.id,
            "object": kind,
            "created": int(time.time()),
            "model": self.model,
            "system_fingerprint": "arbiter-sandbox",
        }

    def _tool_deltas(self) -> list[Json]:
        deltas: list[Json] = []
        for index, call in enumerate(self.said.tool_calls):
            name, text = call["function"]["name"], call["function"]["arguments"]
            start = {"index": index, "id": call["id"], "type": "function", "function": {"name": name, "arguments": ""}}
            deltas.append({"tool_calls": [start]})
            for at in range(0, len(text), ARGUMENT_CHARS):
                piece = {"arguments": text[at : at + ARGUMENT_CHARS]}
                deltas.append({"tool_calls": [{"index": index, "function": piece}]})
        return deltas


def _event(head: bytes, choices: list[Json], usage: Json | None = None) -> bytes:
    tail = b"" if usage is None else b',"usage":' + orjson.dumps(usage)
    return b"data: " + head + b',"choices":' + orjson.dumps(choices) + tail + b"}\n\n"
