"""A simulated answer in OpenAI's form: one JSON body, or chunks of a stream."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

import orjson

from arbiter_app.pipeline.types import Json
from arbiter_app.runtime.sandbox.answers import SimulatedAnswer

WORDS_A_CHUNK = 3
ARGUMENT_CHARS = 16
WORDS = re.compile(rf"(?:\S+\s*|\s+){{1,{WORDS_A_CHUNK}}}")


def in_pieces(text: str, size: int) -> list[str]:
    """A text in pieces of so many characters."""
    return [text[at : at + size] for at in range(0, len(text), size)]


def tokens_of(text: str) -> int:
    """Tokens of a text: one for about four bytes of UTF-8."""
    return (len(text.encode("utf-8", "replace")) + 3) // 4


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the answers that a request asked for, and why it ends. `old_form`: a call is a `function_call`."""

    said: SimulatedAnswer
    finish: str
    old_form: bool = False

    @property
    def reason(self) -> str:
        """Why it ends, in the words of its form."""
        return "function_call" if self.old_form and self.said.tool_calls else self.finish


@dataclass(frozen=True, slots=True)
class SandboxAnswer:
    """An answer and everything its wire form needs. `usage` and `charges` are empty when nothing is said of them."""

    id: str
    model: str
    choices: list[Choice]
    usage: Json
    charges: dict[str, str]
    logprobs: bool = False
    encrypted: bool = False
    """Whether the caller wants what was thought encrypted, too."""

    @property
    def said(self) -> SimulatedAnswer:
        """The first of the answers."""
        return self.choices[0].said

    def body(self) -> bytes:
        """The whole answer."""
        body = {**self._head("chat.completion"), "choices": [self._whole(*one) for one in enumerate(self.choices)]}
        return orjson.dumps({**body, "usage": self.usage} if self.usage else body)

    def events(self, *, include_usage: bool) -> list[bytes]:
        """The answer as server-sent events, `[DONE]` last."""
        head = orjson.dumps(self._head("chat.completion.chunk"))[:-1]
        events = []
        for index, choice in enumerate(self.choices):
            for delta in self._deltas(choice):
                chunk: Json = {"index": index, "delta": delta, "finish_reason": None}
                if self.logprobs and delta.get("content"):
                    chunk["logprobs"] = _logprobs(delta["content"])
                events.append(_event(head, [chunk]))
            events.append(_event(head, [{"index": index, "delta": {}, "finish_reason": choice.reason}]))
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

    def _whole(self, index: int, choice: Choice) -> Json:
        message: Json = {"role": "assistant", "content": choice.said.text or None, **_thought(choice.said)}
        if choice.said.tool_calls and choice.old_form:
            message["function_call"] = choice.said.tool_calls[0]["function"]
        elif choice.said.tool_calls:
            message["tool_calls"] = choice.said.tool_calls
        logprobs = _logprobs(choice.said.text) if self.logprobs and choice.said.text else None
        return {"index": index, "message": message, "logprobs": logprobs, "finish_reason": choice.reason}

    def _deltas(self, choice: Choice) -> list[Json]:
        said = choice.said
        deltas: list[Json] = [{"role": "assistant", "content": ""}]
        if said.thought:
            deltas += [{"reasoning_content": words} for words in WORDS.findall(said.thought)]
            deltas.append({"reasoning_details": list(said.signed)})
        for index, call in enumerate(said.tool_calls):
            name, text = call["function"]["name"], call["function"]["arguments"]
            pieces = [{"arguments": piece} for piece in in_pieces(text, ARGUMENT_CHARS)]
            start: Json = {"name": name, "arguments": ""}
            if choice.old_form:
                deltas += [{"function_call": piece} for piece in (start, *pieces)]
                continue
            deltas.append({"tool_calls": [{"index": index, "id": call["id"], "type": "function", "function": start}]})
            deltas += [{"tool_calls": [{"index": index, "function": piece}]} for piece in pieces]
        return [*deltas, *({"content": words} for words in WORDS.findall(said.text))]


def _thought(said: SimulatedAnswer) -> Json:
    """What a message says of the thinking before it."""
    return {"reasoning_content": said.thought, "reasoning_details": list(said.signed)} if said.thought else {}


def _logprobs(text: str) -> Json:
    """What a model would say of its tokens; here all are as probable."""
    tokens = WORDS.findall(text)
    return {
        "content": [{"token": one, "logprob": -0.1, "bytes": list(one.encode()), "top_logprobs": []} for one in tokens]
    }


def _event(head: bytes, choices: list[Json], usage: Json | None = None) -> bytes:
    tail = b"" if usage is None else b',"usage":' + orjson.dumps(usage)
    return b"data: " + head + b',"choices":' + orjson.dumps(choices) + tail + b"}\n\n"
