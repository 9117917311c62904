"""Answers of runtimes that speak Anthropic's Messages, whole or streamed, read as a chat's."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from arbiter_app import exact_json
from arbiter_app.dialects.anthropic_messages.regular import RegularMessage, block_of, content_of, reason_of
from arbiter_app.dialects.chunks import EventReader
from arbiter_app.dialects.reasoning import MEMBER, MESSAGES
from arbiter_app.pipeline.completions import count_of
from arbiter_app.pipeline.finish_reasons import finish_of
from arbiter_app.pipeline.types import Json

_MEMBERS = frozenset({"id", "type", "role", "model", "content", "stop_reason", "usage"})
"""What every message has."""


class MessagesReader(EventReader):
    """Reads one answer (`dialects.wire.Reader`)."""

    regular = RegularMessage

    def __init__(self) -> None:
        super().__init__()
        self._usage: Json = {}
        self._blocks: dict[int, _OpenBlock] = {}
        self._ending = False

    @property
    def ended(self) -> bool:
        """Whether its end has come; some say in several events what it is."""
        return self._ending or super().ended

    def whole(self, answer: Json, body: bytes) -> Json:
        """A message as a chat completion. Raises ValueError for what is none."""
        said = exact_json.whole(exact_json.exact(body)) if b"tool_use" in body else answer
        stated = content_of(said.get("content"))
        blocks = [block_of(one) for one in stated]
        message, usage = _message(blocks), usage_of(answer.get("usage"))
        finish, more = _ended(answer, called := bool(message.get("tool_calls")))
        irregular = (
            any([one is not came for one, came in zip(blocks, stated, strict=True)]) or stated is not said["content"]
        )
        reason = answer.get("stop_reason")
        told = called is (reason == "tool_use") and reason_of(reason) == reason
        self.stray = irregular or not told or not answer.keys() >= _MEMBERS
        if finish == "content_filter" and (why := _why_refused(answer)) and not message["content"]:
            message["refusal"] = why
        head = {name: answer[name] for name in ("id", "model") if isinstance(answer.get(name), str)}
        made: Json = {**head, "choices": [{"index": 0, "message": message, "finish_reason": finish, **more}]}
        return {**made, "usage": usage} if usage is not None else made

    def _message_start(self, event: Json) -> None:
        message = event["message"]
        self._chunks.begin(message["id"], message["model"])
        self._count({name: count for name, count in message["usage"].items() if name != "output_tokens"})

    def _content_block_start(self, event: Json) -> None:
        block = event["content_block"]
        kind = block.get("type")
        begun = self._blocks[event["index"]] = _OpenBlock(str(kind))
        if kind == "text":
            self._chunks.text(block["text"])
        elif kind == "thinking":
            self._think(begun, block["thinking"], block["signature"])
        elif kind == "redacted_thinking":
            begun.data = block["data"]
        elif kind == "tool_use":
            begun.number = self._chunks.call(block["id"], block["name"])

    def _content_block_delta(self, event: Json) -> None:
        block, delta = self._blocks[event["index"]], event["delta"]
        what = delta.get("type")
        if what == "text_delta":
            self._chunks.text(delta["text"])
        elif what == "input_json_delta" and block.number is not None:
            block.given = block.given or bool(delta["partial_json"])
            self._chunks.arguments(block.number, delta["partial_json"])
        elif what in ("thinking_delta", "signature_delta"):
            self._think(block, delta.get("thinking"), delta.get("signature"))

    def _content_block_stop(self, event: Json) -> None:
        block = self._blocks[event["index"]]
        if block.number is not None and not block.given:
            self._chunks.arguments(block.number, "{}")
        self._chunks.signed(block.details)

    def _message_delta(self, event: Json) -> None:
        self._ending = True
        self._count(event.get("usage"))
        delta = event["delta"]
        if self._chunks.ended:
            self._chunks.used(usage_of(self._usage))
        elif delta.get("stop_reason"):
            finish, more = _ended(delta, self._chunks.calls > 0)
            if finish == "content_filter":
                self._chunks.refusal(_why_refused(delta))
            self._chunks.end(finish, usage_of(self._usage), **more)

    def _message_stop(self, _: Json) -> None:
        if not self._chunks.ended:
            self._chunks.end("tool_calls" if self._chunks.calls else "stop", usage_of(self._usage))
        self._chunks.done()

    def _error(self, event: Json) -> None:
        self._chunks.error(event.get("error"))

    def _think(self, block: _OpenBlock, text: object, signature: object) -> None:
        if isinstance(text, str):
            block.thought += text
            self._chunks.thought(text)
        if isinstance(signature, str):
            block.signature += signature

    def _count(self, usage: object) -> None:
        """Usage is stated at the beginning and, in full, at the end; what is not stated there is as it was."""
        if isinstance(usage, dict):
            self._usage |= {name: value for name, value in usage.items() if value is not None}

    handlers = MappingProxyType(
        {
            "message_start": _message_start,
            "content_block_start": _content_block_start,
            "content_block_delta": _content_block_delta,
            "content_block_stop": _content_block_stop,
            "message_delta": _message_delta,
            "message_stop": _message_stop,
            "error": _error,
        }
    )


class _OpenBlock:
    """A block under way."""

    __slots__ = ("data", "given", "kind", "number", "signature", "thought")

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.number: int | None = None
        self.thought = self.signature = self.data = ""
        self.given = False

    @property
    def details(self) -> list[Json]:
        """What the model signed of it."""
        if self.kind == "redacted_thinking":
            return [_redacted(self.data)] if self.data else []
        return [_signed(self.thought, self.signature)] if self.kind == "thinking" and self.signature else []


def usage_of(stated: object) -> Json | None:
    """The tokens of an answer as a chat's: those that were cached are among the prompt's, whose count excludes them here."""
    if not isinstance(stated, dict):
        return None
    fresh, told = count_of(stated.get("input_tokens")), count_of(stated.get("output_tokens"))
    if fresh is None or told is None:
        return None
    read = count_of(stated.get("cache_read_input_tokens")) or 0
    written = count_of(stated.get("cache_creation_input_tokens")) or 0
    details: Json = {"cached_tokens": read, "cache_write_tokens": written}
    split = stated.get("cache_creation")
    if isinstance(split, dict):
        details["cache_creation"] = split
    thought = stated.get("output_tokens_details")
    thought = count_of(thought.get("thinking_tokens")) if isinstance(thought, dict) else None
    made: Json = {
        "prompt_tokens": fresh + read + written,
        "completion_tokens": told,
        "total_tokens": fresh + read + written + told,
        "prompt_tokens_details": details,
    }
    if thought is not None:
        made["completion_tokens_details"] = {"reasoning_tokens": thought}
    return made


def _message(blocks: list[Any]) -> Json:
    """The assistant's message that blocks are."""
    texts: list[str] = []
    thoughts: list[str] = []
    details: list[Json] = []
    calls: list[Json] = []
    waiting = 0
    for block in blocks:
        kind = str(block.get("type")) if isinstance(block, dict) else ""
        if kind == "text" and isinstance(block.get("text"), str):
            texts.append(block["text"])
            waiting = len(details)
        elif kind == "thinking":
            thoughts.append(str(block.get("thinking") or ""))
            if isinstance(block.get("signature"), str) and block["signature"]:
                details.append(_signed(thoughts[-1], block["signature"]))
        elif kind == "redacted_thinking" and isinstance(block.get("data"), str):
            details.append(_redacted(block["data"]))
        elif kind == "tool_use":
            named = str(block.get("id") or f"call_{len(calls)}")
            if texts or calls:
                details[waiting:] = [{**one, "before": named} for one in details[waiting:]]
            waiting = len(details)
            given = block.get("input")
            arguments = exact_json.dumps(given if isinstance(given, dict) else {}).decode()
            function = {"name": str(block.get("name") or ""), "arguments": arguments}
            calls.append({"id": named, "type": "function", "function": function})
    made: Json = {"role": "assistant", "content": "".join(texts) or (None if calls else "")}
    if any(thoughts):
        made["reasoning_content"] = "".join(thoughts)
    if details:
        made[MEMBER] = details
    return {**made, "tool_calls": calls} if calls else made


def _signed(thought: str, signature: str) -> Json:
    return {"type": "reasoning.text", "text": thought, "signature": signature, "format": MESSAGES}


def _redacted(data: str) -> Json:
    return {"type": "reasoning.encrypted", "data": data, "format": MESSAGES}


def _ended(said: Json, called: bool) -> tuple[str, Json]:
    """Why an answer ended, and the stop sequence that it ended at as vLLM tells it (`stop_reason` of a choice)."""
    matched, does = said.get("stop_sequence"), "tool_calls" if called else ""
    finish = finish_of(said.get("stop_reason"), does) or does or "stop"
    return finish, {"stop_reason": matched} if isinstance(matched, str) else {}


def _why_refused(said: Json) -> str:
    details = said.get("stop_details")
    why = details.get("explanation") if isinstance(details, dict) else None
    return why if isinstance(why, str) else ""
