"""The events of a streamed message: blocks are numbered without holes, and one is open at a time.

A chat's stream may turn from one tool call to the other and back. What belongs to a later block waits until the one before it
is whole: a block of text or thought when the next begins, a call when its arguments are a JSON object, any at the end. What
still comes of a call that was whole has no place any more.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from arbiter_app import exact_json
from arbiter_app.dialects.anthropic_messages.answer import call_id, ended, head, usage
from arbiter_app.dialects.passing import data_of
from arbiter_app.dialects.reasoning import Carried, details_of, extra_of, grouped, sealed
from arbiter_app.dialects.translation import FirstChoice, arguments_of, line_of
from arbiter_app.pipeline.completions import name_added
from arbiter_app.pipeline.decision import Decision
from arbiter_app.pipeline.events import Chunk
from arbiter_app.pipeline.messages import content_text
from arbiter_app.pipeline.types import Json

PING: Json = {"type": "ping"}
CALL = "tool_use"
_STOP = re.compile(rb'("stop_reason"\s*:\s*)"(?:end_turn|tool_use)"')


def event(data: Json) -> bytes:
    """One event, named by its type."""
    try:
        line = line_of(data)
    except TypeError:  # half of a surrogate pair, whose other half may come in the next piece
        line = exact_json.dumps(data)
    return b"event: %b\ndata: %b\n\n" % (data["type"].encode(), line)


def ended_with(events: list[bytes], decision: Decision, _: Iterator[int]) -> list[bytes]:
    """The last events of an answer as its runtime sent them, with the `arbiter` object; what of them is missing is added, and an end
    that says otherwise than the blocks whether there is a call is put right. Of several ends one is told, with all that they say."""
    ends = [one for one in events if b"message_delta" in one]
    told = _end_of(ends, decision) if ends else _without_delta(decision)
    stops = [one for one in events if b"message_stop" in one] or [event({"type": "message_stop"})]
    first = next((at for at, one in enumerate(events) if one in (*ends, *stops)), len(events))
    others = [one for one in events[first:] if one not in ends and one not in stops]
    return [*events[:first], *others, told, *stops]


def _end_of(ends: list[bytes], decision: Decision) -> bytes:
    """Why the answer ended, and what it used, as its runtime has said it."""
    done, data = decision.completion, data_of(ends[0])
    if done is None or not done.large:
        right = b'\\1"%b"' % _reason(decision).encode()
        data = _STOP.sub(right, _joined([data, *(data_of(one) for one in ends[1:])], decision))
    return b'event: message_delta\ndata: %b,"arbiter":%b}\n\n' % (data.rstrip()[:-1], orjson.dumps(decision.public()))


def _joined(said: list[bytes], decision: Decision) -> bytes:
    """The data of the one event that says what these say, with a reason and with counts of tokens."""
    first, *others = (exact_json.exact(one) for one in said)
    delta, used = first["delta"], first.get("usage") if isinstance(first.get("usage"), dict) else {}
    if not others and delta.get("stop_reason") is not None and used.get("output_tokens") is not None:
        return said[0]
    for other in others:
        more = other.get("usage")
        delta |= {name: one for name, one in other["delta"].items() if one is not None}
        used |= {name: one for name, one in more.items() if one is not None} if isinstance(more, dict) else {}
    if delta.get("stop_reason") is None:
        delta["stop_reason"] = _reason(decision)
    if used.get("output_tokens") is None:
        used = {**usage(decision), **{name: one for name, one in used.items() if one is not None}}
    return exact_json.dumps({**first, "delta": delta, "usage": used})


def _reason(decision: Decision) -> str:
    """Why an answer ended that came to its end."""
    return "tool_use" if decision.completion is not None and decision.completion.tool_calls else "end_turn"


def _without_delta(decision: Decision) -> bytes:
    """Why an answer ended, where its runtime has not said so."""
    delta = {"stop_reason": _reason(decision), "stop_sequence": None}
    told = {"type": "message_delta", "delta": delta, "usage": usage(decision)}
    return event({**told, "arbiter": decision.public()})


@dataclass(slots=True)
class _Block:
    """A block that was begun: how it starts, what of it waits to be sent, and, of a call, all its arguments so far."""

    start: Json
    delta: str
    """The type of its pieces ..."""
    member: str
    """... and the member in which their text stands."""
    waiting: list[str] = field(default_factory=list)
    arguments: list[str] = field(default_factory=list)
    signature: str = ""
    open: bool = False

    @property
    def named(self) -> bool:
        """Whether it is known what a call calls: its name may come in pieces, until its arguments do."""
        return self.start["type"] != CALL or bool(self.start["name"] and self.waiting)

    @property
    def whole(self) -> bool:
        """Whether the next may begin."""
        if self.start["type"] != CALL:
            return True
        text = "".join(self.arguments)
        if not text.rstrip().endswith("}"):
            return False
        try:
            return isinstance(orjson.loads(text), dict)
        except orjson.JSONDecodeError:
            return False


class Events:
    """Makes the events of one answer: `begin`, `of` each chunk, `end`."""

    def __init__(self, decision: Decision) -> None:
        self._decision = decision
        self._index = 0
        self._blocks: deque[_Block] = deque()
        self._last: _Block | None = None
        self._calls: dict[object, _Block] = {}
        self._finish: object = None
        self._matched: object = None
        self._refused = False
        self._choice = FirstChoice()
        self._carried = Carried()

    def begin(self) -> bytes:
        """What comes first: the message, still empty, and a sign of life."""
        told = {**usage(self._decision), "output_tokens": 0}
        empty = {**head(self._decision), "content": [], "stop_reason": None, "stop_sequence": None, "usage": told}
        return event({"type": "message_start", "message": empty}) + event(PING)

    def of(self, chunk: Chunk) -> Iterator[bytes]:
        """The events that a chunk becomes, for now."""
        for choice, delta, calls in self._choice.of(chunk):
            self._take(choice, delta, calls)
        yield from self._ready()

    def end(self, arbiter: Json) -> Iterator[bytes]:
        """What ends the answer: the rest of its blocks, why it ended, its usage, and the `arbiter` object."""
        self._sign_carried()
        yield from self._ready(at_end=True)
        reason, sequence = ended(self._decision, self._finish, self._matched, called=bool(self._calls))
        delta = {"stop_reason": "refusal" if self._refused else reason, "stop_sequence": sequence}
        told = {"type": "message_delta", "delta": delta, "usage": usage(self._decision)}
        yield b"event: message_delta\ndata: %b\n\n" % orjson.dumps({**told, "arbiter": arbiter})
        yield event({"type": "message_stop"})

    def _take(self, choice: Json, delta: Json, placed: list[tuple[int | None, Json]]) -> None:
        if self._decision.request.show_thoughts:
            self._think(delta)
        if placed or any(delta.get(name) for name in ("content", "refusal", "function_call")):
            self._sign_carried()
        refused = delta.get("refusal")
        if isinstance(refused, str) and refused:
            self._refused = True
            self._add("text", refused)
        if text := content_text(delta.get("content")):
            self._add("text", text)
        for number, call in placed:
            stated = call.get("index") if number is None else number
            if stated not in self._calls and self._decision.request.show_thoughts and (extra := extra_of(call)):
                self._sign(extra)
            self._call(stated, call.get("id"), call.get("function"))
        if isinstance(delta.get("function_call"), dict):
            self._call("function_call", None, delta["function_call"])
        if choice.get("finish_reason") is not None:
            self._finish = self._finish or choice["finish_reason"]
            self._matched = choice.get("stop_reason")

    def _think(self, delta: Json) -> None:
        if thinking := self._carried.add(delta):
            self._add("thinking", thinking)
        for group in grouped(details_of(delta)):
            self._carried.taken()
            self._sign(group)

    def _sign_carried(self) -> None:
        if details := self._carried.taken():
            self._sign(details)

    def _add(self, kind: str, text: str) -> None:
        block = self._last
        if block is None or block.start["type"] != kind or block.signature:
            begin = {"type": kind, kind: "", **({"signature": ""} if kind == "thinking" else {})}
            block = self._begun(_Block(begin, f"{kind}_delta", kind))
        block.waiting.append(text)

    def _sign(self, details: list[Json]) -> None:
        """End a block of thinking with what the model signed; without one, it is a block that says nothing."""
        seal, block = sealed(self._decision.model, details), self._last
        if block is not None and block.start["type"] == "thinking" and not block.signature:
            block.signature = seal
        else:
            self._begun(_Block({"type": "redacted_thinking", "data": seal}, "", ""))

    def _call(self, number: object, stated: object, function: Any) -> None:
        function = function if isinstance(function, dict) else {}
        block, name = self._calls.get(number), function.get("name")
        if block is None:
            begin = {"type": CALL, "id": call_id(self._decision, stated, len(self._calls)), "name": "", "input": {}}
            block = self._calls[number] = self._begun(_Block(begin, "input_json_delta", "partial_json"))
        if type(name) is str and not block.open:
            block.start["name"] += name_added(block.start["name"], name)
        if arguments := arguments_of(function):
            block.waiting.append(arguments)
            block.arguments.append(arguments)

    def _begun(self, block: _Block) -> _Block:
        self._blocks.append(block)
        self._last = block
        return block

    def _ready(self, *, at_end: bool = False) -> Iterator[bytes]:
        """Send what may be sent: of the first block all there is, of the next ones once it is whole."""
        while self._blocks:
            block, alone = self._blocks[0], len(self._blocks) == 1 and not at_end
            if alone and not block.open and not block.named:
                return
            if not block.open:
                block.open = True
                yield event({"type": "content_block_start", "index": self._index, "content_block": block.start})
            if text := "".join(block.waiting):
                block.waiting.clear()
                delta = {"type": block.delta, block.member: text}
                yield event({"type": "content_block_delta", "index": self._index, "delta": delta})
            if alone or not (at_end or block.whole):
                return
            if block.signature:
                delta = {"type": "signature_delta", "signature": block.signature}
                yield event({"type": "content_block_delta", "index": self._index, "delta": delta})
            yield event({"type": "content_block_stop", "index": self._index})
            self._blocks.popleft()
            self._index += 1
