"""The output of an answer, item by item, and the events that tell of it.

An item keeps its `output_index`. Reasoning and messages are open one at a time; calls, which a chat's stream may turn between, stay
open until the end. `Output` says what happened, as events without their numbers; a whole answer is one that came at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from arbiter_app import exact_json
from arbiter_app.dialects.openai_responses.answer import (
    IN_PROGRESS,
    INCOMPLETE,
    call,
    finished,
    message,
    named,
    output_text,
    reasoning,
    refusal,
    tools_of,
    usage,
)
from arbiter_app.dialects.openai_responses.regular import is_counted
from arbiter_app.dialects.openai_responses.tools import Tool
from arbiter_app.dialects.passing import data_of
from arbiter_app.dialects.reasoning import Carried, details_of, extra_of, grouped, sealed
from arbiter_app.dialects.translation import FirstChoice, arguments_of, body_of, line_of
from arbiter_app.pipeline.completions import first_choice, name_added
from arbiter_app.pipeline.decision import Decision
from arbiter_app.pipeline.events import Chunk
from arbiter_app.pipeline.messages import content_text
from arbiter_app.pipeline.types import Json

_PIECES = {"output_text": "response.output_text", "refusal": "response.refusal"}
_PARTS = {"output_text": output_text, "refusal": refusal}


def framed(event: Json, number: int) -> bytes:
    """One event, named by its type and numbered."""
    told = {**event, "sequence_number": number}
    try:
        data = line_of(told)
    except TypeError:  # half of a surrogate pair in a name or an id
        data = line_of(exact_json.whole(told))
    return b"event: %b\ndata: %b\n\n" % (event["type"].encode(), data)


def ended_with(events: list[bytes], decision: Decision, numbers: Iterator[int]) -> list[bytes]:
    """The last events of an answer as its runtime sent them, with the `arbiter` object in the response; and with its output, where some
    runtimes leave out what they have told in events. Of one that says no end, it is added."""
    made, arbiter, ended = [], decision.public(), False
    for one in events:
        try:
            told = exact_json.exact(data_of(one))
        except ValueError:
            told = None
        if isinstance(told, dict) and isinstance(told.get("response"), dict):
            response, ended = told["response"], True
            lacks, counted = _lacks(response.get("output"), decision), is_counted(response.get("usage"))
            items = output_of(decision).items if lacks or not counted else []
            more = {} if counted else {"usage": usage(decision, items)}
            output = items if lacks else response.get("output")
            told["response"] = {**response, "output": output, **more, "arbiter": arbiter}
            one = b"event: %b\ndata: %b\n\n" % (str(told.get("type")).encode(), exact_json.dumps(told))
        made.append(one)
    if ended:
        return made
    output = output_of(decision)
    response = finished(decision, output.items, output.finish)
    return [*made, framed({"type": f"response.{response['status']}", "response": response}, next(numbers))]


def _lacks(output: object, decision: Decision) -> bool:
    """Whether an output leaves out what was said, or called."""
    done = decision.completion
    kinds = [item.get("type") for item in output if isinstance(item, dict)] if isinstance(output, list) else []
    if done is None or done.large:
        return False
    return (bool(done.text) and "message" not in kinds) or kinds.count("function_call") < len(done.tool_calls or ())


@dataclass(slots=True)
class _Item:
    """An item under way. `kind` is reasoning, message or call; a message has its finished parts, and the `part` that is open."""

    kind: str
    index: int
    id: str
    pieces: list[str] = field(default_factory=list)
    half: str = ""
    parts: list[Json] = field(default_factory=list)
    part: str = ""
    call_id: str = ""
    name: str = ""
    tool: Tool | None = None
    told: bool = False
    signed: str = ""

    @property
    def text(self) -> str:
        """What has come of it, or of its open part."""
        return "".join(self.pieces)

    def add(self, piece: str) -> str:
        """Take a piece; returns what is whole of it: half a surrogate pair waits for the other."""
        piece, self.half = self.half + piece, ""
        if piece and "\ud800" <= piece[-1] <= "\udbff":
            piece, self.half = piece[:-1], piece[-1]
        piece = exact_json.whole_text(piece)
        if piece:
            self.pieces.append(piece)
        return piece

    def as_it_is(self, status: str) -> Json:
        """It in the form of an output item."""
        if self.kind == "reasoning":
            return reasoning(self.id, [self.text] if self.pieces else [], self.signed)
        if self.kind == "message":
            return message(self.id, status, list(self.parts))
        return call(self.id, status, self.call_id, self.name, self.tool, self.text)


def output_of(decision: Decision) -> Output:
    """The whole output of a finished answer."""
    choice = first_choice(body_of(decision.completion)) or {}
    said, output = choice.get("message"), Output(decision)
    at_once = Chunk(None, {"choices": [{**choice, "index": 0, "delta": said if isinstance(said, dict) else {}}]})
    for _ in (*output.of(at_once), *output.end()):
        pass
    return output


class Output:
    """Takes the chunks of one answer (`of`) and its `end`, and tells both in events; `items` are the finished items."""

    def __init__(self, decision: Decision) -> None:
        self._decision = decision
        self._named = named(decision)
        self._tools = tools_of(decision)
        self._open: _Item | None = None
        self._calls: dict[object, _Item] = {}
        self._done: dict[int, Json] = {}
        self._count = 0
        self._choice = FirstChoice()
        self._carried = Carried()
        self.finish: object = None

    @property
    def items(self) -> list[Json]:
        """The finished items, in their order."""
        return [self._done[index] for index in sorted(self._done)]

    def of(self, chunk: Chunk) -> Iterator[Json]:
        """The events that a chunk becomes."""
        for choice, delta, calls in self._choice.of(chunk):
            yield from self._take(choice, delta, calls)

    def end(self) -> Iterator[Json]:
        """The events that end what is open. An answer without anything has an empty message."""
        yield from self._sign_carried()
        if not self._count:
            yield from self._say("output_text", "")
        cut = isinstance(self.finish, str) and self.finish in INCOMPLETE
        last = self._count - 1
        yield from self._close("incomplete" if cut and self._open and self._open.index == last else "completed")
        for item in self._calls.values():
            yield from self._close_call(item, "incomplete" if cut and item.index == last else "completed")

    def _take(self, choice: Json, delta: Json, calls: list[tuple[int | None, Json]]) -> Iterator[Json]:
        if text := self._carried.add(delta):
            yield from self._think(text)
        for group in grouped(details_of(delta)):
            self._carried.taken()
            yield from self._sign(group)
        if calls or any(delta.get(name) for name in ("content", "refusal", "function_call")):
            yield from self._sign_carried()
        if text := content_text(delta.get("content")):
            yield from self._say("output_text", text)
        refused = delta.get("refusal")
        if isinstance(refused, str) and refused:
            yield from self._say("refusal", refused)
        for at, (number, one) in enumerate(calls):
            stated = str(one.get("index", at) if number is None else number)
            if stated not in self._calls and (extra := extra_of(one)):
                yield from self._sign(extra)
            yield from self._call(stated, one.get("id"), one.get("function"))
        if isinstance(delta.get("function_call"), dict):
            yield from self._call("function_call", None, delta["function_call"])
        if choice.get("finish_reason") is not None:
            self.finish = self.finish or choice["finish_reason"]

    def _think(self, text: str) -> Iterator[Json]:
        if self._open is None or self._open.kind != "reasoning":
            yield from self._close()
            self._open = item = self._begun("reasoning", "rs")
            yield _added(item)
            part = {"type": "summary_text", "text": ""}
            yield {"type": "response.reasoning_summary_part.added", **_summary(item), "part": part}
        if piece := self._open.add(text):
            yield {"type": "response.reasoning_summary_text.delta", **_summary(self._open), "delta": piece}

    def _sign_carried(self) -> Iterator[Json]:
        if details := self._carried.taken():
            yield from self._sign(details)

    def _sign(self, details: list[Json]) -> Iterator[Json]:
        """End the item of reasoning with what the model signed of it; one without a text where none is open."""
        if self._open is None or self._open.kind != "reasoning":
            yield from self._close()
            self._open = self._begun("reasoning", "rs")
            yield _added(self._open)
        self._open.signed = sealed(self._decision.model, details)
        yield from self._close()

    def _say(self, part: str, text: str) -> Iterator[Json]:
        if self._open is None or self._open.kind != "message":
            yield from self._close()
            self._open = self._begun("message", "msg")
            yield _added(self._open)
        item = self._open
        if item.part != part:
            yield from _part_done(item)
            item.part = part
            yield {"type": "response.content_part.added", **_content(item), "part": _PARTS[part]("")}
        if piece := item.add(text):
            event = {"type": f"{_PIECES[part]}.delta", **_content(item), "delta": piece}
            yield {**event, "logprobs": []} if part == "output_text" else event

    def _call(self, number: str, stated: object, function: Any) -> Iterator[Json]:
        function = function if isinstance(function, dict) else {}
        item = self._calls.get(number)
        if item is None:
            yield from self._close()
            item = self._calls[number] = self._begun("call", "fc")
        if not item.told:
            name = function.get("name")
            item.name += name_added(item.name, name) if isinstance(name, str) else ""
            item.call_id = item.call_id or (stated if isinstance(stated, str) and stated.strip() else "")
        piece = item.add(arguments_of(function))
        if not item.told and item.name and item.pieces:
            yield self._told(item)
            piece = item.text
        if piece and item.told and not _is_custom(item):
            yield {"type": "response.function_call_arguments.delta", **_where(item), "delta": piece}

    def _told(self, item: _Item) -> Json:
        """A call is told of once its arguments begin: its name may come in pieces, and only then it is known what it calls."""
        item.told = True
        item.tool = self._tools.get(item.name)
        item.call_id = item.call_id or f"call_{self._named}_{item.index}"
        if _is_custom(item):
            item.id = f"ctc{item.id.removeprefix('fc')}"
        begun = call(item.id, IN_PROGRESS, item.call_id, item.name, item.tool, "")
        return {"type": "response.output_item.added", "output_index": item.index, "item": begun}

    def _begun(self, kind: str, prefix: str) -> _Item:
        item = _Item(kind, self._count, f"{prefix}_{self._named}_{self._count}")
        self._count += 1
        return item

    def _close(self, status: str = "completed") -> Iterator[Json]:
        """End the open item that is no call."""
        item, self._open = self._open, None
        if item is None:
            return
        if item.kind == "message":
            yield from _part_done(item)
        elif item.pieces:
            told = {"type": "summary_text", "text": item.text}
            yield {"type": "response.reasoning_summary_text.done", **_summary(item), "text": item.text}
            yield {"type": "response.reasoning_summary_part.done", **_summary(item), "part": told}
        yield self._finished(item, status)

    def _close_call(self, item: _Item, status: str) -> Iterator[Json]:
        early = not item.told
        if early:
            yield self._told(item)
        if not item.pieces:
            item.pieces.append("{}")
            early = True
        text = item.text
        if _is_custom(item):
            given = item.as_it_is(status)["input"]
            yield {"type": "response.custom_tool_call_input.delta", **_where(item), "delta": given}
            yield {"type": "response.custom_tool_call_input.done", **_where(item), "input": given}
        else:
            if early:
                yield {"type": "response.function_call_arguments.delta", **_where(item), "delta": text}
            done = {"name": item.as_it_is(status)["name"], "arguments": text}
            yield {"type": "response.function_call_arguments.done", **_where(item), **done}
        yield self._finished(item, status)

    def _finished(self, item: _Item, status: str) -> Json:
        self._done[item.index] = done = item.as_it_is(status)
        return {"type": "response.output_item.done", "output_index": item.index, "item": done}


def _is_custom(item: _Item) -> bool:
    return item.tool is not None and item.tool.kind == "custom"


def _added(item: _Item) -> Json:
    return {"type": "response.output_item.added", "output_index": item.index, "item": item.as_it_is(IN_PROGRESS)}


def _part_done(item: _Item) -> Iterator[Json]:
    """End the open part of a message, if there is one."""
    if not item.part:
        return
    where, text = _content(item), item.text
    told = {"refusal": text} if item.part == "refusal" else {"text": text, "logprobs": []}
    yield {"type": f"{_PIECES[item.part]}.done", **where, **told}
    part = _PARTS[item.part](text)
    yield {"type": "response.content_part.done", **where, "part": part}
    item.parts.append(part)
    item.pieces, item.half, item.part = [], "", ""


def _where(item: _Item) -> Json:
    return {"item_id": item.id, "output_index": item.index}


def _content(item: _Item) -> Json:
    return {**_where(item), "content_index": len(item.parts)}


def _summary(item: _Item) -> Json:
    return {**_where(item), "summary_index": 0}
